"""The commands of the page are commands, and the page names every option and every field."""

import re
import shlex
from pathlib import Path

import click
import yaml

from rim_eval.cli import main
from rim_eval.suite import Suite

PAGE = (Path(__file__).parents[2] / "docs" / "suite.md").read_text()


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def test_commands_of_the_page_are_read() -> None:
    lines = [
        shlex.split(line, comments=True)
        for block in re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(lines) == 11
    for words in lines:
        assert words[0] == "rim-eval"
        command(words[1]).make_context(words[1], words[2:])


def test_the_suite_of_the_page_is_one() -> None:
    first, server = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    suite = yaml.safe_load(first)
    Suite.model_validate(suite | {"models": yaml.safe_load(server)})
    assert [each.label for each in Suite.model_validate(suite).models] == ["Qwen3-4B", "tuned"]


def test_page_names_every_option_and_field() -> None:
    names = {
        option
        for name in ("run", "merge")
        for each in command(name).params
        for option in each.opts
        if option[0] == "-"
    }
    names |= {f"`{field}`" for field in Suite.model_fields if field != "version"}
    assert [name for name in sorted(names) if name not in PAGE] == []
