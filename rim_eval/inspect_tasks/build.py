"""Builds every task: one prompt set or file, both modes of each prompt in one sample, one scorer."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, Model
from inspect_ai.scorer import Scorer
from inspect_ai.solver import Solver

from rim_eval.decoding import SAMPLED_EPOCHS, SEED, TEMPERATURE, TOP_P, Budgets
from rim_eval.errors import RimError, SettingError
from rim_eval.formatting import only_mode_sentence
from rim_eval.inspect_tasks.arms import ATTACK, ATTACK_TEXT, ArmPlan, is_written_for
from rim_eval.inspect_tasks.calls import arm_call
from rim_eval.inspect_tasks.compat import active_generate_config, active_model
from rim_eval.inspect_tasks.early_stopping import DrawnSamples, EarlyStop
from rim_eval.inspect_tasks.options import PairedTask
from rim_eval.inspect_tasks.preflight import context_window, server_of
from rim_eval.inspect_tasks.protocols import (
    describe_protocol,
    follow_protocol,
    stated_settings,
)
from rim_eval.inspect_tasks.rendering import refuse_lost_writing
from rim_eval.inspect_tasks.sampling import decoding_of, warn_of_greedy
from rim_eval.inspect_tasks.scorers import rim, solved
from rim_eval.inspect_tasks.scoring import grader_for
from rim_eval.inspect_tasks.settings import (
    PromptFileSettings,
    ReasoningSettings,
    RunSettings,
    SetSettings,
)
from rim_eval.inspect_tasks.solver import both_modes
from rim_eval.inspect_tasks.switches import ModelSwitch, forget_switches, switch_facts, switch_for
from rim_eval.inspect_tasks.viewer import viewer_config
from rim_eval.judging import load_judge, only_mode_of
from rim_eval.observations.inspect_logs import BATCH_INVARIANCE, STOPPING
from rim_eval.prompt_sets import (
    LoadedSet,
    drawn_order,
    entry,
    load_attack,
    load_prompt_file,
    load_prompts,
    refuse_real_model,
    user_message,
)
from rim_eval.replies import prompt_facts
from rim_eval.thinking import (
    Sampling,
    has_inline_switch,
    longest_recipe,
    protocol_of,
    read_doses,
    require_difference,
)
from rim_eval.types import MODES, Mode, PromptKind

AnyRunSettings = TypeVar("AnyRunSettings", bound=RunSettings)

_LOGGER = logging.getLogger(__name__)

_COMPARABILITY: Final = 1
"""Raised when a change makes figures incomparable with earlier ones."""

_INTERFACE: Final = "A"
"""The next letter when a change breaks the arguments of a task, and its figures stay comparable."""


def set_task(name: str, settings: SetSettings) -> Task:
    """The task over a published prompt set.

    Args:
        name: The prompt set.
        settings: The task's arguments.

    Raises:
        RimError: Something that the user gave is wrong or missing.
    """
    settings = follow_protocol(settings, entry(name).kind)
    loaded = load_prompts(name, data=settings.data, subset=settings.subset)
    is_solved = isinstance(settings, ReasoningSettings)
    return task_over(loaded, settings, solved() if is_solved else _judged_by(loaded, settings))


_COLUMNS: Final = ("prompt", "id", "category", "context", "pair", "target")


def file_task(settings: PromptFileSettings) -> Task:
    """The task over a user's own prompt file.

    Raises:
        RimError: Something that the user gave is wrong or missing.
    """
    solves = settings.kind == "reasoning"
    for name in ("judge",) if solves else ("prompt_style", "target_column"):
        if (value := getattr(settings, name)) is not None:
            raise RimError(
                f"{name}={value} has no use with kind={settings.kind}: problems are checked against their gold "
                "answers, other prompts are judged and asked as they stand. Leave it out."
            )
    loaded = load_own_prompts(settings)
    settings = follow_protocol(settings, loaded.entry.kind)
    style = settings.prompt_style or ("worked" if solves else "as_is")
    settings = settings.model_copy(update={"prompt_style": style})
    return task_over(loaded, settings, solved() if solves else _judged_by(loaded, settings))


def load_own_prompts(settings: PromptFileSettings) -> LoadedSet:
    """Load the user's own prompt file.

    Args:
        settings: The task's arguments.

    Raises:
        RimError: No file was given, or it cannot be read.
    """
    if settings.file is None:
        raise RimError("No prompt file was given: add `-T file=requests.csv` (CSV or JSONL).")
    columns = settings.model_dump(include={"kind", *(f"{name}_column" for name in _COLUMNS)})
    return load_prompt_file(settings.file, **columns)


def _judged_by(loaded: LoadedSet, settings: Any) -> Scorer:
    """The scorer; refuses before the first token a judge without verdict on these prompts, grader or prompt."""
    name = settings.judge or loaded.entry.judge or "hexphi"
    if name != "none":
        judge = load_judge(name)
        for kind in {prompt.kind for prompt in loaded.prompts}:
            judge.rule(kind)
        grader_for(judge, getattr(settings, "data", None))
        if judge.spec.reader.kind == "refusal":
            _LOGGER.warning(
                f"Judge `{judge.name}` matches words, and how often it errs depends on the model. It is for trials: for "
                "a release decision name a grader, or a classifier that needs none (-T judge=minos, -T judge=protectai)."
            )
    return rim(name)


def task_over(
    loaded: LoadedSet,
    settings: AnyRunSettings,
    scorer: Scorer,
    solver_of: Callable[[AnyRunSettings], Solver] | None = None,
) -> Task:
    """One task over one prompt set: every sample is a prompt and holds all of its arms.

    Args:
        loaded: The prompts and where they come from.
        settings: How the model is asked.
        scorer: Scores all arms of a sample.
        solver_of: Makes of the settings, with budgets that fit, what asks all arms of a sample; both modes by default.

    Raises:
        RimError: An argument is wrong, or the model has no thinking switch that can be found.
    """
    style: Any = getattr(settings, "prompt_style", "as_is")
    stopping = EarlyStop.of(settings, loaded, in_pairs=solver_of is None)
    prompts = drawn_order(loaded.prompts) if stopping else loaded.prompts
    messages = {prompt.id: user_message(prompt, style) for prompt in loaded.prompts}
    _refuse_toy_set(loaded)
    settings = with_dose_budget(settings)
    wrapped, of_attack = _wrapped_messages(settings, loaded, style)
    settings = settings.model_copy(update={"attack": of_attack.get("attack", {}).get("name")})
    longest = [*messages.values(), *(each[ATTACK_TEXT] for each in wrapped.values())]
    settings = _fit_budgets(settings, loaded, longest)
    refuse_doses_beyond(settings, settings.budgets(loaded.entry.kind))
    solver = (solver_of or _both_modes_of(loaded.entry.kind))(settings)
    sampling = _check_model(settings, loaded, messages)
    _describe_protocol(settings, loaded)
    # With every sample, so that a log which is scored again is scored by its set's rule, and that figures
    # have the same names whatever sample was drawn.
    of_set: dict[str, Any] = {
        "absolute_error": loaded.entry.absolute_error,
        "kinds": sorted({prompt.kind for prompt in loaded.prompts}),
        "sequential": True if stopping else None,
    }
    samples = [
        Sample(
            id=prompt.id,
            input=messages[prompt.id],
            target=prompt.target or "",
            metadata={n: v for n, v in (prompt_facts(prompt) | of_set).items() if v is not None}
            | wrapped.get(prompt.id, {}),
        )
        for prompt in prompts
    ]
    stated = stated_settings(settings, loaded.entry.kind)
    plan = ArmPlan.of(settings.modes, settings.doses, settings.attack)
    protocol = protocol_of(settings.sampling, settings.own_sampling)
    temperature = TEMPERATURE if stated.temperature is None else stated.temperature
    decoding: dict[str, Any] = (
        {"temperature": temperature, "top_p": TOP_P} if protocol == "equal" else {}
    )
    return PairedTask(
        several_arms=solver_of is not None or len(settings.modes) > 1 or bool(wrapped),
        epochs=stated.epochs or _default_epochs(settings, sampling),
        stated_epochs=stated.epochs,
        dataset=(DrawnSamples if stopping else MemoryDataset)(
            samples, name=loaded.entry.name, location=loaded.provenance.location
        ),
        solver=solver,
        scorer=scorer,
        config=GenerateConfig(seed=SEED, **decoding),
        score_on_error=True,
        early_stopping=stopping,
        version=_COMPARABILITY,
        metadata={
            **switch_facts(settings),
            "full_task_version": f"{_COMPARABILITY}-{_INTERFACE}",
            "task_interface_version": _INTERFACE,
            "provenance": loaded.provenance.model_dump(mode="json"),
            # What a log cannot tell of samples that never begin; elsewhere all are of one kind.
            "kinds": {prompt.id: prompt.kind for prompt in loaded.prompts}
            if len(of_set["kinds"]) > 1
            else {},
            "prompt_style": style if loaded.entry.kind == "reasoning" else None,
            "protocol": settings.protocol,
            **of_attack,
            **({STOPPING: stopping.stated} if stopping else {}),
            **_batch_invariance(),
        },
        viewer=viewer_config(
            "solved" if loaded.entry.kind == "reasoning" else "rim",
            [arm.name for arm in plan.planned(attacked=bool(wrapped))],
            of_set["kinds"],
            has_targets=loaded.entry.kind == "reasoning",
        ),
    )


def _both_modes_of(kind: PromptKind) -> Callable[[RunSettings], Solver]:
    return lambda settings: both_modes(
        modes=list(settings.modes),
        **settings.solver_arguments(kind),
        **settings.arm_arguments(),
    )


def _wrapped_messages(
    settings: RunSettings, loaded: LoadedSet, style: Any
) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    """What each sample and the task say of the attack; both empty where there is none."""
    if settings.attack is None:
        return {}, {}
    attack = load_attack(settings.attack, getattr(settings, "data", None))
    attack.count_wrapped(loaded.prompts)
    texts = {prompt.id: attack.wrap(prompt) for prompt in loaded.prompts}
    wrapped = {
        prompt.id: {
            ATTACK: attack.name,
            ATTACK_TEXT: user_message(prompt.model_copy(update={"text": text}), style),
        }
        for prompt in loaded.prompts
        if (text := texts[prompt.id]) is not None
    }
    if without := len(texts) - len(wrapped):
        _LOGGER.warning(
            f"The attack {attack.name} has nothing for {without} of {len(texts)} prompts; they are asked bare only."
        )
    return wrapped, {"attack": attack.provenance.model_dump(mode="json") | {"name": attack.name}}


def is_sampled(
    settings: RunSettings, sampling: Mapping[Mode, Sampling], temperature: float | None
) -> bool:
    """Whether replies of either mode are drawn; they are where a maker's advice is not known yet.

    Args:
        settings: How the model is asked.
        sampling: How each mode is decoded; empty where both are alike or nothing is known yet.
        temperature: Of both modes, as `--temperature` gives it.
    """
    if protocol_of(settings.sampling, settings.own_sampling) == "equal":
        return bool(temperature)
    if sampling:
        return any(each.temperature for each in sampling.values())
    own = settings.own_sampling.values()
    return any((values or {}).get("temperature", 1.0) for values in own)


def _batch_invariance() -> dict[str, str]:
    """What this process says of vLLM's switch; a server that Inspect starts inherits it (docs/sampling.md)."""
    value = os.environ.get(BATCH_INVARIANCE.upper())
    return {} if value is None else {BATCH_INVARIANCE: value}


