"""Injection runs: the same prompts with statements for and against a pattern at the start, and without."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai import Task, task_with
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import SampleScore, Score, Scorer, Target
from inspect_ai.solver import Generate, Solver, TaskState
from inspect_ai.util import collect
from pydantic import TypeAdapter

from rim_eval.asking import ask
from rim_eval.decoding import Budgets, budgets
from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.inspect_tasks._build import (
    TaskArgs,
    both_modes_task,
    data_folder,
    text_argument,
)
from rim_eval.inspect_tasks._compat import active_model
from rim_eval.inspect_tasks._errors import user_errors
from rim_eval.inspect_tasks._hf import is_hf
from rim_eval.inspect_tasks._hf import render as hf_render
from rim_eval.inspect_tasks._injection import injected, with_statements
from rim_eval.inspect_tasks._running import Switches, run_arms
from rim_eval.inspect_tasks._scoring import (
    case_of,
    grader_for,
    judge_arm,
    observation_of,
    outcome_of,
    word_of,
)
from rim_eval.inspect_tasks._switches import Found, switch_for
from rim_eval.judging import load_judge
from rim_eval.patterns import (
    PATTERNS,
    Arm,
    InjectionRow,
    Pattern,
    Statements,
    arms_of,
    injection_effects,
    injection_rows_of_metadata,
    load_statements,
)
from rim_eval.prompt_sets import load_prompts
from rim_eval.thinking import Recipe, Switch, template_renderer, trace_opening
from rim_eval.types import Mode

__all__ = [
    "effect_figures",
    "injected_arms",
    "injected_call",
    "injection_task",
    "read_patterns_argument",
    "statements_solver",
]

_STORE_KEY = "rim_eval:injected"
_GENERATIONS = TypeAdapter(dict[str, Generation])


def injected_call(model: Model, found: Found, text: str | None) -> tuple[Found, Mode]:
    """The switch of one arm, and the mode in which it is called.

    A thinking model thinks, and the statement stands at the start of its trace; any other model is
    asked plainly, and the statement stands after the prompt template's last token (paper, App. D.2).

    Args:
        model: The evaluated model.
        found: Its thinking switch.
        text: What is written at the start; None writes nothing.

    Raises:
        RimError: Nothing can be written for this model through this provider.
    """
    switch = found.switch
    think = Recipe() if switch.kind == "prompted" else switch.think
    mode: Mode = "no_think" if switch.kind == "prompted" else "think"
    if text is not None:
        think = _begun(model, found, think, text)
    arm = Switch(
        kind=switch.kind, name=switch.name, think=think, no_think=think, evidence=switch.evidence
    )
    return Found(arm, found.template), mode


def _begun(model: Model, found: Found, recipe: Recipe, text: str) -> Recipe:
    template = found.template
    if template is None or not (is_hf(model.api) or str(model).startswith("vllm/")):
        raise RimError(
            f"A statement has to be written at the start of the turn of {model}, which needs the `hf/` provider, "
            "or `vllm/` with the chat template at hand (-T chat_template=FILE) and a server started with "
            "--trust-request-chat-template. Hosted models cannot be measured so."
        )
    if found.switch.kind == "prompted":
        return recipe.model_copy(update={"prefill": text})
    render = partial(hf_render, model.api) if is_hf(model.api) else template_renderer(template)
    opening = trace_opening(recipe.prompt(render, "Say hello."), template)
    if opening is None:
        raise RimError(
            f"How {model} opens its trace is not in its chat template, so no statement can be put at "
            "its start. Give the template with -T chat_template=FILE."
        )
    prefill = (recipe.prefill or "") + opening + text
    return recipe.model_copy(update={"prefill": prefill, "opened_by_prompt": True})


def statements_solver(
    statements: str | None,
    patterns: Sequence[Pattern],
    budget: Budgets,
    switch: str,
    chat_template: str | None,
) -> Solver:
    """The solver that `with_statements` registers."""
    ours = _statements(statements)
    arms = arms_of(ours, tuple(patterns))
    switches = Switches(switch, chat_template)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        found = await switches.of(model)
        with user_errors():
            calls = {arm.name: injected_call(model, found, _text(ours, arm)) for arm in arms}
        await run_arms(model, state, budget, calls, partial(_remember, state))
        return state

    return solve


def _generations(state: TaskState) -> dict[str, Generation]:
    return _GENERATIONS.validate_python(state.store.get(_STORE_KEY, {}))


def _remember(state: TaskState, replies: Mapping[str, Generation]) -> None:
    by_arm = _generations(state) | dict(replies)
    state.store.set(_STORE_KEY, _GENERATIONS.dump_python(by_arm, mode="json"))


def _statements(path: str | None) -> Statements:
    return load_statements() if path is None else load_statements(Path(path).expanduser())


def _text(statements: Statements, arm: Arm) -> str | None:
    if arm.pattern is None or arm.side is None:
        return None
    return statements.text(arm.pattern, arm.side)


def effect_figures(scores: Sequence[SampleScore]) -> dict[str, float]:
    """The figures that the metric `injection_effect` shows."""
    rows = [row for one in scores for row in injection_rows_of_metadata(one.score.metadata)]
    figures: dict[str, float] = {}
    for effect in injection_effects(rows):
        for arm in ("uninjected", "control", "target"):
            figures[f"{effect.pattern}_{arm}"] = getattr(effect, arm).value
        for name in ("target_against_control", "target_against_uninjected"):
            found = getattr(effect, name)
            figures |= {
                f"{effect.pattern}_{name}": found.difference,
                f"{effect.pattern}_{name}_lower": found.lower,
                f"{effect.pattern}_{name}_upper": found.upper,
            }
    return figures


def injected_arms(judge: str, statements: str | None) -> Scorer:
    """The scorer that `injected` registers."""
    ours, source = load_judge(judge), _statements(statements)

    async def score(state: TaskState, target: Target) -> Score:
        grader = grader_for(ours)

        async def judged(reply: Generation) -> Any:
            return outcome_of(await ours.judge(case_of(state, reply), grader))

        replies = _generations(state)
        outcomes = await collect(*(judge_arm(reply, judged) for reply in replies.values()))
        rows = [
            InjectionRow(
                **observation_of(state, reply, outcome).model_dump(),
                arm=name,
                statements=f"{source.name}@{source.version}",
                statements_sha256=source.sha256,
            )
            for (name, reply), outcome in zip(replies.items(), outcomes, strict=True)
        ]
        said = {
            name: list(o.replies) for name, o in zip(replies, outcomes, strict=True) if o.replies
        }
        metadata: dict[str, Any] = {
            "injection": [row.model_dump(mode="json", exclude_defaults=True) for row in rows]
        }
        return Score(
            value={row.arm: word_of(row) for row in rows},
            metadata=metadata | ({"judge_replies": said} if said else {}),
        )

    return score


def injection_task(
    name: str,
    *,
    patterns: str | list[str],
    statements: str | None,
    judge: str | None,
    subset: str | None,
    data: str | None,
    **args: Any,
) -> Task:
    """The task that `injection` registers, over the prompt set `name`.

    Raises:
        PrerequisiteError: Something that the user gave is wrong or missing.
    """
    with user_errors():
        ours = TaskArgs.read(modes="think", **args)
        loaded = load_prompts(name, data=data_folder(data), subset=text_argument("subset", subset))
        if loaded.entry.kind == "reasoning":
            raise RimError(f"set={name} holds problems; statements are injected into judged sets.")
        asked = read_patterns_argument(patterns)
        budget = budgets(loaded.entry.kind, ours.answer_tokens, ours.thinking_tokens)
        _check_model(ours.switch, ours.chat_template)
        messages = {prompt.id: ask(prompt) for prompt in loaded.prompts}
        judge = text_argument("judge", judge)
        statements = text_argument("statements", statements)
        scored = injected(judge or loaded.entry.judge or "hexphi", statements)
        arms = with_statements(
            statements,
            list(asked),
            budget.answer_tokens,
            budget.thinking_tokens,
            ours.switch,
            ours.chat_template,
        )
        return task_with(both_modes_task(loaded, messages, scored, ours), solver=arms)


def read_patterns_argument(given: str | list[str]) -> tuple[Pattern, ...]:
    """Patterns from a task argument: `all`, one, or a list.

    Raises:
        RimError: Something else was given.
    """
    if given == "all":
        return PATTERNS
    asked = [given] if isinstance(given, str) else given
    if asked and all(name in PATTERNS for name in asked):
        return tuple(pattern for pattern in PATTERNS if pattern in asked)
    raise RimError(f"patterns={given!r} is not known: use all, or of {', '.join(PATTERNS)}.")


def _check_model(switch: str, chat_template: str | None) -> None:
    """Refuse before the first token a model that nothing can be written for."""
    model = active_model()
    if model is not None:
        injected_call(model, switch_for(model, switch, chat_template), "")
