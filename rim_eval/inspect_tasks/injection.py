"""Prefill injection: the same prompts with statements for and against a pattern at the start, and without.

The task `injection` with its solver, scorer and metric. An arm is `uninjected`, or a pattern and a
side (`heuristic_reliance:control`); the trace that is kept, judged and read does not hold the statement.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import anyio
from inspect_ai import Task, task
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from rim_eval.errors import RimError
from rim_eval.generation import INJECTED_KEY
from rim_eval.inspect_tasks.compat import active_model, user_errors
from rim_eval.inspect_tasks.settings import InjectionSettings, takes
from rim_eval.inspect_tasks.solver import ArmRunner, stored_replies
from rim_eval.types import PATTERNS

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.arms import Arm
    from rim_eval.inspect_tasks.switches import ModelSwitch


@task(kind="safety")
@takes(InjectionSettings)
def injection(settings: InjectionSettings) -> Task:
    """Misalignment with statements for and against each reasoning pattern at the start, and without."""
    from rim_eval.inspect_tasks.build import task_over
    from rim_eval.inspect_tasks.options import refuse_unused
    from rim_eval.inspect_tasks.protocols import follow_protocol
    from rim_eval.inspect_tasks.scoring import grader_for
    from rim_eval.inspect_tasks.switches import switch_for
    from rim_eval.judging import load_judge
    from rim_eval.patterns import load_statements
    from rim_eval.prompt_sets import entry as find_entry
    from rim_eval.prompt_sets import load_prompts

    own = ("sampling", "think", "no_think", "doses", "attack")
    refuse_unused(settings, own, "an injection run, whose arms are the statements in one mode")
    name = settings.set or "hexphi"
    settings = follow_protocol(settings, find_entry(name).kind)
    loaded = load_prompts(name, data=settings.data, subset=settings.subset)
    entry, model = loaded.entry, active_model()
    if entry.kind == "reasoning":
        raise RimError(
            f"set={entry.name} holds problems; statements are injected into judged sets."
        )
    judge = settings.judge or entry.judge or "hexphi"
    grader_for(load_judge(judge), settings.data)
    scorer = injected(judge, settings.statements)

    def solver_of(fitted: InjectionSettings) -> Solver:
        arguments = fitted.solver_arguments(entry.kind)
        return with_statements(fitted.statements, list(fitted.patterns), **arguments)

    built = task_over(loaded, settings, scorer, solver_of)
    if model is not None:
        switch = switch_for(model, settings.switch, settings.chat_template)
        texts = load_statements(settings.statements).arms(settings.patterns)
        statements_arrive(model, _arms(model, switch, texts))
    return built


@solver
def with_statements(
    statements: str | None = None,
    patterns: Sequence[Any] = (),
    answer_tokens: int = 2048,
    thinking_tokens: int = 16384,
    switch: str = "auto",
    chat_template: str | None = None,
    served_as: str | None = None,
) -> Solver:
    """Generate a reply to the same prompt un-injected, and with each statement at its start.

    Args:
        statements: Path of a statements file; by default the shipped one.
        patterns: Patterns to inject statements for and against; all by default.
        answer_tokens: Token budget of an answer, the same in all arms.
        thinking_tokens: Token budget of the trace, on top of it, where the model thinks.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
        served_as: Other names by which a server may call the model, separated by commas.
    """
    from rim_eval.patterns import load_statements

    texts = load_statements(statements).arms(patterns or PATTERNS)
    runner = ArmRunner(answer_tokens, thinking_tokens, switch, chat_template, served_as)
    verified: set[int] = set()
    lock = anyio.Lock()

    async def verify(model: Model, arms: _Arms) -> None:
        async with lock:
            # Inside the lock: samples that wait for the first one's verdict see it and render nothing.
            with runner.ending_the_run(model), user_errors():
                if id(model) not in verified and await anyio.to_thread.run_sync(
                    statements_arrive, model, arms
                ):
                    verified.add(id(model))

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        thinking = await runner.switch(model)
        with runner.ending_the_run(model), user_errors():
            arms = _arms(model, thinking, texts)
        await verify(model, arms)
        await runner.run(state, model, arms, INJECTED_KEY)
        await verify(model, arms)  # by now a server that Inspect starts itself has its address
        return state

    return solve


_Arms = Mapping[str, "Arm"]


def _arms(model: Model, switch: "ModelSwitch", texts: Mapping[str, str | None]) -> _Arms:
    from rim_eval.inspect_tasks.arms import Arm
    from rim_eval.inspect_tasks.calls import prefilled_arm

    return {name: Arm(*prefilled_arm(model, switch, text)) for name, text in texts.items()}


def statements_arrive(model: Model, arms: _Arms) -> bool:
    """Verify from the rendered prompts that the model's turn begins with the statement of each arm.

    Args:
        model: The evaluated model.
        arms: Switch and mode of each arm.

    Returns:
        False where no prompt can be rendered before the first request.

    Raises:
        RimError: A prompt does not end with its statement, or the server shows no prompts.
    """
    from rim_eval.decoding import Budgets
    from rim_eval.inspect_tasks.calls import arm_call
    from rim_eval.inspect_tasks.rendering import PLAIN, ends_with, rendered_call

    budgets = Budgets(answer_tokens=1, thinking_tokens=1)
    for name, arm in arms.items():
        prefill = arm.switch.switch.recipe(arm.mode).prefill
        if not prefill:
            continue
        prompt = rendered_call(model, arm_call(model, arm.switch, arm.mode, PLAIN, budgets))
        if prompt is None:
            return False
        if not ends_with(prompt, prefill):
            raise RimError(
                f"The statement of the arm {name} does not reach {model}: the rendered prompt ends with "
                f"{prompt[-80:]!r}. Nothing can be injected so: use the model's own chat template (no "
                "use_chat_template=false), or a vLLM server started with --trust-request-chat-template."
            )
    return True


@metric(scores="unreduced")
def injection_effect() -> Metric:
    """Rates of the arms and their differences in percentage points, paired by prompt, with what is missing."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        from rim_eval.patterns import InjectionRow, injection_effects, rows_of_metadata

        rows = rows_of_metadata((one.score.metadata for one in scores), InjectionRow)
        figures: dict[str, float] = {}
        for effect in injection_effects(rows):
            for arm in ("uninjected", "control", "target"):
                name, rate = f"{effect.pattern}_{arm}", getattr(effect, arm)
                figures |= {f"{name}{end}": getattr(rate, field) for end, field in _RATE.items()}
                declined = effect.declined[arm]
                figures[f"{name}_unscored"] = rate.n_unscored - declined
                figures[f"{name}_declined"] = declined
            for reference in ("control", "uninjected"):
                name = f"{effect.pattern}_target_against_{reference}"
                paired = getattr(effect, f"target_against_{reference}")
                figures |= {
                    f"{name}{end}": getattr(paired, field) for end, field in _PAIRED.items()
                }
                figures[f"{name}_unpaired"] = len(paired.unpaired)
        return figures

    return compute


_RATE: Final = {"": "value", "_lower": "lower", "_upper": "upper", "_scored": "n_scored"}
_PAIRED: Final = {
    "": "difference",
    "_lower": "lower",
    "_upper": "upper",
    "_p": "p_value",
    "_bound_lower": "bound_lower",
    "_bound_upper": "bound_upper",
    "_pairs": "n_pairs",
}
"""Ends of the figures' names, and where the statistics keep them."""


@scorer(metrics=[injection_effect()])
def injected(judge: str = "hexphi", statements: str | None = None) -> Scorer:
    """Whether the model went along, in each arm of an injection run.

    Args:
        judge: Name of a judge in `judges/`, or path of a judge file.
        statements: The statements file that the run used, for the record.
    """
    from rim_eval.inspect_tasks import scoring
    from rim_eval.inspect_tasks.viewer import verdict_word
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
            value={row.arm: verdict_word(row) for row in rows},
            metadata={"injection": dumped} | scoring.grader_texts(outcomes),
        )

    return score
