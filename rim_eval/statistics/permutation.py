"""Sign-flip permutation by prompt: is the mean paired difference zero?

If the arms are exchangeable within a prompt, each prompt's difference is as likely to carry the
other sign. The p value is the share of sign assignments whose mean is at least as far from zero
as the observed one. Differences of equal size are interchangeable, so only the number of flips
per size matters: that makes full enumeration possible in most real cases (with one epoch it *is*
the exact McNemar test), and random assignments cheap in the others.

Source: R. A. Fisher, The Design of Experiments (1935), section 21; the "+ 1" of the random
version: B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ENUMERATE_UP_TO = 200_000
"""Distinct flip counts up to which all sign assignments are enumerated."""

_SLACK = 1e-9
"""Sums that differ only by rounding are ties, and ties count as at least as far."""


class SignFlip(NamedTuple):
    """The outcome of a sign-flip test."""

    p_value: float
    """Two-sided, from 0 to 1; 1 when no difference is nonzero."""
    exact: bool
    """Whether every sign assignment was enumerated."""


def sign_flip_test(differences: ArrayLike, *, resamples: int = 20_000, seed: int = 0) -> SignFlip:
    """Two-sided sign-flip test that the mean of the differences is zero.

    Args:
        differences: One difference a prompt, shape (prompts,), in any unit.
        resamples: Random sign assignments when enumerating all of them is too much.
        seed: Seed of the random assignments; unused when the test is exact.
    """
    values = np.asarray(differences, dtype=float)
    sizes, counts = np.unique(np.round(np.abs(values[values != 0]), 12), return_counts=True)
    observed = abs(float(values.sum())) - _SLACK
    if math.prod(int(count) + 1 for count in counts) <= _ENUMERATE_UP_TO:
        sums, chances = _all_sums(sizes, counts)
        return SignFlip(min(1.0, float(chances[np.abs(sums) >= observed].sum())), exact=True)
    flips = np.random.default_rng(seed).binomial(counts, 0.5, size=(resamples, len(counts)))
    sums = (counts - 2 * flips) @ sizes
    return SignFlip(float((np.abs(sums) >= observed).sum() + 1) / (resamples + 1), exact=False)


def _all_sums(
    sizes: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every reachable sum of signed differences with its probability."""
    from scipy.stats import binom

    sums, chances = np.zeros(1), np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        flips = np.arange(count + 1)
        sums = np.add.outer(sums, size * (count - 2 * flips)).ravel()
        chances = np.multiply.outer(chances, binom.pmf(flips, count, 0.5)).ravel()
    return sums, chances
