"""The options and files that the guide names exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main as rim_eval
from scripts.training.experiment import main

ROOT = Path(__file__).resolve().parents[3]
GUIDE = ROOT / "docs" / "training.md"

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="an installed copy has no docs")


def test_every_option_exists() -> None:
    commands: Any = (main, []), (rim_eval, ["patterns", "filter"]), (rim_eval, ["mech", "ras"])
    known = "".join(CliRunner().invoke(one, [*words, "--help"]).output for one, words in commands)
    named = set(re.findall(r"--[a-z][a-z-]+", GUIDE.read_text(encoding="utf-8")))
    assert named
    assert [each for each in sorted(named) if not re.search(rf"{each}\b", known)] == []


def test_every_file_exists() -> None:
    folder = ROOT / "scripts" / "training"
    rows = [
        line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    files = [
        name for line in rows for name in re.findall(r"`(?:[\w/]*/)?(\w+\.(?:py|toml))`", line)
    ]
    assert len(files) >= 7
    assert all((folder / name).is_file() for name in files)


def test_the_command_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "scripts.training.experiment", "--help"], cwd=ROOT, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--guard-steps" in done.stdout
