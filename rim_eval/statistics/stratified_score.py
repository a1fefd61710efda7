"""Score interval for a sum of stratum shares over prompts, where each share is known from a sample of labels.

Each of n prompts has the figure z = b + sum over h of a_h p_h: b is known, a_h is how much stratum h counts in the prompt and
p_h the share of positives in that stratum, of which x_h of m_h labelled replies speak. The mean is

    t = mean of b + sum over h of W_h p_h,   W_h = mean of a_h,

and the interval holds every t0 that the score test does not reject. Under t0 the shares are moved from x / m to where the
likelihood sum x log p + (m - x) log(1 - p) is highest: with a multiplier l each solves a quadratic equation,

    c p^2 + (m - c) p - x = 0,   c = l W,

and the prompts are weighted by exp(l z / n), which is the most likely weighting to first order. l is where the mean is t0. The
variance and third central moment there have two parts, which prompts were drawn and which replies were labelled:

    V = var(z) / n + sum W^2 p (1 - p) / m,   M = mu3(z) / n^2 + sum W^3 p (1 - p) (1 - 2 p) / m^2.

With g = M / V^(3/2) / 6, the statistic Z = (estimate - t0) / sqrt(V) is freed from its skewness by the root z of
Z = z + g (z^2 - 1), and t0 is rejected where |z| is above the normal quantile. Without the correction
one stratum with all the weight would give Wilson's interval, which covers less than it says where a rate is near 0 or 1;
with it the interval is near the exact mid-p one. Where all shares are known to be 0 or 1 it is near the exact mid-p interval of the
prompts' rate, and near Tango's for their difference.

V takes the labels of a prompt's replies as independent given their strata. Where both replies of a pair tend to be
positive together beyond that, V is too large for their difference and the interval wider than it needs to be; where they
tend to oppose each other it is too small. A stratum without labels may be anything from 0 to 1.

Sources: O. Miettinen and M. Nurminen, Statistics in Medicine 4 (1985) 213-226 (constrained score intervals); J. J. Gart and
J. Nam, Biometrics 46 (1990) 637-643, and P. J. Laud, Pharmaceutical Statistics 16 (2017) 334-348 (skewness); B. Efron, Canadian
J. Statistics 9 (1981) 139-158 (exponential tilting); the two-part variance: W. G. Cochran, Sampling Techniques, 3rd edition (1977), chapter 12.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rim_eval.statistics._result import z_score

Numbers: TypeAlias = NDArray[np.float64]

_STEPS: Final = 32
_REACH: Final = (-10.0, 16.0)
"""Logarithms of the multiplier: from no pull to one that moves every share to its end."""
_TINY: Final = 1e-13


class StratifiedSample(NamedTuple):
    """Prompts by their kind, and labels by stratum; `...` are any leading axes, such as simulated runs."""

    counts: Numbers
    """Prompts of each kind, shape (..., kinds)."""
    known: Numbers
    """What is known of a prompt's figure, by kind, shape (kinds,) or (..., kinds)."""
    loadings: Numbers
    """How much a stratum counts in the figure, shape (kinds, strata); signed."""
    positives: Numbers
    """Shape (..., strata)."""
    labelled: Numbers
    """Shape (..., strata); effective labels need not be whole."""
    verdicts: Numbers
    """Shape (strata,): the share that stands in for a stratum without labels."""

    @property
    def n(self) -> Numbers:
        """Prompts, shape (...)."""
        return np.asarray(self.counts.sum(axis=-1))

    @property
    def weights(self) -> Numbers:
        """Mean loading of each stratum, shape (..., strata)."""
        return np.asarray(self.counts @ self.loadings / self.n[..., None])

    @property
    def shares(self) -> Numbers:
        """Share of positives among the labelled, shape (..., strata)."""
        observed = self.positives / np.maximum(self.labelled, _TINY)
        return np.asarray(np.where(self.labelled > 0, observed, self.verdicts))

    def figures(self, shares: Numbers) -> Numbers:
        """Each kind's figure at given shares, shape (..., kinds)."""
        return np.asarray(self.known + shares @ self.loadings.T)

    def mean(self, shares: Numbers) -> Numbers:
        """The figure's mean over the prompts at given shares, shape (...)."""
        return np.asarray((self.counts * self.figures(shares)).sum(axis=-1) / self.n)

    def prompt_moments(self, shares: Numbers) -> tuple[Numbers, Numbers]:
        """Variance and third central moment of the mean by the prompts that were drawn, each of shape (...)."""
        apart = self.figures(shares) - self.mean(shares)[..., None]
        n = self.n
        second = (self.counts * apart**2).sum(axis=-1) / np.maximum(n - 1, 1) / n
        return second, (self.counts * apart**3).sum(axis=-1) / n**3

    def label_moments(self, shares: Numbers) -> tuple[Numbers, Numbers]:
        """The same by the replies that were labelled."""
        spread = np.where(self.labelled > 0, shares * (1 - shares), 0)
        pull = self.weights / np.maximum(self.labelled, _TINY)
        second = (pull * self.weights * spread).sum(axis=-1)
        return second, (pull**2 * self.weights * spread * (1 - 2 * shares)).sum(axis=-1)

    def pulled(self, multiplier: Numbers) -> "tuple[StratifiedSample, Numbers]":
        """The most likely prompts and shares under a multiplier; shares of shape (..., strata)."""
        shares = self._pulled_shares(multiplier)
        strength = (multiplier / self.n)[..., None]
        exponents = strength * self.figures(shares)
        highest = np.where(self.counts > 0, exponents, -np.inf).max(axis=-1, keepdims=True)
        tilted = self.counts * np.exp(np.minimum(exponents - highest, 0))
        counts = tilted * (self.n / tilted.sum(axis=-1))[..., None]
        return self._replace(counts=counts), shares

    def _pulled_shares(self, multiplier: Numbers) -> Numbers:
        pull = multiplier[..., None] * self.weights
        # A pull down on the positives is one up on the negatives.
        up = pull >= 0
        x = np.where(up, self.positives, self.labelled - self.positives)
        m, c = self.labelled, np.abs(pull)
        root = np.sqrt((m - c) ** 2 + 4 * c * x)
        mild = 2 * x / np.maximum(m - c + root, _TINY)
        strong = (c - m + root) / np.maximum(2 * c, _TINY)
        share = np.clip(np.where(m >= c, mild, strong), 0, 1)
        moved = np.where(up, share, 1 - share)
        return np.asarray(np.where(self.labelled > 0, moved, self.verdicts))

    def mean_at(self, multiplier: Numbers) -> Numbers:
        """The figure's mean under a multiplier, shape (...)."""
        moved, shares = self.pulled(multiplier)
        return moved.mean(shares)

    def slack(self) -> tuple[Numbers, Numbers]:
        """How far the strata without labels could move the mean down and up, each of shape (...)."""
        weights = np.where(self.labelled > 0, 0, self.weights)
        to_zero, to_one = -weights * self.verdicts, weights * (1 - self.verdicts)
        down, up = np.minimum(to_zero, to_one), np.maximum(to_zero, to_one)
        return -down.sum(axis=-1), up.sum(axis=-1)


