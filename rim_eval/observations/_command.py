"""The command that repeats an Inspect run, from what its log says: without secrets and folders."""

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from rim_eval.observations._untold import is_secret, without_folder

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

__all__ = ["command"]

_FLAGS: Final = ("limit", "epochs", "sample_id", "sample_shuffle")
_DECODING: Final = ("temperature", "top_p", "top_k", "seed", "reasoning_effort")


def command(header: "EvalLog") -> str:
    """One line for a shell. Values of secret-like arguments are `***`, absolute paths lose their folder.

    Args:
        header: The log without its samples.
    """
    spec = header.eval
    task = spec.task_registry_name or spec.task
    words = ["inspect", "eval", task, "--model", without_folder(spec.model)]
    words += _named("-M", spec.model_args)
    words += _named("-T", spec.task_args_passed)
    for role, model in (spec.model_roles or {}).items():
        first = model[0] if isinstance(model, list) else model
        words += ["--model-role", f"{role}={first.model}"]
    words += _options(spec.config.model_dump(), _FLAGS, {"epochs": 1})
    words += _options(spec.model_generate_config.model_dump(), _DECODING, {})
    return shlex.join(words)


def _named(flag: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        yield from (flag, f"{name}={'***' if is_secret(name) else without_folder(str(value))}")


def _options(
    values: Mapping[str, Any], names: tuple[str, ...], defaults: Mapping[str, Any]
) -> Iterator[str]:
    for name in names:
        value = values.get(name)
        if value is not None and value is not False and value != defaults.get(name):
            shown = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield from (f"--{name.replace('_', '-')}", shown)
