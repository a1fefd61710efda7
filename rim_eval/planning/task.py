"""What one task asks of a model: its prompts, epochs and arms, as the task itself would make them of its arguments."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from rim_eval.context_window import ContextWindow, longest_prompt
from rim_eval.decoding import SAMPLED_EPOCHS, Budgets
from rim_eval.errors import AccessError, RimError
from rim_eval.inspect_tasks.arms import ArmPlan as Arms
from rim_eval.inspect_tasks.arms import PlannedArm
from rim_eval.inspect_tasks.both import BothSettings
from rim_eval.inspect_tasks.build import (
    is_sampled,
    load_own_prompts,
    refuse_doses_beyond,
    with_dose_budget,
)
from rim_eval.inspect_tasks.protocols import follow_protocol, stated_settings
from rim_eval.inspect_tasks.settings import InjectionSettings, PromptFileSettings, RunSettings
from rim_eval.judging import load_judge
from rim_eval.planning.grading import judge_plan, monitor_plan
from rim_eval.planning.measured import Measured
from rim_eval.planning.model import PlannedModel
from rim_eval.planning.schema import ArmPlan, GraderPlan, Range, TaskPlan
from rim_eval.prompt_sets import (
    LoadedSet,
    Prompt,
    PromptSet,
    drawn_order,
    entry,
    load_attack,
    load_prompts,
    message_in_arm,
    user_message,
    without_network,
)
from rim_eval.replies import prompt_facts
from rim_eval.statistics import minimum_detectable
from rim_eval.thinking import PROBE_QUESTIONS, longest_recipe, needs_probe
from rim_eval.types import ASKED_IN_WORDS, FrozenModel, Mode, PromptKind

_LOGGER = logging.getLogger(__name__)

_POWER: Final = 0.8
"""Chance of finding the rise that is shown."""


class Asked(FrozenModel):
    """What is asked beside a task's own arguments."""

    limit: int | None = None
    epochs: int | None = None
    temperature: float | None = None
    graders: int = 1
    """Graders that vote."""
    monitor: str | None = None
    """Monitor that is to read the traces."""
    no_think_rate: float = 0.1
    correlation: float = 0.5


class _Prompts(NamedTuple):
    """The prompts of a task: their number, and themselves where they are on this machine."""

    entry: PromptSet
    number: int
    all: tuple[Prompt, ...] | None


class _Text(NamedTuple):
    """One prompt in one form, bare or attacked."""

    message: str
    prompt: Prompt


def plan_task(
    name: str, settings: RunSettings, model: PlannedModel, asked: Asked, measured: Measured
) -> TaskPlan:
    """Plan one task; nothing is downloaded.

    Args:
        name: The task, without `rim_eval/`.
        settings: Its arguments, as `read_settings` makes them.
        model: The model.
        asked: What is asked beside.
        measured: What finished logs say of tokens.

    Raises:
        RimError: The task cannot be planned, or an argument contradicts another.
    """
    if isinstance(settings, BothSettings):
        raise RimError(
            "rim_eval/both runs another task's own prompts and solver, so how much it asks is known to that task alone. "
            "Plan the sets of rim_eval, or run it with --limit 5 and read its log."
        )
    prompts = _prompts(name, settings)
    if prompts.all is not None and getattr(settings, "stop", None) is not None:
        prompts = prompts._replace(all=tuple(drawn_order(prompts.all)))
    kind = prompts.entry.kind
    settings = with_dose_budget(follow_protocol(settings, kind))
    style: Any = getattr(settings, "prompt_style", None) or ("worked" if kind == "reasoning" else "as_is")  # fmt: skip
    number = min(prompts.number, asked.limit or prompts.number)
    texts = _texts(settings, prompts, style)
    budgets = _budgets(settings, kind, model, texts)
    refuse_doses_beyond(settings, budgets)
    epochs = _epochs(settings, kind, asked)
    sets = measured.sets_like(prompts.entry.name, kind)
    arms = tuple(_arms(settings, _Run(model, budgets, texts, number, epochs, measured, sets)))
    return TaskPlan(
        task=name,
        dataset=prompts.entry.name,
        kind=kind,
        prompts=number,
        counted=prompts.all is not None,
        epochs=epochs,
        answer_budget=budgets.answer_tokens,
        thinking_budget=budgets.thinking_tokens,
        arms=arms,
        graders=tuple(_graders(settings, prompts, arms, texts, asked, measured, sets)),
        detectable=_detectable(prompts, arms, number, asked, measured),
        notes=tuple(_notes(settings, prompts, sets)),
    )


