"""Prediction-powered rates and paired differences: a judge on every reply, people on a few of the same run.

Every reply of the run lies in a *stratum* of mode, the judge's verdict and its doubt. People labelled n_h of the N_h replies
of stratum h, drawn at random with equal probability within it, and x_h of these are positive. With W_h the stratum's
weight in its mode (each prompt counts 1/n, each of its k epochs 1/k of that) a mode's rate is

    rate = sum over h of W_h x_h / n_h,

which is the judge's rate minus its mean error among the labelled replies, stratum by stratum: the judge may err as it likes,
in each mode apart, and the estimate holds. The difference of two modes is that of their rates over the pairs.

It assumes that the labelled replies are a random sample of their stratum. Where prompts have unequal numbers of epochs, a
stratum's share is taken as that of its prompts too. A stratum without labels keeps the judge's verdict and may be anything.

Interval: the score interval of `stratified_score`, with one part for the prompts that were drawn and one for the replies that were
labelled. Given their strata, the true verdicts of the two replies of a pair are taken as independent; where they agree beyond
that, as they tend to, the interval of a difference is wider than it needs to be; where they oppose each other strongly, it
covers less than it says. Labels of several epochs of one prompt in one mode, in whatever strata, are taken as wholly dependent (an
upper bound): where r other labels of a reply's prompt are to be expected, m labels count as m / (1 + r), the design effect of
clusters with a correlation of 1 (Kish 1965, Survey Sampling, section 5.4).

The gain over labels alone is bounded: prompts that were not drawn stay unknown. `benchmarks/label_correction.py` measures
coverage and width.

Sources: A. N. Angelopoulos et al., Science 382 (2023) 669-674 (prediction-powered inference); A. Fisch et al.,
arXiv 2406.04291 (2024), stratified; W. G. Cochran, Sampling Techniques, 3rd edition (1977), chapters 5 and 12.
"""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Result
from rim_eval.statistics.stratified_score import (
    StratifiedSample,
    stratified_score_interval,
)
from rim_eval.statistics.wilson import Estimate, unpaired_interval, wilson_interval

StratumKey: TypeAlias = tuple[str, bool, str]
"""Mode, the judge's verdict, and its doubt."""

StratifiedPrompts: TypeAlias = Mapping[tuple[tuple[int, ...], tuple[int, ...]], int]
"""How many prompts have the same strata, by those of their epochs in the target and in the reference arm.

A stratum is its index in the list of strata; `()` where the arm did not score the prompt."""

Arm: TypeAlias = Literal["target", "reference"]


class LabelStratum(Result):
    """One stratum of replies, with what people said of those that they labelled."""

    mode: str
    """Such as `think` or `no_think`."""
    verdict: bool
    """What the judge said of every reply in it."""
    doubt: str
    """How sure the judge was, in one word."""
    labelled: int
    positives: float
    """Sum of the labels, each from 0 to 1: a float, since the labels of two people may be averaged."""

    @model_validator(mode="after")
    def _counts_fit(self) -> "LabelStratum":
        if not 0 <= self.positives <= self.labelled:
            raise ValueError(
                f"positives={self.positives!r}, labelled={self.labelled!r}: needs 0 <= positives <= labelled"
            )
        return self

    @property
    def key(self) -> StratumKey:
        """What defines the stratum."""
        return self.mode, self.verdict, self.doubt


class PoweredRate(Result):
    """One mode's rate by the judge, and as people would give it; fractions from 0 to 1."""

    raw: Figure
    """By the judge alone."""
    value: Figure
    lower: Figure
    upper: Figure
    level: float
    n: int
    """Prompts that are scored in the mode."""
    labelled: int
    """Labels in the mode's strata."""
    label_variance: Figure
    """Squared standard error that more labels would remove."""
    prompt_variance: Figure
    """Squared standard error that more prompts would remove."""
    labels_only_width: Figure
    """Width of Wilson's interval if as many labels were drawn at random and the judge were ignored."""
    method: str


class PoweredDifference(Result):
    """Target minus reference over the pairs, by the judge and as people would give it; percentage points."""

    raw: Figure
    """By the judge alone."""
    value: Figure
    lower: Figure
    upper: Figure
    level: float
    n_pairs: int
    labelled: int
    label_variance: Figure
    """Squared standard error that more labels would remove; points squared."""
    prompt_variance: Figure
    """Squared standard error that more prompts would remove; points squared."""
    labels_only_width: Figure
    """Width of Newcombe's interval if as many labels were drawn at random, half in each mode, without the judge; points."""
    method: str


