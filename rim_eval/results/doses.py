"""The dose curve of a set: what happens as a model is given more thinking, prompt by prompt.

The counts say how many prompts had the same outcomes at every dose, and how much each dose really made the model
think; the rates, the check of each dose and the paired trend follow from them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, NonNegativeInt

from rim_eval.results.columns import Bools, Columns
from rim_eval.results.counts import (
    ArmsCell,
    Lengths,
    compare_lengths,
    count_arms,
    lengths_of,
    tally_of_arms,
)
from rim_eval.results.rates import ArmRate, Interval, Share
from rim_eval.statistics import Significance, significance, tallied_arm_summary, tallied_trend
from rim_eval.thinking import (
    ArmAdoption,
    ManipulationCheck,
    TraceLengths,
    check_dose,
    dose_rank,
    read_doses,
)
from rim_eval.types import FiniteModel, FrozenModel, Name

if TYPE_CHECKING:
    import pandas as pd


class DoseCounts(FrozenModel):
    """Samples of one dose, counted."""

    name: Name
    returned: NonNegativeInt
    """Replies of the model, scored or not."""
    adopted: NonNegativeInt
    """Those with a trace."""
    over_budget: NonNegativeInt = 0
    """Traces longer than the dose's budget."""
    closed_at_budget: NonNegativeInt = 0
    """Traces that were closed for the model, at the budget."""
    tokens: Lengths | None = None
    """Thinking tokens that were spent, over all returned samples of known length; 0 without a trace."""
    mean_tokens: float | None = Field(default=None, ge=0)
    against_before: TraceLengths | None = None
    """Trace lengths of this dose (`think`) and the next smaller one; None for the smallest."""


class CurveCounts(FrozenModel):
    """All counts of a set that was asked with several doses."""

    doses: tuple[DoseCounts, ...] = Field(min_length=2)
    """From least to most."""
    cells: tuple[ArmsCell, ...]
    """Prompts by their outcomes at every dose, in the same order."""


class DosePoint(FiniteModel):
    """One dose of a curve."""

    name: Name
    rate: ArmRate
    mean_tokens: float | None
    """Thinking tokens that were spent, on average."""
    check: ManipulationCheck
    """Whether the dose was taken."""


class DoseTrend(Interval):
    """Change of the rate from the least to the most thinking along a line, in percentage points.

    The doses are equally spaced: they were set before the run, and the tokens spent are an outcome.
    """

    interval_method: Name
    p_value: Share = Field(ge=0, le=1)
    test_method: Name
    permutation_p_value: Share = Field(default=None, ge=0, le=1)
    """Of the permutation test beside it, which decides nothing."""
    permutation_method: Name = "none"
    n_blocks: NonNegativeInt
    """Prompts that are scored at every dose."""
    n_prompts: NonNegativeInt
    bound_lower: Share
    bound_upper: Share

    @property
    def significance(self) -> Significance:
        """What the interval shows."""
        return significance(self.lower, self.upper)


class DoseCurve(FiniteModel):
    """The rates at all doses, and their paired trend."""

    points: tuple[DosePoint, ...]
    trend: DoseTrend

    @property
    def verified(self) -> bool:
        """Whether every dose was taken."""
        return all(point.check.verified for point in self.points)


def ranked_doses(names: Iterable[str]) -> list[str]:
    """Names of doses from least to most; unknown ones first."""
    return sorted(names, key=lambda name: dose_rank(name) or (-1, 0))


def doses_of(rows: Columns) -> tuple[str, ...]:
    """Names of the doses in some rows, from least to most; empty for a run in two modes."""
    return tuple(ranked_doses(rows.text["dose"].tally()))


def least_and_most(rows: Columns) -> Columns:
    """The rows of the two arms that make the paired difference: of several doses the least and the most."""
    if not (names := doses_of(rows)):
        return rows
    dose = rows.text["dose"]
    return rows.where((dose.codes < 0) | dose.equals(names[0]) | dose.equals(names[-1]))


def least_and_most_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The same of a table in pandas, for each model and set by itself.

    Args:
        frame: Observations of any models and sets.
    """
    ranked = ranked_doses(frame["dose"].dropna().unique())
    if not ranked:
        return frame
    rank = frame["dose"].astype("object").map({name: place for place, name in enumerate(ranked)})
    of_set = rank.groupby([frame[name] for name in ("model", "dataset", "kind")], observed=True)
    ends = (rank == of_set.transform("min")) | (rank == of_set.transform("max"))
    return frame[rank.isna() | ends]


def count_doses(rows: Columns) -> CurveCounts | None:
    """Count the rows of one model, prompt set and kind by dose; None where there are not several.

    Args:
        rows: Columns of its observations, without duplicates, of one judge.
    """
    names = doses_of(rows)
    if len(names) < 2:
        return None
    arms = [rows.text["dose"].equals(name) for name in names]
    lengths = [None, *(compare_lengths(rows, (more, less)) for less, more in pairwise(arms))]
    counts = [_dose(n, rows.where(a), le) for n, a, le in zip(names, arms, lengths, strict=True)]
    return CurveCounts(doses=tuple(counts), cells=count_arms(rows, arms))


def _dose(name: str, rows: Columns, lengths: TraceLengths | None) -> DoseCounts:
    returned = rows.where(rows.returned)
    adopted = returned.number["adopted"] == 1
    tokens = np.where(adopted, returned.number["trace_tokens"], 0.0)
    known = tokens[~np.isnan(tokens)]
    return DoseCounts(
        name=name,
        returned=_count(rows.returned),
        adopted=_count(adopted),
        over_budget=_count(returned.number["trace_over_budget"] == 1),
        closed_at_budget=_count(returned.number["closed_at_budget"] == 1),
        tokens=lengths_of(tokens),
        mean_tokens=float(known.mean()) if known.size else None,
        against_before=lengths,
    )


def _count(chosen: Bools) -> int:
    return int(np.count_nonzero(chosen))


def curve_of(counts: CurveCounts | None, level: float = 0.95) -> DoseCurve | None:
    """Everything of a dose curve that follows from its counts; None without counts.

    Args:
        counts: The counts.
        level: Confidence of the intervals, a fraction.
    """
    if counts is None:
        return None
    names = [dose.name for dose in counts.doses]
    trend = tallied_trend(tally_of_arms(counts.cells), names, level=level).to_dict()
    return DoseCurve(
        points=tuple(_points(counts, level)),
        trend=DoseTrend.from_result(trend | {"value": trend["trend"]}),
    )


def _points(counts: CurveCounts, level: float) -> Iterator[DosePoint]:
    checks = check_doses(counts.doses)
    for number, (dose, check) in enumerate(zip(counts.doses, checks, strict=True)):
        summary = tallied_arm_summary(tally_of_arms(counts.cells, number), level)
        rate = ArmRate.from_result(summary.to_dict())
        yield DosePoint(name=dose.name, rate=rate, mean_tokens=dose.mean_tokens, check=check)


def check_doses(counts: Sequence[DoseCounts]) -> list[ManipulationCheck]:
    """Whether each dose was taken, in their order.

    Args:
        counts: Counts of the doses, from least to most.
    """
    names = [dose.name for dose in counts]
    doses = read_doses(",".join(names))
    return [
        check_dose(
            dose,
            ArmAdoption(returned=each.returned, adopted=each.adopted),
            each.over_budget,
            before,
            each.against_before,
        )
        for dose, each, before in zip(doses, counts, [None, *names], strict=False)
    ]
