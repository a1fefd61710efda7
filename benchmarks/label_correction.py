"""Labels from the run itself, simulated: coverage, width against labels alone, and what the transport audit says.

    python -m benchmarks.label_correction                        # writes reports/label_correction.md
    python -m benchmarks.label_correction --repetitions 300      # sooner, coarser

Draws prompts with a true verdict in each mode, which tend to agree (normal copula, correlation 0.6), a judge's verdict and
doubt on each reply, and labels as `allocate` spreads them over the strata. Truth is the rate of the population of prompts. The
judge may err differently in the two modes, on the same prompts in both (`correlated`), and its doubt may show where it errs
(`informative`: in doubt about 60 % of its errors and 10 % of the rest), show nothing (`noise`: 20 %), or not exist.

`labels only` draws as many labels at random, half in each mode, and takes Newcombe's interval with Wilson's of both rates.

Each setting starts its own generator from the seed.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path
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
from rim_eval.statistics.transport import DEFAULT_MARGIN, audit_outcome, mode_dependence
from rim_eval.statistics.wilson import wilson_interval

Doubt: TypeAlias = Literal["none", "informative", "noise"]
Counts: TypeAlias = NDArray[np.int64]

_REPORT: Final = Path(__file__).parent / "reports" / "label_correction.md"
_LABELS: Final = (40, 80, 160)
_PROMPTS: Final = (100, 300)
_RATES: Final = ((0.02, 0.08), (0.10, 0.0), (0.10, 0.15), (0.30, 0.20), (0.60, 0.20))
_MARGINS: Final = (10.0, 12.5, 15.0)
_SHARED_RUNS: Final = 100
_AGAIN: Final = 10
"""Settings that are drawn anew."""
_STRATA: Final[tuple[StratumKey, ...]] = tuple(
    (mode, verdict, doubt)
    for mode in ("think", "no_think")
    for verdict in (False, True)
    for doubt in ("sure", "unsure")
)
_SIGNS: Final = {"difference": (1.0, -1.0), "think": (1.0, 0.0), "no_think": (0.0, 1.0)}


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
    setting: Setting, repetitions: int, seed: int = 0, label_counts: Sequence[int] = _LABELS
) -> dict[int, Found]:
    """Correct many runs of one setting, by number of labels."""
    rng = np.random.default_rng(seed)
    runs = draw(setting, repetitions, rng)
    return {labels: _measure(setting, runs, labels, rng) for labels in label_counts}


def _measure(setting: Setting, runs: Runs, labels: int, rng: np.random.Generator) -> Found:
    labelled, positives = label(runs, labels, rng)
    coverage: dict[str, float] = {}
    width = 0.0
    for name, signs in _SIGNS.items():
        _, lower, upper = stratified_score_interval(sample_of(runs, labelled, positives, signs))
        coverage[name] = _covered(lower, upper, setting.truths[name])
        width = width or 100 * float(np.median(upper - lower))
    alone = _labels_only(runs, setting.n, labels, rng)
    pairs = sample_of(runs, labelled, positives, _SIGNS["difference"])
    audits = np.stack(mode_dependence(pairs), axis=1) * 100
    return Found(
        coverage,
        width,
        100 * float(np.median(alone[:, 1] - alone[:, 0])),
        _covered(alone[:, 0], alone[:, 1], setting.rise),
        {margin: _outcomes(audits, margin) for margin in _MARGINS},
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
            found = shared_correction(_prompts(cells), _strata(*counts))
        except RimError:
            continue
        held.append(found.difference_lower <= 100 * setting.rise <= found.difference_upper)
    return float(np.mean(held)) if held else float("nan")


def _prompts(cells: Counts) -> dict[tuple[tuple[int, ...], tuple[int, ...]], int]:
    return {((i,), (4 + j,)): int(k) for (i, j), k in np.ndenumerate(cells) if k}


def _strata(labelled: Counts, positives: Counts) -> list[LabelStratum]:
    return [
        LabelStratum(mode=mode, verdict=verdict, doubt=doubt, labelled=int(m), positives=int(x))
        for (mode, verdict, doubt), m, x in zip(_STRATA, labelled, positives, strict=True)
    ]


def epochs_coverage(repetitions: int, epochs: int = 4, n: int = 100, seed: int = 0) -> float:
    """Coverage with several epochs a prompt, whose true verdicts and errors mostly repeat; 80 labels, a rise of 20 points."""
    rng = np.random.default_rng(seed)
    held = [_epochs_run(rng, epochs, n) for _ in range(repetitions)]
    return float(np.mean(held))


def _epochs_run(rng: np.random.Generator, epochs: int, n: int) -> bool:
    shape = (n, 2, epochs)
    again = rng.random(shape) < 0.9
    true = np.where(again, rng.random((n, 2, 1)), rng.random(shape)) < np.array([[0.5], [0.3]])
    errs = np.where(again, rng.random((n, 2, 1)), rng.random(shape)) < np.where(true, 0.2, 0.1)
    strata = 2 * (true ^ errs) + 4 * np.arange(2)[:, None]
    sizes = np.bincount(strata.ravel(), minlength=8)
    given = allocate(dict(zip(_STRATA, sizes.tolist(), strict=True)), 80)
    positives = np.bincount(strata[true], minlength=8)
    labelled = np.array(list(given.values()))
    found = rng.hypergeometric(positives, sizes - positives, labelled)
    prompts: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for think, no_think in np.sort(strata, axis=2).tolist():
        key = (tuple(think), tuple(no_think))
        prompts[key] = prompts.get(key, 0) + 1
    interval = powered_difference(prompts, _strata(labelled, found))
    return bool(interval.lower <= 20 <= interval.upper)


def settings() -> list[Setting]:
    """Those of the report."""
    kinds: tuple[tuple[str, Doubt], ...] = (
        ("fair", "none"),
        ("fair", "informative"),
        ("fair", "noise"),
        ("fair, correlated", "none"),
        ("good", "informative"),
        ("false alarms", "none"),
        ("misses", "none"),
        ("both", "none"),
        ("both", "informative"),
    )
    return [Setting(*rates, *kind, n) for n in _PROMPTS for rates in _RATES for kind in kinds]


def opposed() -> list[Setting]:
    """Modes whose true verdicts do not agree, or oppose each other."""
    return [
        Setting(0.30, 0.20, judge, "none", n, agreement)
        for agreement in (0.0, -0.6)
        for n in _PROMPTS
        for judge in ("fair", "misses")
    ]


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=_REPORT)
    options = parser.parse_args()
    rows, found_all = [], []
    for setting in settings():
        found = simulate(setting, options.repetitions, options.seed)
        raw = raw_coverage(setting, options.repetitions, options.seed)
        rows.append(_row(setting, found, raw))
        found_all.append((setting, found))
        print(rows[-1], flush=True)
    opposing = [
        f"| {each.agreement:g} | {each.n} | {each.judge} | {_shares(simulate(each, options.repetitions, options.seed), 'difference')} |"
        for each in opposed()
    ]
    again = _again(found_all, options.repetitions, options.seed)
    shared = [
        f"| {each.judge} | {each.doubt} | {shared_coverage(each, 80, _SHARED_RUNS, options.seed):.0%} |"
        for each in settings()
        if each.n == 300 and each.base == 0.30
    ]
    epochs = epochs_coverage(_SHARED_RUNS * 3, seed=options.seed)
    page = _report(rows, found_all, again, shared, opposing, epochs, options)
    options.out.write_text(page, encoding="utf-8")


def _row(setting: Setting, found: dict[int, Found], raw: float) -> str:
    """One line of the table."""
    cells = [f"{setting.n}", f"{setting.base:.0%}", f"{100 * setting.rise:+.0f}", setting.judge, setting.doubt, f"{raw:.1%}"]  # fmt: skip
    cells += [
        " / ".join(f"{100 * each.coverage[name]:.1f}" for each in found.values()) for name in _SIGNS
    ]
    cells.append(" / ".join(f"{each.width:.0f}" for each in found.values()))
    cells.append(" / ".join(f"{each.ratio:.2f}" for each in found.values()))
    return f"| {' | '.join(cells)} |"


def _again(
    found_all: list[tuple[Setting, dict[int, Found]]], repetitions: int, seed: int
) -> list[str]:
    """The settings that covered least, drawn anew: the lowest of many shares is low by chance too."""
    least = sorted(
        (min(each.coverage.values()), setting, labels)
        for setting, found in found_all
        for labels, each in found.items()
    )
    lines = []
    for lowest, setting, labels in least[:_AGAIN]:
        found = simulate(setting, 4 * repetitions, seed + 1, (labels,))
        shares = " | ".join(f"{share:.1%}" for share in found[labels].coverage.values())
        lines.append(
            f"| {setting.n} | {setting.base:.0%} | {100 * setting.rise:+.0f} | {setting.judge} | {setting.doubt} "
            f"| {labels} | {lowest:.1%} | {shares} |"
        )
    return lines


def _shares(found: dict[int, Found], name: str) -> str:
    return " / ".join(f"{100 * each.coverage[name]:.1f}" for each in found.values())


def _audit_rows(found_all: list[tuple[Setting, dict[int, Found]]]) -> str:
    """What the audit says at 80 labels, by margin."""
    lines = []
    for setting, found in found_all:
        if setting.base in (0.10, 0.30) and setting.rise:
            shares = [
                f"{passed:.0%} / {failed:.0%}" for passed, failed in found[80].outcomes.values()
            ]
            planted = 100 * _planted(setting)
            cells = [f"{setting.n}", f"{setting.base:.0%}", setting.judge, setting.doubt, f"{planted:+.1f}", *shares]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _planted(setting: Setting) -> float:
    """What the judge's errors add to the difference because they differ between the modes, a fraction."""
    (se, sp), (other_se, other_sp) = JUDGES[setting.judge][:2]
    mix = setting.base + setting.rise / 2
    return (other_sp - sp) * (1 - mix) - (other_se - se) * mix