def _default_epochs(settings: RunSettings, sampling: Mapping[Mode, Sampling]) -> int | None:
    """Several epochs where replies are drawn; the user's `--epochs` comes before it."""
    if not is_sampled(settings, sampling, active_generate_config().temperature):
        return None
    _LOGGER.warning(
        f"Replies are sampled, so each prompt is asked {SAMPLED_EPOCHS} times in each mode unless --epochs says "
        "otherwise: `rim-eval power` shows what more would gain."
    )
    return SAMPLED_EPOCHS


def _describe_protocol(settings: RunSettings, loaded: LoadedSet) -> None:
    """Say once a run what the chosen protocol sets, what it leaves open, and where the run departs from it."""
    if settings.protocol is None:
        return
    model = active_model()
    thinking = model and switch_for(model, settings.switch, settings.chat_template)
    switch = thinking.switch.name if thinking else None
    _LOGGER.warning(describe_protocol(settings, loaded.entry.name, loaded.entry.kind, switch))


def _refuse_toy_set(loaded: LoadedSet) -> None:
    """Refuse to measure a real model by a set for organisms."""
    model = active_model()
    if model is not None:
        config = getattr(getattr(model.api, "model", None), "config", None)
        is_alias = str(model).startswith("openai-api/")
        refuse_real_model(loaded.entry, str(model), config, is_alias=is_alias)


