"""Runs with labels, simulated: prompts, a judge that errs as planted, and people who label a few replies.

Draws prompts with a true verdict in each mode, which tend to agree (normal copula), a judge's verdict and doubt on each reply, and
labels as `allocate` spreads them over the strata. Truth is the rate of the population of prompts. The judge may err differently
in the two modes, on the same prompts in both (`correlated`), and its doubt may show where it errs (`informative`: in doubt about
60 % of its errors and 10 % of the rest), show nothing (`noise`: 20 %), or not exist.

`labels only` draws as many labels at random, half in each mode, and takes Newcombe's interval with Wilson's of both rates.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.statistics import (
    Estimate,
    LabelStratum,
    StratumKey,
    allocate,
    powered_difference,
    shared_correction,
    tango_interval,
    unpaired_interval,
)
from rim_eval.statistics.stratified_score import StratifiedSample, stratified_score_interval
from rim_eval.statistics.transport import audit_outcome, mode_dependence
from rim_eval.statistics.wilson import wilson_interval

Doubt: TypeAlias = Literal["none", "informative", "noise"]
Counts: TypeAlias = NDArray[np.int64]

LABEL_COUNTS: Final = (40, 80, 160)
MARGINS: Final = (10.0, 12.5, 15.0)
_STRATA: Final[tuple[StratumKey, ...]] = tuple(
    (mode, verdict, doubt)
    for mode in ("think", "no_think")
    for verdict in (False, True)
    for doubt in ("sure", "unsure")
)
SIGNS: Final = {"difference": (1.0, -1.0), "think": (1.0, 0.0), "no_think": (0.0, 1.0)}


class Judge(NamedTuple):
    """Sensitivity and specificity by mode."""

    think: tuple[float, float]
    no_think: tuple[float, float]
    correlated: bool = False
    """Whether it tends to err on the same prompts in both modes."""


JUDGES: Final = {
    "fair": Judge((0.9, 0.95), (0.9, 0.95)),
    "fair, correlated": Judge((0.9, 0.95), (0.9, 0.95), correlated=True),
    "good": Judge((0.95, 0.98), (0.95, 0.98)),
    "false alarms": Judge((0.9, 0.80), (0.9, 0.98)),
    "misses": Judge((0.6, 0.95), (0.9, 0.95)),
    "both": Judge((0.6, 0.80), (0.9, 0.98), correlated=True),
}


class Setting(NamedTuple):
    """What is planted."""

    base: float
    """True rate without thinking."""
    rise: float
    judge: str
    doubt: Doubt
    n: int
    """Prompts in a run."""
    agreement: float = 0.6
    """Correlation of the two modes' true verdicts, of the normal copula."""

    @property
    def truths(self) -> dict[str, float]:
        """What each interval should hold, fractions."""
        return {"difference": self.rise, "think": self.base + self.rise, "no_think": self.base}


class Runs(NamedTuple):
    """Simulated runs of one setting."""

    cells: Counts
    """Prompts by their two strata (within each mode), shape (runs, 4, 4)."""
    positives: Counts
    """True positives by stratum, shape (runs, 8)."""

    @property
    def sizes(self) -> Counts:
        """Replies by stratum, shape (runs, 8)."""
        return np.hstack([self.cells.sum(axis=2), self.cells.sum(axis=1)])


class Found(NamedTuple):
    """What the runs of one setting gave with one number of labels."""

    coverage: dict[str, float]
    """By figure."""
    width: float
    """Median of the difference's interval, points."""
    labels_only_width: float
    labels_only_coverage: float
    outcomes: dict[float, tuple[float, float]]
    """Margin to the shares of runs whose audit passes and fails."""

    @property
    def ratio(self) -> float:
        """Median width over that of labels alone."""
        return self.width / self.labels_only_width


def draw(setting: Setting, runs: int, rng: np.random.Generator) -> Runs:
    """Simulate prompts, true verdicts, and the judge's."""
    from scipy.special import ndtri

    judge = JUDGES[setting.judge]
    own_part = 1 - abs(setting.agreement)
    common = rng.normal(size=(runs, setting.n)) * (1 - own_part) ** 0.5
    uniform = rng.random((2, runs, setting.n))
    if judge.correlated:
        uniform[1] = np.where(rng.random((runs, setting.n)) < 0.7, uniform[0], uniform[1])
    rates, shares = (setting.base + setting.rise, setting.base), (judge.think, judge.no_think)
    truths: list[NDArray[np.bool_]] = []
    strata: list[NDArray[np.int64]] = []
    for rate, (sensitivity, specificity), luck in zip(rates, shares, uniform, strict=True):
        own = rng.normal(size=(runs, setting.n)) * own_part**0.5
        turn = -1 if truths and setting.agreement < 0 else 1
        true = turn * common + own < ndtri(rate)
        errs = luck < np.where(true, 1 - sensitivity, 1 - specificity)
        truths.append(true)
        strata.append(2 * (true ^ errs) + _doubts(setting.doubt, errs, rng))
    each = np.broadcast_to(np.arange(runs)[:, None], (runs, setting.n))
    cells = np.zeros((runs, 4, 4), dtype=np.int64)
    np.add.at(cells, (each, *strata), 1)
    positives = [
        (true & (in_stratum == k)).sum(axis=1)
        for true, in_stratum in zip(truths, strata, strict=True)
        for k in range(4)
    ]
    return Runs(cells, np.stack(positives, axis=1))


