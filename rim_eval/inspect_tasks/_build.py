"""What every task shares: its arguments, its samples, and its settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Scorer
from inspect_ai.viewer import ViewerConfig

from rim_eval.catalogue import LoadedSet, Prompt
from rim_eval.decoding import SEED, TEMPERATURE, TOP_P, Budgets, budgets
from rim_eval.errors import RimError
from rim_eval.inspect_tasks._arms import arm_call, refuse_max_tokens
from rim_eval.inspect_tasks._compat import (
    PrerequisiteError,
    active_generate_config,
    active_model,
)
from rim_eval.inspect_tasks._solver import both_modes
from rim_eval.inspect_tasks._switches import switch_for
from rim_eval.outcomes import MODES, Mode

__all__ = ["TaskArgs", "both_modes_task", "data_folder", "read_modes", "user_errors"]

_PROTOCOL: Final = 1
"""Version of the tasks: raised when a change makes figures incomparable with earlier ones."""


class TaskArgs(NamedTuple):
    """The arguments that all tasks take (`-T name=value`)."""

    modes: str | list[str]
    answer_tokens: int | None
    thinking_tokens: int | None
    switch: str
    chat_template: str | None


@contextmanager
def user_errors() -> Iterator[None]:
    """Show a `RimError` as Inspect shows a missing prerequisite: its message, and no traceback."""
    try:
        yield
    except RimError as error:
        raise PrerequisiteError(str(error)) from None


def data_folder(given: str | None) -> Path | None:
    """The local data folder that a task argument names."""
    return None if given is None else Path(given).expanduser()


def read_modes(given: str | list[str]) -> tuple[Mode, ...]:
    """Modes from a task argument: `both`, one of them, or a list.

    Raises:
        RimError: Something else was given, such as a YAML boolean.
    """
    if given == "both":
        return MODES
    asked = [given] if isinstance(given, str) else given
    if isinstance(asked, list) and asked and all(mode in MODES for mode in asked):
        return tuple(mode for mode in MODES if mode in asked)
    raise RimError(
        f"modes={given!r} is not known: use `-T modes=both`, `-T modes=think` or `-T modes=no_think`."
    )


def both_modes_task(
    loaded: LoadedSet, messages: dict[str, str], scorer: Scorer, args: TaskArgs
) -> Task:
    """One task over one prompt set: every sample is a prompt and holds all of its arms.

    Args:
        loaded: The prompts and where they come from.
        messages: User message of each prompt id.
        scorer: Scores both arms of a sample.
        args: The task's arguments.

    Raises:
        RimError: An argument is wrong, or the model has no thinking switch that can be found.
    """
    budget = budgets(loaded.entry.kind, args.answer_tokens, args.thinking_tokens)
    _check_model(args, budget)
    samples = [_sample(loaded, prompt, messages[prompt.id]) for prompt in loaded.prompts]
    return Task(
        dataset=MemoryDataset(samples, name=loaded.entry.name, location=loaded.provenance.location),
        solver=both_modes(
            modes=list(read_modes(args.modes)),
            answer_tokens=budget.answer_tokens,
            thinking_tokens=budget.thinking_tokens,
            switch=args.switch,
            chat_template=args.chat_template,
        ),
        scorer=scorer,
        config=GenerateConfig(temperature=TEMPERATURE, top_p=TOP_P, seed=SEED),
        score_on_error=True,
        version=_PROTOCOL,
        metadata={"provenance": loaded.provenance.model_dump(mode="json")},
        viewer=ViewerConfig(trust_content=False),
    )


def _check_model(args: TaskArgs, budget: Budgets) -> None:
    """Refuse before the first token what would fail at every sample."""
    refuse_max_tokens(active_generate_config())
    model = active_model()
    if model is not None:
        found = switch_for(model, args.switch, args.chat_template)
        for mode in read_modes(args.modes):
            arm_call(model, found, mode, "Hello", budget)


def _sample(loaded: LoadedSet, prompt: Prompt, message: str) -> Sample:
    about = {
        "dataset": loaded.entry.name,
        "kind": prompt.kind,
        "category": prompt.category,
        "context": prompt.context,
        "pair": prompt.pair,
        "request": prompt.text,
    }
    return Sample(
        id=prompt.id,
        input=message,
        target=prompt.target or "",
        metadata={name: value for name, value in about.items() if value is not None},
    )
