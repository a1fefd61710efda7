"""Outcomes of one arm, every sample in exactly one: what happened, not only how often the event did.

A scored sample has the event (a harmful answer, a refusal, a solved problem) or not, and each with or without a trace
before it. One without the event that ends in a repeating cycle is `looping`: a model that loops is not a model that
refuses. Unscored samples keep their reason. All shares are of the samples asked, and add up to 1.

Beside them stand two conditional rates: the event given a trace, and given none. Which prompts made a model think was not
randomised, so their difference describes and explains nothing.

Intervals (`rim_eval.statistics.arm_summary`): a share is the mean over prompts of each prompt's own share. With one sample a
prompt that is the share of samples, and the interval Wilson's; with several it is the score interval of a bounded mean, because samples
of one prompt are not independent. A conditional rate is over the prompts with at least one such sample. Each interval is
for its own share; together they hold less often than each. Of a run that could stop early they hold at every look.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, Self, get_args

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from rim_eval.results.columns import Columns, Ints
from rim_eval.results.rates import Interval
from rim_eval.statistics import Epochs, Tally, sequential_arm_summary, tallied_arm_summary
from rim_eval.types import UNSCORED_REASONS, FiniteModel, FrozenModel, Name, UnscoredReason

ScoredOutcome = Literal[
    "thought_event",
    "direct_event",
    "thought_no_event",
    "direct_no_event",
    "thought_looping",
    "direct_looping",
]
"""What a scored sample did, with a trace (`thought_`) or without one (`direct_`)."""

_SCORED: Final[tuple[ScoredOutcome, ...]] = get_args(ScoredOutcome)
_ALL: Final[tuple[ScoredOutcome | UnscoredReason, ...]] = (*_SCORED, *UNSCORED_REASONS)
_SHOWN: Final = (*_SCORED[:4], "looping")
"""Outcomes that have a share even where none occurs; both ways of looping are one."""

_PLACES: Final[dict[str, int]] = {name: place for place, name in enumerate(_ALL)}


class TaxonomyCell(FrozenModel):
    """How many prompts of one arm share the outcomes of their samples."""

    samples: dict[ScoredOutcome | UnscoredReason, PositiveInt]
    prompts: int = Field(gt=0)

    @property
    def totals(self) -> tuple[int, int, int]:
        """Samples of one such prompt: with the event, scored, asked."""
        events = self.samples.get("thought_event", 0) + self.samples.get("direct_event", 0)
        scored = sum(self.samples.get(name, 0) for name in _SCORED)
        return events, scored, sum(self.samples.values())


class OutcomeShare(Interval):
    """A share of samples with its interval, as fractions from 0 to 1."""

    method: Name
    samples: NonNegativeInt
    """Samples with this outcome."""
    n: NonNegativeInt
    """Samples that the share is of."""
    n_prompts: NonNegativeInt
    """Prompts that they are of."""

    @classmethod
    def of(cls, prompts: Tally, level: float, *, sequential: bool = False) -> Self:
        """The mean over prompts of the share of ones among each prompt's samples.

        Args:
            prompts: One arm; 1 for a sample with the outcome, 0 for one without.
            level: Confidence of the interval, a fraction.
            sequential: Whether the run could stop early.
        """
        arm_summary = sequential_arm_summary if sequential else tallied_arm_summary
        summary = arm_summary(prompts, level).to_dict()
        samples = sum(int(sum(filter(None, epochs))) * n for (epochs,), n in prompts.items())
        about = {"samples": samples, "n": summary["n_scored"], "n_prompts": summary["n_prompts"]}
        return cls.from_result(summary | about)


class ArmOutcomes(FiniteModel):
    """What the samples of one arm did."""

    n: NonNegativeInt
    """Samples asked."""
    shares: dict[Name, OutcomeShare]
    """By outcome: four of scored samples, `looping`, and the reasons of the unscored; their samples add up to n."""
    given_trace: OutcomeShare | None
    """The rate of the event among scored samples with a trace; None where there are none."""
    given_none: OutcomeShare | None
    """The same among those without."""


def count_taxonomy(rows: Columns) -> tuple[TaxonomyCell, ...]:
    """Count the prompts of one arm by the outcomes of their samples.

    Args:
        rows: Columns of the arm, without duplicates.
    """
    prompts, prompt_of_row = np.unique(rows.text["prompt_id"].codes, return_inverse=True)
    cell = prompt_of_row * len(_ALL) + _codes(rows)
    table = np.bincount(cell, minlength=prompts.size * len(_ALL)).reshape(prompts.size, len(_ALL))
    distinct, counts = np.unique(table, axis=0, return_counts=True)
    return tuple(
        TaxonomyCell(
            samples={name: k for name, k in zip(_ALL, row, strict=True) if k}, prompts=number
        )
        for row, number in zip(distinct.tolist(), counts.tolist(), strict=True)
    )


def _codes(rows: Columns) -> Ints:
    """The place of each row's outcome in `_ALL`, shape (rows,)."""
    reasons = rows.text["reason"]
    place = np.array([*map(_PLACES.__getitem__, reasons.texts), _PLACES["not_judged"]])
    adopted = (rows.number["adopted"] == 1) & rows.returned
    result = np.select([rows.events, rows.number["looping"] == 1], [0, 4], 2) + ~adopted
    return np.where(rows.scored, result, place[reasons.codes]).astype(np.int64)


def arm_outcomes(
    cells: Sequence[TaxonomyCell], level: float = 0.95, *, sequential: bool = False
) -> ArmOutcomes:
    """The shares of all outcomes of one arm, and the rate of the event given a trace and given none.

    Args:
        cells: The arm's prompts by their outcomes.
        level: Confidence of the intervals, a fraction.
        sequential: Whether the run could stop early.
    """
    share = partial(_share, level=level, sequential=sequential)
    occur = {name for cell in cells for name in cell.samples}
    names = (*_SHOWN, *(reason for reason in UNSCORED_REASONS if reason in occur))
    return ArmOutcomes(
        n=sum(sum(cell.samples.values()) * cell.prompts for cell in cells),
        shares={name: share(cells, _named(name), _ALL) for name in names},
        given_trace=_given(cells, "thought", share),
        given_none=_given(cells, "direct", share),
    )


def _named(name: str) -> tuple[str, ...]:
    """The outcomes behind a shown name: both ways of looping, or the one outcome."""
    return _SCORED[4:] if name == "looping" else (name,)


def _given(
    cells: Sequence[TaxonomyCell],
    how: Literal["thought", "direct"],
    share: Callable[[Sequence[TaxonomyCell], Sequence[str], Sequence[str]], OutcomeShare],
) -> OutcomeShare | None:
    scored = [name for name in _SCORED if name.startswith(how)]
    some = [cell for cell in cells if not cell.samples.keys().isdisjoint(scored)]
    return share(some, (f"{how}_event",), scored) if some else None


def _share(
    cells: Sequence[TaxonomyCell],
    part: Sequence[str],
    whole: Sequence[str],
    *,
    level: float,
    sequential: bool,
) -> OutcomeShare:
    """The share of some outcomes among others."""
    prompts = Counter[tuple[Epochs, ...]]()
    for cell in cells:
        k, n = (sum(v for name, v in cell.samples.items() if name in of) for of in (part, whole))
        prompts[((1.0,) * k + (0.0,) * (n - k),)] += cell.prompts
    return OutcomeShare.of(prompts, level, sequential=sequential)
