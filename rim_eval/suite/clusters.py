"""Files by which engines that exist run a suite: a SLURM array, a Kubernetes job, Ray tasks, an Inspect Flow spec."""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.suite.jobs import RunModel, RunPlan

_FILES: Final[Mapping[str, str]] = {
    "slurm": "slurm.sh",
    "kubernetes": "kubernetes.yaml",
    "ray": "ray_shards.py",
}
_FLOW: Final = "flow"
_PARALLEL: Final = ("data_parallel_size", "tensor_parallel_size", "pipeline_parallel_size")
_ON_MACHINE: Final = ("hf/", "vllm/", "sglang/", "nnterp/", "transformer_lens/")


def gpus_of(model: RunModel) -> int:
    """GPUs that the process of a model needs: the product of vLLM's three ways to divide it; none behind an address.

    Args:
        model: The model, with the arguments of its server.
    """
    if model.base_url or not model.model.startswith(_ON_MACHINE):
        return 0
    gpus = 1
    for name in _PARALLEL:
        gpus *= int(model.args.get(name, 1))
    return 0 if model.args.get("device") == "cpu" else gpus


def cluster_files(
    target: str, plan: RunPlan, suite: Path, out: Path, shards: int
) -> Mapping[str, str]:
    """Write the file that runs a suite elsewhere; for Inspect Flow one for each limit, as a spec has one.

    Args:
        target: `slurm`, `kubernetes`, `ray` or `flow`.
        plan: What is run.
        suite: The suite's file, as it was given.
        out: Folder of the suite.
        shards: How many parts every set is divided into.

    Returns:
        Names of files and their texts.

    Raises:
        RimError: The target cannot say what the suite says.
    """
    if target == "flow":
        return _flow_files(plan)
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rim_eval.suite", "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    environment.filters |= {
        "sh": lambda text: shlex.quote(str(text)),
        "py": repr,
        "json": json.dumps,
    }
    name = re.sub(r"[^a-z0-9-]+", "-", suite.stem.lower()).strip("-")[:40] or "suite"
    file = _FILES[target]
    text = environment.get_template(f"{file}.jinja").render(
        name=name,
        suite=str(suite),
        file=suite.name,
        out=str(out),
        shards=shards,
        gpus=max(map(gpus_of, plan.models)),
    )
    return {file: text}


def _flow_files(plan: RunPlan) -> Mapping[str, str]:
    """The suite as Inspect Flow's specs: every set on every model, in a process for each limit.

    Raises:
        RimError: A server is to be started by a command.
    """
    if served := [each.label for each in plan.models if each.serve]:
        raise RimError(
            f"{served[0]} has `serve`, which Inspect Flow does not know: start the server and leave base_url only."
        )
    limits = list(dict.fromkeys(each.limit for each in plan.sets))
    named = {
        limit: _FLOW if len(limits) == 1 or limit is None else f"{_FLOW}-{limit}"
        for limit in limits
    }
    return {f"{name}.yaml": _flow_text(plan, limit, name) for limit, name in named.items()}


def _flow_text(plan: RunPlan, limit: int | None, name: str) -> str:
    """One spec: the sets of one limit. Its logs lie beside it, for Flow takes paths from there."""
    options = {"limit": limit, "log_format": "eval"}
    sets = [each for each in plan.sets if each.limit == limit]
    spec = {
        "log_dir": name,
        "options": {name: value for name, value in options.items() if value is not None},
        "tasks": [_flow_task(plan, model, each) for model in plan.models for each in sets],
    }
    return _yaml(spec)


def _flow_task(plan: RunPlan, model: RunModel, each: Any) -> dict[str, Any]:
    config = {"max_connections": plan.max_connections} if plan.max_connections else {}
    described = {
        "name": model.model,
        "model_args": model.args,
        "base_url": model.base_url,
        "config": config,
    }
    roles = {
        role: value if not isinstance(value, dict) else {"name": value["model"], **_role(value)}
        for role, value in plan.roles.items()
    }
    task = {
        "name": each.task,
        "args": each.args,
        "model": {name: value for name, value in described.items() if value},
        "model_roles": roles,
        "epochs": each.epochs,
    }
    return {name: value for name, value in task.items() if value}


def _role(value: Mapping[str, Any]) -> dict[str, Any]:
    config = {n: v for n, v in value.items() if n not in ("model", "model_args")}
    args = {"model_args": value["model_args"]} if "model_args" in value else {}
    return args | ({"config": config} if config else {})


def _yaml(value: Any) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    text = StringIO()
    writer = YAML()
    writer.default_flow_style = False
    writer.dump(json.loads(json.dumps(value)), text)  # of equal mappings it would make aliases
    return text.getvalue()
