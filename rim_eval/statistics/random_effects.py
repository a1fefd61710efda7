"""Random effects over models: what the changes of some models of a family say of its other models.

k models were asked the same n prompts; x_ij is the change with thinking of model j on prompt i. Both are taken as
drawn at random, the models from a family and the prompts from a population (crossed random effects),

    x_ij = mu + model_j + prompt_i + rest_ij,     Var(model) = tau^2.

The mean over prompts and models estimates mu. With the k means over prompts y_j and S, the k x k covariance of the
prompts' changes over n (the sampling covariance of the y_j), three moments say how sure it is:

    s^2 = variance of the y_j                    expectation tau^2 + w
    w   = mean variance - mean covariance in S   sampling error that the models do not share
    c   = mean covariance in S, at least 0       sampling error that they share, because the prompts are the same

    Var(mean) = s^2 / k + c,     tau^2 = max(0, s^2 - w),     I^2 = tau^2 / s^2.

*Other models*: mean -+ t sqrt(max(s^2, w) / k + c), Student's t with Satterthwaite's degrees of freedom for the sum
of a variance with k - 1 and one with n - 1. That is Hartung, Knapp, Sidik and Jonkman's interval and the error that
all models share. Models on the same prompts err alike, and their spread does not show it: with independent variances
that interval covers down to 60 % in simulation (10 models, 100 prompts). The larger of s^2 and w is taken, because
means that lie closer together than their errors allow do so by luck. The interval is never narrower than that for
other prompts and the same models.

*The next model*: mean -+ t sqrt(max(s^2, w) (1 + 1 / k) + c), with k - 1 degrees of freedom. It holds the change that
a further model has over all prompts, and that which it shows when it is measured on these. Higgins, Thompson and
Spiegelhalter have tau^2 in place of s^2, and k - 2 degrees of freedom; few models and rare changes do not tell the
two apart, and that interval then covers down to 88 %. s^2 is not split and has k - 1, so t has too. Where models
hardly differ, the interval is wider than it needs to be.

*tau*: the values that (k - 1) s^2 / (tau^2 + w) does not reject as a chi-square with k - 1 degrees of freedom
(Q-profile, here with equal variances); for the upper end s^2 is at least w.

Models have equal weights, not inverse variances: rates near 0 have small variances, so that inverse variances pull
the mean towards models without a change, and a model without any change would get all weight. A model's variance in S
is at least that of one changed prompt.

Assumes that the models are exchangeable: a sample of the family that is asked about. Checkpoints of one run are not,
nor are models chosen for their results. Model effects are taken as normal: then the intervals for other models cover
93 to 98 %, those for the next model 95 % and more. With strongly skewed effects, or models of two kinds, they cover
88 to 95 % and 93 % and more, and that for tau down to 78 % (`benchmarks/reports/random_effects.md`). For balanced
data the moments are those of the analysis of variance, and of REML where no component is at 0.

Sources: H. H. Clark, J. Verbal Learning and Verbal Behavior 12 (1973) 335-359, and C. M. Judd, J. Westfall and D. A.
Kenny, J. Personality and Social Psychology 103 (2012) 54-69 (subjects and stimuli both at random); F. E.
Satterthwaite, Biometrics Bulletin 2 (1946) 110-114; J. Hartung and G. Knapp, Statistics in Medicine 20 (2001)
1771-1782; J. J. Shuster, Statistics in Medicine 29 (2010) 1259-1265 (equal weights); W. Viechtbauer, Statistics in
Medicine 26 (2007) 37-52 (Q-profile); J. P. T. Higgins, S. G. Thompson and D. J. Spiegelhalter, J. Royal Statistical
Society A 172 (2009) 137-159, and J. IntHout et al., BMJ Open 6 (2016) e010247 (prediction intervals).
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rim_eval.errors import RimError
from rim_eval.formatting import interval
from rim_eval.statistics._result import Figure, Interval, Result, student_quantile, z_score
from rim_eval.statistics.bounded_mean import bounded_mean_interval
from rim_eval.statistics.significance import Significance, significance
from rim_eval.statistics.wilson import Estimate, independent_mean

LEAST_FAMILY: Final = 4
"""Models, or sets, from which on they stand for others: with three, Student's t has two degrees of freedom."""

