"""Bootstrap by prompt: how sure a mean over prompts is, when a prompt has several epochs.

Prompts are drawn again with replacement, each with all of its epochs, so that epochs of one
prompt never pass for independent prompts. The mean of a resample depends only on how often each
*distinct* value was drawn, and those counts are multinomial: drawing the counts gives the same
distribution as drawing the prompts, at a fraction of the cost (verdicts take few values).

Simulated with 4 epochs, the 95 % interval covers 94-96 % at 300 prompts and 88-95 % at 30 to 60: on
sets as small as AIME read it as somewhat too narrow.

Source: B. Efron, Annals of Statistics 7 (1979) 1-26; percentile interval, Efron 1981.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rim_eval.statistics._result import Interval, z_score

RESAMPLES = 10_000
"""Resamples unless told otherwise: an end of a 95 % interval then wanders by about 1 % of its width."""

_CELLS = 5_000_000
"""Counts drawn at a time, so that memory stays at 40 MB however many distinct values there are."""


def bootstrap_by_prompt(
    values: ArrayLike, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval for the mean over prompts, in the unit of the values.

    Args:
        values: One value a prompt, shape (prompts,): its mean verdict or its difference of means.
        level: Confidence, a fraction.
        resamples: How many times the prompts are drawn again.
        seed: The same seed and values give the same interval on every machine.

    Returns:
        Both ends; NaN without values, a single point when all values are equal.
    """
    z_score(level)
    means = bootstrap_means(values, resamples=resamples, seed=seed)
    if not means.size:
        return Interval(math.nan, math.nan)
    tail = (1 - level) / 2
    lower, upper = np.quantile(means, [tail, 1 - tail])
    return Interval(float(lower), float(upper))


def bootstrap_means(
    values: ArrayLike, *, resamples: int = RESAMPLES, seed: int | Sequence[int] = 0
) -> NDArray[np.float64]:
    """Means of `resamples` resamples of the prompts, shape (resamples,); empty without values.

    For several columns over the same prompts pass shape (prompts, columns): rows stay together,
    and the result has shape (resamples, columns).
    """
    table = np.asarray(values, dtype=float)
    if not len(table):
        return np.empty((0, *table.shape[1:]))
    distinct, counts = np.unique(table, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    n = len(table)
    draws = (
        rng.multinomial(n, counts / n, size=size) @ distinct
        for size in _blocks(resamples, len(counts))
    )
    return np.concatenate(list(draws)) / n


def _blocks(resamples: int, width: int) -> Iterator[int]:
    step = max(1, _CELLS // width)
    for start in range(0, resamples, step):
        yield min(step, resamples - start)
