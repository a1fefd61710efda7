"""`rim-eval merge`: what joins is written, and what does not is said with what to do."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rim_eval.cli import main
from rim_eval.observations import (
    Observation,
    Run,
    Table,
    from_rows,
    join,
    read_observations,
    write_observations,
)
from rim_eval.observations.shards import Shard
from tests.conftest import Rows


def log(rows: list[Observation], name: str, **about: Any) -> Table:
    """One run of some rows."""
    run = Run(id=name, harness="inspect_ai", log=f"{name}.eval", model="m", dataset="doors", status="success", **about)  # fmt: skip
    return Table(from_rows(rows, name), (run,))


def merge(folder: Path, tables: list[Table], *words: str) -> Result:
    logs = []
    for number, table in enumerate(tables):
        logs.append(str(folder / f"{number}.parquet"))
        write_observations(table, logs[-1])
    return CliRunner().invoke(main, ["merge", *logs, "--out", str(folder / "out.parquet"), *words])


def shard(index: int, count: int = 3) -> dict[str, Any]:
    return {"shard": Shard(index=index, count=count, prompts=6, suite="s.yaml"), "limited": True}


@pytest.fixture
def thirds(rows: Rows) -> list[Table]:
    every = rows(think=[1, 0, 1, 0, 1, 1], no_think=[0] * 6)
    return [
        log([row for row in every if int(row.prompt_id[-3:]) // 2 == n], f"run-{n}", **shard(n + 1))
        for n in range(3)
    ]


def test_shards_of_one_run_join_and_are_no_longer_a_part(
    tmp_path: Path, thirds: list[Table]
) -> None:
    done = merge(tmp_path, thirds)
    assert done.exit_code == 0, done.output
    assert "m, doors: 6 prompts in both modes, from 3 logs" in done.output
    joined = read_observations([tmp_path / "out.parquet"])
    assert len(joined.frame) == 12
    assert [run.limited for run in joined.runs] == [False] * 3


def test_a_check_writes_nothing(tmp_path: Path, thirds: list[Table]) -> None:
    assert merge(tmp_path, thirds, "--check").exit_code == 0
    assert not (tmp_path / "out.parquet").exists()


def test_a_limited_run_stays_one(tmp_path: Path, thirds: list[Table], rows: Rows) -> None:
    pair = rows(think=[1], no_think=[0])
    part = log(pair, "whole", shard=Shard(index=1, count=1, prompts=1, limited=True), limited=True)
    assert merge(tmp_path, [part]).exit_code == 0
    assert [run.limited for run in read_observations([tmp_path / "out.parquet"]).runs] == [True]


def written(folder: Path, table: Table, name: str = "rows.parquet") -> str:
    write_observations(table, folder / name)
    return str(folder / name)


def checked(*logs: str) -> Result:
    return CliRunner().invoke(main, ["merge", *logs, "--check"])


MODES = {"modes": ("no_think", "think")}


def test_one_mode_joins_only_where_no_other_was_asked(tmp_path: Path, rows: Rows) -> None:
    """Of a table of one mode nothing was said, and the exit code was 0."""
    think = rows(think=[1, 0])
    half = checked(written(tmp_path, log(think, "run", **MODES)))
    assert half.exit_code == 2
    assert (
        "2 prompts of doors (m) in one mode only, with thinking; the run asked both\n"
        in half.output
    )
    assert "Give the whole table, or the logs themselves: run.eval\n" in half.output
    assert "These runs do not join: 1 reason.\n" in half.output
    unknown = checked(written(tmp_path, Table(from_rows(think))))
    assert unknown.exit_code == 2
    assert "no run says that it asked no other" in unknown.output
    alone = checked(written(tmp_path, log(think, "run", modes=("think",))))
    assert alone.exit_code == 0, alone.output
    assert (
        "doors: 2 prompts in one mode, with thinking, as it was asked, from 1 log\n" in alone.output
    )
    doses = checked(written(tmp_path, log(think, "run", doses=("512", "full"), **MODES)))
    assert doses.exit_code == 0, doses.output


def test_a_prompt_that_a_table_lost_in_both_modes_is_missed(tmp_path: Path, rows: Rows) -> None:
    pairs = rows(think=[1, 0, 1], no_think=[0, 0, 1])
    kept = [row for row in pairs if row.prompt_id != pairs[0].prompt_id]
    lost = checked(written(tmp_path, log(kept, "run", n_prompts=3, **MODES)))
    assert lost.exit_code == 2
    assert "1 of 3 prompts of doors (m) have no row\n" in lost.output
    again = log([row.model_copy(update={"epoch": 2}) for row in kept], "run")
    twice = Table(join([log(pairs, "run", n_prompts=3, epochs=2), again]).frame, log(pairs, "run", n_prompts=3, epochs=2).runs)  # fmt: skip
    assert "1 of 6 prompts times epochs of doors (m) have no row\n" in checked(written(tmp_path, twice)).output  # fmt: skip
    whole = checked(written(tmp_path, log(pairs, "run", n_prompts=3, **MODES)))
    assert whole.exit_code == 0, whole.output
    assert "Not known" not in whole.output


def test_what_a_table_without_its_runs_leaves_open_is_said(tmp_path: Path, rows: Rows) -> None:
    file = written(tmp_path, Table(from_rows(rows(think=[1, 0], no_think=[0, 0]))))
    done = checked(file)
    assert done.exit_code == 0, done.output
    assert "m, doors: 2 prompts in both modes\n" in done.output
    assert "Not known: whether prompts are lost." in done.output


def test_one_run_under_two_names_and_what_cannot_be_read_end_with_2(
    tmp_path: Path, rows: Rows
) -> None:
    file = written(tmp_path, log(rows(think=[1], no_think=[0]), "run"))
    twice = checked(f"a={file}", f"b={file}")
    assert twice.exit_code == 2
    assert "hold the same run under two names, a and b" in twice.output
    assert checked(str(tmp_path / "nowhere")).exit_code == 2


def refused(folder: Path, tables: list[Table], *says: str) -> None:
    done = merge(folder, tables)
    assert done.exit_code == 2, done.output
    for each in says:
        assert each in done.output
    assert not (folder / "out.parquet").exists()


def test_a_missing_shard_is_named_with_its_command(tmp_path: Path, thirds: list[Table]) -> None:
    says = ("1 of 3 shards of doors (m) are not there: 2/3", "rim-eval run s.yaml --shard 2/3")
    refused(tmp_path, [thirds[0], thirds[2]], *says)


def test_shards_of_two_divisions_are_refused(
    tmp_path: Path, thirds: list[Table], rows: Rows
) -> None:
    half = log(rows(think=[1] * 3, no_think=[0] * 3), "half", **shard(1, 2))
    says = ("2 shards of 6 prompts and 3 shards of 6 prompts", "occur more than once", "half.eval")
    refused(tmp_path, [*thirds, half], *says)


def test_half_a_pair_is_refused(tmp_path: Path, rows: Rows) -> None:
    whole = rows(think=[1, 0], no_think=[0, 0])
    refused(tmp_path, [log(whole[:-1], "run")], "returned in one mode only: doors-001", "run.eval")


def test_arms_that_were_asked_otherwise_are_refused(tmp_path: Path, rows: Rows) -> None:
    think = log(rows(think=[1, 0]), "with", answer_tokens=100)
    without = log(rows(no_think=[1, 0]), "without", answer_tokens=200)
    refused(tmp_path, [think, without], "differ in their answer_tokens (100, 200)")
    without = log(rows(no_think=[1, 0]), "without", answer_tokens=100)
    assert merge(tmp_path, [think, without]).exit_code == 0
