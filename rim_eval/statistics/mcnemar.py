"""The exact McNemar test: is one arm's rate higher on the same prompts?

Only discordant pairs speak. If neither arm is higher, each of the b + c discordant pairs falls on
either side with probability 1/2, so b is binomial. The test is exact, hence conservative: it errs
under the null at most at its level, often less.

Source: Q. McNemar, Psychometrika 12 (1947) 153-157, in its exact binomial form.
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
