"""The commands of docs/publish.md, on a card of the leaderboard."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.paths import leaderboard_dir

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "publish.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^rim-eval (export .*)$", PAGE, flags=re.MULTILINE)
CARD = leaderboard_dir() / "results" / "huggingfacetb-smollm2-135m-instruct-q4-1" / "greedy.json"


@pytest.mark.parametrize("command", [*COMMANDS, "export card.json --format metrics"])
def test_a_command_writes_what_the_page_says(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "HuggingFaceTB/SmolLM2-135M-Instruct-Q4_1"
    (tmp_path / "card.json").write_bytes(CARD.read_bytes())
    done = CliRunner().invoke(main, shlex.split(command.replace("Qwen/Qwen3-4B", name)))
    assert done.exit_code == 0, done.output
    [written] = [line.removeprefix("wrote ") for line in done.output.splitlines()]
    assert (tmp_path / written).is_file()
    named = re.sub(r"data/rim_eval/.*", "data/rim_eval/", written)
    assert f"`{named}`" in PAGE or f'"{named}"' in PAGE


def test_the_table_names_every_format() -> None:
    offered = CliRunner().invoke(main, ["export", "--help"]).output
    formats = re.findall(r"--format ([a-z-]+)` \|", PAGE)
    assert len(formats) == len(COMMANDS) + 1
    assert all(each in offered for each in formats)
