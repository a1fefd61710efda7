"""How often the interval of a paired difference holds the truth, and how often its test and the tests beside it err.

    python -m benchmarks.paired_coverage   # writes reports/paired_coverage.md

Draws the verdicts of both modes on the same prompts, again and again. A prompt has a rate of its own in each mode, beta with
half the variance of one verdict between prompts, and the two rates of a prompt go together (a normal copula with correlation
0.7). With one epoch: Tango's interval with McNemar's score test, which decides, and the exact test beside it. With four: the
score interval and test of the mean by prompt, which decide, with the sign-flip test and the percentile bootstrap beside them.

A second table draws four binary verdicts a prompt (two modes in two settings, with a common normal factor): the interval of the
difference of differences, whose values reach 2 but seldom, with a reach of 1 (or of the largest that is seen), and with a
reach of 2.

Each setting starts its own generator from the seed.
"""

import argparse
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks._bootstrap import interval_by_prompt
from rim_eval.statistics import bounded_mean_interval, by_prompt, tallied_rim_score

_REPORT: Final = Path(__file__).parent / "reports" / "paired_coverage.md"
_RATES: Final = (
    (0.02, 0.02),
    (0.1, 0.1),
    (0.4, 0.4),
    (0.02, 0.05),
    (0.1, 0.2),
    (0.1, 0.3),
    (0.4, 0.6),
)
_PROMPTS: Final = (30, 100, 300)
_GAPS: Final = (
    ((0.15, 0.0001, 0.0001, 0.0001), 0.3),
    ((0.1, 0.1, 0.1, 0.1), 0.3),
    ((0.3, 0.1, 0.1, 0.1), 0.3),
    ((0.05, 0.02, 0.02, 0.02), 0.5),
    ((0.1, 0.3, 0.3, 0.1), 0.0),
    ((0.04, 0.0001, 0.04, 0.0001), 0.0),
)
"""Rates with and without thinking in the target setting, then in the reference; and the verdicts' common share."""
_TOGETHER: Final = 0.7
_BETWEEN: Final = 0.5


class Setting(NamedTuple):
    """What is planted."""

    n: int
    epochs: int
    no_think: float
    """Rate of the population of prompts, a fraction."""
    think: float


class Found(NamedTuple):
    """Shares of the repetitions, fractions, and mean widths in points."""

    coverage: float
    shown: float
    """The interval leaves zero out: the rule that decides. Without a difference its type I error, else its power."""
    disagreed: float
    """The interval and its test said different things."""
    permutation: float
    """The permutation test gives p <= .05."""
    width: float
    peer_coverage: float
    """Of the percentile bootstrap by prompt."""
    peer_width: float


def simulate(setting: Setting, repetitions: int, seed: int = 0) -> Found:
    """Draw runs of one setting and measure their intervals and tests.

    Args:
        setting: What is planted.
        repetitions: Runs.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    rows = [_measure(setting, draw(setting, rng)) for _ in range(repetitions)]
    return Found(*np.mean(rows, axis=0).tolist())


def draw(setting: Setting, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many epochs of each prompt have the event, shape (modes, prompts); thinking first."""
    from scipy import stats

    covariance = [[1, _TOGETHER], [_TOGETHER, 1]]
    eases = stats.norm.cdf(rng.multivariate_normal([0, 0], covariance, size=setting.n).T)
    size = 1 / _BETWEEN - 1
    rates = [
        stats.beta.ppf(ease, rate * size, (1 - rate) * size)
        for ease, rate in zip(eases, (setting.think, setting.no_think), strict=True)
    ]
    return rng.binomial(setting.epochs, rates)


def _measure(setting: Setting, events: NDArray[np.int64]) -> tuple[float, ...]:
    prompts = Counter(
        tuple((1.0,) * k + (0.0,) * (setting.epochs - k) for k in pair)
        for pair in events.T.tolist()
    )
    found = tallied_rim_score(prompts)
    truth = 100 * (setting.think - setting.no_think)
    shown = not found.lower <= 0 <= found.upper
    changes = 100 * (events[0] - events[1]) / setting.epochs
    peer = interval_by_prompt(changes, reach=100).interval
    return (
        found.lower <= truth <= found.upper,
        shown,
        shown != (found.p_value <= 0.05),
        found.permutation_p_value <= 0.05,
        found.upper - found.lower,
        peer.lower <= truth <= peer.upper,
        peer.upper - peer.lower,
    )


