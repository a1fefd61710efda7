"""Builds the task `both`: any task of Inspect, its data, solver, sandbox and scorers kept, in both modes."""

import logging
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from inspect_ai import Task, list_tasks
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, Model
from inspect_ai.util import SandboxEnvironmentSpec
from pydantic import Field

from rim_eval.decoding import Budgets, budgets
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import (
    active_generate_config,
    active_model,
    is_registry_object,
    load_tasks,
    model_roles,
    registry_info,
    registry_log_name,
    registry_params,
    resolve_task_sandbox,
    task_run_dir,
    unique_scorer_name,
)
from rim_eval.inspect_tasks.settings import RunSettings, Text
from rim_eval.types import PromptKind

_LOGGER = logging.getLogger(__name__)

_MODEL: Final = re.compile(r"[\w.-]+(?:/[\w.:@-]+)+")
"""A model's name with its provider."""

_HOW: Final = "`-T task=inspect_evals/gpqa_diamond`, or `-T task=file.py@name`"


class BothSettings(RunSettings):
    """Arguments of the task over a foreign task."""

    task: Text = Field(
        default=None,
        description="The task, as `inspect eval` takes it: `package/name` or `file.py@name`; required.",
    )
    args: dict[str, Any] | None = Field(
        default=None,
        description="Its own arguments as a mapping; `-T args.NAME=VALUE` gives one of them.",
    )
    score: Text = Field(
        default=None, description="Which of its scores counts; where it has several."
    )
    value: Text = Field(
        default=None, description="Key of the value that counts; where a score holds several."
    )
    reads: Text = Field(
        default=None,
        description="What the score tells: `correct`, `harmful`, `refused`, or `number` (higher is better); by default "
        "what is known of the scorer.",
    )
    event_at: Any = Field(
        default=None,
        description="Where the score means that: a number (at least it), a comparison such as `<0.5`, or words.",
    )
    sandbox: Text = Field(
        default=None,
        description="Sandbox in place of the task's own, such as `local`; for both modes.",
    )


def both_task(settings: BothSettings) -> Task:
    """The task that runs a foreign task in both modes.

    Raises:
        RimError: Something that the user gave is wrong or missing, or the task is one that cannot be run so.
    """
    from rim_eval.inspect_tasks.options import PairedTask, refuse_unused
    from rim_eval.inspect_tasks.switches import switch_facts
    from rim_eval.inspect_tasks.task_arms import ForeignTask, task_in_both_modes
    from rim_eval.inspect_tasks.task_scorer import task_score
    from rim_eval.inspect_tasks.viewer import viewer_config

    refuse_unused(
        settings,
        ("doses", "attack", "protocol"),
        "rim_eval/both, which runs a task's own requests in the two modes",
    )
    arguments = settings.args or {}
    own = load_foreign_task(settings.task, arguments)
    name, reading = set_name(own, settings.task or ""), _reading(own, settings)
    samples = _samples(own)
    sandbox = _sandbox(own, settings.sandbox)
    foreign = ForeignTask(name, own, samples, sandbox, reading, own.time_limit, own.working_limit)
    fitted = _fit_budgets(settings, own, samples, reading.kind)
    _check_model(settings, own, fitted)
    source = f" ({reading.source})" if reading.source else ""
    _LOGGER.warning(
        f"The score of {name}: {reading}{source}. Other words are -T score, value, reads and event_at."
    )
    facts = {"dataset": name, "kind": reading.kind, "kinds": [reading.kind]}
    solver_settings = settings.solver_arguments(reading.kind) | fitted.model_dump()
    solver_settings |= settings.arm_arguments()
    return PairedTask(
        several_arms=False,  # limits hold for each arm
        dataset=MemoryDataset(
            [_outer_sample(sample, facts) for sample in samples.values()],
            name=name,
            location=own.dataset.location,
        ),
        solver=task_in_both_modes(task=foreign, modes=list(settings.modes), **solver_settings),
        scorer=task_score(
            score=reading.scorer,
            reads=reading.reads,
            event_at=str(reading.event),
            value=reading.value,
            version=foreign.version,
            grader=_grader_of(own, reading.scorer),
        ),
        config=_config(own.config, settings),
        model=own.model,
        model_roles=own.model_roles,
        sandbox=sandbox,
        approval=own.approval,
        review=own.review,
        sentinel=own.sentinel,
        epochs=own.epochs,
        fail_on_error=own.fail_on_error,
        continue_on_fail=own.continue_on_fail,
        score_on_error=True,
        message_limit=own.message_limit,
        token_limit=_token_limit(own),
        turn_limit=own.turn_limit,
        cost_limit=own.cost_limit,
        tags=own.tags,
        version=own.version,
        metadata=switch_facts(settings)
        | (own.metadata or {})
        | {"foreign_task": name, "score": str(reading)},
        viewer=viewer_config(
            "task_score", settings.modes, [reading.kind], has_targets=reading.kind == "reasoning"
        ),
    )


