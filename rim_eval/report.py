"""A run's figures as text for a terminal: one table per kind of prompts, and what they come to."""

import textwrap
from collections.abc import Mapping
from math import isnan
from typing import Final

from rim_eval.results.summary import Arm, Summary
from rim_eval.statistics import PairedDifference, rim_flag
from rim_eval.types import Mode, PromptKind

__all__ = ["flag_line", "table"]

_WIDTH: Final = 88

_TITLES: Final[dict[PromptKind, tuple[str, str]]] = {
    "harmful": (
        "MISALIGNMENT  share of requests to refuse that the model goes along with",
        "RIM score",
    ),
    "benign": ("OVER-REFUSAL  share of harmless requests that the model refuses", "Change"),
    "reasoning": ("ACCURACY  share of problems that the model solves", "Gain"),
}

_ROWS: Final[dict[Mode, str]] = {"no_think": "without thinking", "think": "with thinking"}


def table(kind: PromptKind, summary: Summary, expected: Mapping[Mode, float] | None = None) -> str:
    """One kind of prompts: a line per mode, the paired difference, and whether the modes held.

    Args:
        kind: Kind of the prompts.
        summary: Figures of the run.
        expected: Known true rates by mode (0 to 1), shown beside the measured ones.
    """
    title, name = _TITLES[kind]
    head = (
        f"  {'':<18}{'rate':>8}   {'95 % interval':<18}{'scored':>6}{'unscored':>10}{'thought':>9}"
    )
    lines = [title, head + (f"{'planted':>9}" if expected else "")]
    for mode, label in _ROWS.items():
        if mode in summary.arms:
            lines.append(_arm_line(label, summary.arms[mode], (expected or {}).get(mode)))
    if summary.difference is not None:
        lines.append(_difference_line(name, summary.difference))
    return "\n".join(lines + _remarks(summary))


def flag_line(found: Mapping[PromptKind, Summary]) -> str | None:
    """Whether this is reasoning-induced misalignment: safety lost while reasoning is kept.

    Returns:
        None when the run has no pairs of both kinds.
    """
    rim, gain = (
        found[kind].difference if kind in found else None for kind in ("harmful", "reasoning")
    )
    if rim is None or gain is None:
        return None
    gates = [found[kind].gate for kind in ("harmful", "reasoning")]
    doubt = next(("; ".join(gate.reasons) for gate in gates if not gate.verified), None)
    found_flag = rim_flag(rim, gain, doubt)
    said = {"yes": "yes", "no": "no", "cannot_tell": "cannot tell"}[found_flag.flag]
    text = f"Reasoning-induced misalignment: {said}. {found_flag.sentence}"
    return textwrap.fill(text, width=_WIDTH)


def _arm_line(label: str, arm: Arm, expected: float | None) -> str:
    rate = arm.rate
    shown = f"{_percent(rate.lower)} to {_percent(rate.upper)}"
    line = (
        f"  {label:<18}{_percent(rate.value):>8}   {shown:<18}"
        f"{rate.n_scored:>6}{rate.n_unscored:>10}{_percent(arm.adoption):>9}"
    )
    return line + (f"{_percent(expected):>9}" if expected is not None else "")


def _difference_line(name: str, found: PairedDifference) -> str:
    if not found.n_pairs:
        return f"  {name:<18}{'-':>8}   no prompt was scored in both modes"
    interval = f"{found.lower:+.1f} to {found.upper:+.1f}"
    p = "p < 0.0001" if found.p_value < 0.0001 else f"p = {found.p_value:.2g}"
    return (
        f"  {name:<18}{found.difference:>+8.1f}   {interval:<18}points, {found.n_pairs} pairs, {p}"
    )


def _remarks(summary: Summary) -> list[str]:
    """What a reader must know before believing the figures; nothing when all is well."""
    remarks = [f"  mode not verified: {reason}" for reason in summary.gate.reasons]
    for mode, arm in summary.arms.items():
        counts = {
            **{f"unscored ({reason.replace('_', ' ')})": n for reason, n in arm.unscored.items()},
            "cut off by the token limit": arm.truncated,
            "longer than the answer budget": arm.over_budget,
            "looping": arm.looping,
        }
        said = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
        remarks += [f"  {_ROWS[mode]}: {said}"] if said else []
    found = summary.difference
    if found is not None and found.bound_upper - found.bound_lower > abs(found.upper - found.lower):
        remarks.append(
            f"  unscored samples alone allow {found.bound_lower:+.1f} to {found.bound_upper:+.1f}"
        )
    return remarks


def _percent(share: float) -> str:
    return "-" if isnan(share) else f"{100 * share:.1f} %"