def _check_arms(model: Model, thinking: ModelSwitch, settings: RunSettings) -> dict[Mode, Sampling]:
    """How each mode is decoded; refuses doses and samplings that this model cannot be given, warns of greedy decoding."""
    decoding = decoding_of(model, settings.sampling, settings.own_sampling)
    arms = ArmPlan.of(settings.modes, settings.doses).arms(model, thinking)
    written = [arm for arm in arms.values() if is_written_for(model, arm)]
    if written:
        refuse_lost_writing(model, written[0])
    if not decoding and not active_generate_config().temperature:
        warn_of_greedy(model)
    for mode, sampling in decoding.items():
        values = ", ".join(f"{name} {value:g}" for name, value in sampling.values.items())
        _LOGGER.warning(f"Sampling of the {mode} mode: {values} ({sampling.source}).")
    return decoding


def with_dose_budget(settings: AnyRunSettings) -> AnyRunSettings:
    """The settings with the largest dose as thinking budget, where no dose ends by itself.

    Args:
        settings: How the model is asked.

    Raises:
        RimError: Doses and modes were both chosen.
    """
    if settings.doses is None:
        return settings
    if settings.modes != MODES:
        raise RimError(
            f"modes={', '.join(settings.modes)} and doses={settings.doses} both say which arms there are. Give one of "
            "them: `off` and `full` are the doses of the two modes."
        )
    doses = read_doses(settings.doses)
    budgets = [dose.budget for dose in doses if dose.mode == "think"]
    if None in budgets or settings.thinking_tokens is not None:
        return settings
    return settings.model_copy(update={"thinking_tokens": max(filter(None, budgets))})


