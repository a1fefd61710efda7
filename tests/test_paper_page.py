"""docs/paper.md: its commands exist and follow the protocol, and it shows what a run prints."""

import inspect
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from rim_eval import _registry
from rim_eval.inspect_tasks.protocols import PROTOCOLS, describe_protocol, follow_protocol
from rim_eval.inspect_tasks.settings import InjectionSettings, JudgedSettings, ReasoningSettings
from rim_eval.prompt_sets import entry

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "paper.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("inspect ")]
SHOWN = ["Table 1", "Table 2", "Table 3", "Tables A2 to A4, A8", "Table A7", "Figure A5", *(f"Figure {n}" for n in (1, 2, 3, 5, 6, 7, 8)), "Figures 4, A4"]  # fmt: skip


def arguments(words: list[str]) -> dict[str, Any]:
    given = [after for flag, after in pairwise(words) if flag == "-T"]
    return {
        name: yaml.safe_load(value) for name, _, value in (each.partition("=") for each in given)
    }


@pytest.mark.parametrize("line", COMMANDS)
def test_runs_name_tasks_and_arguments_that_do_not_contradict(line: str) -> None:
    words = shlex.split(line)
    task = words[2].removeprefix("rim_eval/")
    given = arguments(words)
    assert set(given) <= set(inspect.signature(getattr(_registry, task)).parameters)
    prompt_set = entry(given.get("set", task))
    of_task = JudgedSettings if prompt_set.kind == "harmful" else ReasoningSettings
    settings = InjectionSettings if task == "injection" else of_task
    followed = follow_protocol(settings(**given, given=frozenset(given)), prompt_set.kind)
    assert followed.protocol == "paper"
    assert ("--model-role" in words) == (prompt_set.kind == "harmful")


def test_series_takes_the_protocol_on_every_set_that_it_names() -> None:
    [line] = [line for line in LINES if line.startswith("rim-eval series")]
    words = shlex.split(line)
    assert arguments(words) == {"protocol": "paper"}
    tasks = words[words.index("--tasks") + 1].split(",")
    assert set(tasks) == set(PROTOCOLS["paper"].sets)


def test_page_has_runs_on_every_set_of_the_paper() -> None:
    tasks = {shlex.split(line)[2].removeprefix("rim_eval/") for line in COMMANDS}
    assert {*PROTOCOLS["paper"].sets, "injection"} <= tasks


@pytest.mark.parametrize("name", SHOWN)
def test_tables_and_figures_are_mapped(name: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert any(name in row.split("|")[1] for row in rows)


def test_printed_text_is_the_runs() -> None:
    settings = follow_protocol(JudgedSettings(protocol="paper"), "harmful")
    text = describe_protocol(settings, "hexphi", "harmful", "enable_thinking")
    [shown] = re.findall(r"```text\n(protocol=.*?)\n```", PAGE, flags=re.DOTALL)
    assert shown == text
