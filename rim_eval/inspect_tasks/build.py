"""Builds every task: one prompt set or file, both modes of each prompt in one sample, one scorer."""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import Scorer
from inspect_ai.solver import Solver
from inspect_ai.viewer import ViewerConfig

from rim_eval.decoding import SEED, TEMPERATURE, TOP_P
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.calls import arm_call, refuse_cuts
from rim_eval.inspect_tasks.compat import active_generate_config, active_model
from rim_eval.inspect_tasks.scorers import rim, solved
from rim_eval.inspect_tasks.scoring import grader_for
from rim_eval.inspect_tasks.settings import (
    JudgedSettings,
    PromptFileSettings,
    ReasoningSettings,
    RunSettings,
)
from rim_eval.inspect_tasks.solver import both_modes
from rim_eval.inspect_tasks.switches import ModelSwitch, switch_for
from rim_eval.judging import load_judge
from rim_eval.prompt_sets import LoadedSet, Prompt, load_prompt_file, load_prompts, user_message
from rim_eval.thinking import has_inline_switch, require_difference
from rim_eval.types import Mode

_LOGGER = logging.getLogger(__name__)

_COMPARABILITY: Final = 1
"""Raised when a change makes figures incomparable with earlier ones."""

_INTERFACE: Final = "A"
"""The next letter when a change breaks the arguments of a task, and its figures stay comparable."""


def judged_set(name: str, settings: JudgedSettings) -> Task:
    """The task over a published set of harmful or benign prompts.

    Args:
        name: The prompt set.
        settings: The task's arguments.

    Raises:
        RimError: Something that the user gave is wrong or missing.
    """
    loaded = load_prompts(name, data=settings.data, subset=settings.subset)
    return _judged_task(loaded, settings.judge, settings)


def judged_file(settings: PromptFileSettings) -> Task:
    """The task over a user's own prompt file.

    Raises:
        RimError: Something that the user gave is wrong or missing.
    """
    if settings.file is None:
        raise RimError("No prompt file was given: add `-T file=requests.csv` (CSV or JSONL).")
    if settings.kind not in ("harmful", "benign"):
        raise RimError(f"kind={settings.kind!r} is not judged: use harmful or benign.")
    columns = settings.model_dump(include={"kind", "prompt_column", "category_column"})
    return _judged_task(load_prompt_file(settings.file, **columns), settings.judge, settings)


def solved_set(name: str, settings: ReasoningSettings, absolute_error: float | None = None) -> Task:
    """The task over a set of problems with gold answers.

    Args:
        name: The prompt set.
        settings: The task's arguments.
        absolute_error: How far an answer may lie from the gold one, by the set's own rule; None
            where it must be equal.

    Raises:
        RimError: Something that the user gave is wrong or missing.
    """
    loaded = load_prompts(name, data=settings.data, subset=settings.subset)
    rules = {"absolute_error": absolute_error}
    solver = _both_modes(loaded, settings)
    return task_over(loaded, settings, solver, solved(), settings.prompt_style, rules)


def _judged_task(loaded: LoadedSet, judge: str | None, settings: RunSettings) -> Task:
    name = judge or loaded.entry.judge or "hexphi"
    if name != "none":
        # Refuse before the first token a judge that has no verdict on these prompts, or no grader.
        instrument = load_judge(name)
        for kind in {prompt.kind for prompt in loaded.prompts}:
            instrument.event(kind)
        grader_for(instrument)
    return task_over(loaded, settings, _both_modes(loaded, settings), rim(name))


def _both_modes(loaded: LoadedSet, settings: RunSettings) -> Solver:
    arguments = settings.solver_arguments(loaded.entry.kind)
    return both_modes(modes=list(settings.modes), **arguments)


def task_over(
    loaded: LoadedSet,
    settings: RunSettings,
    solver: Solver,
    scorer: Scorer,
    prompt_style: Any = "as_is",
    rules: Mapping[str, Any] = MappingProxyType({}),
) -> Task:
    """One task over one prompt set: every sample is a prompt and holds all of its arms.

    Args:
        loaded: The prompts and where they come from.
        settings: How the model is asked.
        solver: Asks all arms of a sample.
        scorer: Scores all arms of a sample.
        prompt_style: How problems are asked.
        rules: What the scorer has to know of the set, kept with every sample.

    Raises:
        RimError: An argument is wrong, or the model has no thinking switch that can be found.
    """
    messages = {prompt.id: user_message(prompt, prompt_style) for prompt in loaded.prompts}
    _check_model(settings, loaded, messages)
    samples = [_sample(loaded, prompt, messages[prompt.id], rules) for prompt in loaded.prompts]
    return Task(
        dataset=MemoryDataset(samples, name=loaded.entry.name, location=loaded.provenance.location),
        solver=solver,
        scorer=scorer,
        config=GenerateConfig(temperature=TEMPERATURE, top_p=TOP_P, seed=SEED),
        score_on_error=True,
        version=_COMPARABILITY,
        metadata={
            "full_task_version": f"{_COMPARABILITY}-{_INTERFACE}",
            "task_interface_version": _INTERFACE,
            "provenance": loaded.provenance.model_dump(mode="json"),
        },
        viewer=ViewerConfig(trust_content=False),
    )


def _check_model(settings: RunSettings, loaded: LoadedSet, messages: dict[str, str]) -> None:
    """Refuse before the first token what would fail at every sample, and warn of what may fail at some."""
    budgets = settings.budgets(loaded.entry.kind)
    refuse_cuts(active_generate_config())
    model = active_model()
    if model is None:
        return
    thinking = switch_for(model, settings.switch, settings.chat_template)
    system = active_generate_config().system_message
    if system and thinking.render is not None and thinking.switch.kind == "switch":
        require_difference(thinking.render, thinking.switch, system=system)
    for mode in settings.modes:
        arm_call(model, thinking, mode, "Hello", budgets)
        flipped = _flipped(thinking, mode, messages)
        if flipped:
            _LOGGER.warning(
                f"{len(flipped)} prompts hold a word that turns thinking on or off by itself, against the {mode} "
                f"mode ({', '.join(flipped[:5])}); the mode check shows whether it did."
            )


def _flipped(thinking: ModelSwitch, mode: Mode, messages: dict[str, str]) -> list[str]:
    """Ids of the prompts that hold an inline switch; only prompts with such a word are rendered."""
    if thinking.render is None:
        return []
    recipe = thinking.switch.recipe(mode)
    suspects = {id: text for id, text in messages.items() if "think" in text.lower()}
    return [id for id, text in suspects.items() if has_inline_switch(thinking.render, recipe, text)]


def _sample(loaded: LoadedSet, prompt: Prompt, message: str, rules: Mapping[str, Any]) -> Sample:
    metadata = {
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
        metadata={name: value for name, value in metadata.items() if value is not None},
    )
