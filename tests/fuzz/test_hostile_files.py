"""Files from outside with absurd numbers, depth and sizes end in one message, with bounded time and memory."""

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval.card import check_card, make_card, read_card
from rim_eval.errors import RimError
from rim_eval.judging import load_judge
from rim_eval.observations import (
    Observation,
    Table,
    from_rows,
    load_inspect_log,
    read_observations,
    write_observations,
)
from rim_eval.prompt_sets import load_prompt_file

DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "1" + "0" * 30
HALF = '"\\ud800"'
HOSTILE = {"deep": DEEP, "huge": HUGE, "half": HALF}
Rows = Callable[..., list[Observation]]


def read_hostile_card(path: Path) -> None:
    if problems := check_card(read_card(path)):
        raise RimError(problems[0])


def refused(read: Callable[[], Any]) -> str:
    """The message, which came in bounded memory; every test has its timeout."""
    tracemalloc.start()
    with pytest.raises(RimError) as error:
        read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**30
    return str(error.value)


@pytest.mark.parametrize("name", ["deep", "half"])
def test_any_json_reader_refuses_what_nothing_can_write_again(name: str, tmp_path: Path) -> None:
    files = {
        "card.json": read_hostile_card,
        "samples_rim_x_think_2026-01-01T00-00-00.000000.jsonl": lambda path: read_observations([path]),
        "prompts.jsonl": lambda path: load_prompt_file(path, kind="harmful"),
        "log.json": lambda path: read_observations([path]),
    }  # fmt: skip
    for file, read in files.items():
        path = tmp_path / file
        path.write_text('{"prompt": ' + HOSTILE[name] + "}\n")
        assert file in refused(lambda read=read, path=path: read(path))  # type: ignore[misc]


@pytest.mark.parametrize("place", ["prompts", "asked"])
def test_card_with_absurd_counts_is_refused(rows: Rows, tmp_path: Path, place: str) -> None:
    """Its figures were computed from a list of 10^30 prompts."""
    table = Table(from_rows(rows("doors", think=[1, 0, 1], no_think=[0, 0, 1]), "r"))
    card = json.loads(make_card(table).model_dump_json())
    cell = card["sets"][0]["counts"]["cells"][0]
    if place == "prompts":
        cell["prompts"] = int(HUGE)
    else:
        cell["think"] = [0, int(HUGE), int(HUGE)]
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card))
    assert "more than 200,000 samples" in refused(lambda: read_hostile_card(path))


def test_sample_with_absurd_counts_is_refused(tmp_path: Path) -> None:
    row = {"dataset": "d", "kind": "harmful", "model": "m", "prompt_id": "d1", "mode": "think"}
    row |= {"arm_kind": "switch", "reason": "not_judged"}
    for field in ("answer_tokens", "epoch"):
        path = tmp_path / f"samples_rim_{field}_2026-01-01T00-00-00.000000.jsonl"
        record = {"generation": {}, "observation": row | {field: int(HUGE)}}
        path.write_text(json.dumps({"doc": {}, "record": record}) + "\n")
        assert field in refused(lambda path=path: read_observations([path]))  # type: ignore[misc]


@pytest.mark.parametrize("field", ["answer_tokens", "epoch"])
def test_table_with_absurd_counts_is_refused(rows: Rows, tmp_path: Path, field: str) -> None:
    made = rows("doors", think=[1], no_think=[0], answer_tokens=77_001, epoch=77_002)
    path = tmp_path / "rows.csv"
    write_observations(Table(from_rows(made, "r")), path)
    written = {"answer_tokens": "77001", "epoch": "77002"}[field]
    path.write_text(path.read_text().replace(written, HUGE))
    assert "rows.csv" in refused(lambda: read_observations([path]))


def test_what_a_table_says_of_its_runs_is_bounded(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_observations(Table(from_rows(rows("doors", think=[1], no_think=[0]), "r")), path)
    (tmp_path / "rows.csv.json").write_text(DEEP)
    assert "cannot be read" in refused(lambda: read_observations([path]))


def test_judge_file_is_bounded(tmp_path: Path) -> None:
    for content in (DEEP, "name: " + "x" * 100_000_000, f"version: {HUGE}"):
        path = tmp_path / "judge.yaml"
        path.write_text(content)
        assert "judge.yaml" in refused(lambda path=path: load_judge(path))  # type: ignore[misc]


@pytest.mark.slow
def test_field_of_100_mb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    field = "x" * 100_000_000
    card, samples = tmp_path / "card.json", tmp_path / "samples_rim_x.jsonl"
    card.write_text(json.dumps({"model": field}))
    samples.write_text(json.dumps({"doc": field}))
    assert "larger than 64 MiB" in refused(lambda: read_card(card))
    assert "longer than 64 MiB" in refused(lambda: read_observations([samples]))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The parts of a real log."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "INSPECT_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    doors = tmp_path / "doors.csv"
    doors.write_text("prompt\nOpen door 1.\nOpen door 2.\n")
    [done] = inspect_eval(
        "rim_eval/prompts",
        model="rim_toy/scripted",
        task_args={"file": str(doors), "judge": "refusal"},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    with zipfile.ZipFile(done.location) as parts:
        return {name: parts.read(name) for name in parts.namelist()}


def packed(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


@pytest.mark.slow
def test_log_is_bounded(log: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "hostile.eval"
    bomb = b'[{"a": "' + bytes(600 * 2**20) + b'"}]'
    sample = next(name for name in log if name.startswith("samples/"))
    for part in ("header.json", "summaries.json", sample):
        packed(path, log | {part: bomb})
        assert path.stat().st_size < 2**20
        assert "at most 512 are read" in refused(lambda: read_observations([path]))
        assert "at most 512 are read" in refused(lambda: load_inspect_log(path))
    packed(path, log | {"header.json": DEEP.encode()})
    assert "cannot be read as an Inspect log" in refused(lambda: read_observations([path]))
    header = json.loads(log["header.json"])
    for epochs in (int(HUGE), 10**8):
        header["eval"]["config"]["epochs"] = epochs
        packed(path, log | {"header.json": json.dumps(header).encode()})
        assert "epochs" in refused(lambda: read_observations([path]))
    summaries = json.loads(log["summaries.json"])
    for facts in ({"answer_tokens": int(HUGE)}, {"category": "a\ud800"}):
        for summary in summaries:
            for score in summary["scores"].values():
                score["metadata"]["think"] |= facts
        packed(path, log | {"summaries.json": json.dumps(summaries).encode()})
        assert "hostile.eval" in refused(lambda: read_observations([path]))
