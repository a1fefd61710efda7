"""The commands of docs/labels.md are commands, and it names every option, outcome and key."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from rim_eval.cli import main
from rim_eval.labelling.report import _OUTCOMES
from rim_eval.labelling.sheet import QUESTIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "labels.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    for line in block.splitlines()
]


def command(name: str) -> click.Command:
    judge = main.get_command(click.Context(main), "judge")
    assert isinstance(judge, click.Group)
    return judge.commands[name]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_of_the_page_are_read(words: list[str]) -> None:
    assert words[:2] == ["rim-eval", "judge"]
    context = command(words[2]).make_context(words[2], words[3:])
    assert context.params["logs" if words[2] == "sample" else "sources"][0] == "logs/"


def test_there_are_five_commands() -> None:
    assert [words[2] for words in COMMANDS] == ["sample", "correct", "correct", "sample", "correct"]


def test_page_names_every_option_but_the_seed() -> None:
    options = {
        o
        for name in ("sample", "correct")
        for p in command(name).params
        for o in p.opts
        if o[0] == "-"
    }
    assert [option for option in sorted(options) if option not in PAGE] == ["--seed"]


def test_page_names_outcomes_and_keys() -> None:
    assert all(f"| {outcome} |" in PAGE for outcome in _OUTCOMES.values())
    for choice in QUESTIONS["harmful"].choices:
        assert f"`{choice.key}` {choice.title.casefold()}" in PAGE
    script = (ROOT / "rim_eval" / "labelling" / "sheet.js").read_text(encoding="utf-8")
    listed = re.findall(r'\["(u|m|e|i)", "', script)
    assert [key for key in listed if f"`{key}`" not in PAGE] == []
    assert sorted(listed) == sorted("umei")
    assert json.dumps("Enter") in script