def stratified_score_interval(
    sample: StratifiedSample, level: float = 0.95
) -> tuple[Numbers, Numbers, Numbers]:
    """The mean figure with both ends of its interval.

    Args:
        sample: Prompts and labels.
        level: Confidence, a fraction.

    Returns:
        Estimate, lower and upper end, each of the sample's leading shape, in the figure's unit.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    z = z_score(level)
    value = sample.mean(sample.shares)
    down, up = sample.slack()
    lower, upper = (_end(sample, np.full(value.shape, sign), z) for sign in (-1.0, 1.0))
    return value, np.minimum(lower, value) - down, np.maximum(upper, value) + up


def _end(sample: StratifiedSample, side: Numbers, z: float) -> Numbers:
    """The furthest mean on one side that the test does not reject."""
    at = _search(side, lambda at: np.asarray(side * _deviate(sample, at) < z))
    return sample.mean_at(at)


def _search(signs: Numbers, holds: Callable[[Numbers], NDArray[np.bool_]]) -> Numbers:
    """The largest multiplier of each sign up to which a condition holds, by halving its logarithm."""
    shape = signs.shape
    low, high = np.full(shape, _REACH[0]), np.full(shape, _REACH[1])
    for _ in range(_STEPS):
        middle = (low + high) / 2
        good = holds(signs * np.exp(middle))
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return np.asarray(signs * np.exp(low))


def _deviate(sample: StratifiedSample, multiplier: Numbers) -> Numbers:
    """How far the mean at a multiplier lies above the estimate, as a normal deviate freed from skewness."""
    moved, shares = sample.pulled(multiplier)
    by_prompts, by_labels = moved.prompt_moments(shares), moved.label_moments(shares)
    variance, third = by_prompts[0] + by_labels[0], by_prompts[1] + by_labels[1]
    spread = np.sqrt(np.maximum(variance, 1e-30))
    distance = sample.mean(sample.shares) - moved.mean(shares)
    deviate = np.where(np.abs(distance) < _TINY, 0, distance / spread)
    skewness = third / spread**3 / 6
    safe = np.where(np.abs(skewness) < 1e-6, 1, skewness)
    inside = 1 + 4 * safe * (deviate + safe)
    freed = (np.sqrt(np.maximum(inside, 0)) - 1) / (2 * safe)
    return np.asarray(-np.where(np.abs(skewness) < 1e-6, deviate, freed))