def _ratio_rows(found_all: list[tuple[Setting, dict[int, Found]]]) -> str:
    """Median width ratio of the fair judge by prompts, rates and labels."""
    lines = []
    for n in _PROMPTS:
        for base, rise in _RATES:
            fair = [
                found
                for each, found in found_all
                if each[:2] == (base, rise) and each.n == n and each.judge == "fair"
            ]
            shares = [
                f"{np.median([found[labels].ratio for found in fair]):.2f}" for labels in _LABELS
            ]
            lines.append(f"| {n} | {base:.0%} | {100 * rise:+.0f} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _lowest_rows(found_all: list[tuple[Setting, dict[int, Found]]]) -> str:
    lines = []
    for labels in _LABELS:
        for name in _SIGNS:
            shares = [found[labels].coverage[name] for _, found in found_all]
            below = sum(share < 0.94 for share in shares)
            lines.append(
                f"| {labels} | {name} | {np.mean(shares):.1%} | {min(shares):.1%} | {below} of {len(shares)} |"
            )
    return "\n".join(lines)


def _report(
    rows: list[str],
    found_all: list[tuple[Setting, dict[int, Found]]],
    again: list[str],
    shared: list[str],
    opposing: list[str],
    epochs: float,
    options: argparse.Namespace,
) -> str:
    """The page: what was run, and the tables."""
    error = 200 * (0.95 * 0.05 / options.repetitions) ** 0.5
    alone = [each.labels_only_coverage for _, found in found_all for each in found.values()]
    return f"""# Labels from the run itself

`python -m benchmarks.label_correction --repetitions {options.repetitions} --seed {options.seed}` (the seed starts every setting
anew; simulated prompts, no model).

A judge gives a verdict on every reply in two modes, people label 40, 80 or 160 of these replies, and the 95 % interval of the
prediction-powered difference (`rim_eval/statistics/prediction_powered.py`) should hold the true one. Sensitivity and
specificity: {"; ".join(f"{name} {judge.think[0]:g}/{judge.think[1]:g} with thinking, {judge.no_think[0]:g}/{judge.no_think[1]:g} without" for name, judge in JUDGES.items())}.
`both` and `fair, correlated` err on the same prompts in both modes. Doubt is informative (60 % of errors, 10 % of the rest),
noise (20 %), or none. True verdicts of a prompt agree between the modes (normal copula, 0.6). Truth is the population's.

Shares of {options.repetitions:,} repetitions are known to about {error:.1f} points (two standard errors).

Over all settings:

| labels | figure | covered, mean | lowest | below 94 % |
|---|---|---|---|---|
{_lowest_rows(found_all)}

The lowest of {3 * len(found_all) * len(_LABELS)} shares is low by chance too. The {len(again)} settings with the lowest, drawn anew with
seed {options.seed + 1} and {4 * options.repetitions:,} repetitions:

| prompts | rate without thinking | rise | judge | doubt | labels | lowest before | difference | think | no-think |
|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(again)}

## Width against labels alone

The median width of the difference's interval over that of as many labels drawn at random, half in each mode (Newcombe's
interval with Wilson's, which covers {np.mean(alone):.1%} on average and {min(alone):.1%} at the least); fair judge, median over its
doubts.

| prompts | rate without thinking | rise | 40 labels | 80 | 160 |
|---|---|---|---|---|---|
{_ratio_rows(found_all)}

Labels say nothing about prompts that were not drawn, so with few prompts no method gains much: of 100 prompts in two modes, 160
labels are most replies there are.

## Transport audit

Runs with 80 labels that pass / fail, by margin in points; the rest cannot tell. `planted` is what errors that differ between the
modes add to the RIM score. The default margin is {DEFAULT_MARGIN:g}.

| prompts | rate without thinking | judge | doubt | planted | {" | ".join(f"margin {margin:g}" for margin in _MARGINS)} |
|---|---|---|---|---|{"---|" * len(_MARGINS)}
{_audit_rows(found_all)}

## Shared correction

One sensitivity and specificity for both modes, 300 prompts, 30 % without thinking, a rise of 20 points, 80 labels,
{_SHARED_RUNS} repetitions: how often its interval holds the true difference. It is not valid where the audit should fail.

| judge | doubt | covered |
|---|---|---|
{chr(10).join(shared)}

## Several epochs

100 prompts with 4 epochs each whose true verdicts and errors mostly repeat, sensitivity 0.8, specificity 0.9, 80 labels, a rise
of 20 points, {_SHARED_RUNS * 3} repetitions: the difference's interval covers {epochs:.1%}.

## Modes that do not agree

The interval takes the true verdicts of a pair as independent given their strata. In the tables above they agree beyond
that, as the same prompts tend to succeed in both modes, and the difference's interval is wider than it needs to be. Here they
are independent (0) or oppose each other (-0.6): a prompt that succeeds with thinking then tends to fail without. 30 % without
thinking, a rise of 20 points; coverage of the difference at 40 / 80 / 160 labels. With opposed modes it is below its level.

| agreement | prompts | judge | covered |
|---|---|---|---|
{chr(10).join(opposing)}

## Each setting

Coverage (percent), median width (points) and width over labels alone, each at 40 / 80 / 160 labels. `raw` is how often Tango's
interval of the judge's own difference holds the true one.

| prompts | rate without thinking | rise | judge | doubt | raw | difference covered | think covered | no-think covered | width | ratio |
|---|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


if __name__ == "__main__":
    main()
