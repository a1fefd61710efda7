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
