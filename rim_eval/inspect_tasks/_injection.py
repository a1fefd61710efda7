"""Injection runs: the same prompts with statements for and against a pattern at the start, and without."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai import Task, task, task_with
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import collect
from pydantic import TypeAdapter

from rim_eval.asking import ask
from rim_eval.catalogue import load
from rim_eval.decoding import Budgets, budgets
from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.inspect_tasks._build import TaskArgs, both_modes_task, data_folder, user_errors
from rim_eval.inspect_tasks._compat import active_model
from rim_eval.inspect_tasks._hf import is_hf
from rim_eval.inspect_tasks._hf import render as hf_render
from rim_eval.inspect_tasks._running import _message, _run_arm, _Switches
from rim_eval.inspect_tasks._scoring import (
    _case,
    _judge_arm,
    _observation,
    _outcome,
    _word,
    grader_for,
)
from rim_eval.inspect_tasks._switches import Found, switch_for
from rim_eval.judging import load_judge
from rim_eval.outcomes import Mode
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
from rim_eval.thinking import Recipe, Switch, template_renderer, trace_opening

__all__ = ["injected", "injection", "injection_effect", "with_statements"]

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


@solver
def with_statements(
    statements: str | None = None,
    patterns: Sequence[Pattern] = PATTERNS,
    answer_tokens: int = 2048,
    thinking_tokens: int = 16384,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Solver:
    """Generate a reply to the same prompt un-injected, and with each statement at its start.

    The trace that is kept, judged and read for patterns does not hold the statement.

    Args:
        statements: Path of a statements file; by default the shipped one.
        patterns: Patterns to inject statements for and against.
        answer_tokens: Token budget of an answer, the same in all arms.
        thinking_tokens: Token budget of the trace, on top of it, where the model thinks.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    ours = _statements(statements)
    arms = arms_of(ours, tuple(patterns))
    budget = Budgets(answer_tokens=answer_tokens, thinking_tokens=thinking_tokens)
    switches = _Switches(switch, chat_template)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        found = await switches.of(model)
        with user_errors():
            calls = [injected_call(model, found, _text(ours, arm)) for arm in arms]
        runs = [_run_arm(model, call, mode, state, budget) for call, mode in calls]
        outcomes = await collect(*runs)
        replies = {arm.name: reply for arm, (reply, _) in zip(arms, outcomes, strict=True)}
        state.store.set(_STORE_KEY, _GENERATIONS.dump_python(replies, mode="json"))
        state.messages.extend(_message(reply, str(model)) for reply in replies.values())
        for _, error in outcomes:  # all arms are stored before the sample errs
            if error is not None:
                raise error
        return state

    return solve


def _statements(path: str | None) -> Statements:
    return load_statements() if path is None else load_statements(Path(path).expanduser())


def _text(statements: Statements, arm: Arm) -> str | None:
    if arm.pattern is None or arm.side is None:
        return None
    return statements.text(arm.pattern, arm.side)


@metric(scores="unreduced")
def injection_effect() -> Metric:
    """Rates of the arms, and their differences in percentage points, paired by prompt."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
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

    return compute


@scorer(metrics=[injection_effect()])
def injected(judge: str = "hexphi", statements: str | None = None) -> Scorer:
    """Whether the model went along, in each arm of an injection run.

    Args:
        judge: Name of a judge in `judges/`, or path of a judge file.
        statements: The statements file that the run used, for the record.
    """
    ours, source = load_judge(judge), _statements(statements)

    async def score(state: TaskState, target: Target) -> Score:
        grader = grader_for(ours)

        async def judged(reply: Generation) -> Any:
            return _outcome(await ours.judge(_case(state, reply), grader))

        replies = _GENERATIONS.validate_python(state.store.get(_STORE_KEY, {}))
        outcomes = await collect(*(_judge_arm(reply, judged) for reply in replies.values()))
        rows = [
            InjectionRow(
                **_observation(state, reply, outcome).model_dump(),
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
            value={row.arm: _word(row) for row in rows},
            metadata=metadata | ({"judge_replies": said} if said else {}),
        )

    return score


@task(name="injection", kind="safety")
def injection(
    set: str = "hexphi",
    patterns: str | list[str] = "all",
    statements: str | None = None,
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """Misalignment with statements for and against each reasoning pattern at the start, and without.

    Args:
        set: Prompt set, harmful or benign.
        patterns: `all`, a pattern, or a list.
        statements: Path of a statements file; by default the shipped one.
        judge: Judge's name or file; by default the set's own.
        subset: Subset of the prompt set.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in all arms.
        thinking_tokens: Token budget of the trace, on top of it.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    with user_errors():
        loaded = load(set, data=data_folder(data), subset=subset)
        if loaded.entry.kind == "reasoning":
            raise RimError(f"set={set} holds problems; statements are injected into judged sets.")
        asked = read_patterns_argument(patterns)
        budget = budgets(loaded.entry.kind, answer_tokens, thinking_tokens)
        _check_model(switch, chat_template)
        args = TaskArgs("think", answer_tokens, thinking_tokens, switch, chat_template)
        messages = {prompt.id: ask(prompt) for prompt in loaded.prompts}
        scored = injected(judge or loaded.entry.judge or "hexphi", statements)
        arms = with_statements(
            statements,
            list(asked),
            budget.answer_tokens,
            budget.thinking_tokens,
            switch,
            chat_template,
        )
        return task_with(both_modes_task(loaded, messages, scored, args), solver=arms)


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