def probe_requests(model: PlannedModel, settings: RunSettings) -> int:
    """Questions that a run asks before its first prompt, whether the model thinks when it is asked to in words.

    Args:
        model: The model.
        settings: The task's arguments.
    """
    if model.switch is None or "think" not in settings.modes or isinstance(settings, InjectionSettings):  # fmt: skip
        return 0
    return len(PROBE_QUESTIONS) if needs_probe(model.switch.kind, model.provider) else 0


def _prompts(name: str, settings: RunSettings) -> _Prompts:
    """The prompts that are here, else the number that is declared."""
    if isinstance(settings, PromptFileSettings):
        return _known(load_own_prompts(settings))
    own = (settings.set or "hexphi") if isinstance(settings, InjectionSettings) else name
    found, subset = entry(own), getattr(settings, "subset", None)
    try:
        with without_network():
            return _known(load_prompts(own, data=getattr(settings, "data", None), subset=subset))
    except AccessError:
        return _Prompts(found, found.count_of(subset), None)


def _known(loaded: LoadedSet) -> _Prompts:
    return _Prompts(loaded.entry, len(loaded.prompts), loaded.prompts)


_Texts = dict[bool, list[_Text] | None]
"""Messages by whether an attack wraps them; None where prompts or attack are not on this machine."""


def _texts(settings: RunSettings, prompts: _Prompts, style: Any) -> _Texts:
    if prompts.all is None:
        return {False: None, True: None}
    bare = [_Text(user_message(prompt, style), prompt) for prompt in prompts.all]
    if settings.attack is None:
        return {False: bare, True: []}
    try:
        with without_network():
            attack = load_attack(settings.attack, getattr(settings, "data", None))
    except AccessError:
        return {False: bare, True: None}
    attack.count_wrapped(prompts.all)
    wrapped = ((attack.wrap(prompt), prompt) for prompt in prompts.all)
    return {
        False: bare,
        True: [
            _Text(user_message(prompt.model_copy(update={"text": text}), style), prompt)
            for text, prompt in wrapped
            if text is not None
        ],
    }


def _budgets(
    settings: RunSettings, kind: PromptKind, model: PlannedModel, texts: _Texts
) -> Budgets:
    """The token budgets, made to fit the model's window as the run makes them."""
    if model.window is None:
        return settings.budgets(kind)
    write = partial(longest_recipe(settings.switch).messages, None)
    messages = [each.message for form in texts.values() for each in form or ()]
    render, count = model.render, model.count_tokens
    counter = (lambda chat: count(render(chat, {}))) if render and count else None
    window = ContextWindow(
        model=model.name,
        declared=model.window,
        prompt_tokens=longest_prompt(messages, write, counter) if messages else 0,
    )
    return window.fit(kind, settings.answer_tokens, settings.thinking_tokens, settings.modes)


def _epochs(settings: RunSettings, kind: PromptKind, asked: Asked) -> int:
    stated = stated_settings(settings, kind)
    if stated.epochs and asked.epochs not in (None, stated.epochs):
        raise RimError(
            f"--epochs {asked.epochs} contradicts the protocol, which says {stated.epochs}. Leave --epochs out, or "
            "-T protocol."
        )
    if chosen := asked.epochs or stated.epochs:
        return chosen
    temperature = stated.temperature if asked.temperature is None else asked.temperature
    return SAMPLED_EPOCHS if is_sampled(settings, {}, temperature) else 1


class _Run(NamedTuple):
    """What all arms of a task have in common."""

    model: PlannedModel
    budgets: Budgets
    texts: _Texts
    number: int
    epochs: int
    measured: Measured
    sets: tuple[str, ...]
    """Sets of the logs that tell of this one."""

    def form(self, arm: PlannedArm) -> list[_Text] | None:
        """The messages of an arm; None where they are not on this machine."""
        first = self.texts[False]
        if not arm.attack or first is None:
            return first and first[: self.number]
        asked, wrapped = {each.prompt.id for each in first[: self.number]}, self.texts[True]
        return wrapped and [each for each in wrapped if each.prompt.id in asked]


def _arms(settings: RunSettings, run: _Run) -> Iterator[ArmPlan]:
    if not isinstance(settings, InjectionSettings):
        for arm in Arms.of(settings.modes, settings.doses, settings.attack).planned():
            yield _arm(arm, run)
        return
    from rim_eval.patterns import load_statements

    # A model that is asked to think in words is asked plainly, as `calls.prefilled_arm` says.
    plain = run.model.switch is not None and run.model.switch.kind in ASKED_IN_WORDS
    mode: Mode = "no_think" if plain else "think"
    for name, text in load_statements(settings.statements).arms(settings.patterns).items():
        yield _arm(PlannedArm(name, mode, None, None, "equal"), run, text)