class FoundGap(NamedTuple):
    """Shares of the repetitions, fractions, and mean widths in points."""

    coverage: float
    shown: float
    width: float
    wide_coverage: float
    """With a reach of 2."""
    wide_shown: float
    wide_width: float


def simulate_gap(
    n: int, rates: tuple[float, ...], share: float, repetitions: int, seed: int = 0
) -> FoundGap:
    """Measure the interval of a difference of differences.

    Args:
        n: Prompts.
        rates: Of the four verdicts.
        share: Of a verdict's normal variable that the four have in common.
        repetitions: Runs.
        seed: Of the draws.
    """
    from scipy import stats

    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(repetitions, n, 1)), rng.normal(size=(repetitions, n, 4))
    verdicts = np.sqrt(share) * common + np.sqrt(1 - share) * own < stats.norm.ppf(rates)
    weights = np.array([1.0, -1.0, -1.0, 1.0])
    truth, rows = float(weights @ rates), []
    for values in verdicts @ weights:
        both = by_prompt(values, reach=1.0).interval, bounded_mean_interval(values, reach=2.0)
        rows.append([f(e) for e in both for f in (lambda e: e.lower <= truth <= e.upper, lambda e: not e.lower <= 0 <= e.upper, lambda e: 100 * (e.upper - e.lower))])  # fmt: skip
    return FoundGap(*np.mean(rows, axis=0).tolist())


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=_REPORT)
    options = parser.parse_args()
    lines = []
    for epochs, rates, n in product((1, 4), _RATES, _PROMPTS):
        setting = Setting(n, epochs, *rates)
        lines.append(_row(setting, simulate(setting, options.repetitions, options.seed)))
        print(lines[-1], flush=True)
    gaps = []
    for (four, share), n in product(_GAPS, _PROMPTS):
        found_gap = simulate_gap(n, four, share, options.repetitions, options.seed)
        gaps.append(_gap_row(n, four, found_gap))
        print(gaps[-1], flush=True)
    page = _report(lines, gaps, options.repetitions, options.seed)
    options.out.write_text(page, encoding="utf-8")


def _row(setting: Setting, found: Found) -> str:
    """One line of the table."""
    cells = (
        f"{setting.epochs}",
        f"{setting.no_think:.0%} to {setting.think:.0%}",
        f"{setting.n}",
        f"{found.coverage:.1%}",
        f"{found.width:.1f}",
        f"{found.peer_coverage:.1%}",
        f"{found.peer_width:.1f}",
        f"{found.shown:.1%}",
        f"{found.permutation:.1%}",
        f"{found.disagreed:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _gap_row(n: int, rates: tuple[float, ...], found: FoundGap) -> str:
    first, second, third, fourth = (f"{rate:.0%}" for rate in rates)
    cells = (
        f"{second} to {first}, against {fourth} to {third}",
        f"{n}",
        f"{found.coverage:.1%}",
        f"{found.width:.1f}",
        f"{found.shown:.1%}",
        f"{found.wide_coverage:.1%}",
        f"{found.wide_width:.1f}",
        f"{found.wide_shown:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _report(lines: list[str], gaps: list[str], repetitions: int, seed: int) -> str:
    error = 200 * (0.95 * 0.05 / repetitions) ** 0.5
    rows, gap_rows = "\n".join(lines), "\n".join(gaps)
    return f"""# Coverage of the paired difference

`python -m benchmarks.paired_coverage --repetitions {repetitions} --seed {seed}` (the seed starts every line anew; simulated
prompts, no model).

How often the 95 % interval holds the planted difference of the population of prompts, and how often it leaves zero out: where both
rates are equal that is its type I error, else its power. `permutation` is the test beside it (with one epoch McNemar's exact
test, with four sign flips by prompt), `bootstrap` the percentile bootstrap by prompt on the same draws. The interval and the
test that belongs to it never part (last column). Shares of {repetitions:,} repetitions near 95 % are known to about {error:.1f} points (two
standard errors). Widths in percentage points.

| epochs | rates | prompts | covered | width | bootstrap covered | width | shown | permutation p <= .05 | interval and test part |
|---|---|---|---|---|---|---|---|---|---|
{rows}

Where a prompt's values reach further than the change of one verdict, as differences of differences do, the interval takes the largest
value seen, at least that of one verdict, as what a prompt can have:

| rates without thinking to with, in two settings | prompts | covered | width | shown | reach 2: covered | width | shown |
|---|---|---|---|---|---|---|---|
{gap_rows}
"""


if __name__ == "__main__":
    main()
