"""The judge's part in a paired difference's uncertainty, from replies that the same judge read several times.

A reply i has the chance p_i that a reading of it is positive; a reading draws it anew. Then

    variance of one verdict = variance of p_i over replies + mean of p_i (1 - p_i),

and the last term is the judge's noise: what remains when the reply stays the same. With s positives in t readings of one
reply, s (t - s) / (t (t - 1)) is unbiased for p (1 - p) (the variance of the readings, which are 0 or 1), and the noise is
its mean over replies. Where all replies have equally many readings that is the mean square within replies of a one-way
analysis of variance; where some readings gave no verdict, replies still weigh alike. Two readings of one reply differ
with the chance 2 p (1 - p), so twice the noise is the share of disagreeing readings.

Assumptions: the replies are drawn at random from those of the mode, and readings of one reply are independent (nothing
answers from a cache). The noise says nothing about errors that the judge makes every time: labels by people do.

Interval: the score interval for the mean of a bounded value a reply (`bounded_mean`), between 0 and the largest value
that so many readings can have. It has a width where all readings agreed.

The split. A paired difference over n prompts with k epochs a prompt and mode has the variance

    (P + (G + J) / k) / n,

P between prompts, G from the model's sampling, J the judge's noise, both for one epoch in each mode and summed over both
modes. The analysis of variance over epochs (`variance`) gives P and G + J; repeats give J, and with it G. With one epoch a
prompt only P + G + J is seen, so the repeats part J from P + G, which stay together. Where the estimate of J is above what
it is a part of, the shares and the forecasts cut it there.
A correction by labels adds the variance of its own that the caller gives.

What would help: twice the prompts halve all parts but that of the labels, twice the epochs halve G and J, the mean of
three readings a reply divides J by three, a judge without noise makes it 0, twice the labels halve theirs. The largest
part is the bottleneck. Prompts always help at least as much as epochs, but a set has only so many: so sampling that is the
largest part asks for epochs, and the judge's noise for a better judge or more readings of the replies that are there.

Whether the judge is the bottleneck is said with the uncertainty of all parts: its part minus each other part has an interval,
from the interval of J and the standard errors of P and G + J by prompt, added in quadrature. All of them above 0: yes; one
below 0: no; else it cannot be told. `benchmarks/reports/judge_noise.md` says how often each is right.

Sources: S. R. Searle, G. Casella, C. E. McCulloch, Variance Components (1992), chapter 3; E. Miller, Adding Error Bars to
Evals (arXiv 2411.00640), section 3, for variance within and between questions; R. L. Brennan, Generalizability Theory
(2001), chapter 2, for forecasting other designs from the components; G. Y. Zou, A. Donner, Statistics in Medicine 27 (2008)
1693-1702, for the interval of a sum of two noises.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.statistics._result import Interval, Result, z_score
from rim_eval.statistics.bounded_mean import bounded_mean_interval, bounded_share_interval
from rim_eval.statistics.variance import tallied_variance_split
from rim_eval.statistics.verdicts import Epochs, Tally, scored
from rim_eval.statistics.wilson import Estimate, independent_mean

Readings = Mapping[tuple[int, int], int]
"""How many replies have so many positive readings of so many with a verdict, by (positives, readings)."""

Part = Literal["prompts", "generation", "prompts and generation", "judge", "labels"]
"""Part of a paired difference's variance; the first two stay together with one epoch a prompt."""


class JudgeNoise(Result):
    """Noise of one verdict of a judge, as a variance from 0 to 1/4."""

    value: float
    lower: float
    upper: float
    level: float
    n: int
    """Replies with at least two readings that gave a verdict."""
    n_readings: int

    @property
    def disagreement(self) -> Estimate:
        """Share of pairs of readings of one reply that differ, a fraction."""
        return Estimate(2 * self.value, 2 * self.lower, 2 * self.upper)


class NoiseSplit(Result):
    """Where the uncertainty of a paired difference comes from, the judge apart; in (squared) percentage points."""

    n: int
    """Prompts that are scored in both modes."""
    epochs: float
    """Scored epochs a prompt and mode; the harmonic mean where they differ."""
    prompt_variance: float | None
    """Between prompts; None with one epoch."""
    generation_variance: float | None
    """From the model's sampling, with one epoch in each mode; None with one epoch."""
    other_variance: float | None
    """Both together, with one epoch; None with several."""
    judge_variance: float
    """From the judge's noise, with one verdict in each mode; not cut, nor are its ends."""
    judge_lower: float
    judge_upper: float
    level: float
    """Confidence of both ends."""
    label_variance: float | None
    """Part of the squared standard error that is due to labels; None without a correction by labels."""
    shares: dict[Part, float]
    """Each part's share of the squared standard error, adding up to 1; empty where nothing varies."""
    judge_share: Interval
    """The judge's share at both ends of its noise."""
    standard_error: float
    """Of the mean difference, points."""
    twice_prompts: float
    """What it would be with twice the prompts, points; so the others."""
    twice_epochs: float | None
    """None with one epoch, where it cannot be told."""
    three_readings: float
    """With the mean of three readings in place of each verdict."""
    noiseless_judge: float
    twice_labels: float | None
    bottleneck: Part | None
    """The largest part; None where nothing varies."""
    judge_is_bottleneck: Literal["yes", "no", "cannot tell"]
    """Whether the judge's part is the largest, with the uncertainty of all parts."""


