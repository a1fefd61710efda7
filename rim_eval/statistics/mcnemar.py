"""The exact McNemar test and the sign test: is one arm higher on the same prompts?

Only discordant pairs speak. If neither arm is higher, each of the b + c discordant pairs falls on
either side with probability 1/2, so b is binomial. The test is exact, hence conservative: it errs
under the null at most at its level, often less.

Source: Q. McNemar, Psychometrika 12 (1947) 153-157, in its exact binomial form. The sign test is the
same binomial for pairs of numbers: W. J. Dixon and A. M. Mood, Journal of the American Statistical
Association 41 (1946) 557-566.
"""

from rim_eval.errors import RimError


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p value, from 0 to 1; 1 when no pair is discordant.

    Args:
        b: Pairs that are 1 only in the first arm.
        c: Pairs that are 1 only in the second arm.

    Raises:
        RimError: If a count is negative.
    """
    if min(b, c) < 0:
        raise RimError(f"b={b!r}, c={c!r}: counts of discordant pairs are 0 or more.")
    if b + c == 0:
        return 1.0
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))


def sign_test(more: int, less: int) -> float:
    """Exact one-sided p value, from 0 to 1, for "more"; 1 when every pair is tied.

        p = sum over k >= more of C(n, k) / 2^n,   n = more + less

    Args:
        more: Pairs whose first number is larger.
        less: Pairs whose first number is smaller; tied pairs are left out.

    Raises:
        RimError: If a count is negative.
    """
    if min(more, less) < 0:
        raise RimError(f"more={more!r}, less={less!r}: counts of pairs are 0 or more.")
    if more + less == 0:
        return 1.0
    from scipy.special import bdtr

    return float(bdtr(less, more + less, 0.5))
