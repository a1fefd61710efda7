"""What every task shares: its arguments, its samples, and its settings."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Scorer
from inspect_ai.viewer import ViewerConfig

from rim_eval.decoding import SEED, TEMPERATURE, TOP_P, Budgets, budgets
from rim_eval.errors import RimError
from rim_eval.inspect_tasks._arms import arm_call, refuse_cuts
from rim_eval.inspect_tasks._compat import (
    active_generate_config,
    active_model,
)
from rim_eval.inspect_tasks._solver import both_modes
from rim_eval.inspect_tasks._switches import Found, switch_for
from rim_eval.prompt_sets import LoadedSet, Prompt
from rim_eval.thinking import has_inline_switch, require_difference
from rim_eval.types import MODES, Mode

__all__ = [
    "TaskArgs",
    "both_modes_task",
    "data_folder",
    "read_modes",
    "text_argument",
]

_LOGGER = logging.getLogger(__name__)

_PROTOCOL: Final = 1
"""Version of the tasks: raised when a change makes figures incomparable with earlier ones."""


class TaskArgs(NamedTuple):
    """The arguments that all tasks take (`-T name=value`)."""

    modes: str | list[str]
    answer_tokens: int | None
    thinking_tokens: int | None
    switch: str
    chat_template: str | None

    @classmethod
    def read(cls, **given: Any) -> "TaskArgs":
        """The arguments as the command line gave them, texts made texts again.

        Raises:
            RimError: One that is a text has another type.
        """
        texts = {name: text_argument(name, given[name]) for name in ("switch", "chat_template")}
        return cls(**given | texts | {"switch": texts["switch"] or "auto"})


def text_argument(name: str, given: Any) -> str | None:
    """A task argument that is a text; None where it was not given.

    Inspect reads `-T name=value` as YAML and a comma as a list: `effort:low,high` comes as two
    words, 2024 as a number, and `off` as False.

    Raises:
        RimError: It is empty, or no text at all.
    """
    if given is None or (isinstance(given, str) and given.strip()):
        return given
    if isinstance(given, list) and all(isinstance(part, str) for part in given):
        return ",".join(given)
    if isinstance(given, int | float) and not isinstance(given, bool):
        return str(given)
    instead = " To judge later: -T judge=none." if name == "judge" else ""
    raise RimError(
        f"{name}={given!r} is no text. Leave `-T {name}=` out for the default, or give a text; on, off, yes, "
        f"no, true and false are read as YAML booleans.{instead}"
    )


def data_folder(given: str | None) -> Path | None:
    """The local data folder that a task argument names."""
    named = text_argument("data", given)
    return None if named is None else Path(named).expanduser()


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
    loaded: LoadedSet,
    messages: dict[str, str],
    scorer: Scorer,
    args: TaskArgs,
    rules: Mapping[str, Any] = MappingProxyType({}),
) -> Task:
    """One task over one prompt set: every sample is a prompt and holds all of its arms.

    Args:
        loaded: The prompts and where they come from.
        messages: User message of each prompt id.
        scorer: Scores both arms of a sample.
        args: The task's arguments.
        rules: What the scorer has to know of the set, kept with every sample.

    Raises:
        RimError: An argument is wrong, or the model has no thinking switch that can be found.
    """
    budget = budgets(loaded.entry.kind, args.answer_tokens, args.thinking_tokens)
    _check_model(args, budget, messages)
    samples = [_sample(loaded, prompt, messages[prompt.id], rules) for prompt in loaded.prompts]
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


def _check_model(args: TaskArgs, budget: Budgets, messages: dict[str, str]) -> None:
    """Refuse before the first token what would fail at every sample, and warn of what may fail at some."""
    refuse_cuts(active_generate_config())
    model = active_model()
    if model is None:
        return
    found = switch_for(model, args.switch, args.chat_template)
    system = active_generate_config().system_message
    if system and found.render is not None and found.switch.kind == "switch":
        require_difference(found.render, found.switch, system=system)
    for mode in read_modes(args.modes):
        arm_call(model, found, mode, "Hello", budget)
        flipped = _flipped(found, mode, messages)
        if flipped:
            _LOGGER.warning(
                f"{len(flipped)} prompts hold a word that turns thinking on or off by itself, against the {mode} "
                f"mode ({', '.join(flipped[:5])}); the adoption gate shows whether it did."
            )


def _flipped(found: Found, mode: Mode, messages: dict[str, str]) -> list[str]:
    """Ids of the prompts that would turn the mode; only prompts with such a word are rendered."""
    if found.render is None:
        return []
    recipe = found.switch.recipe(mode)
    suspects = {id: text for id, text in messages.items() if "think" in text.lower()}
    return [id for id, text in suspects.items() if has_inline_switch(found.render, recipe, text)]


def _sample(loaded: LoadedSet, prompt: Prompt, message: str, rules: Mapping[str, Any]) -> Sample:
    about = {
        **rules,
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