_REACH: Final = 100.0
"""The largest change, percentage points."""

_Array = NDArray[np.float64]


class RandomEffects(Result):
    """What k models say of further models of their family, in percentage points.

    All figures but the counts are NaN where there are fewer than four models.
    """

    mean: Figure
    """Mean change with thinking over the models, each of the same weight."""
    lower: Figure
    """Of the mean over further models, on further prompts."""
    upper: Figure
    level: float
    next_lower: Figure
    """Of the change of one further model (prediction interval)."""
    next_upper: Figure
    tau: Figure
    """Standard deviation of the models' own changes, sampling error taken off; NaN too where that is not known."""
    tau_lower: Figure
    tau_upper: Figure
    i_squared: Figure
    """Share of the variance between the models' measured changes that is no sampling error, 0 to 1; NaN as `tau`."""
    n_models: int
    n_rows: int
    """Prompts that all models share; of several sets, or cards, those of the smallest; sets where they are the rows."""
    sentence: str
    """What the figures generalise to, or why there are none."""

    @property
    def answered(self) -> bool:
        """Whether there were models enough for figures."""
        return not math.isnan(self.mean)

    @property
    def mean_significance(self) -> Significance:
        """What the interval for further models shows."""
        return significance(self.lower, self.upper)

    @property
    def next_significance(self) -> Significance:
        """What the interval for the next model shows."""
        return significance(self.next_lower, self.next_upper)


class _Moments(NamedTuple):
    """Moments of the models' mean changes; points and squared points."""

    mean: float
    spread: float
    """s^2."""
    own: float
    """w; NaN where it cannot be told from c."""
    shared: float
    """c."""
    n_models: int
    n_rows: int


def random_effects(
    changes: ArrayLike, *, level: float = 0.95, at_least: Interval | None = None
) -> RandomEffects:
    """Further models of the family, from each prompt's change in each model.

    Args:
        changes: Changes with thinking in percentage points from -100 to 100, shape (prompts, models).
        level: Confidence, a fraction.
        at_least: Interval for other prompts and the same models, in points, which that for other models encloses; the score
            interval of the mean by prompt unless given.

    Raises:
        RimError: The table has no prompt, a change is outside -100 to 100, or the level is not in (0, 1).
    """
    z_score(level)
    table = _checked(changes)
    if table.shape[1] < LEAST_FAMILY:
        return _cannot(table.shape[1], len(table), level)
    if at_least is None:
        at_least = bounded_mean_interval(table.mean(axis=1), reach=_REACH, level=level)
    return _answer(_moments(*_sampling(table), len(table)), at_least, level)


