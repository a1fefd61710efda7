"""The scorer `task_score`: a foreign task's own scores as verdicts, and the mean difference of their numbers.

Inspect's entry point loads this module, so whatever scores or counts is imported inside functions.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import nan
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState

from rim_eval.inspect_tasks.compat import PrerequisiteError, user_errors
from rim_eval.inspect_tasks.scorers import difference, finding, no_think, think
from rim_eval.types import MODES, Mode

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.task_scores import ScoreReading
    from rim_eval.replies import ReplyVerdict

_NUMBERS: Final = "numbers"
"""Key of a score's metadata: the foreign score's number by mode, where it is one."""


@metric(scores="unreduced")
def score_difference() -> Metric:
    """The foreign score's mean in each mode, and think - no_think paired by prompt, with its 95 % interval."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        by_prompt: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for each in scores:
            for mode, number in ((each.score.metadata or {}).get(_NUMBERS) or {}).items():
                by_prompt[str(each.sample_id)][mode].append(number)
        pairs = [
            {mode: fmean(numbers[mode]) for mode in MODES}
            for numbers in by_prompt.values()
            if set(MODES) <= set(numbers)
        ]
        return _figures(pairs) if pairs else {}

    return compute


def _figures(pairs: Sequence[Mapping[Mode, float]]) -> dict[str, float]:
    """Means and difference over pairs, in the unit of the score.

    A prompt's difference is taken to lie within the score's range: 1 for a share, else what was seen.
    """
    from rim_eval.statistics import bounded_mean_interval

    numbers = [number for pair in pairs for number in pair.values()]
    is_share = min(numbers) >= 0 and max(numbers) <= 1
    reach = 1.0 if is_share else max(numbers) - min(numbers)
    differences = [pair["think"] - pair["no_think"] for pair in pairs]
    ends = bounded_mean_interval(differences, reach=reach) if reach else (nan, nan)
    return {
        "score_difference": fmean(differences),
        "score_difference_lower": ends[0],
        "score_difference_upper": ends[1],
        "score_pairs": len(pairs),
        **{f"score_{mode}": fmean(pair[mode] for pair in pairs) for mode in MODES},
    }


@scorer(metrics=[finding(), difference(), think(), no_think(), score_difference()])
def task_score(
    score: str,
    reads: str,
    event_at: Any,
    value: str | None = None,
    version: str = "0",
    grader: str | None = None,
) -> Scorer:
    """A foreign task's score as a verdict on each mode; its scorers are not asked again.

    Args:
        score: Which of the task's scores.
        reads: `correct`, `harmful` or `refused`.
        event_at: Where the score means that: a number (at least it), a comparison such as `<0.5`, or words.
        value: Key of the value, where the score holds several.
        version: The foreign task's version.
        grader: Name of the model that its scorer asked; by default that of the `grader` role.
    """
    from rim_eval.inspect_tasks.scoring import score_of_arms
    from rim_eval.inspect_tasks.solver import stored_replies
    from rim_eval.inspect_tasks.task_scores import EventRule, ScoreReading

    with user_errors():
        event = EventRule.parse(event_at)
        reading = ScoreReading.model_validate(
            {"scorer": score, "value": value, "reads": reads, "event": event}
        )

    async def verdicts(state: TaskState, target: Target) -> Score:
        replies = stored_replies(state)
        if not replies:
            raise PrerequisiteError(
                "This sample holds no replies of rim_eval/both. Leave --solver out: the task's own solver is run in "
                "each mode, and another is an argument of the task (-T args.solver=...), where it takes one."
            )
        with user_errors():
            by_mode = _verdicts(state, reading, version, grader or _grader_role())
        # A log that is read by another rule may tell of another event than the run did.
        state.metadata = state.metadata | {"kind": reading.kind, "kinds": [reading.kind]}
        numbers = {mode: each.score for mode, each in by_mode.items() if each.score is not None}
        scored = score_of_arms(state, replies, by_mode)
        return scored.model_copy(update={"metadata": (scored.metadata or {}) | {_NUMBERS: numbers}})

    return verdicts


def _grader_role() -> str | None:
    from rim_eval.inspect_tasks.compat import model_roles

    role = model_roles().get("grader")
    return None if role is None or isinstance(role, list) else str(role)


def _verdicts(
    state: TaskState, reading: "ScoreReading", version: str, grader: str | None
) -> "dict[str, ReplyVerdict]":
    """Each arm's verdict; why there is none is looked for in its replies first."""
    from rim_eval.inspect_tasks.solver import stored_replies
    from rim_eval.inspect_tasks.task_scores import kept_arms
    from rim_eval.judging import unscored_reason

    arms = kept_arms(state)
    found = {}
    for mode, reply in stored_replies(state).items():
        arm = arms.get(mode)
        reason = unscored_reason(reply) if arm is None else arm.reason
        score = None if arm is None else arm.scores.get(reading.scorer)
        found[mode] = (
            reading.unscored(reason, version, grader)
            if reason is not None
            else reading.verdict(score, version, grader)
        )
    return found