METHOD: Final = "prediction-powered, stratified score"
_SIGNS: Final[dict[Arm, tuple[float, float]]] = {"target": (1.0, 0.0), "reference": (0.0, 1.0)}


def powered_rate(
    prompts: StratifiedPrompts, strata: Sequence[LabelStratum], arm: Arm, level: float = 0.95
) -> PoweredRate:
    """One mode's rate as people would give it.

    Args:
        prompts: The run's prompts by their strata.
        strata: The strata with their labels.
        arm: Which mode.
        level: Confidence, a fraction.

    Raises:
        RimError: If a prompt names a stratum that is not there, nothing is scored or labelled in the mode, or the level is
            not in (0, 1).
    """
    drawn = drawn_sample(prompts, strata, _SIGNS[arm])
    # Rounding may leave the range.
    value, lower, upper = (
        min(1.0, max(0.0, float(end))) for end in stratified_score_interval(drawn.sample, level)
    )
    by_prompts, by_labels = drawn.variances()
    alone = wilson_interval(value * drawn.labelled, drawn.labelled, level)
    return PoweredRate(
        raw=drawn.raw,
        value=value,
        lower=lower,
        upper=upper,
        level=level,
        n=drawn.n,
        labelled=drawn.labelled,
        label_variance=by_labels,
        prompt_variance=by_prompts,
        labels_only_width=alone.upper - alone.lower,
        method=METHOD,
    )


def powered_difference(
    prompts: StratifiedPrompts, strata: Sequence[LabelStratum], level: float = 0.95
) -> PoweredDifference:
    """Target minus reference as people would give it, over the prompts scored in both modes.

    Args:
        prompts: The run's prompts by their strata.
        strata: The strata with their labels.
        level: Confidence, a fraction.

    Raises:
        RimError: If a prompt names a stratum that is not there, there are no pairs, none of their replies is labelled, or
            the level is not in (0, 1).
    """
    drawn = drawn_sample(prompts, strata, (1.0, -1.0))
    value, lower, upper = (
        100 * float(end) for end in stratified_score_interval(drawn.sample, level)
    )
    by_prompts, by_labels = drawn.variances()
    return PoweredDifference(
        raw=100 * drawn.raw,
        value=value,
        lower=max(-100.0, lower),
        upper=min(100.0, upper),
        level=level,
        n_pairs=drawn.n,
        labelled=drawn.labelled,
        label_variance=1e4 * by_labels,
        prompt_variance=1e4 * by_prompts,
        labels_only_width=100 * _labels_only_width(drawn, level),
        method=METHOD,
    )


def allocate(sizes: Mapping[StratumKey, int], n: int) -> dict[StratumKey, int]:
    """How many replies of each stratum to label: one each, the rest in proportion to the sizes.

    In simulation this covers as well as allocations that favour small strata or positive verdicts, with narrower
    intervals: small strata move the figures little, and a floor of three labels takes them from where most errors are.

    Args:
        sizes: Replies in each stratum.
        n: Labels in all, at least one a stratum that has replies.

    Returns:
        Labels by stratum, never more than its replies; they add up to n, or to all replies where n is more.

    Raises:
        RimError: If n is smaller than the number of strata that have replies, or a size is below 0.
    """
    filled = {key: size for key, size in sizes.items() if size}
    if n < len(filled) or min(sizes.values(), default=0) < 0:
        raise RimError(
            f"{n} labels for {len(filled)} strata (the smallest has {min(sizes.values(), default=0)} replies): each needs "
            "a label. Ask for more labels, or tell fewer degrees of doubt apart."
        )
    given = dict.fromkeys(sizes, 0) | dict.fromkeys(filled, 1)
    waiting = [(-size / 2, key) for key, size in filled.items() if size > 1]
    heapify(waiting)
    for _ in range(min(n, sum(filled.values())) - len(filled)):
        key = waiting[0][1]
        given[key] += 1
        if given[key] == filled[key]:
            heappop(waiting)
        else:
            heapreplace(waiting, (-filled[key] / (given[key] + 1), key))
    return given


