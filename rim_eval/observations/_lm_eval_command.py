"""The command that repeats an lm-eval run, from what its results file says: without secrets and folders."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rim_eval.observations._untold import is_secret, without_folder

__all__ = ["command"]

_TASKS: Final = '--include_path "$(rim-eval tasks-path)"'
_SEEDS: Final = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
_USUAL_SEEDS: Final = "0,1234,1234,1234"


def command(
    task: str, config: Mapping[str, Any], settings: Mapping[str, Any], about: Mapping[str, Any]
) -> str:
    """One line for a shell. Values of secret-like arguments are `***`, absolute paths lose their folder.

    Args:
        task: Name of the task.
        config: What lm-eval says of its own arguments.
        settings: The user's settings of the rim tasks, as given.
        about: What the task said of its run.
    """
    start = ["lm_eval", "run", "--model", str(config.get("model"))]
    start += _arguments("--model_args", config.get("model_args"))
    rest = ["--tasks", task, "--apply_chat_template"]
    rest += _options(task, config, about)
    budgets = {name: about[name] for name in ("answer_tokens", "thinking_tokens") if name in about}
    ours = {name: _shown(name, value) for name, value in (dict(settings) | budgets).items()}
    rest += ["--metadata", json.dumps({"rim_eval": ours})]
    rest += ["--log_samples", "--output_path", "results"]
    return f"{shlex.join(start)} {_TASKS} {shlex.join(rest)}"


def _options(task: str, config: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    """Whatever else makes requests what they are; `batch_size` and `device`, for they change numbers."""
    yield from _arguments("--gen_kwargs", config.get("gen_kwargs"))
    if about.get("system_instruction"):
        yield from ("--system_instruction", about["system_instruction"])
    if about.get("samples") is not None:
        yield from ("--samples", json.dumps({task: about["samples"]}))
    for name in ("limit", "batch_size", "device"):
        if config.get(name) is not None:
            yield from (f"--{name}", str(config[name]))
    seeds = ",".join(str(config.get(name)) for name in _SEEDS)
    if any(name in config for name in _SEEDS) and seeds != _USUAL_SEEDS:
        yield from ("--seed", seeds)


def _arguments(flag: str, given: Any) -> list[str]:
    """A flag that takes names with values: as `a=b,c=d` where lm-eval reads that back, else as JSON."""
    pairs = _pairs(given) if isinstance(given, str) else dict(given or {})
    if not pairs:
        return []
    shown = {name: _shown(name, value) for name, value in pairs.items()}
    if any(
        isinstance(value, dict | list) or re.search(r"[,\s'\"\[{(]", str(value))
        for value in shown.values()
    ):
        return [flag, json.dumps(shown)]
    return [flag, ",".join(f"{name}={value}" for name, value in shown.items())]


def _pairs(given: str) -> dict[str, str]:
    """Arguments that were given as one text, as from Python."""
    parts = (part.partition("=") for part in given.split(",") if part)
    return {name: value for name, _, value in parts}


def _shown(name: str, value: Any) -> Any:
    """A value as it may be told: without a secret, an address, or the folders of the machine."""
    if is_secret(name):
        return "***"
    if isinstance(value, Mapping):
        return {str(key): _shown(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(name, each) for each in value]
    if isinstance(value, str):
        return "***" if "://" in value else without_folder(value)
    return value
