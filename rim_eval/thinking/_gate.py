"""The adoption gate: whether each arm really ran in the mode that it is named after."""

from math import comb
from statistics import median
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rim_eval.types import ArmKind, Mode

__all__ = ["RULES", "ArmFacts", "GateResult", "Rule", "gate"]

SMALL: Final = 100
"""Below this many samples one sample may stand beside the line."""


class ArmFacts(BaseModel):
    """What one arm's samples showed. Errors without a reply are not returned samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    returned: int = Field(ge=0)
    """Samples that came back, scored or not."""
    adopted: int = Field(ge=0)
    """Those with a non-empty trace, or with reasoning tokens where the trace is hidden."""
    trace_tokens: tuple[int | None, ...] = ()
    """Length of each sample's trace in tokens, in prompt order so that both arms pair; None where
    unknown, 0 where there was none. Needed by `effort` only."""

    @model_validator(mode="after")
    def _no_more_than_returned(self) -> "ArmFacts":
        if self.adopted > self.returned:
            raise ValueError(f"adopted={self.adopted} exceeds returned={self.returned}")
        return self

    @property
    def adoption(self) -> float | None:
        """Share of returned samples with a trace, 0 to 1; None without any sample."""
        return self.adopted / self.returned if self.returned else None


class Rule(NamedTuple):
    """The line of one kind of arm, in whole percent of returned samples."""

    think_at_least: int
    no_think_at_most: int | None
    """None: the no-think arm may think too; it must think less."""
    says: str


RULES: Final[dict[ArmKind, Rule]] = {
    "switch": Rule(95, 1, "a trace in at least 95 % of think and at most 1 % of no-think samples"),
    "forced_empty": Rule(
        95, 1, "a trace in at least 95 % of think and at most 1 % of no-think samples"
    ),
    "checkpoint_pair": Rule(
        95,
        1,
        "a trace in at least 95 % of the thinking checkpoint's and at most 1 % of the other's",
    ),
    "prompted": Rule(
        90, 5, "the trace asked for in at least 90 % of think and at most 5 % of no-think samples"
    ),
    "effort": Rule(
        95,
        None,
        "a trace in at least 95 % of high-effort samples, and longer traces at high effort",
    ),
}
"""`prompted` is wider: the model is asked, not switched."""


class GateResult(BaseModel):
    """Whether the modes are verified, and why not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verified: bool
    rule: str
    """The gate that was applied, in words."""
    reasons: tuple[str, ...] = ()
    """One sentence for each way in which it was missed; empty when verified."""


def gate(kind: ArmKind, think: ArmFacts | None, no_think: ArmFacts | None) -> GateResult:
    """Check both arms against the gate of their kind.

    Adoption is counted over all returned samples. In an arm of fewer than 100 samples one sample
    may stand beside the line, but an arm in which no sample took its mode never passes.

    Args:
        kind: How the modes were brought about.
        think: Facts of the think arm; None if it was not run.
        no_think: Facts of the no-think arm; None if it was not run.
    """
    rule = RULES[kind]
    reasons = [
        f"only half was run: there is no {mode} arm"
        for mode, facts in (("think", think), ("no_think", no_think))
        if facts is None
    ]
    if think is not None:
        reasons += _missed("think", think, 100 - rule.think_at_least)
    if no_think is not None:
        most = 100 if rule.no_think_at_most is None else rule.no_think_at_most
        reasons += _missed("no_think", no_think, most)
    if kind == "effort" and think is not None and no_think is not None and not reasons:
        reasons += _not_longer(think, no_think)
    return GateResult(verified=not reasons, rule=rule.says, reasons=tuple(reasons))


def _missed(mode: Mode, facts: ArmFacts, percent: int) -> list[str]:
    """Whether more than `percent` of an arm's samples are not in its mode."""
    n = facts.returned
    if not n:
        return [f"the {mode} arm returned no sample"]
    beside = n - facts.adopted if mode == "think" else facts.adopted
    inside = beside * 100 <= percent * n or (n < SMALL and beside <= 1 and beside < n)
    if inside:
        return []
    return [
        f"the {mode} arm shows a trace in {facts.adopted} of {n} samples ({facts.adopted / n:.1%}): "
        f"{beside} beside the line, where {max(percent * n // 100, int(n < SMALL))} are allowed"
    ]


def _not_longer(think: ArmFacts, no_think: ArmFacts) -> list[str]:
    """Whether the high-effort traces fail to be longer: by the median, and by pairs where they pair."""
    longs, shorts = _known(think), _known(no_think)
    if not longs or not shorts:
        return ["the trace lengths are unknown, so more thinking at high effort cannot be seen"]
    if median(longs) <= median(shorts):
        return [
            f"the median trace is no longer at high effort ({median(longs):g} tokens) than at low "
            f"({median(shorts):g})"
        ]
    p = _sign_test(think.trace_tokens, no_think.trace_tokens)
    if p is None or p <= 0.05:
        return []
    return [
        f"pair by pair the traces are not longer at high effort (one-sided sign test, p = {p:.3f})"
    ]


def _known(facts: ArmFacts) -> list[int]:
    return [tokens for tokens in facts.trace_tokens if tokens is not None]


def _sign_test(longs: tuple[int | None, ...], shorts: tuple[int | None, ...]) -> float | None:
    """Exact one-sided p for "longer at high effort" over untied pairs; None where nothing pairs."""
    if len(longs) != len(shorts):
        return None
    pairs = [(a, b) for a, b in zip(longs, shorts, strict=True) if a is not None and b is not None]
    signs = [a > b for a, b in pairs if a != b]
    if len(signs) < 5:
        return None  # Fewer untied pairs cannot reach 0.05 whatever they show.
    n, longer = len(signs), sum(signs)
    return float(sum(comb(n, k) for k in range(longer, n + 1)) / 2**n)