class DrawnSample(NamedTuple):
    """What one figure rests on: its prompts and labels, with the judge's own figure."""

    sample: StratifiedSample
    raw: float
    """By the judge alone, a fraction."""
    n: int
    labelled: int
    coverage: NDArray[np.float64]
    """Share of the replies that are labelled, by stratum, shape (strata,)."""

    def variances(self) -> tuple[float, float]:
        """Squared standard errors of the mean that more prompts and that more labels would remove."""
        labelled = self.sample.labelled
        # No errors among few labels do not mean no variance.
        shares = np.where(
            labelled > 0, (self.sample.positives + 0.5) / (labelled + 1), self.sample.shares
        )
        between, within = (
            float(moments[0])
            for moments in (self.sample.prompt_moments(shares), self.sample.label_moments(shares))
        )
        parts = self.sample.weights**2 * shares * (1 - shares) / np.maximum(labelled, 1)
        by_labels = float((parts * (1 - self.coverage)).sum())
        return max(0.0, between + within - by_labels), by_labels


def drawn_sample(
    prompts: StratifiedPrompts, strata: Sequence[LabelStratum], signs: tuple[float, float]
) -> DrawnSample:
    """The prompts scored in every arm that counts, with the labels of their strata.

    Args:
        prompts: The run's prompts by their strata.
        strata: The strata with their labels.
        signs: How the target's and the reference's rate enter the figure: (1, -1) is their difference.

    Raises:
        RimError: If a prompt names a stratum that is not there, or nothing is scored or labelled in these arms.
    """
    kinds = {
        arms: count
        for arms, count in prompts.items()
        if count and all(epochs for epochs, sign in zip(arms, signs, strict=True) if sign)
    }
    if not kinds:
        raise RimError(
            "No prompt is scored in the modes of this figure: there is nothing to correct."
        )
    replies, loadings = _loadings(list(kinds), len(strata), signs)
    counts = np.array(list(kinds.values()), dtype=float)
    labelled = np.where(replies.any(axis=0), [stratum.labelled for stratum in strata], 0).astype(
        float
    )
    if not labelled.any():
        raise RimError(
            "No reply in the modes of this figure is labelled: label some of them first."
        )
    sizes = counts @ replies
    coverage = np.minimum(labelled / np.maximum(sizes, 1), 1)
    repeats = 1 + _others_labelled(counts, replies, loadings, coverage)
    positives = np.where(labelled > 0, [stratum.positives for stratum in strata], 0)
    verdicts = np.array([float(stratum.verdict) for stratum in strata])
    sample = StratifiedSample(
        counts, np.zeros(len(kinds)), loadings, positives / repeats, labelled / repeats, verdicts
    )
    raw = float(sample.mean(verdicts))
    return DrawnSample(sample, raw, int(counts.sum()), int(labelled.sum()), coverage)


def _loadings(
    kinds: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
    strata: int,
    signs: tuple[float, float],
) -> tuple[NDArray[np.float64], ...]:
    """Replies and summed weights, by kind of prompt and stratum."""
    replies, loadings = (np.zeros((len(kinds), strata)) for _ in range(2))
    for row, arms in enumerate(kinds):
        for epochs, sign in zip(arms, signs, strict=True):
            for stratum in epochs if sign else ():
                if not 0 <= stratum < strata:
                    raise RimError(
                        f"A prompt names stratum {stratum}; allowed are 0 to {strata - 1}."
                    )
                replies[row, stratum] += 1
                loadings[row, stratum] += sign / len(epochs)
    return replies, loadings


def _others_labelled(
    counts: NDArray[np.float64],
    replies: NDArray[np.float64],
    loadings: NDArray[np.float64],
    coverage: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Labels of other epochs of the same prompt and mode that a labelled reply of each stratum can expect."""
    others = np.zeros(len(coverage))
    for sign in (1, -1):
        of_arm = replies * (sign * loadings > 0)
        labelled = (of_arm @ coverage)[:, None] - coverage
        total = (counts[:, None] * of_arm * labelled).sum(axis=0)
        others += total / np.maximum(counts @ of_arm, 1)
    return others


def _labels_only_width(drawn: DrawnSample, level: float) -> float:
    """Width of Newcombe's interval for the corrected rates of half the labels in each mode."""
    weights, shares = drawn.sample.weights, drawn.sample.shares
    half = max(drawn.labelled // 2, 1)
    first, second = (
        Estimate(p, *wilson_interval(p * half, half, level))
        for p in (min(1.0, float(np.maximum(sign * weights, 0) @ shares)) for sign in (1, -1))
    )
    interval = unpaired_interval(first, second)
    return interval.upper - interval.lower