def load_foreign_task(spec: str | None, arguments: Mapping[str, Any]) -> Task:
    """Build a task as `inspect eval` would.

    Args:
        spec: `package/name`, `file.py@name`, or the path of a file with one task.
        arguments: The task's own arguments.

    Raises:
        RimError: There is no such task, it does not take these arguments, or it cannot be run in both modes.
    """
    if spec is None:
        raise RimError(f"No task was given: add {_HOW}.")
    if spec.startswith("rim_eval/"):
        raise RimError(f"task={spec} runs both modes by itself: inspect eval {spec}.")
    built = load_tasks([_with_name(spec)], dict(arguments))
    if len(built) != 1:
        package = spec.partition("/")[0].replace("_", "-")
        raise RimError(
            f"task={spec} is no task that Inspect finds. Give {_HOW}; the package that has it must be installed "
            f"(`pip install {package}`)."
        )
    [task] = built
    _refuse_unknown_arguments(task, spec, arguments)
    refused = {"early_stopping": task.early_stopping, "a sample source": task.sample_source}
    for what, given in refused.items():
        if given is not None:
            raise RimError(
                f"{spec} has {what}, which chooses samples by scores of one mode; it cannot be run in two."
            )
    return task


def _with_name(spec: str) -> str:
    """A file's path with the name of its task, where it has one only."""
    file = Path(spec).expanduser()
    if not file.is_file():
        return spec
    names = [task.name for task in list_tasks(file.name, root_dir=file.parent)]
    if len(names) != 1:
        raise RimError(
            f"task={spec} holds {len(names)} tasks ({', '.join(names) or 'none'}). Give one: {_HOW}."
        )
    return f"{file}@{names[0]}"


def _refuse_unknown_arguments(task: Task, spec: str, arguments: Mapping[str, Any]) -> None:
    """Refuse an argument that the task does not take: Inspect would warn of it, and run another task than was meant."""
    taken = registry_info(task).metadata["params"] if is_registry_object(task) else []
    if unknown := [name for name in arguments if name not in taken]:
        raise RimError(
            f"{spec} takes no argument {unknown[0]!r}: it takes {', '.join(taken) or 'none'}."
        )


def set_name(task: Task, spec: str) -> str:
    """Name of the task's prompts in figures: `package/name` or `file/name`, never that of a set of rim_eval.

    Args:
        task: The task.
        spec: How it was asked for.
    """
    name = task.name
    file = re.match(r"(.+)\.(?:py|ipynb)(?:@|$)", spec)
    return f"{Path(file[1]).name}/{name}" if file and "/" not in name else name


def _reading(task: Task, settings: BothSettings) -> Any:
    from rim_eval.inspect_tasks.task_scores import known_score, score_reading

    given = settings.args or {}
    names: dict[str, str] = {}
    for scorer in task.scorer or []:
        names[unique_scorer_name(scorer, list(names))] = registry_log_name(scorer)
    for scorer in task.scorer or []:
        known = known_score(task.name, registry_log_name(scorer), given)
        if known and known.asks_grader and not _names_grader(task, scorer):
            raise RimError(
                f"The scorer {registry_log_name(scorer)} of {task.name} would have the evaluated model judge itself, "
                "in one of its modes. Name a grader: --model-role grader=openai/gpt-4.1."
            )
    return score_reading(
        task.name,
        names,
        settings.score,
        settings.value,
        settings.reads,
        settings.event_at,
        given,
    )


def _grader_of(task: Task, name: str) -> str | None:
    """The models that a scorer asks by its own arguments, with commas between; None where it names none."""
    names: list[str] = []
    for scorer in task.scorer or []:
        names.append(unique_scorer_name(scorer, names))
        if names[-1] == name:
            given = registry_params(scorer).values()
            texts = [
                each for value in given for each in (value if isinstance(value, list) else [value])
            ]
            models = [each for each in texts if isinstance(each, str) and _MODEL.fullmatch(each)]
            return ",".join(dict.fromkeys(models)) or None
    return None


def _names_grader(task: Task, scorer: Any) -> bool:
    own = registry_params(scorer).get("model")
    return bool(own or "grader" in model_roles() or "grader" in (task.model_roles or {}))