def random_effects_over_sets(
    sets: Sequence[ArrayLike], *, further_sets: bool = False, level: float = 0.95
) -> RandomEffects:
    """Further models, from the same models on several sets; each set has the same weight.

    A model's change is its mean over the sets, so that the model stays one unit however many sets it was asked. Unless
    `further_sets`, the sets are taken as they are: their prompts are drawn apart, so sampling covariances add up. With
    `further_sets` they are drawn too, and take the place of the prompts: the answer holds for other models on other sets.

    Args:
        sets: For each set, changes in percentage points, shape (prompts, models); the models in the same order.
        further_sets: Whether the sets stand for others; needs four or more.
        level: Confidence, a fraction.

    Raises:
        RimError: There is no set, the models differ in number, there are fewer than four sets that are to stand for
            others, or a set is as `random_effects` rejects it.
    """
    z_score(level)
    tables = [_checked(each) for each in sets]
    counts = sorted({table.shape[1] for table in tables})
    if len(counts) != 1:
        raise RimError(
            f"{len(tables)} sets with {counts} models: give one set or more, each with the same models."
        )
    if further_sets and len(tables) < LEAST_FAMILY:
        raise RimError(
            f"{len(tables)} sets: they stand for other sets from {LEAST_FAMILY} on. Measure more sets, or leave out "
            "further_sets."
        )
    fewest = min(map(len, tables))
    if counts[0] < LEAST_FAMILY:
        return _cannot(counts[0], fewest, level)
    parts = [_sampling(table) for table in tables]
    means = np.array([means for means, _ in parts])
    covariance = np.sum([each for _, each in parts], axis=0) / len(tables) ** 2
    of_these = _answer(
        _moments(means.mean(axis=0), covariance, fewest), _over_prompts(tables, level), level
    )
    if not further_sets:
        return of_these
    rows = _moments(means.mean(axis=0), np.cov(means.T) / len(means), len(means))
    return _answer(rows, Interval(of_these.lower, of_these.upper), level)


def random_effects_of_estimates(
    estimates: Sequence[Estimate], n_rows: int, *, level: float = 0.95
) -> RandomEffects:
    """Further models, from each model's change and its interval alone.

    How much of their sampling error the models share is not known then. Intervals take it as wholly shared, which is the worst
    case: they are wider than those from the prompts' changes. Between the models it cannot be taken off, so there is no tau.

    Args:
        estimates: Changes in percentage points with their intervals at the level.
        n_rows: Prompts of the model with the fewest.
        level: Confidence of the intervals, a fraction.

    Raises:
        RimError: There is no estimate, or the level is not in (0, 1).
    """
    z = z_score(level)
    if not estimates:
        raise RimError("There is no change to take a mean of: give the changes of four models.")
    if len(estimates) < LEAST_FAMILY:
        return _cannot(len(estimates), n_rows, level)
    values, lower, upper = np.array(estimates, dtype=float).T
    error = float(np.mean(((upper - lower) / (2 * z)) ** 2))
    moments = _Moments(
        float(values.mean()), float(values.var(ddof=1)), math.nan, error, len(values), n_rows
    )
    return _answer(moments, mean_of_intervals(estimates), level)


def mean_of_intervals(estimates: Sequence[Estimate]) -> Interval:
    """Interval of the mean of estimates that depend on each other in an unknown way: the means of their ends.

    It is the widest of the intervals that follow from the distances of the ends (Zou and Donner, as
    `unpaired_interval`), that of errors which are wholly shared.

    Args:
        estimates: One or more, with intervals of one level.
    """
    return Interval(
        math.fsum(each.lower for each in estimates) / len(estimates),
        math.fsum(each.upper for each in estimates) / len(estimates),
    )


def _checked(changes: ArrayLike) -> _Array:
    table = np.asarray(changes, dtype=float)
    if table.ndim != 2 or not table.size:
        raise RimError(
            f"Changes of shape {table.shape}: give a table with a row a prompt and a column a model."
        )
    if not (np.abs(table) <= _REACH + 1e-9).all():
        raise RimError("A change is not within -100 to 100: give percentage points.")
    return table


def _sampling(table: _Array) -> tuple[_Array, _Array]:
    """The models' means over prompts, and their sampling covariance: at least one changed prompt in each variance."""
    n = len(table)
    covariance = np.cov(table.T) / n if n > 1 else np.zeros((table.shape[1],) * 2)
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), (_REACH / n) ** 2))
    return table.mean(axis=0), covariance


def _moments(means: _Array, covariance: _Array, n_rows: int) -> _Moments:
    k = len(means)
    variance = float(np.trace(covariance)) / k
    between = (float(covariance.sum()) - k * variance) / (k * (k - 1))
    spread = float(means.var(ddof=1))
    return _Moments(float(means.mean()), spread, variance - between, max(0.0, between), k, n_rows)


