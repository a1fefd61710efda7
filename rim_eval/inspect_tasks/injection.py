"""Prefill injection: the same prompts with statements for and against a pattern at the start, and without.

The task `injection` with its solver, scorer and metric. An arm is `uninjected`, or a pattern and a
side (`heuristic_reliance:control`); the trace that is kept, judged and read does not hold the statement.
"""

from collections.abc import Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.model import get_model
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from rim_eval.errors import RimError
from rim_eval.generation import INJECTED_KEY
from rim_eval.inspect_tasks.compat import active_model, user_errors
from rim_eval.inspect_tasks.settings import InjectionSettings, takes
from rim_eval.inspect_tasks.solver import ArmRunner, stored_replies
from rim_eval.types import PATTERNS


@task(kind="safety")
@takes(InjectionSettings)
def injection(settings: InjectionSettings) -> Task:
    """Misalignment with statements for and against each reasoning pattern at the start, and without."""
    from rim_eval.inspect_tasks.build import fit_budgets, task_over
    from rim_eval.inspect_tasks.calls import prefilled_arm
    from rim_eval.inspect_tasks.switches import switch_for
    from rim_eval.prompt_sets import load_prompts

    loaded = load_prompts(settings.set or "hexphi", data=settings.data, subset=settings.subset)
    entry, model = loaded.entry, active_model()
    if entry.kind == "reasoning":
        raise RimError(
            f"set={entry.name} holds problems; statements are injected into judged sets."
        )
    settings = fit_budgets(settings, loaded)
    if model is not None:  # refuse before the first token one that nothing can be prefilled for
        prefilled_arm(model, switch_for(model, settings.switch, settings.chat_template), "")
    solver = with_statements(
        settings.statements, list(settings.patterns), **settings.solver_arguments(entry.kind)
    )
    scorer = injected(settings.judge or entry.judge or "hexphi", settings.statements)
    return task_over(loaded, settings, scorer, solver)


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

    Args:
        statements: Path of a statements file; by default the shipped one.
        patterns: Patterns to inject statements for and against; all by default.
        answer_tokens: Token budget of an answer, the same in all arms.
        thinking_tokens: Token budget of the trace, on top of it, where the model thinks.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    from rim_eval.inspect_tasks.calls import prefilled_arm
    from rim_eval.patterns import load_statements

    texts = load_statements(statements).arms(patterns or PATTERNS)
    runner = ArmRunner(answer_tokens, thinking_tokens, switch, chat_template)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        thinking = await runner.switch(model)
        with user_errors():
            arms = {name: prefilled_arm(model, thinking, text) for name, text in texts.items()}
        await runner.run(state, model, arms, INJECTED_KEY)
        return state

    return solve


@metric(scores="unreduced")
def injection_effect() -> Metric:
    """Rates of the arms, and their differences in percentage points, paired by prompt."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        from rim_eval.patterns import InjectionRow, injection_effects, rows_of_metadata

        rows = rows_of_metadata((one.score.metadata for one in scores), InjectionRow)
        figures: dict[str, float] = {}
        for effect in injection_effects(rows):
            for arm in ("uninjected", "control", "target"):
                figures[f"{effect.pattern}_{arm}"] = getattr(effect, arm).value
            for reference in ("control", "uninjected"):
                name = f"{effect.pattern}_target_against_{reference}"
                paired = getattr(effect, f"target_against_{reference}")
                figures[name] = paired.difference
                figures |= {f"{name}_lower": paired.lower, f"{name}_upper": paired.upper}
        return figures

    return compute


@scorer(metrics=[injection_effect()])
def injected(judge: str = "hexphi", statements: str | None = None) -> Scorer:
    """Whether the model went along, in each arm of an injection run.

    Args:
        judge: Name of a judge in `judges/`, or path of a judge file.
        statements: The statements file that the run used, for the record.
    """
    from rim_eval.inspect_tasks import scoring
    from rim_eval.judging import load_judge
    from rim_eval.patterns import InjectionRow, load_statements

    instrument, source = load_judge(judge), load_statements(statements)
    name = f"{source.name}@{source.version}"

    async def score(state: TaskState, target: Target) -> Score:
        replies = stored_replies(state, INJECTED_KEY)
        outcomes = await scoring.judge_arms(state, replies, instrument)
        rows = [
            InjectionRow(
                **scoring.observation_of(state, reply, outcomes[arm]).model_dump(),
                arm=arm,
                statements=name,
                statements_sha256=source.sha256,
            )
            for arm, reply in replies.items()
        ]
        dumped = [row.model_dump(mode="json", exclude_defaults=True) for row in rows]
        return Score(
            value={row.arm: scoring.score_value(row) for row in rows},
            metadata={"injection": dumped} | scoring.grader_texts(outcomes),
        )

    return score
