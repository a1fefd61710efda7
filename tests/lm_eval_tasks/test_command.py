"""The command that a card shows repeats the run: lm-eval's own parser reads the same options out of it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from lm_eval._cli.harness import HarnessCLI
from lm_eval.config.evaluate_config import EvaluatorConfig

from rim_eval.observations import Run, read_lm_eval_samples
from rim_eval.observations.commands import lm_eval_command as command

from .conftest import SMALL, Scripted, by_mode


def run_of(path: Path) -> Run:
    [known] = read_lm_eval_samples(str(path)).runs
    return known


def parsed(line: str, monkeypatch: pytest.MonkeyPatch) -> EvaluatorConfig:
    """What lm-eval makes of a command line."""
    program, *words = shlex.split(line)
    assert program == "lm_eval"
    monkeypatch.setattr("sys.argv", [program, *words])
    cli = HarnessCLI()
    return EvaluatorConfig.from_cli(cli.parse_args())


@pytest.mark.slow
def test_all_options_of_a_run_are_repeated(
    run: Any, save: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"switch": "enable_thinking", "subset": "all", "judge": "refusal", "model": "mine"}
    sampling = {"temperature": 0.6, "top_p": 0.95, "do_sample": True, "min_p": 0.1}
    found = run(
        Scripted(by_mode),
        "rim_toy_think",
        settings=settings,
        gen_kwargs=sampling,
        system_instruction="Be polite, and brief.",
        limit=3,
        torch_random_seed=7,
    )
    known = run_of(*save(found))
    assert known.command is not None
    assert '--include_path "$(rim-eval tasks-path)"' in known.command
    again = parsed(known.command, monkeypatch)
    assert again.gen_kwargs == sampling
    assert again.metadata == {"rim_eval": settings | SMALL}
    assert again.system_instruction == "Be polite, and brief."
    assert (again.limit, again.seed) == (3, [0, 1234, 7, 1234])
    assert (again.tasks, again.log_samples) == (["rim_toy_think"], True)
    assert again.apply_chat_template
    assert known.decoding == sampling


@pytest.mark.slow
def test_chosen_prompts_and_the_style_of_problems_are_repeated(
    run: Any, save: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "rim_toy_math_no_think"
    chosen = {"limit": None, "samples": {task: [1, 3]}}
    known = run_of(
        *save(run(Scripted(by_mode), task, settings={"prompt_style": "direct"}, **chosen))
    )
    assert known.command is not None
    again = parsed(known.command, monkeypatch)
    assert again.samples == {task: [1, 3]}
    assert again.metadata is not None
    assert again.metadata["rim_eval"]["prompt_style"] == "direct"
    assert (known.prompt_style, known.limited) == ("direct", True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "style"), [("rim_toy_math_think", "as_is"), ("rim_toy_think", None)]
)
def test_style_of_a_run_is_known_where_it_was_not_given(
    run: Any, save: Any, task: str, style: str | None
) -> None:
    assert run_of(*save(run(Scripted(by_mode), task))).prompt_style == style


def test_folders_secrets_and_addresses_are_left_out() -> None:
    arguments = {
        "pretrained": "/home/someone/models/tiny",
        "base_url": "http://10.0.0.7:8000/v1",
        "tokenizer": "~/private/tokenizer",
        "auth_token": "hunter2",
        "header": {"Authorization": "Bearer hunter2"},
        "lora": {"path": "/home/someone/adapter", "api_key": "hunter2"},
        "max_length": 4096,
        "dtype": "float32",
        "add_bos_token": True,
    }
    settings = {
        "data": "/home/someone/data",
        "judge": "/home/someone/judge.yaml",
        "chat_template": "~/t.jinja",
    }
    line = command("rim_toy_think", {"model": "hf", "model_args": arguments}, settings, {})
    for told in ("someone", "private", "hunter2", "10.0.0.7", "~"):
        assert told not in line
    words = shlex.split(line)
    shown = json.loads(words[words.index("--model_args") + 1])
    assert (shown["pretrained"], shown["auth_token"]) == (".../tiny", "***")
    assert (shown["max_length"], shown["dtype"], shown["add_bos_token"]) == (4096, "float32", True)
    assert json.loads(words[words.index("--metadata") + 1]) == {
        "rim_eval": {"data": ".../data", "judge": ".../judge.yaml", "chat_template": ".../t.jinja"}
    }


def test_simple_arguments_are_written_as_lm_eval_documents_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for given in ("pretrained=a/b,dtype=float32", {"pretrained": "a/b", "dtype": "float32"}):
        config = {"model": "hf", "model_args": given, "batch_size": 8, "device": "cpu"}
        line = command("rim_toy_think", config, {}, {})
        assert "--model_args pretrained=a/b,dtype=float32 " in line
        again = parsed(line, monkeypatch)
        assert again.model_args == {"pretrained": "a/b", "dtype": "float32"}
        assert (str(again.batch_size), again.device) == ("8", "cpu")


@pytest.mark.slow
def test_older_runs_that_told_less_are_read(run: Any, save: Any) -> None:
    [path] = save(run(Scripted(by_mode), "rim_toy_think"))
    [results] = path.parent.glob("results_*.json")
    told = json.loads(results.read_text())
    about = told["configs"]["rim_toy_think"]["metadata"]["rim_eval_run"]
    for name in ("weights", "prompt_style", "samples", "system_instruction"):
        del about[name]
    results.write_text(json.dumps(told))
    known = run_of(path)
    assert (known.weights, known.prompt_style, known.answer_tokens) == (None, None, 50)
    assert known.command is not None
