"""Work grows linearly with rows and samples, and not at all with prompts that are alike: counted, not timed."""

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from benchmarks.growth import make_log, make_table
from rim_eval.card import make_card
from rim_eval.observations import read_observations
from rim_eval.results.counts import Cell, Outcome
from rim_eval.results.figures import figures


def calls(work: Callable[[], object]) -> int:
    """Calls of Python functions."""
    n = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal n
        n += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return n


def peak(work: Callable[[], object]) -> int:
    """Bytes that were held at most."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def cells(prompts: int) -> list[Cell]:
    return [
        Cell(think=Outcome(*think), no_think=Outcome(*no_think), prompts=prompts)
        for think in ((0, 3, 3), (2, 3, 3), (0, 0, 3))
        for no_think in ((1, 2, 3), (3, 3, 3))
    ]


def test_prompts_that_are_alike_are_no_more_work() -> None:
    """Every figure walked over every verdict of every prompt, a dozen times."""
    figures(cells(2))  # fills caches
    assert calls(lambda: figures(cells(2_000))) < 1.1 * calls(lambda: figures(cells(20)))


@pytest.mark.slow
def test_a_card_is_counted_in_columns(tmp_path: Path) -> None:
    tables = [
        read_observations([make_table(tmp_path / f"{n}.parquet", n)]) for n in (8_000, 32_000)
    ]
    make_card(tables[0])
    few, many = (calls(lambda table=table: make_card(table)) for table in tables)  # type: ignore[misc]
    assert many < 2 * few  # more kinds of outcomes, not one call a row
    few, many = (peak(lambda table=table: make_card(table)) for table in tables)  # type: ignore[misc]
    assert many < 4.4 * few


@pytest.mark.slow
def test_a_table_is_read_in_columns(tmp_path: Path) -> None:
    paths = [make_table(tmp_path / f"{n}.parquet", n) for n in (8_000, 32_000)]
    read_observations(paths[:1])
    few, many = (calls(lambda path=path: read_observations([path])) for path in paths)  # type: ignore[misc]
    assert many < 1.1 * few
    few, many = (peak(lambda path=path: read_observations([path])) for path in paths)  # type: ignore[misc]
    assert many < 4.4 * few


@pytest.mark.slow
def test_a_log_is_read_in_proportion_to_its_samples(tmp_path: Path) -> None:
    paths = [make_log(tmp_path / f"{n}.eval", n) for n in (100, 400)]
    read_observations(paths[:1])
    few, many = (calls(lambda path=path: read_observations([path])) for path in paths)  # type: ignore[misc]
    assert many < 4.2 * few
    assert many / 400 < 150  # of which Inspect's own reading is most
