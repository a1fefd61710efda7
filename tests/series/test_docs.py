"""The commands of the page are commands, and the page names every option."""

import re
import shlex
from pathlib import Path

import click

from rim_eval.cli import main
from rim_eval.series import SeriesSettings, parse_models, series_plan

PAGE = (Path(__file__).parents[2] / "docs" / "series.md").read_text()


def command() -> click.Command:
    found = main.get_command(click.Context(main), "series")
    assert found is not None
    return found


def test_commands_of_the_page_are_read() -> None:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 2
    groups = []
    for block in blocks:
        words = shlex.split(block.replace("\\\n", " "))[2:]
        context = command().make_context("series", words)
        models = parse_models(context.params["models"])
        plan = series_plan(SeriesSettings(models=models, tasks=("rim_eval/toy",)))
        groups.append(len(plan.groups()))
    assert groups == [3, 1]


def test_page_names_every_option() -> None:
    options = {option for each in command().params for option in each.opts if option[0] == "-"}
    assert [option for option in sorted(options) if option not in PAGE] == []