def _arm(arm: PlannedArm, run: _Run, statement: str | None = None) -> ArmPlan:
    """Plan one arm, whose replies begin with a statement where there is one."""
    form, dose = run.form(arm), arm.dose
    prompts = run.number if form is None else len(form)
    generations, whole = prompts * run.epochs, arm.most_tokens(run.budgets)
    is_twice = dose is not None and (dose.budget is not None or dose.is_continued)
    found = run.measured.reply_tokens(
        run.sets, arm.mode, dose.name if dose else None, attacked=arm.attack is not None
    )
    thinking = whole - run.budgets.answer_tokens if arm.mode == "think" else 0
    once = _input(arm, run.model, form)
    is_exact = run.model.reads_prompts and not is_twice and statement is None
    mean = run.measured.input_tokens(run.sets)
    most = None if once is None else float(once)
    if most is not None and statement is not None:
        most += prompts * len(statement.encode())
    if most is not None and is_twice:  # the second request holds the prompt and what was written
        most = 2 * most + prompts * whole
    return ArmPlan(
        arm=arm.name,
        mode=arm.mode,
        prompts=prompts,
        generations=generations,
        requests=generations * (2 if is_twice else 1),
        input_tokens=Range(
            expected=most and most * run.epochs if is_exact else mean and mean * generations,
            at_most=None if most is None else most * run.epochs,
        ),
        thinking_tokens=_range(found and found.trace, thinking, generations),
        answer_tokens=_range(found and found.answer, run.budgets.answer_tokens, generations),
        output_tokens=_range(found and found.output, whole, generations),
    )


def _range(mean: float | None, most: int, generations: int) -> Range:
    return Range(expected=mean if most else 0, at_most=most) * generations


def _input(arm: PlannedArm, model: PlannedModel, texts: Sequence[_Text] | None) -> int | None:
    """Input tokens of all prompts of an arm, once: by the model's own tokenizer, else estimated with care."""
    if texts is None:
        return None
    switch, render, count = model.switch, model.render, model.count_tokens
    if switch is None or render is None or count is None:
        write = partial(longest_recipe("auto").messages, None)
        return sum(longest_prompt([each.message], write) for each in texts)
    recipe = switch.recipe(arm.mode)
    messages = (message_in_arm(each.message, prompt_facts(each.prompt), switch.kind) for each in texts)  # fmt: skip
    return sum(count(recipe.prompt(render, message)) for message in messages)


def _graders(
    settings: RunSettings,
    prompts: _Prompts,
    arms: Sequence[ArmPlan],
    texts: _Texts,
    asked: Asked,
    measured: Measured,
    sets: Sequence[str],
) -> Iterator[GraderPlan]:
    kind = prompts.entry.kind
    name = getattr(settings, "judge", None) or prompts.entry.judge or "hexphi"
    if kind != "reasoning" and name != "none":
        known = None not in texts.values()
        every = [each.message for form in texts.values() for each in form or ()] if known else None
        judge, tokens = load_judge(name), measured.grader_tokens(sets)
        if plan := judge_plan(judge, kind, arms, every, asked.graders, tokens):
            yield plan
    if asked.monitor and (plan := monitor_plan(asked.monitor, arms)):
        yield plan


def _detectable(
    prompts: _Prompts, arms: Sequence[ArmPlan], number: int, asked: Asked, measured: Measured
) -> float | None:
    """The smallest rise that this many prompts find; None without two modes of bare prompts, or where no rise is found."""
    if {arm.mode for arm in arms} != {"think", "no_think"}:
        return None
    rate = measured.no_think_rate(prompts.entry.name, prompts.entry.kind)
    least = minimum_detectable(
        number, asked.no_think_rate if rate is None else rate, asked.correlation, _POWER
    )
    return None if least.difference != least.difference else least.difference


def _notes(settings: RunSettings, prompts: _Prompts, sets: Sequence[str]) -> Iterator[str]:
    if prompts.all is None:
        yield (
            "its prompts are not on this machine, so their number is the declared one, and their tokens are not known; "
            "-T data=FOLDER or a first run brings them here"
        )
    if sets and sets != (prompts.entry.name,):
        yield f"not among the logs; the expected tokens are those of {', '.join(sets)}"
    if settings.doses is not None:
        yield "whether the model can be given these doses through its provider is seen when the run begins"
    if getattr(settings, "stop", None) is not None:
        yield "`stop` may end the run earlier; the plan is of its whole length"
