"""Tests of paired arms: is one higher on the same prompts?

McNemar: only discordant pairs speak. If neither arm is higher, each of the b + c discordant pairs falls
on either side with probability 1/2, so b is binomial. The exact test sums that distribution, hence is conservative: it
errs under the null at most at its level, often much less. The score test takes the normal distribution,

    z = (b - c) / sqrt(b + c),

and rejects exactly where Tango's interval, which is made of the same score, lies on one side of zero. The sign test is the
exact binomial for pairs of numbers.

Sign flip: if the arms are exchangeable within a prompt, each prompt's difference is as likely to carry
the other sign. The p value is the share of sign assignments whose mean is at least as far from zero
as the observed one. Differences of equal size are interchangeable, so only the number of flips
per size matters: that makes full enumeration possible in most real cases (with one epoch it *is*
the exact McNemar test), and random assignments cheap in the others.

Order permutation: the same for several arms whose order cannot simply be reversed. If the arms are exchangeable within a
prompt, every order of its verdicts is equally likely; the p value is the share of random orders, drawn for each prompt
by itself, whose mean contrast is at least as far from zero.

Sources: Q. McNemar, Psychometrika 12 (1947) 153-157, and in its exact binomial form; M. W. Fagerland, S. Lydersen and
P. Laake, BMC Medical Research Methodology 13 (2013) 91, which compares the two; W. J. Dixon and A. M. Mood,
Journal of the American Statistical Association 41 (1946) 557-566 (sign test); R. A. Fisher, The Design of
Experiments (1935), section 21 (sign flip); B. Phipson and G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 9 (2010)
39 (the "+ 1" of its random version).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rim_eval.errors import RimError

_ENUMERATE_UP_TO = 200_000
"""Distinct flip counts up to which all sign assignments are enumerated."""

_FEWEST_ORDERS = 999
"""Random orders that even a hundred thousand prompts get."""

_MOST_DRAWS = 100_000_000
"""Verdicts drawn in random orders, all together: some seconds."""

_SIGN_FLIP = "sign-flip permutation by prompt"

_SLACK = 1e-9
"""Sums that differ only by rounding are ties, and ties count as at least as far."""


def mcnemar_score(b: int, c: int) -> float:
    """Two-sided p value of the score test, from 0 to 1; 1 when no pair is discordant.

    It is at most alpha exactly where `tango_interval` at the level 1 - alpha leaves zero out.

    Args:
        b: Pairs that are 1 only in the first arm.
        c: Pairs that are 1 only in the second arm.

    Raises:
        RimError: If a count is negative.
    """
    _check_counts(b, c)
    return math.erfc(abs(b - c) / math.sqrt(2 * (b + c))) if b + c else 1.0


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p value, from 0 to 1; 1 when no pair is discordant.

    Args:
        b: Pairs that are 1 only in the first arm.
        c: Pairs that are 1 only in the second arm.

    Raises:
        RimError: If a count is negative.
    """
    return min(1.0, 2 * sign_test(max(b, c), min(b, c)))


def sign_test(more: int, less: int) -> float:
    """Exact one-sided p value, from 0 to 1, for "more"; 1 when every pair is tied.

        p = sum over k >= more of C(n, k) / 2^n,   n = more + less

    Args:
        more: Pairs whose first number is larger.
        less: Pairs whose first number is smaller; tied pairs are left out.

    Raises:
        RimError: If a count is negative.
    """
    _check_counts(more, less)
    if more + less == 0:
        return 1.0
    from scipy.special import bdtr

    return float(bdtr(less, more + less, 0.5))


def _check_counts(more: int, less: int) -> None:
    if min(more, less) < 0:
        raise RimError(f"Counts of pairs must be 0 or more, got {more!r} and {less!r}.")


class SignFlip(NamedTuple):
    """The outcome of a sign-flip test."""

    p_value: float
    """Two-sided, from 0 to 1; 1 when no difference is nonzero."""
    method: str
    """The test in words: exact where every sign assignment was enumerated, else random with its seed."""


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
    if math.prod(int(count) + 1 for count in counts) > _ENUMERATE_UP_TO:
        flips = np.random.default_rng(seed).binomial(counts, 0.5, size=(resamples, len(counts)))
        far = np.abs((counts - 2 * flips) @ sizes) >= observed
        return SignFlip(
            float(far.sum() + 1) / (resamples + 1), f"{_SIGN_FLIP} (random, seed {seed})"
        )
    from scipy.stats import binom

    # Every reachable sum of signed differences with its probability.
    sums, chances = np.zeros(1), np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        ways = np.arange(count + 1)
        sums = np.add.outer(sums, size * (count - 2 * ways)).ravel()
        chances = np.multiply.outer(chances, binom.pmf(ways, count, 0.5)).ravel()
    p_value = min(1.0, float(chances[np.abs(sums) >= observed].sum()))
    return SignFlip(p_value, f"{_SIGN_FLIP} (exact)")


def order_permutation_test(
    blocks: ArrayLike, weights: ArrayLike, *, resamples: int = 20_000, seed: int = 0
) -> float:
    """Two-sided p value, from 0 to 1, that the mean contrast of the arms is zero; 1 when no block varies.

    Args:
        blocks: Mean verdicts, shape (prompts, arms).
        weights: Weights of the contrast, shape (arms,), which add up to 0.
        resamples: Random orders of all blocks; fewer, but at least 999, where there are very many blocks.
        seed: Seed of the random orders.
    """
    means, contrast = np.asarray(blocks, dtype=float), np.asarray(weights, dtype=float)
    means = means[np.ptp(means, axis=1) > 0]
    observed = abs(float((means @ contrast).sum())) - _SLACK
    rng, far = np.random.default_rng(seed), 0
    if means.size:
        resamples = min(resamples, max(_FEWEST_ORDERS, _MOST_DRAWS // means.size))
    # In parts, so that hundred thousand prompts take no memory.
    part = max(1, 1_000_000 // max(1, means.size))
    for start in range(0, resamples, part):
        orders = np.broadcast_to(means, (min(part, resamples - start), *means.shape))
        sums = (rng.permuted(orders, axis=2) @ contrast).sum(axis=1)
        far += int((np.abs(sums) >= observed).sum())
    return (far + 1) / (resamples + 1)
