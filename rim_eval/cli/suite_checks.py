"""What of a suite is checked before a model is asked: arguments, judges, providers of models, and roles."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rim_eval.cli.task_names import is_shipped, shipped_tasks
from rim_eval.errors import RimError, first_complaint

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.settings import RunSettings
    from rim_eval.suite import Suite
    from rim_eval.yaml_file import FieldPath, YamlFile

_GRADER: Final = "grader"
"""The one role that the tasks of this package ask."""
_BOTH: Final = "rim_eval/both"
"""Runs a task of another package, which has roles, prompts and judges of its own."""

_ALLOWED: Final = (
    "Give a name (openai/gpt-4.1), a list of them for a panel, or a mapping with `model`, `model_args` and what Inspect "
    "sets for generation, such as `temperature` and `max_tokens`"
)
_ANSWERS: Final = "whether models and graders answer, and take their `args`"
_FOREIGN: Final = "what tasks of other packages make of their arguments"
_ABSENT: Final = "prompts that are not on this machine"


def check_suite(suite: "Suite", file: "YamlFile") -> None:
    """Check the values of arguments, the providers of models, and the roles; nothing is loaded.

    Args:
        suite: The suite, with the arguments of each set resolved.
        file: Its file, for messages that name a line.

    Raises:
        RimError: One is wrong.
    """
    from rim_eval.planning import unknown_provider

    for place, model in enumerate(suite.models):
        if problem := unknown_provider(model.model):
            raise file.error(("models", place, "model"), problem)
    for role, value in suite.roles.items():
        _check_role(suite, file, role, value)
    for place, each in enumerate(suite.sets):
        if is_shipped(each.task):
            _settings(suite, file, place)


def check_sets(suite: "Suite", file: "YamlFile") -> tuple[str, ...]:
    """Check what sets make of their arguments, as far as files on this machine tell; nothing is downloaded.

    Args:
        suite: As `check_suite` has checked it.
        file: Its file.

    Returns:
        What could not be checked.

    Raises:
        RimError: A judge, part, file, budget or switch is wrong, or a grader is missing.
    """
    left: dict[str, list[str]] = {_ANSWERS: []}
    for place, each in enumerate(suite.sets):
        if not is_shipped(each.task) or each.task == _BOTH:
            left.setdefault(_FOREIGN, []).append(each.label)
            continue
        settings = _settings(suite, file, place)
        with _at(file, ("sets", place)):
            _find_switches(suite, settings)
            if not _plan(suite, place, settings):
                left.setdefault(_ABSENT, []).append(each.label)
    return tuple(f"{what}{': ' * bool(sets)}{', '.join(sets)}" for what, sets in left.items())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings back that the run itself gives."""
    logger = logging.getLogger("rim_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _at(file: "YamlFile", path: "FieldPath") -> Iterator[None]:
    """Say where in the file the fault is."""
    try:
        with quiet():
            yield
    except RimError as error:
        raise file.error(path, str(error).rstrip(".")) from None
    except ValidationError as error:
        raise file.error(path, first_complaint(error, "arguments")) from None


def _settings(suite: "Suite", file: "YamlFile", place: int) -> "RunSettings":
    from rim_eval.inspect_tasks.settings import read_settings

    each = suite.sets[place]
    task = shipped_tasks()[each.task]
    try:
        with quiet():
            return read_settings(task, each.args)
    except (RimError, ValidationError):
        for name, value in each.args.items():  # the one at fault has a line
            is_of_suite = suite.args.get(name) == value
            with _at(file, ("args", name) if is_of_suite else ("sets", place, "args", name)):
                read_settings(task, {name: value})
        with _at(file, ("sets", place)):
            return read_settings(task, each.args)


def _find_switches(suite: "Suite", settings: "RunSettings") -> None:
    from rim_eval.planning import planned_model

    for model in suite.models:
        planned_model(
            model.model, model.args, switch=settings.switch, chat_template=settings.chat_template
        )


def _plan(suite: "Suite", place: int, settings: "RunSettings") -> bool:
    """Plan a set, for what that refuses; whether its prompts are on this machine.

    Raises:
        RimError: It cannot be planned, or nobody is there to be its grader.
    """
    from rim_eval.planning import Asked, Measured, PlannedModel, plan_task

    each = suite.sets[place]
    asked = Asked(limit=each.limit or suite.limit, epochs=each.epochs or suite.epochs)
    model = PlannedModel(suite.models[0].model, switch=None, says="")
    plan = plan_task(each.task.removeprefix("rim_eval/"), settings, model, asked, Measured())
    if plan.graders and _GRADER not in suite.roles:
        raise RimError(
            f"its judge {plan.graders[0].instrument} asks a grader, and the suite names none. Give it under roles "
            "(grader: MODEL), choose a judge that asks none, or judge later (args: {judge: none})"
        )
    return plan.counted


def _check_role(suite: "Suite", file: "YamlFile", role: str, value: Any) -> None:
    from rim_eval.planning import unknown_provider

    asks_one = all(is_shipped(each.task) and each.task != _BOTH for each in suite.sets)
    if role != _GRADER and asks_one:
        raise file.error(("roles", role), f"no task of these sets asks a model of this role; they ask {_GRADER}")  # fmt: skip
    with _at(file, ("roles", role)):
        for name in _models_of(value):
            if problem := unknown_provider(name):
                raise RimError(problem)


def _models_of(value: Any) -> Iterator[str]:
    """The models of a role.

    Raises:
        RimError: It is neither a name, nor a list of models, nor one with settings of Inspect's.
    """
    from inspect_ai.model import GenerateConfig

    if isinstance(value, list) and value:
        for each in value:
            yield from _models_of(each)
    elif isinstance(value, Mapping) and isinstance(value.get("model"), str):
        try:
            GenerateConfig(**{n: v for n, v in value.items() if n not in ("model", "model_args")})
        except ValidationError as error:
            complaint = first_complaint(error, value["model"]).rstrip(".")
            raise RimError(f"{complaint}. {_ALLOWED}") from None
        yield value["model"]
    elif isinstance(value, str):
        yield value
    else:
        raise RimError(f"{value!r:.60} is no model. {_ALLOWED}")