def _samples(task: Task) -> dict[int | str, Sample]:
    """The samples by id; those without get their number, as Inspect gives it. Paths are made absolute."""
    folder = Path(task_run_dir(task))
    samples: dict[int | str, Sample] = {}
    for number, sample in enumerate(task.dataset, start=1):
        name = number if sample.id is None else sample.id
        samples[name] = sample.model_copy(
            update={"id": name, "sandbox": _absolute(sample.sandbox, folder)}
        )
    if len(samples) != len(task.dataset):
        raise RimError(
            f"Samples of {task.name} have the same id, so the modes cannot be paired by it."
        )
    return samples


def _absolute(spec: SandboxEnvironmentSpec | None, folder: Path) -> SandboxEnvironmentSpec | None:
    """A sandbox whose file is found from anywhere: Inspect looks for it beside the task's own file."""
    if spec is None or not isinstance(spec.config, str) or not (folder / spec.config).is_file():
        return spec
    return SandboxEnvironmentSpec(spec.type, str(folder / spec.config))


def _sandbox(task: Task, given: str | None) -> SandboxEnvironmentSpec | None:
    if given is None:
        return resolve_task_sandbox(task, None)
    kind, _, config = given.partition(":")
    return resolve_task_sandbox(task, (kind, config) if config else kind)


def _outer_sample(sample: Sample, facts: Mapping[str, Any]) -> Sample:
    """The sample with what figures need to know of it; the foreign solver and scorers never see that."""
    own = sample.metadata or {}
    category = own.get("category")
    about: dict[str, Any] = dict(facts) | {"request": _text(sample)}
    about["category"] = category if isinstance(category, str) else None
    about |= {"pair": None, "context": None}
    return sample.model_copy(update={"metadata": own | about})


def _text(sample: Sample) -> str:
    """The text of a sample's last user message."""
    if isinstance(sample.input, str):
        return sample.input
    return next((m.text for m in reversed(sample.input) if m.role == "user"), "")


_SAMPLING: Final = ("temperature", "top_p", "top_k")


def _config(own: GenerateConfig, settings: BothSettings) -> GenerateConfig:
    """The task's own settings, without those that would cut a trace or set both modes alike."""
    alike: tuple[str, ...] = ("reasoning_effort", "reasoning_tokens")
    if settings.sampling != "equal" or any(settings.own_sampling.values()):
        alike += _SAMPLING
    left_out = ("max_tokens", "stop_seqs", *alike)
    for name in alike:
        if (value := getattr(own, name)) is not None:
            _LOGGER.warning(
                f"The task's own {name}={value} would set both modes alike, so it is left out: the mode decides."
            )
    return own.model_copy(update=dict.fromkeys(left_out))


def _token_limit(task: Task) -> Any:
    from inspect_ai.util import TokenLimit

    if task.token_limit is None or task.token_limit_type is None:
        return task.token_limit
    return TokenLimit(tokens=task.token_limit, type=task.token_limit_type)


def _fit_budgets(
    settings: BothSettings, task: Task, samples: Mapping[Any, Sample], kind: PromptKind
) -> Budgets:
    """Budgets of each reply: the user's, else the task's own `max_tokens` for the answer, else the defaults."""
    from rim_eval.inspect_tasks.preflight import context_window, server_of
    from rim_eval.thinking import longest_recipe

    answer = settings.answer_tokens or task.config.max_tokens
    usual, model = budgets(kind, answer, settings.thinking_tokens), active_model()
    if model is None:
        return usual
    recipe, system = longest_recipe(settings.switch), active_generate_config().system_message
    texts = map(_text, samples.values())
    window = context_window(model, server_of(model), texts, partial(recipe.messages, system))
    if window is None:
        return usual
    return window.fit(kind, answer, settings.thinking_tokens, settings.modes)


def _check_model(settings: BothSettings, task: Task, fitted: Budgets) -> None:
    """Refuse before the first token what would fail at every sample."""
    from rim_eval.inspect_tasks.calls import arm_call
    from rim_eval.inspect_tasks.sampling import decoding_of
    from rim_eval.inspect_tasks.switches import forget_switches, switch_for

    model: Model | None = active_model()
    if model is None:
        return
    forget_switches(model)
    thinking = switch_for(model, settings.switch, settings.chat_template)
    decoding = decoding_of(model, settings.sampling, settings.own_sampling)
    for mode in settings.modes:
        arm_call(model, thinking, mode, "Hello", fitted, sampling=decoding.get(mode))
