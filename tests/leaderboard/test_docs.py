import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.paths import leaderboard_dir
from scripts.site.commands import blocks

DOCS = Path(__file__).parents[2] / "docs" / "leaderboard.md"

COMMANDS = re.findall(r"^rim-eval (leaderboard .+)$", DOCS.read_text(encoding="utf-8"), re.M)
RUN_AS_THEY_STAND = {
    command.removeprefix("rim-eval ")
    for block in blocks(DOCS.read_text(encoding="utf-8"))
    if block.is_run
    for command in block.commands
}


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({*COMMANDS} - RUN_AS_THEY_STAND))
def test_the_other_commands_of_the_page_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(command)
    if arguments[1] == "build":
        arguments.append("--no-card-pages")
    if arguments[1] == "add":
        card = json.loads((leaderboard_dir() / "results/organism/greedy.json").read_text())
        Path("card").mkdir()
        Path("card/card.json").write_text(json.dumps(card | {"model": "vllm/Qwen/Qwen3-4B"}))
        arguments += ["--results", str(tmp_path / "results")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def test_the_page_shows_all_four_words() -> None:
    assert {shlex.split(command)[1] for command in COMMANDS} == {"build", "add", "check", "export"}
