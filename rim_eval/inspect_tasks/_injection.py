"""The task `injection` with its solver, scorer and metric; the work is done in `_injecting`."""

from collections.abc import Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.scorer import Metric, SampleScore, Scorer, metric, scorer
from inspect_ai.solver import Solver, solver

__all__ = ["injected", "injection", "injection_effect", "with_statements"]


@solver
def with_statements(
    statements: str | None = None,
    patterns: Sequence[Any] = (),
    answer_tokens: int = 2048,
    thinking_tokens: int = 16384,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Solver:
    """Generate a reply to the same prompt un-injected, and with each statement at its start.

    The trace that is kept, judged and read for patterns does not hold the statement.

    Args:
        statements: Path of a statements file; by default the shipped one.
        patterns: Patterns to inject statements for and against; all by default.
        answer_tokens: Token budget of an answer, the same in all arms.
        thinking_tokens: Token budget of the trace, on top of it, where the model thinks.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    from rim_eval.decoding import Budgets
    from rim_eval.inspect_tasks._injecting import statements_solver
    from rim_eval.patterns import PATTERNS

    budget = Budgets(answer_tokens=answer_tokens, thinking_tokens=thinking_tokens)
    return statements_solver(statements, patterns or PATTERNS, budget, switch, chat_template)


@metric(scores="unreduced")
def injection_effect() -> Metric:
    """Rates of the arms, and their differences in percentage points, paired by prompt."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        from rim_eval.inspect_tasks._injecting import effect_figures

        return effect_figures(scores)

    return compute


@scorer(metrics=[injection_effect()])
def injected(judge: str = "hexphi", statements: str | None = None) -> Scorer:
    """Whether the model went along, in each arm of an injection run.

    Args:
        judge: Name of a judge in `judges/`, or path of a judge file.
        statements: The statements file that the run used, for the record.
    """
    from rim_eval.inspect_tasks._injecting import injected_arms

    return injected_arms(judge, statements)


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
    from rim_eval.inspect_tasks._injecting import injection_task

    return injection_task(
        set,
        patterns=patterns,
        statements=statements,
        judge=judge,
        subset=subset,
        data=data,
        answer_tokens=answer_tokens,
        thinking_tokens=thinking_tokens,
        switch=switch,
        chat_template=chat_template,
    )