def refuse_doses_beyond(settings: RunSettings, budgets: Budgets) -> None:
    """Refuse doses with a larger budget than the trace has where it ends by itself.

    Args:
        settings: How the model is asked.
        budgets: Token budgets that fit.

    Raises:
        RimError: A dose is larger.
    """
    doses = read_doses(settings.doses) if settings.doses else ()
    largest = max((dose.budget or 0 for dose in doses), default=0)
    if largest > budgets.thinking_tokens:
        raise SettingError(
            f"The dose {largest} is larger than the thinking budget of {budgets.thinking_tokens} tokens, which even "
            "the dose `full` keeps to. Leave it out, or give a larger budget (which must fit the model's window)",
            thinking_tokens=largest,
        )


def _fit_budgets(
    settings: AnyRunSettings, loaded: LoadedSet, messages: Iterable[str]
) -> AnyRunSettings:
    """The settings with token budgets that fit into the model's window, the defaults where they do.

    Args:
        settings: How the model is asked.
        loaded: The prompts.
        messages: The user messages that hold them.

    Raises:
        RimError: The user's budgets do not fit, or the model cannot be asked at all.
    """
    model, kind = active_model(), loaded.entry.kind
    if model is None:
        return settings
    recipe, system = longest_recipe(settings.switch), active_generate_config().system_message
    window = context_window(model, server_of(model), messages, partial(recipe.messages, system))
    if window is None:
        return settings
    budgets = window.fit(kind, settings.answer_tokens, settings.thinking_tokens, settings.modes)
    return settings.model_copy(update=budgets.model_dump())


def _check_model(
    settings: RunSettings, loaded: LoadedSet, messages: dict[str, str]
) -> dict[Mode, Sampling]:
    """Refuse before the first token what would fail at every sample, and warn of what may fail at some.

    Returns:
        How each mode is decoded; empty where both are alike, and where the model is not known yet.
    """
    budgets = settings.budgets(loaded.entry.kind)
    config, model = active_generate_config(), active_model()
    if model is None:
        return {}
    forget_switches(model)
    thinking = switch_for(model, settings.switch, settings.chat_template)
    render, switch = thinking.render, thinking.switch
    judge = getattr(settings, "judge", None)
    sees = load_judge(judge).sees if judge not in (None, "none") else None
    if only_mode_of(sees, switch.kind):
        _LOGGER.warning(only_mode_sentence(loaded.entry.kind))
    if config.system_message and render is not None and switch.kind == "switch":
        require_difference(render, switch, system=config.system_message)
    # Only prompts with such a word are rendered.
    suspects = {id: text for id, text in messages.items() if "think" in text.lower()}
    sampling = _check_arms(model, thinking, settings)
    for mode in settings.modes:
        arm_call(model, thinking, mode, "Hello", budgets)
        recipe = switch.recipe(mode)
        flipped = [
            id
            for id, text in suspects.items()
            if render and has_inline_switch(render, recipe, text)
        ]
        if flipped:
            _LOGGER.warning(
                f"{len(flipped)} prompts hold a word that turns thinking on or off by itself, against the {mode} "
                f"mode ({', '.join(flipped[:5])}); the mode check shows whether it did."
            )
    return sampling
