"""The commands that repeat runs, from what their logs say: without secrets and without folders."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

__all__ = ["inspect_command", "lm_eval_command"]

_SECRET: Final = re.compile(
    r"key|(?<!bos_)token(?!s|iz)|secret|passw|credential|auth|url|header|cookie", re.IGNORECASE
)

_FLAGS: Final = ("limit", "epochs", "sample_id", "sample_shuffle")
_DECODING: Final = ("temperature", "top_p", "top_k", "seed", "reasoning_effort")


def inspect_command(header: "EvalLog") -> str:
    """The command of an Inspect run as one line for a shell.

    Values of secret-like arguments become `***`, and absolute paths lose their folder.

    Args:
        header: The log without its samples.
    """
    spec = header.eval
    task = spec.task_registry_name or spec.task
    words = ["inspect", "eval", task, "--model", _without_folder(spec.model)]
    words += _named("-M", spec.model_args)
    words += _named("-T", spec.task_args_passed)
    for role, model in (spec.model_roles or {}).items():
        first = model[0] if isinstance(model, list) else model
        words += ["--model-role", f"{role}={first.model}"]
    words += _flags(spec.config.model_dump(), _FLAGS, {"epochs": 1})
    words += _flags(spec.model_generate_config.model_dump(), _DECODING, {})
    return shlex.join(words)


def _named(flag: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        yield from (flag, f"{name}={_redacted(name, value)}")


def _flags(
    values: Mapping[str, Any], names: tuple[str, ...], defaults: Mapping[str, Any]
) -> Iterator[str]:
    for name in names:
        value = values.get(name)
        if value is not None and value is not False and value != defaults.get(name):
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield from (f"--{name.replace('_', '-')}", text)


_TASKS: Final = '--include_path "$(rim-eval tasks-path)"'
_SEEDS: Final = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
_USUAL_SEEDS: Final = "0,1234,1234,1234"


def lm_eval_command(
    task: str, config: Mapping[str, Any], settings: Mapping[str, Any], about: Mapping[str, Any]
) -> str:
    """The command of an lm-eval run as one line for a shell, redacted like `inspect_command`.

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
    metadata = {"rim_eval": _redacted("", dict(settings) | budgets)}
    rest += ["--metadata", json.dumps(metadata)]
    rest += ["--log_samples", "--output_path", "results"]
    return f"{shlex.join(start)} {_TASKS} {shlex.join(rest)}"


def _options(task: str, config: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    """Options that change requests, and `batch_size` and `device`, which change numbers."""
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
    redacted = _redacted("", pairs)
    if any(
        isinstance(value, dict | list) or re.search(r"[,\s'\"\[{(]", str(value))
        for value in redacted.values()
    ):
        return [flag, json.dumps(redacted)]
    return [flag, ",".join(f"{name}={value}" for name, value in redacted.items())]


def _pairs(given: str) -> dict[str, str]:
    """Arguments that were given as one text, as from Python."""
    parts = (part.partition("=") for part in given.split(",") if part)
    return {name: value for name, _, value in parts}


def _redacted(name: str, value: Any) -> Any:
    """A value, also nested, without secrets, addresses and the folders of the machine."""
    if _is_secret(name):
        return "***"
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(name, each) for each in value]
    if isinstance(value, str):
        return "***" if "://" in value else _without_folder(value)
    return value


def _is_secret(name: str) -> bool:
    """Whether an argument of this name may hold a secret or an address."""
    return _SECRET.search(name) is not None


def _without_folder(text: str) -> str:
    """Of an absolute path only its last part, for the folder tells about the machine; else the text."""
    path = PurePath(text)
    return f".../{path.name}" if path.is_absolute() or text.startswith("~") else text
