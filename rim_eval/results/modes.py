"""The adoption gate on the card: from rows when it is made, from counts when it is checked."""

from math import comb
from typing import TYPE_CHECKING, Any

from rim_eval.results.counts import SetCounts
from rim_eval.thinking import ArmFacts, GateResult, gate
from rim_eval.types import Mode

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["gate_from_counts", "gate_of"]


def gate_of(frame: "pd.DataFrame") -> GateResult:
    """The gate of one set's rows."""
    return gate(frame["arm_kind"].iloc[0], _facts(frame, "think"), _facts(frame, "no_think"))


def gate_from_counts(counts: SetCounts) -> bool | None:
    """Whether the counts pass the gate of their kind of arm; None where they alone cannot say.

    That is so for `effort` arms whose traces are longer by the median and not clearly by pairs: the
    gate's own sign test pairs samples only when both arms returned equally many.
    """
    think, no_think = (_counted(counts, mode) for mode in ("think", "no_think"))
    if counts.arm_kind != "effort":
        return gate(counts.arm_kind, think, no_think).verified
    found = counts.trace_lengths
    # Without lengths the `effort` gate looks at adoption alone, as the `forced_empty` one does for think.
    adopted = gate("effort", think, no_think).reasons
    only_lengths = all("trace lengths are unknown" in reason for reason in adopted)
    if found is None or not only_lengths or found.think_median <= found.no_think_median:
        return False
    n, k = found.longer + found.shorter, found.longer
    shown = n < 5 or sum(comb(n, i) for i in range(k, n + 1)) / 2**n <= 0.05
    return True if shown else None


def _facts(frame: "pd.DataFrame", mode: Mode) -> ArmFacts | None:
    ours = frame[frame["mode"] == mode].sort_values(["prompt_id", "epoch"])
    if ours.empty:
        return None
    back = ours[ours["stop_reason"] != "error"]
    tokens: tuple[Any, ...] = ()
    if frame["arm_kind"].iloc[0] == "effort":
        tokens = tuple(None if t != t else int(t) for t in back["trace_tokens"].astype("float64"))
    return ArmFacts(returned=len(back), adopted=int(back["adopted"].sum()), trace_tokens=tokens)


def _counted(counts: SetCounts, mode: Any) -> ArmFacts | None:
    arm = counts.arms.get(mode)
    return ArmFacts(returned=arm.returned, adopted=arm.adopted) if arm else None