def _over_prompts(tables: Sequence[_Array], level: float) -> Interval:
    """Interval of the mean over sets for other prompts, these models and sets, whose prompts are drawn apart."""
    by_set = [table.mean(axis=1) for table in tables]
    ends = [bounded_mean_interval(values, reach=_REACH, level=level) for values in by_set]
    means = [float(values.mean()) for values in by_set]
    found = independent_mean([Estimate(m, *end) for m, end in zip(means, ends, strict=True)])
    return Interval(found.lower, found.upper)


def _answer(found: _Moments, at_least: Interval, level: float) -> RandomEffects:
    k = found.n_models
    spread = found.spread if math.isnan(found.own) else max(found.spread, found.own)
    half = _half_width(spread / k, found.shared, k, found.n_rows, level)
    ahead = student_quantile(k - 1, level) * math.sqrt(spread * (1 + 1 / k) + found.shared)
    lower, upper = min(found.mean - half, at_least.lower), max(found.mean + half, at_least.upper)
    tau, tau_lower, tau_upper = _tau(found, level)
    answer = RandomEffects(
        mean=found.mean,
        lower=max(-_REACH, lower),
        upper=min(_REACH, upper),
        level=level,
        next_lower=max(-_REACH, min(found.mean - ahead, lower)),
        next_upper=min(_REACH, max(found.mean + ahead, upper)),
        tau=tau,
        tau_lower=tau_lower,
        tau_upper=tau_upper,
        i_squared=tau * tau / found.spread if found.spread else tau,
        n_models=k,
        n_rows=found.n_rows,
        sentence="",
    )
    return answer.model_copy(update={"sentence": _sentence(answer)})


def _half_width(first: float, second: float, k: int, n: int, level: float) -> float:
    """Student's quantile times the root of a sum of two variances, with k - 1 and n - 1 degrees of freedom."""
    total = first + second
    if not total:
        return 0.0
    uncertain = first**2 / (k - 1) + second**2 / max(1, n - 1)
    return student_quantile(total**2 / uncertain, level) * math.sqrt(total)


def _tau(found: _Moments, level: float) -> tuple[float, float, float]:
    """Standard deviation between models with its interval; NaN where sampling error cannot be taken off."""
    from scipy.special import chdtri

    if math.isnan(found.own):
        return math.nan, math.nan, math.nan
    freedom, tail = found.n_models - 1, (1 - level) / 2
    low, high = (float(chdtri(freedom, share)) for share in (1 - tail, tail))
    least, most = found.spread / high, max(found.spread, found.own) / low
    squares = (found.spread - found.own, freedom * least - found.own, freedom * most - found.own)
    tau, lower, upper = (math.sqrt(max(0.0, square)) for square in squares)
    return tau, lower, upper


def _cannot(k: int, n_rows: int, level: float) -> RandomEffects:
    """The answer of too few models."""
    nothing = dict.fromkeys(
        ("mean", "lower", "upper", "next_lower", "next_upper", "tau", "tau_lower", "tau_upper", "i_squared"),
        math.nan,
    )  # fmt: skip
    sentence = (
        f"Further models: cannot tell. {k} model{'s were' if k != 1 else ' was'} measured, and {LEAST_FAMILY} are "
        f"needed to stand for others: measure {LEAST_FAMILY - k} more. The mean of these models over prompts is all there is."
    )
    return RandomEffects(**nothing, level=level, n_models=k, n_rows=n_rows, sentence=sentence)


def _sentence(answer: RandomEffects) -> str:
    words = {"more": "it is above 0", "less": "it is below 0"}
    mean = words.get(answer.mean_significance, "it may be 0")
    ahead = words.get(answer.next_significance, "it may lie on either side of 0")
    return (
        f"If these {answer.n_models} models are a fair sample of the family: the mean change over further models is "
        f"{interval(answer.lower, answer.upper)} points ({mean}), and that of the next model "
        f"{interval(answer.next_lower, answer.next_upper)} ({ahead})."
    )
