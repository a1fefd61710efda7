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


def command(*names: str) -> click.Command:
    found: click.Command = main
    for name in names:
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name) or pytest.fail(name)
    return found


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_of_the_page_are_read(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = 3 if words[1] == "judge" else 2
    own, rest = words[1:depth], words[depth:]
    files = [word for word in rest if word.endswith(".json") and own == ["card"]]
    for file in files:
        (tmp_path / file).write_text("{}")
    monkeypatch.chdir(tmp_path)
    context = command(*own).make_context(own[-1], rest)
    assert context.params["sources" if own[-1] == "correct" else "logs"][0] == "logs/"


def test_commands_are_those_of_labels() -> None:
    names = [words[2] if words[1] == "judge" else words[1] for words in COMMANDS]
    assert names == ["sample", "correct", "correct", "card", "sample", "correct"]


def test_page_names_every_option_but_the_seed() -> None:
    options = {
        o
        for name in ("sample", "correct")
        for p in command("judge", name).params
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
