"""Length match: do chains of two arms differ in how long they are, pair by pair?

A difference in length is a rival explanation of any difference between the arms, so it is measured: quantiles of both
arms, the mean difference of pairs with Student's interval, a sign-flip test, and the largest gap between the two
distributions (Kolmogorov-Smirnov distance). `matched` asks for evidence of sameness: the interval of the mean
difference lies within 5 % of the control's median.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from rim_eval.errors import RimError
from rim_eval.mechanisms.drift import mean_interval
from rim_eval.statistics._result import Figure, Result
from rim_eval.statistics.paired_tests import sign_flip_test

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)

MARGIN: Final = 0.05
"""Share of the control's median within which the mean difference must lie."""


class LengthMatch(Result):
    """Lengths of the chains of two arms, in tokens."""

    pairs: int
    target: tuple[Figure, ...]
    """Its `QUANTILES`."""
    control: tuple[Figure, ...]
    difference: Figure
    """Mean over pairs of target minus control."""
    lower: Figure
    """95 % interval of it; NaN ends for fewer than two pairs."""
    upper: Figure
    p_value: Figure
    """Two-sided, sign flips by pair."""
    distance: Figure
    """Largest gap between both cumulative distributions, 0 to 1."""
    matched: bool

    @property
    def sentence(self) -> str:
        """The figures in words."""
        says = "matched" if self.matched else "NOT matched"
        return (
            f"Lengths are {says}: median {self.target[2]:g} tokens (target) and {self.control[2]:g} (control) over "
            f"{self.pairs} pairs, mean difference {self.difference:+.2f} ({self.lower:+.2f} to {self.upper:+.2f}), "
            f"sign-flip p = {self.p_value:.2g}, largest gap between the distributions {self.distance:.2f}."
        )


def length_match(target: Sequence[int], control: Sequence[int]) -> LengthMatch:
    """Compare the lengths of both arms.

    Args:
        target: Tokens of each chain of the target arm.
        control: Tokens of the same problem's chain in the control arm.

    Raises:
        RimError: There are no pairs, or one arm has more chains.
    """
    if not target or len(target) != len(control):
        raise RimError(
            f"{len(target)} target and {len(control)} control chains: give one of each a problem."
        )
    one, other = np.asarray(target, float), np.asarray(control, float)
    differences = one - other
    interval = mean_interval(differences)
    margin = MARGIN * float(np.median(other))
    places = np.union1d(one, other)
    reached = [np.searchsorted(np.sort(arm), places, side="right") / len(arm) for arm in (one, other)]  # fmt: skip
    return LengthMatch(
        pairs=len(one),
        target=tuple(np.quantile(one, QUANTILES).tolist()),
        control=tuple(np.quantile(other, QUANTILES).tolist()),
        difference=float(differences.mean()),
        lower=interval.lower,
        upper=interval.upper,
        p_value=sign_flip_test(differences).p_value,
        distance=float(np.abs(reached[0] - reached[1]).max()),
        matched=bool(-margin <= interval.lower and interval.upper <= margin),
    )