def _doubts(doubt: Doubt, errs: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    luck = rng.random(errs.shape)
    if doubt == "none":
        return np.zeros_like(errs)
    return luck < (np.where(errs, 0.6, 0.1) if doubt == "informative" else 0.2)


def label(runs: Runs, labels: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """Draw a sheet from each run: how many are labelled by stratum, and how many of these are positive."""
    given = [
        list(allocate(dict(zip(_STRATA, sizes, strict=True)), labels).values())
        for sizes in runs.sizes.tolist()
    ]
    labelled = np.array(given)
    return labelled, rng.hypergeometric(runs.positives, runs.sizes - runs.positives, labelled)


def sample_of(
    runs: Runs, labelled: Counts, positives: Counts, signs: tuple[float, float]
) -> StratifiedSample:
    """All runs as one sample, as `drawn_sample` makes it of one run."""
    # Row 4 i + j holds the prompts in stratum i with thinking and j without.
    first, second = np.repeat(np.eye(4), 4, axis=0), np.tile(np.eye(4), (4, 1))
    kept = np.repeat(np.array(signs) != 0, 4)
    cells = runs.cells.reshape(len(runs.cells), 16).astype(float)
    # What occurs in no run costs time.
    kinds, strata = cells.any(axis=0), runs.sizes.any(axis=0)
    loadings = np.hstack([signs[0] * first, signs[1] * second])
    return StratifiedSample(
        counts=cells[:, kinds],
        known=np.zeros(int(kinds.sum())),
        loadings=loadings[kinds][:, strata],
        positives=(positives * kept.astype(float))[:, strata],
        labelled=(labelled * kept.astype(float))[:, strata],
        verdicts=np.array([float(verdict) for _, verdict, _ in _STRATA])[strata],
    )


def simulate(
    setting: Setting, repetitions: int, seed: int = 0, label_counts: Sequence[int] = LABEL_COUNTS
) -> dict[int, Found]:
    """Correct many runs of one setting, by number of labels."""
    rng = np.random.default_rng(seed)
    runs = draw(setting, repetitions, rng)
    return {labels: _measure(setting, runs, labels, rng) for labels in label_counts}


def _measure(setting: Setting, runs: Runs, labels: int, rng: np.random.Generator) -> Found:
    labelled, positives = label(runs, labels, rng)
    coverage: dict[str, float] = {}
    width = 0.0
    for name, signs in SIGNS.items():
        _, lower, upper = stratified_score_interval(sample_of(runs, labelled, positives, signs))
        coverage[name] = _covered(lower, upper, setting.truths[name])
        width = width or 100 * float(np.median(upper - lower))
    alone = _labels_only(runs, setting.n, labels, rng)
    pairs = sample_of(runs, labelled, positives, SIGNS["difference"])
    audits = np.stack(mode_dependence(pairs), axis=1) * 100
    return Found(
        coverage,
        width,
        100 * float(np.median(alone[:, 1] - alone[:, 0])),
        _covered(alone[:, 0], alone[:, 1], setting.rise),
        {margin: _outcomes(audits, margin) for margin in MARGINS},
    )


def _covered(lower: Any, upper: Any, truth: float) -> float:
    return float(np.mean((lower <= truth + 1e-9) & (truth - 1e-9 <= upper)))


def _outcomes(audits: NDArray[np.float64], margin: float) -> tuple[float, float]:
    found = [audit_outcome(Estimate(*row), margin) for row in audits.tolist()]
    return found.count("pass") / len(found), found.count("fail") / len(found)


def _labels_only(runs: Runs, n: int, labels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Both ends for the difference, shape (runs, 2)."""
    positives = np.stack([runs.positives[:, :4].sum(axis=1), runs.positives[:, 4:].sum(axis=1)], 1)
    drawn = rng.hypergeometric(positives, n - positives, labels // 2)
    return np.array([_newcombe(k, other, labels // 2) for k, other in drawn.tolist()])


@cache
def _newcombe(k: int, other: int, n: int) -> tuple[float, float]:
    first, second = (Estimate(x / n, *wilson_interval(x, n)) for x in (k, other))
    return unpaired_interval(first, second)


_tango = cache(tango_interval)


def raw_coverage(setting: Setting, repetitions: int, seed: int = 0) -> float:
    """How often the interval of the judge's own difference holds the true one."""
    cells = draw(setting, repetitions, np.random.default_rng(seed)).cells
    b, c = cells[:, 2:, :2].sum(axis=(1, 2)), cells[:, :2, 2:].sum(axis=(1, 2))
    ends = np.array([_tango(*each, setting.n) for each in zip(b.tolist(), c.tolist(), strict=True)])
    return _covered(ends[:, 0], ends[:, 1], setting.rise)


def shared_coverage(setting: Setting, labels: int, repetitions: int, seed: int = 0) -> float:
    """How often the shared correction holds the true difference; of runs in which there is one."""
    rng = np.random.default_rng(seed)
    runs = draw(setting, repetitions, rng)
    held = []
    for cells, *counts in zip(runs.cells, *label(runs, labels, rng), strict=True):
        try:
            found = shared_correction(prompts_of(cells), strata_of(*counts))
        except RimError:
            continue
        held.append(found.difference_lower <= 100 * setting.rise <= found.difference_upper)
    return float(np.mean(held)) if held else float("nan")


def prompts_of(cells: Counts) -> dict[tuple[tuple[int, ...], tuple[int, ...]], int]:
    return {((i,), (4 + j,)): int(k) for (i, j), k in np.ndenumerate(cells) if k}


def strata_of(labelled: Counts, positives: Counts) -> list[LabelStratum]:
    return [
        LabelStratum(mode=mode, verdict=verdict, doubt=doubt, labelled=int(m), positives=int(x))
        for (mode, verdict, doubt), m, x in zip(_STRATA, labelled, positives, strict=True)
    ]


class EpochSetting(NamedTuple):
    """Several epochs a prompt; 30 % without thinking, 50 % with it."""

    epochs: int
    n: int
    sensitivity: tuple[float, float]
    """With thinking, without."""
    specificity: tuple[float, float]
    repeating: float
    """Share of epochs that have their prompt's own true verdict."""
    errors_repeat: float
    """Share of epochs that have their prompt's own error."""
    labels: int


EPOCH_SETTINGS: Final = (
    EpochSetting(4, 100, (0.8, 0.8), (0.9, 0.9), 0.9, 0.9, 80),
    EpochSetting(4, 200, (0.9, 0.9), (0.95, 0.95), 1.0, 0.0, 80),
    EpochSetting(5, 60, (0.9, 0.9), (0.9, 0.9), 1.0, 0.0, 160),
    EpochSetting(5, 60, (0.95, 0.7), (0.75, 0.98), 1.0, 0.0, 80),
    EpochSetting(8, 60, (0.7, 0.7), (0.7, 0.7), 1.0, 0.0, 160),
    EpochSetting(4, 100, (0.9, 0.9), (0.95, 0.95), 0.0, 0.0, 80),
)


def epochs_coverage(setting: EpochSetting, repetitions: int, seed: int = 0) -> float:
    """Share of runs whose interval holds the true rise of 20 points.

    Args:
        setting: What is planted.
        repetitions: Runs.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    return float(np.mean([_epochs_run(rng, setting) for _ in range(repetitions)]))


def _epochs_run(rng: np.random.Generator, setting: EpochSetting) -> bool:
    true = _repeated(rng, setting, setting.repeating) < np.array([[0.5], [0.3]])
    misses, alarms = (
        1 - np.array(each)[:, None] for each in (setting.sensitivity, setting.specificity)
    )
    errs = _repeated(rng, setting, setting.errors_repeat) < np.where(true, misses, alarms)
    strata = 2 * (true ^ errs) + 4 * np.arange(2)[:, None]
    sizes = np.bincount(strata.ravel(), minlength=8)
    given = allocate(dict(zip(_STRATA, sizes.tolist(), strict=True)), setting.labels)
    positives = np.bincount(strata[true], minlength=8)
    labelled = np.array(list(given.values()))
    found = rng.hypergeometric(positives, sizes - positives, labelled)
    prompts: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for think, no_think in np.sort(strata, axis=2).tolist():
        key = (tuple(think), tuple(no_think))
        prompts[key] = prompts.get(key, 0) + 1
    interval = powered_difference(prompts, strata_of(labelled, found))
    return bool(interval.lower <= 20 <= interval.upper)


def _repeated(rng: np.random.Generator, setting: EpochSetting, share: float) -> NDArray[np.float64]:
    """Uniform numbers, shape (prompts, modes, epochs); some epochs have their prompt's own."""
    shape = (setting.n, 2, setting.epochs)
    return np.where(rng.random(shape) < share, rng.random((setting.n, 2, 1)), rng.random(shape))
