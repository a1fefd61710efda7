"""The command that a card shows repeats the run: Inspect's own parser reads the same run out of it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from inspect_ai._cli.eval import eval_command
from inspect_ai._cli.util import parse_model_role_cli_args
from inspect_ai._util.config import parse_cli_args
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec
from inspect_ai.model import GenerateConfig, ModelConfig, get_model

from rim_eval.observations import read_observations
from rim_eval.observations.commands import inspect_command


def parsed(command: str) -> dict[str, Any]:
    """What Inspect makes of a command line."""
    program, subcommand, *words = shlex.split(command)
    assert (program, subcommand) == ("inspect", "eval")
    return eval_command.make_context("eval", words).params


def command_of(**fields: Any) -> str:
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00",
        task="rim_eval/hexphi",
        dataset=EvalDataset(),
        model="mockllm/model",
        config=EvalConfig(),
        **fields,
    )
    return inspect_command(EvalLog(eval=spec), "mockllm/model")


@pytest.mark.parametrize(
    "graders",
    [
        ["mockllm/a"],
        ["mockllm/a", "mockllm/b", "mockllm/c"],
        ["mockllm/a", "mockllm/a"],
    ],
)
def test_every_grader_of_a_panel_is_named(graders: list[str]) -> None:
    """A card named the first grader of a panel only."""
    panel = [ModelConfig(model=name) for name in graders]
    roles: dict[str, Any] = {"grader": panel if len(panel) > 1 else panel[0]}
    words = parsed(command_of(model_roles=roles))["model_role"]
    assert words == (f"grader={','.join(graders)}",)
    grader = parse_model_role_cli_args(words)["grader"]
    assert grader == (graders if len(graders) > 1 else graders[0])


def test_graders_with_settings_of_their_own_keep_them() -> None:
    panel = [
        ModelConfig(model="mockllm/a", config=GenerateConfig(temperature=0.5, max_tokens=900)),
        ModelConfig(model="mockllm/b", args={"api_version": "2", "access_token": "hf_hidden"}),
        ModelConfig(model="mockllm/c"),
    ]
    command = command_of(model_roles={"grader": panel, "monitor": panel[0]})
    assert "hf_hidden" not in command
    roles = parse_model_role_cli_args(parsed(command)["model_role"])
    graders: Any = roles["grader"]
    assert [str(each) for each in graders] == ["mockllm/a", "mockllm/b", "mockllm/c"]
    assert graders[0].config == panel[0].config
    assert graders[1].model_args == {"api_version": "2", "access_token": "***"}
    monitor: Any = roles["monitor"]
    assert (str(monitor), monitor.config) == ("mockllm/a", panel[0].config)


def test_arguments_are_read_back_as_they_were_given() -> None:
    given = {"judge": "refusal", "switch": None, "limits": {"on": True, "at": None}, "n": [1, 2]}
    command = command_of(task_args_passed=given)
    assert parse_cli_args(parsed(command)["t"]) == given


@pytest.mark.slow
def test_the_printed_command_asks_the_same_panel(run: Any, tmp_path: Path) -> None:
    graders = []
    for number, rating in enumerate((2, 3, 5)):
        file = tmp_path / f"grader{number}.json"
        file.write_text(json.dumps([{"reply": f"Reason.\n<score>{rating}</score>"}]))
        graders.append(get_model(f"rim_toy/judge{number}", script=str(file), memoize=False))
    task_args = {"judge": "hexphi_own"}
    log = run(task_args=task_args, model_roles={"grader": graders})
    [repeated] = read_observations([log.location]).runs
    assert repeated.command is not None
    # The folder of the scripts is of this machine, so the command leaves it out.
    assert str(tmp_path) not in repeated.command
    roles = parse_model_role_cli_args(
        tuple(
            word.replace(".../", f"{tmp_path}/") for word in parsed(repeated.command)["model_role"]
        )
    )
    again = run(task_args=task_args, model_roles=roles)
    assert again.eval.model_roles == log.eval.model_roles
    assert again.results.scores == log.results.scores
