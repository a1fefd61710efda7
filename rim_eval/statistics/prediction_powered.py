"""Prediction-powered rates and paired differences: a judge on every reply, people on a few of the same run.

Every reply of the run lies in a *stratum* of mode, the judge's verdict and its doubt. People labelled n_h of the N_h replies
of stratum h, drawn at random with equal probability within it, and x_h of these are positive. With W_h the stratum's
weight in its mode (each prompt counts 1/n, each of its k epochs 1/k of that) a mode's rate is

    rate = sum over h of W_h x_h / n_h,

which is the judge's rate minus its mean error among the labelled replies, stratum by stratum: the judge may err as it likes,
in each mode apart, and the estimate holds. The difference of two modes is that of their rates over the pairs.

Sources: A. N. Angelopoulos et al., Science 382 (2023) 669-674 (prediction-powered inference); A. Fisch et al.,
arXiv 2406.04291 (2024), stratified; W. G. Cochran, Sampling Techniques, 3rd edition (1977), chapters 5 and 12; G. Y. Zou and
A. Donner, Statistics in Medicine 27 (2008) 1693-1702; X. Yan and X. G. Su, Statistics in Biopharmaceutical Research 2
(2010) 329-335, for the stratified Wilson interval.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from pydantic import model_validator

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Result, z_score
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
    p_value: Figure
    """Two-sided, for no difference: it is 1 - level where the interval ends at 0."""
    method: str


METHOD: Final = "prediction-powered, stratified Wilson"


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
        RimError: If a prompt names a stratum that is not there, or nothing is scored or labelled in the mode.
    """
    signs = (1.0, 0.0) if arm == "target" else (0.0, 1.0)
    found = _powered(prompts, strata, signs, level)
    alone = wilson_interval(found.value * found.labelled, found.labelled, level)
    return PoweredRate(
        raw=found.raw,
        value=found.value,
        lower=max(0.0, found.lower),
        upper=min(1.0, found.upper),
        level=level,
        n=found.n,
        labelled=found.labelled,
        label_variance=found.label_variance,
        prompt_variance=found.prompt_variance,
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
        RimError: If a prompt names a stratum that is not there, there are no pairs, or no labels.
    """
    found = _powered(prompts, strata, (1.0, -1.0), level)
    return PoweredDifference(
        raw=100 * found.raw,
        value=100 * found.value,
        lower=max(-100.0, 100 * found.lower),
        upper=min(100.0, 100 * found.upper),
        level=level,
        n_pairs=found.n,
        labelled=found.labelled,
        label_variance=1e4 * found.label_variance,
        prompt_variance=1e4 * found.prompt_variance,
        labels_only_width=100 * _labels_only_width(prompts, strata, found.labelled, level),
        p_value=math.nan,
        method=METHOD,
    )


def allocate(sizes: Mapping[StratumKey, int], n: int) -> dict[StratumKey, int]:
    """How many replies of each stratum to label: a floor each, the rest in proportion to the sizes.

    Args:
        sizes: Replies in each stratum.
        n: Labels in all, at least one a stratum.

    Returns:
        Labels by stratum, never more than its replies; they add up to n, or to all replies if n is more.

    Raises:
        RimError: If n is smaller than the number of strata that have replies.
    """
    open_ = {key: size for key, size in sizes.items() if size > 0}
    if n < len(open_):
        raise RimError(
            f"{n} labels for {len(open_)} strata: each needs one. Ask for more labels, or join doubts."
        )
    given = dict.fromkeys(sizes, 0)
    for _ in range(min(n, sum(open_.values()))):
        rest = [key for key in open_ if given[key] < open_[key]]
        given[max(rest, key=lambda key: (given[key] < _FLOOR, open_[key] / (given[key] + 1)))] += 1
    return given


_FLOOR: Final = 3
"""Labels of a stratum before the sizes decide."""


class _Powered(NamedTuple):
    """A weighted sum of both modes' rates, a fraction."""

    raw: float
    value: float
    lower: float
    upper: float
    n: int
    labelled: int
    label_variance: float
    prompt_variance: float


def _powered(
    prompts: StratifiedPrompts,
    strata: Sequence[LabelStratum],
    signs: tuple[float, float],
    level: float,
) -> _Powered:
    rows = _rows(prompts, strata, signs)
    n = sum(rows.values())
    if n == 0:
        raise RimError(
            "No prompt is scored in the modes that this figure compares: nothing to correct."
        )
    shares = [_share(stratum, level) for stratum in strata]
    weights: Counter[int] = Counter()
    for row, count in rows.items():
        for stratum, weight in row:
            weights[stratum] += weight * count / n  # type: ignore[assignment]
    labelled = sum(strata[i].labelled for i in weights)
    if labelled == 0:
        raise RimError("No reply of these modes is labelled: label some, then correct.")
    value = math.fsum(weight * shares[i].value for i, weight in weights.items())
    means = [(sum(w * shares[i].value for i, w in row), count) for row, count in rows.items()]
    between = sum((mean - value) ** 2 * count for mean, count in means) / max(n - 1, 1) / n
    margin = z_score(level) * math.sqrt(between)
    below, above = margin**2, margin**2
    within = 0.0
    for i, weight in weights.items():
        low, high = shares[i].value - shares[i].lower, shares[i].upper - shares[i].value
        below += (weight * (low if weight > 0 else high)) ** 2
        above += (weight * (high if weight > 0 else low)) ** 2
        within += weight**2 * shares[i].value * (1 - shares[i].value) / max(strata[i].labelled, 1)
    return _Powered(
        math.fsum(weight * strata[i].verdict for i, weight in weights.items()),
        value,
        value - math.sqrt(below),
        value + math.sqrt(above),
        n,
        labelled,
        within,
        between,
    )


def _rows(
    prompts: StratifiedPrompts, strata: Sequence[LabelStratum], signs: tuple[float, float]
) -> dict[tuple[tuple[int, float], ...], int]:
    """Prompts by their strata with the weight of each, where every arm that counts is scored."""
    rows: Counter[tuple[tuple[int, float], ...]] = Counter()
    for arms, count in prompts.items():
        if all(epochs for epochs, sign in zip(arms, signs, strict=True) if sign):
            rows[_weights(arms, signs, len(strata))] += count
    return rows


def _weights(
    arms: tuple[tuple[int, ...], tuple[int, ...]], signs: tuple[float, float], strata: int
) -> tuple[tuple[int, float], ...]:
    found: dict[int, float] = {}
    for epochs, sign in zip(arms, signs, strict=True):
        for i in epochs if sign else ():
            if not 0 <= i < strata:
                raise RimError(f"A prompt names stratum {i}, and there are {strata}: count from 0.")
            found[i] = found.get(i, 0.0) + sign / len(epochs)
    return tuple(sorted(found.items()))


def _share(stratum: LabelStratum, level: float) -> Estimate:
    """Share of positives in a stratum; without labels the judge's verdict, and anything is possible."""
    if not stratum.labelled:
        return Estimate(float(stratum.verdict), 0.0, 1.0)
    interval = wilson_interval(stratum.positives, stratum.labelled, level)
    return Estimate(stratum.positives / stratum.labelled, *interval)


def _labels_only_width(
    prompts: StratifiedPrompts, strata: Sequence[LabelStratum], labelled: int, level: float
) -> float:
    rates = [_powered(prompts, strata, signs, level).value for signs in ((1.0, 0.0), (0.0, 1.0))]
    half = max(labelled // 2, 1)
    first, second = (Estimate(p, *wilson_interval(p * half, half, level)) for p in rates)
    interval = unpaired_interval(first, second)
    return interval.upper - interval.lower
