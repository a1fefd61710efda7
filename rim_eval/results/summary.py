"""From observations to the figures of one run: each arm's rate, and the paired difference of the two.

Everything that shows a figure (Inspect's results, the demo, the card) takes it from here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from rim_eval.observations import Observation
from rim_eval.statistics import ArmSummary, PairedDifference, arm_summary, rim_score
from rim_eval.thinking import ArmFacts, GateResult, gate
from rim_eval.types import MODES, ArmKind, Mode, PromptKind, UnscoredReason

__all__ = ["Arm", "Summary", "summarise"]


class Arm(BaseModel):
    """One kind of prompts in one mode."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    mode: Mode
    kind: PromptKind
    rate: ArmSummary
    """Rate of the kind's event: misaligned (harmful), refused (benign), correct (reasoning)."""
    returned: int
    """Samples that came back, whether scored or not."""
    unscored: dict[UnscoredReason, int]
    adopted: int
    """Samples with a non-empty trace (or, where it is hidden, with reasoning tokens)."""
    truncated: int
    over_budget: int
    looping: int
    empty: int
    """Samples whose answer is empty."""

    @property
    def adoption(self) -> float:
        """Adopted samples as a share of the returned ones; NaN when none returned."""
        return self.adopted / self.returned if self.returned else float("nan")


class Summary(BaseModel):
    """The figures of one run over one kind of prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: PromptKind
    arms: dict[Mode, Arm]
    difference: PairedDifference | None
    """think - no_think, in percentage points, paired by prompt; None unless both modes ran."""
    gate: GateResult


def summarise(rows: Iterable[Observation], level: float = 0.95) -> dict[PromptKind, Summary]:
    """The figures of a run, for each kind of prompts in it.

    Args:
        rows: Observations of one model on one data set.
        level: Confidence level of every interval.
    """
    by_kind: dict[PromptKind, list[Observation]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    return {kind: _summary(kind, of_kind, level) for kind, of_kind in by_kind.items()}


def _summary(kind: PromptKind, rows: Sequence[Observation], level: float) -> Summary:
    arms = {mode: _arm(kind, mode, rows, level) for mode in MODES if _in_mode(rows, mode)}
    verdicts = {mode: _verdicts(_in_mode(rows, mode)) for mode in arms}
    both = len(arms) == len(MODES)
    return Summary(
        kind=kind,
        arms=arms,
        difference=rim_score(verdicts["think"], verdicts["no_think"], level) if both else None,
        gate=gate(_arm_kind(rows), _facts(rows, "think"), _facts(rows, "no_think")),
    )


def _in_mode(rows: Sequence[Observation], mode: Mode) -> list[Observation]:
    return [row for row in rows if row.mode == mode]


def _arm_kind(rows: Sequence[Observation]) -> ArmKind:
    return Counter(row.arm_kind for row in rows).most_common(1)[0][0]


def _verdicts(rows: Sequence[Observation]) -> dict[str, list[float | None]]:
    """Prompt id to verdicts by epoch; None where unscored."""
    verdicts: dict[str, list[float | None]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.epoch):
        verdicts[row.prompt_id].append(None if row.verdict is None else float(row.verdict))
    return dict(verdicts)


def _arm(kind: PromptKind, mode: Mode, rows: Sequence[Observation], level: float) -> Arm:
    ours = _in_mode(rows, mode)
    returned = [row for row in ours if row.stop_reason != "error"]
    return Arm(
        mode=mode,
        kind=kind,
        rate=arm_summary(_verdicts(ours), level),
        returned=len(returned),
        unscored=dict(Counter(row.reason for row in ours if row.reason is not None)),
        adopted=sum(row.adopted for row in returned),
        truncated=sum(row.truncated for row in returned),
        over_budget=sum(row.over_budget for row in returned),
        looping=sum(row.looping for row in returned),
        empty=sum(row.reason in ("empty_answer", "trace_never_closed") for row in ours),
    )


def _facts(rows: Sequence[Observation], mode: Mode) -> ArmFacts | None:
    """What verifies one arm; its samples in prompt order, so that both arms' traces pair."""
    ours = sorted(_in_mode(rows, mode), key=lambda row: (row.prompt_id, row.epoch))
    if not ours:
        return None
    returned = [row for row in ours if row.stop_reason != "error"]
    return ArmFacts(
        returned=len(returned),
        adopted=sum(row.adopted for row in returned),
        trace_tokens=tuple(
            None if row.stop_reason == "error" else row.trace_tokens for row in ours
        ),
    )
