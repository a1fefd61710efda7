"""Think adoption: how often the model really thought, and the rate when it did and did not.

A mode is what was asked for, adoption what happened. A rate that rises in think mode may rise only
among the samples that hold a trace, or the model may rarely have thought at all; splitting by
adoption shows which. The split is not randomised: prompts that made the model think may differ, so
it describes and does not explain.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rim_eval.statistics._result import Result
from rim_eval.statistics.arm import ArmSummary, arm_summary
from rim_eval.statistics.wilson import Rate, rate
from rim_eval.types import UnscoredReason


class Sample(NamedTuple):
    """What one sample did: enough for adoption and outcomes."""

    prompt: str
    thought: bool
    """Whether it holds a non-empty trace."""
    verdict: float | None
    """0..1, None when unscored."""
    reason: UnscoredReason | None = None
    """Why it is unscored."""
    looping: bool = False
    """Whether it ends in a repeating cycle."""


class AdoptionSplit(Result):
    """One arm split by whether its samples thought."""

    adoption: Rate
    """Share of all samples with a non-empty trace. Samples of one prompt count one by one."""
    given_think: ArmSummary
    """The rate among samples with a trace."""
    given_none: ArmSummary
    """The rate among samples without one."""


def adoption_split(samples: Sequence[Sample], level: float = 0.95) -> AdoptionSplit:
    """Adoption of one arm, and its rate given thinking and given none.

    Args:
        samples: All returned samples of the arm, scored or not.
        level: Confidence, a fraction.

    Raises:
        RimError: If a verdict is not in 0..1.
    """
    return AdoptionSplit(
        adoption=rate(sum(sample.thought for sample in samples), len(samples), level),
        given_think=arm_summary(_verdicts(samples, thought=True), level),
        given_none=arm_summary(_verdicts(samples, thought=False), level),
    )


def _verdicts(samples: Iterable[Sample], *, thought: bool) -> dict[str, list[float | None]]:
    verdicts: dict[str, list[float | None]] = {}
    for sample in samples:
        if sample.thought is thought:
            verdicts.setdefault(sample.prompt, []).append(sample.verdict)
    return verdicts
