"""Tables of a comparison: each model's own figures on a set, and its differences from the reference."""

from collections.abc import Iterator, Sequence
from typing import Final

from rim_eval import plots
from rim_eval.comparison.finding import state_against
from rim_eval.comparison.schema import ModelDifference, Quantity, SetComparison
from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    estimate,
    interval,
    p_text,
    percent,
    points,
)

Row = tuple[str, ...]

QUANTITY_WORDS: Final[dict[Quantity, str]] = {
    "no_think": MODE_WORDS["no_think"],
    "think": MODE_WORDS["think"],
    "change": "change with thinking",
}
VERSUS: Final = "than the reference"
HEAD: Final = ("model", "without thinking", "with thinking", "change, points", "pairs", "note")
AGAINST_HEAD: Final = ("model", "in", "difference", "95 % interval", "n", "p", "significance")


def set_title(each: SetComparison) -> str:
    """Name a set with the rate that is compared on it."""
    return f"{each.dataset}: {KIND_WORDS[each.kind].rate.lower()}"


def own_rows(each: SetComparison, reference: str) -> Iterator[Row]:
    """Each model's own rates and change.

    Args:
        each: The set.
        reference: Name of the reference.
    """
    for row in each.rows:
        rates = [
            f"{percent(rate.value)} (n = {rate.n_scored})" if rate else row.figures.absent
            for rate in map(row.figures.rate, MODE_WORDS)
        ]
        change = row.figures.difference
        text = estimate(change.value, change.lower, change.upper) if change else "n/a"
        marks = ["reference"] * (row.model == reference)
        marks += ["mode not verified"] * (not row.verified)
        yield (row.model, *rates, text, str(change.n_pairs if change else 0), ", ".join(marks))


def against_rows(each: SetComparison, reference: str) -> Iterator[Row]:
    """Each model minus the reference, quantity by quantity.

    Args:
        each: The set.
        reference: Name of the reference.
    """
    for row in each.rows:
        for a in row.against:
            p = p_text(a.p_value) + ("" if a.p_holm is None else f", Holm {p_text(a.p_holm)}")
            state = plots.state_label(state_against(each, row, a.quantity, reference), VERSUS)
            if a.corrected != a.significance and state == "not significant":
                state = "not significant among several models"
            cells = (points(a.value), interval(a.lower, a.upper), prompts(a), p, state)
            yield (row.model, QUANTITY_WORDS[a.quantity], *cells)


def prompts(a: ModelDifference) -> str:
    """Prompts behind a difference: of both models where they are not paired."""
    return str(a.n) if a.n_reference is None else f"{a.n} and {a.n_reference}"


def aligned(rows: Sequence[Row]) -> list[str]:
    """Write rows as lines whose columns are as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [f"  {'  '.join(map(str.ljust, row, widths))}".rstrip() for row in rows]