class _Variances(NamedTuple):
    """The variance of one prompt's difference by its parts, squared points."""

    n: int
    epochs: float
    prompts: float | None
    sampling: float
    """Judge and generation with one epoch in each mode; with one epoch a prompt all there is."""
    prompts_error: float
    """Standard error of `prompts`; so that of `sampling`."""
    sampling_error: float


def judge_noise(readings: Readings, level: float = 0.95) -> JudgeNoise | None:
    """Noise of one verdict, from replies of one mode that were read several times.

    Args:
        readings: Replies by their positive readings and all readings; those with less than two say nothing.
        level: Confidence of the interval, a fraction.

    Returns:
        The noise; None without a reply that was read twice.

    Raises:
        RimError: A reply has more positives than readings, or the level is not in (0, 1).
    """
    for positives, times in readings:
        if not 0 <= positives <= times:
            raise RimError(
                f"{positives} positive of {times} readings: give counts with 0 <= positives <= readings."
            )
    twice = {(s, t): n for (s, t), n in readings.items() if t > 1 and n}
    if not twice:
        return None
    replies = list(twice.values())
    values = np.repeat([s * (t - s) / (t * (t - 1)) for s, t in twice], replies)
    most = max((t // 2) * (t - t // 2) / (t * (t - 1)) for _, t in twice)
    ends = bounded_share_interval(values / most, level=level)
    return JudgeNoise(
        value=float(values.mean()),
        lower=max(0.0, most * ends.lower),
        upper=most * ends.upper,
        level=level,
        n=len(values),
        n_readings=sum(t * n for (_, t), n in twice.items()),
    )


def judge_drift(
    replies: Mapping[tuple[bool, int, int], int], level: float = 0.95
) -> Estimate | None:
    """How far later readings lie from the first verdicts on the same replies.

    The mean over replies of the share of positive readings minus the first verdict, with the score interval by reply.
    A judge that stayed the same has 0, however noisy it is, where replies were not drawn by their first verdict.

    Args:
        replies: Count of replies by first verdict, positive readings and all readings with a verdict.
        level: Confidence of the interval, a fraction.

    Returns:
        Percentage points; above 0: the judge says positive more often than at first. None without a reading.
    """
    shifts = [(s / t - first, n) for (first, s, t), n in replies.items() if t and n]
    if not shifts:
        return None
    values = np.repeat([shift for shift, _ in shifts], [n for _, n in shifts])
    ends = bounded_mean_interval(values, reach=1, level=level)
    return Estimate(100 * float(values.mean()), 100 * ends.lower, 100 * ends.upper)


def noise_split(
    prompts: Tally, think: JudgeNoise, no_think: JudgeNoise, label_variance: float | None = None
) -> NoiseSplit | None:
    """Split the variance of a paired difference into prompts, generation, judge and labels.

    Args:
        prompts: Two arms, with thinking and without, counted by their verdicts from 0 to 1.
        think: Noise of a verdict on a reply with thinking.
        no_think: Noise of a verdict on one without, at the same level.
        label_variance: Part of the corrected difference's squared standard error that is due to the labels, squared
            points; None without a correction by labels.

    Returns:
        The split; None where fewer than two prompts are scored in both modes.

    Raises:
        RimError: The label variance is below 0 or not finite.
    """
    if label_variance is not None and not 0 <= label_variance < math.inf:
        raise RimError(
            f"label_variance={label_variance!r}: a variance in squared points, 0 or more; None without labels."
        )
    variances = _variances(prompts)
    if variances is None:
        return None
    return _split(variances, _sum(think, no_think), think.level, label_variance)


def _sum(first: JudgeNoise, second: JudgeNoise) -> Estimate:
    """The noise of both modes together in squared points; its ends add in quadrature."""
    mean = independent_mean(
        [Estimate(each.value, each.lower, each.upper) for each in (first, second)]
    )
    return Estimate(2e4 * mean.value, 2e4 * max(0.0, mean.lower), 2e4 * mean.upper)


def _variances(prompts: Tally) -> _Variances | None:
    pairs = {arms: n for arms, n in prompts.items() if all(map(scored, arms))}
    n, counts = sum(pairs.values()), list(pairs.values())
    if n < 2:
        return None
    changes = np.repeat([np.mean(scored(high)) - np.mean(scored(low)) for high, low in pairs], counts)  # fmt: skip
    squares = 1e4 * (changes - changes.mean()) ** 2
    split = tallied_variance_split(prompts)
    if split is None:
        return _Variances(n, 1.0, None, float(squares.sum() / (n - 1)), 0.0, _error(squares))
    each = 1e4 * np.repeat([_within(arms) for arms in pairs], counts, axis=0)
    known = ~np.isnan(each[:, 0])
    within, of_means = each[known].T
    errors = _error(squares[known] - of_means), _error(within)
    return _Variances(split.n, split.epochs, split.prompt_variance, split.sampling_variance, *errors)  # fmt: skip


def _within(arms: tuple[Epochs, ...]) -> tuple[float, float]:
    """Variance of one prompt's epochs, summed over both arms, and that of their means; NaN with one epoch in an arm."""
    verdicts = [scored(arm) for arm in arms]
    if min(map(len, verdicts)) < 2:
        return math.nan, math.nan
    variances = [float(np.var(each, ddof=1)) for each in verdicts]
    return sum(variances), sum(v / len(each) for v, each in zip(variances, verdicts, strict=True))


def _error(by_prompt: NDArray[np.float64]) -> float:
    """Standard error of a mean over prompts; infinite where there are fewer than two."""
    n = by_prompt.size
    return float(by_prompt.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf


def _parts(variances: _Variances, judge: float, labels: float | None) -> dict[Part, float]:
    """Each part of the squared standard error, squared points."""
    n, epochs, prompts, sampling, *_ = variances
    judge = min(judge, sampling)
    parts: dict[Part, float] = {"judge": judge / (epochs * n)}
    if prompts is None:
        parts["prompts and generation"] = (sampling - judge) / n
    else:
        parts |= {"prompts": prompts / n, "generation": (sampling - judge) / (epochs * n)}
    return parts if labels is None else parts | {"labels": labels}


def _split(
    variances: _Variances, judge: Estimate, level: float, labels: float | None
) -> NoiseSplit:
    n, epochs, prompts, sampling, *_ = variances
    parts, *ends = (_parts(variances, end, labels) for end in judge)
    rest = max(0.0, sampling - judge.value)
    total, of_judge, of_labels = sum(parts.values()), parts["judge"], labels or 0.0
    of_prompts = parts.get("prompts")
    return NoiseSplit(
        n=n,
        epochs=epochs,
        prompt_variance=prompts,
        generation_variance=None if prompts is None else rest,
        other_variance=rest if prompts is None else None,
        judge_variance=judge.value,
        judge_lower=judge.lower,
        judge_upper=judge.upper,
        level=level,
        label_variance=labels,
        shares={name: part / total for name, part in parts.items()} if total else {},
        judge_share=Interval(*(_share(each) for each in ends)),
        standard_error=math.sqrt(total),
        twice_prompts=math.sqrt((total - of_labels) / 2 + of_labels),
        twice_epochs=None
        if of_prompts is None
        else math.sqrt((total + of_prompts + of_labels) / 2),
        three_readings=math.sqrt(total - of_judge * 2 / 3),
        noiseless_judge=math.sqrt(max(0.0, total - of_judge)),
        twice_labels=None if labels is None else math.sqrt(total - of_labels / 2),
        bottleneck=_largest(parts) if total else None,
        judge_is_bottleneck=_is_largest(variances, judge, level, of_labels) if total else "no",
    )


def _share(parts: Mapping[Part, float]) -> float:
    total = sum(parts.values())
    return parts["judge"] / total if total else 0.0


def _largest(parts: Mapping[Part, float]) -> Part:
    """The largest part; of two equal ones not the judge, which stands first."""
    return max(tuple(parts)[::-1], key=lambda name: parts[name])


def _is_largest(
    variances: _Variances, judge: Estimate, level: float, labels: float
) -> Literal["yes", "no", "cannot tell"]:
    """Whether the judge's part is above each other one, by the interval of each difference."""
    n, epochs, prompts, sampling, prompts_error, sampling_error = variances
    # How often the judge's noise stands in the difference, what it is compared with, and the standard error of that.
    others = [(2.0, sampling, sampling_error), (1.0, labels * n * epochs, 0.0)]
    if prompts is not None:
        others.append((1.0, epochs * prompts, epochs * prompts_error))
    z, lower, upper = z_score(level), list[float](), list[float]()
    for times, other, error in others:
        difference = times * judge.value - other
        lower.append(difference - math.hypot(times * (judge.value - judge.lower), z * error))
        upper.append(difference + math.hypot(times * (judge.upper - judge.value), z * error))
    if min(lower) > 0:
        return "yes"
    return "no" if min(upper) < 0 else "cannot tell"
