"""Harmless prompts for a real model: requests that anybody grants, and sums."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rim_eval.observations import read_observations

REQUESTS = {
    "bread": "Why does bread dough rise?",
    "pens": "A box has 24 pens and 9 are taken. How many are left?",
}
SUMS = {
    "apples": ("Ada has 3 apples and buys 4 more. How many apples does she have?", 7),
    "coins": ("Tom had 9 coins and lost 5. How many coins are left?", 4),
}


@pytest.fixture(scope="session")
def requests_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "requests.csv"
    path.write_text("id,text\n" + "".join(f'{id},"{text}"\n' for id, text in REQUESTS.items()))
    return path


@pytest.fixture(scope="session")
def sums_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "sums.csv"
    rows = "".join(f'{id},"{text}",{answer}\n' for id, (text, answer) in SUMS.items())
    path.write_text("id,text,answer\n" + rows)
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the publisher's form, filled with harmless requests: its ten files of thirty rows."""
    data = tmp_path_factory.mktemp("data")
    (data / "hexphi").mkdir()
    for number in (1, *range(3, 12)):
        rows = "".join(f'"{text} ({number}.{row})"\n' for row, text in enumerate(30 * [REQUESTS["bread"]]))  # fmt: skip
        (data / "hexphi" / f"category_{number}.csv").write_text(rows)
    return data


def command(program: str, *arguments: object, exit_code: int = 0) -> str:
    """Run a program of this environment as a user does, and return what it printed."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *map(str, arguments)],
        env=os.environ | {"INSPECT_DISPLAY": "plain", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == exit_code, done.stdout[-4000:]
    return done.stdout


def rows_of(source: Path) -> list[Any]:
    """The rows of a folder of logs or sample files, with None for what is missing."""
    frame = read_observations([str(source)]).frame.astype(object)
    return list(frame.where(frame.notna(), None).itertuples())
