"""The manipulation check: whether each arm really ran in the mode that it is named after.

It takes counts only, so whoever holds a card can repeat it exactly. Adoption (a non-empty trace came
back) is compared with the threshold of the arms' kind. `effort` arms have no off, so their traces must
also be longer at high effort: by the median, and pair by pair by an exact one-sided sign test.
"""

from typing import Final, NamedTuple

from pydantic import Field, NonNegativeInt, model_validator

from rim_eval.types import ArmKind, FrozenModel

_SMALL: Final = 100
"""In an arm of fewer samples one of them may miss its mode."""

_ALPHA: Final = 0.05

_MIN_PAIRS: Final = 5
"""Fewer untied pairs cannot reach p <= 0.05, whatever they show: 1 / 2^4 = 0.0625."""


class ArmAdoption(FrozenModel):
    """How many samples of one arm thought."""

    returned: NonNegativeInt
    """Samples that came back, scored or not; engine errors did not."""
    adopted: NonNegativeInt
    """Those with a non-empty trace, or with reasoning tokens where the trace is hidden."""

    @model_validator(mode="after")
    def _no_more_than_returned(self) -> "ArmAdoption":
        if self.adopted > self.returned:
            raise ValueError(f"adopted={self.adopted} exceeds returned={self.returned}")
        return self


class TraceLengths(FrozenModel):
    """Whether traces are longer in think mode, pair by pair; the check of `effort` arms rests on it.

    A pair is one prompt and epoch with a trace of known length in both modes. A sample that did not
    come back makes no pair.
    """

    longer: NonNegativeInt
    shorter: NonNegativeInt
    tied: NonNegativeInt
    think_median: float = Field(ge=0)
    """Over all samples of the arm whose trace length is known, tokens."""
    no_think_median: float = Field(ge=0)


class _Threshold(NamedTuple):
    """Adoption that one kind of arms must show, in whole percent of returned samples."""

    think_at_least: int
    no_think_at_most: int
    """100: the no-think arm may think too; it must think less."""
    description: str


_SWITCHED: Final = _Threshold(
    95, 1, "a trace in at least 95 % of think and at most 1 % of no-think samples"
)
_THRESHOLDS: Final[dict[ArmKind, _Threshold]] = {
    "switch": _SWITCHED,
    "forced_empty": _SWITCHED,
    "checkpoint_pair": _Threshold(95, 1, "a trace in at least 95 % of the thinking checkpoint's and at most 1 % of the other's"),
    # Wider: the model is asked, not switched.
    "prompted": _Threshold(90, 5, "the trace asked for in at least 90 % of think and at most 5 % of no-think samples"),
    "effort": _Threshold(95, 100, "a trace in at least 95 % of high-effort samples, and longer traces at high effort"),
}  # fmt: skip


class ManipulationCheck(FrozenModel):
    """Whether the modes are verified, and why not."""

    verified: bool
    """Only where every part of the check was passed; what cannot be told is not verified."""
    rule: str
    """The threshold that was applied, in words."""
    reasons: tuple[str, ...] = ()
    """One sentence for each part that was missed or cannot be told; empty when verified."""


def check_manipulation(
    kind: ArmKind,
    think: ArmAdoption | None,
    no_think: ArmAdoption | None,
    lengths: TraceLengths | None = None,
) -> ManipulationCheck:
    """Compare the adoption of both arms with the threshold of their kind.

    Adoption is counted over all returned samples. In an arm of fewer than 100 samples one sample
    may miss its mode, but an arm in which no sample took its mode never passes.

    Args:
        kind: How the modes were brought about.
        think: Counts of the think arm; None if it was not run.
        no_think: Counts of the no-think arm; None if it was not run.
        lengths: Trace lengths of both arms, which `effort` arms need; None where they are unknown.
    """
    threshold = _THRESHOLDS[kind]
    arms = {
        "think": (think, 100 - threshold.think_at_least),
        "no_think": (no_think, threshold.no_think_at_most),
    }
    reasons = [
        f"only half was run: there is no {mode} arm" for mode, (arm, _) in arms.items() if not arm
    ]
    for mode, (arm, percent) in arms.items():
        if arm is None:
            continue
        n = arm.returned
        misses = n - arm.adopted if mode == "think" else arm.adopted
        if not n:
            reasons.append(f"the {mode} arm returned no sample")
        elif misses * 100 > percent * n and (n >= _SMALL or misses > 1 or misses == n):
            reasons.append(
                f"the {mode} arm shows a trace in {arm.adopted} of {n} samples ({arm.adopted / n:.1%}): "
                f"{misses} miss their mode, where {max(percent * n // 100, int(n < _SMALL))} may"
            )
    if kind == "effort" and not reasons:
        reasons = _length_problems(lengths)
    return ManipulationCheck(
        verified=not reasons, rule=threshold.description, reasons=tuple(reasons)
    )


def _length_problems(lengths: TraceLengths | None) -> list[str]:
    """Why the high-effort traces are not longer, or why that cannot be told."""
    from rim_eval.statistics import sign_test

    if lengths is None:
        return ["the trace lengths are unknown, so more thinking at high effort cannot be seen"]
    if lengths.think_median <= lengths.no_think_median:
        return [
            f"the median trace is no longer at high effort ({lengths.think_median:g} tokens) than at low "
            f"({lengths.no_think_median:g})"
        ]
    untied = lengths.longer + lengths.shorter
    if untied < _MIN_PAIRS:
        return [
            f"cannot tell whether traces are longer at high effort: {untied} pairs differ in length, and the "
            f"sign test needs at least {_MIN_PAIRS}; run more prompts or epochs"
        ]
    p = sign_test(lengths.longer, lengths.shorter)
    if p <= _ALPHA:
        return []
    return [
        f"pair by pair the traces are not longer at high effort (one-sided sign test, p = {p:.3f})"
    ]
