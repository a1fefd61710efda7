"""A process that is killed while it writes: each file is the old one or the new one, and the same command goes on."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks._synthetic_entries import ORGANISM_CARD, synthetic_entries
from rim_eval import card
from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.files import is_partial, write_whole
from rim_eval.leaderboard import site, write_site
from rim_eval.observations import Run, Table, from_rows, read_observations, write_observations

pytestmark = pytest.mark.slow

Files = dict[str, bytes]
_CLEAN = multiprocessing.get_context("forkserver")
_CLEAN.set_forkserver_preload([__name__, "pandas", "pyarrow.parquet", "altair", "jinja2"])


def rim_eval(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def write_table(out: Path, rows: Path) -> None:
    for ending in ("parquet", "csv"):
        write_observations(read_observations([rows]), out / f"rows.{ending}")


def write_card(out: Path, rows: Path) -> None:
    # Without pictures, which take seconds.
    card.card_html = lambda each, *_, **__: card.card_json(each)
    card.card_pictures = lambda each, *_: (card.card_json(each), card.card_json(each).encode())
    rim_eval("card", rows, "--out", out)


def build_site(out: Path, rows: Path) -> None:
    entries = synthetic_entries(3 if rows.stem == "old" else 2, seed=len(rows.stem))
    vars(site)["_overview"] = lambda _: ["<svg/>", "<svg/>"]
    write_site(entries, [], out, card_pages=False)


def add_entry(out: Path, rows: Path) -> None:
    options = "--model organism --developer rim_eval --family organism --organism --name"
    if rows.stem == "new":
        rim_eval("leaderboard", "add", ORGANISM_CARD, *options.split(), "one", "--results", out)


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    writer.__name__: writer for writer in (write_table, write_card, build_site, add_entry)
}


def strike(moment: int) -> None:
    """Kill this process at a moment of its writing: in the middle of a text, or before a file takes its place."""
    moments = count()
    write_text, replace = Path.write_text, Path.replace

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def write_half(path: Path, text: str, **options: Any) -> int:
        if next(moments) == moment:
            write_text(path, text[: len(text) // 2], **options)
            die()
        return write_text(path, text, **options)

    def replace_never(path: Path, target: Path) -> Path:
        if next(moments) == moment:
            die()
        return replace(path, target)

    Path.write_text = write_half  # type: ignore[method-assign,assignment]
    Path.replace = replace_never  # type: ignore[method-assign,assignment]


def _write(writer: str, out: Path, rows: Path, moment: int) -> None:
    strike(moment)
    WRITERS[writer](out, rows)


def write(writer: str, out: Path, rows: Path, moment: int = -1) -> bool:
    """Write in a process of its own, which is killed at a moment; whether it came to its end before."""
    process = _CLEAN.Process(target=_write, args=(writer, out, rows, moment))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def files(folder: Path) -> Files:
    found = (path for path in folder.rglob("*") if path.is_file() and not is_partial(path))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture
def tables(tmp_path: Path, rows: Any) -> tuple[Path, Path]:
    """Two tables of one set, of two runs."""
    paths = tmp_path / "old.parquet", tmp_path / "new.parquet"
    for path, verdicts in zip(paths, ([1, 0, 1, 1], [0, 0, 0, 1]), strict=True):
        run = Run(id=path.stem, harness="h", log="l", model="m", dataset="doors")
        table = from_rows(rows(think=verdicts, no_think=[0, 0, 1, 0]), path.stem)
        write_observations(Table(table, (run,)), path)
    return paths


@pytest.mark.parametrize("writer", WRITERS)
def test_a_killed_writer_leaves_old_or_new_files(
    writer: str, tmp_path: Path, tables: tuple[Path, Path]
) -> None:
    old, new = tables
    (tmp_path / "before").mkdir()
    assert write(writer, tmp_path / "before", old)
    assert write(writer, tmp_path / "after", new)
    before, after = files(tmp_path / "before"), files(tmp_path / "after")
    assert before != after
    for moment in count(step={"build_site": 5, "write_card": 2}.get(writer, 1)):
        out = tmp_path / f"killed-{moment}"
        shutil.copytree(tmp_path / "before", out)
        if write(writer, out, new, moment):
            break
        assert_old_or_new(out, before, after)
        assert write(writer, out, new)
        assert files(out) == after
    assert moment >= 4


def assert_old_or_new(out: Path, before: Files, after: Files) -> None:
    left = files(out)
    assert before.keys() & after.keys() <= left.keys()
    for name, content in left.items():
        assert content in (before.get(name), after.get(name)), name


def _write_and_write(out: Path, tables: tuple[Path, Path]) -> None:
    while True:
        for rows in tables:
            write_table(out, rows)
            write_card(out, rows)


def test_random_moments(tmp_path: Path, tables: tuple[Path, Path]) -> None:
    """Two in every run, sixty with RIM_EVAL_FAULTS=1."""
    chance, kinds = random.Random(8), []
    for rows in tables:
        folder = tmp_path / f"whole-{rows.stem}"
        assert write("write_table", folder, rows)
        assert write("write_card", folder, rows)
        kinds.append(files(folder))
    out = tmp_path / "out"
    shutil.copytree(tmp_path / "whole-old", out)
    for _ in range(60 if os.environ.get("RIM_EVAL_FAULTS") else 2):
        process = _CLEAN.Process(target=_write_and_write, args=(out, tables))
        process.start()
        time.sleep(chance.uniform(0.5, 3))
        process.kill()
        process.join()
        assert_old_or_new(out, *kinds)
    assert write("write_table", out, tables[1])
    assert write("write_card", out, tables[1])
    assert files(out) == kinds[1]


@pytest.mark.parametrize("moment", range(4))
def test_a_first_site_that_was_killed_is_built_by_the_same_command(
    moment: int, tmp_path: Path, tables: tuple[Path, Path]
) -> None:
    """The folder holds a file without its name, or a marker and nothing else."""
    assert not write("build_site", tmp_path / "site", tables[0], moment)
    assert write("build_site", tmp_path / "site", tables[0])
    assert (tmp_path / "site" / "index.html").exists()


def test_csv_beside_another_tables_runs_is_refused(
    tmp_path: Path, tables: tuple[Path, Path]
) -> None:
    """A table in CSV is two files; a process killed between them leaves one old and one new."""
    assert write("write_table", tmp_path / "out", tables[0])
    assert write("write_table", tmp_path / "other", tables[1])
    beside = "rows.csv.json"
    (tmp_path / "out" / beside).write_bytes((tmp_path / "other" / beside).read_bytes())
    with pytest.raises(RimError, match=r"rows\.csv and rows\.csv\.json were not written together"):
        read_observations([tmp_path / "out" / "rows.csv"])


def test_old_partial_files_go_when_the_file_is_written_again(tmp_path: Path) -> None:
    abandoned, others = tmp_path / ".card.json.1.part", tmp_path / ".card.json.2.part"
    for each in (abandoned, others):
        each.write_text("half")
    os.utime(abandoned, (0, 0))
    write_whole({tmp_path / "card.json": "{}"})
    assert sorted(path.name for path in tmp_path.iterdir()) == [others.name, "card.json"]


def test_a_folder_is_searched_for_partial_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site of a thousand pages listed each of its folders a thousand times."""
    searched: list[Path] = []
    monkeypatch.setattr("rim_eval.files.remove_abandoned", searched.append)
    write_whole({tmp_path / f"{number}.json": "{}" for number in range(3)})
    assert searched == [tmp_path]


def test_a_hidden_file_of_another_program_stays(tmp_path: Path) -> None:
    other = tmp_path / ".film.part"
    other.write_text("half")
    os.utime(other, (0, 0))
    write_whole({tmp_path / "card.json": "{}"})
    assert other.exists()


def test_the_first_file_takes_its_place_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, replace = [], Path.replace

    def record(path: Path, target: Path) -> Path:
        placed.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", record)
    write_whole({tmp_path / name: "" for name in ("first", "second", "third")})
    assert placed == ["third", "second", "first"]
