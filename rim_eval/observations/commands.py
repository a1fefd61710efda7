"""The commands that repeat runs, from what their logs say: without secrets and without folders."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from rim_eval.paths import without_folders

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import ModelConfig

SECRET_NAME: Final = re.compile(
    r"key|(?<!bos_)token(?!s|iz)|secret|passw|credential|auth|url|header|cookie", re.IGNORECASE
)

_OPTIONS: Final = ("limit", "epochs", "sample_id", "sample_shuffle")
_DECODING: Final = ("temperature", "top_p", "top_k", "seed", "reasoning_effort")


def inspect_command(header: "EvalLog", model: str) -> str:
    """The command of an Inspect run as one line for a shell.

    Values of secret-like arguments become `***`, and absolute paths lose their folder.

    Args:
        header: The log without its samples.
        model: The model's name without folders, where the run gave it.
    """
    spec = header.eval
    task = spec.task_registry_name or spec.task
    words = ["inspect", "eval", task, "--model", _model_word(spec.model, model)]
    for flag, arguments in (("-M", spec.model_args), ("-T", spec.task_args_passed)):
        for name, value in arguments.items():
            text = _redacted(name, value)
            words += [flag, f"{name}={text if isinstance(text, str) else json.dumps(text)}"]
    for role, models in (spec.model_roles or {}).items():
        words += ["--model-role", f"{role}={_role_models(models)}"]
    options = spec.config.model_dump(include=set(_OPTIONS))
    options |= spec.model_generate_config.model_dump(include=set(_DECODING))
    for name in (*_OPTIONS, *_DECODING):
        value = options.get(name)
        if value is not None and value is not False and (name, value) != ("epochs", 1):
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            if name == "limit" and isinstance(value, list | tuple):
                first, end = value  # from 0, and from 1 on the command line
                text = f"{first + 1}-{end}"
            words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(words)


def _role_models(models: "ModelConfig | list[ModelConfig]") -> str:
    """All models of a role: names with commas between, or JSON where a model has its own settings."""
    described: list[Any] = []
    for each in models if isinstance(models, list) else [models]:
        name = without_folders(each.model, ".../")
        settings = _redacted("", each.config.model_dump(mode="json", exclude_none=True))
        arguments = {"model_args": _redacted("", each.args)} if each.args else {}
        described.append(
            {"model": name, **settings, **arguments} if settings or arguments else name
        )
    if all(isinstance(each, str) for each in described):
        return ",".join(described)
    return json.dumps(described if len(described) > 1 else described[0])


def _model_word(model: str, named: str) -> str:
    if named != without_folders(model):  # a relative folder
        engine, _, name = named.rpartition("/")
        return f"{engine}/.../{name}"
    return without_folders(model, ".../")


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
        settings: The user's settings of the rim tasks.
        about: What the task said of its run.
    """
    start = ["lm_eval", "run", "--model", str(config.get("model"))]
    start += _arguments("--model_args", config.get("model_args"))
    rest = ["--tasks", task, "--apply_chat_template"]
    rest += _arguments("--gen_kwargs", config.get("gen_kwargs"))
    if about.get("system_instruction"):
        rest += ["--system_instruction", about["system_instruction"]]
    if about.get("samples") is not None:
        rest += ["--samples", json.dumps({task: about["samples"]})]
    for name in ("limit", "batch_size", "device"):  # the latter two change numbers
        if config.get(name) is not None:
            rest += [f"--{name}", str(config[name])]
    seeds = ",".join(str(config.get(name)) for name in _SEEDS)
    if any(name in config for name in _SEEDS) and seeds != _USUAL_SEEDS:
        rest += ["--seed", seeds]
    budgets = {name: about[name] for name in ("answer_tokens", "thinking_tokens") if name in about}
    metadata = {"rim_eval": _redacted("", dict(settings) | budgets)}
    rest += ["--metadata", json.dumps(metadata), "--log_samples", "--output_path", "results"]
    return f"{shlex.join(start)} {_TASKS} {shlex.join(rest)}"


def _arguments(flag: str, values: Any) -> list[str]:
    """A flag that takes names with values: as `a=b,c=d` where lm-eval reads that back, else as JSON."""
    if isinstance(values, str):  # as from Python
        pairs = (part.partition("=") for part in values.split(",") if part)
        values = {name: value for name, _, value in pairs}
    redacted = _redacted("", dict(values or {}))
    if not redacted:
        return []
    if any(
        isinstance(value, dict | list) or re.search(r"[,\s'\"\[{(]", str(value))
        for value in redacted.values()
    ):
        return [flag, json.dumps(redacted)]
    return [flag, ",".join(f"{name}={value}" for name, value in redacted.items())]


def _redacted(name: str, value: Any) -> Any:
    """A value, also nested, without secrets, addresses and the folders of the machine."""
    if SECRET_NAME.search(name):
        return "***"
    if isinstance(value, Mapping):
        return {str(key): _redacted(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(name, each) for each in value]
    if isinstance(value, str):
        return "***" if "://" in value else _without_folder(value)
    return value


def _without_folder(text: str) -> str:
    """Of an absolute path only its last part, for the folder tells about the machine; else the text."""
    path = PurePath(text)
    return f".../{path.name}" if path.is_absolute() or text.startswith("~") else text
