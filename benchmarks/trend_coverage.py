"""How often the interval of a paired trend holds the trend that was planted, and how often its permutation test finds one.

    python -m benchmarks.trend_coverage                                    # one epoch; writes reports/trend_coverage.md
    python -m benchmarks.trend_coverage --settings hard --repetitions 500   # rare events, several epochs; ..._hard.md

Draws prompts with a planted dose response, again and again, and measures the trend over the doses. Two kinds of prompts:
`thresholds` (a prompt turns at one dose and stays; as with greedy decoding) and `coins` (each prompt has its own rate at
each dose, logistic in a normal level and a normal slope, and every verdict is drawn; as with sampling). Rising, falling
and flat: flat thresholds turn one way as often as the other, flat coins rise as often as they fall, about the middle dose.
The planted trend is that of the population of prompts: exact for thresholds, by quadrature for coins.

`rare` are coins whose rates are near 0 on nearly every prompt and rise (or fall) in proportion.

Each setting starts its own generator from seed 0, so that the first 200 repetitions are those of the tests.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks._bootstrap import interval_by_prompt
from rim_eval.statistics import Tally, tallied_trend
from rim_eval.statistics.trend import slope_weights

Shape = Literal["rising", "falling", "flat"]
Prompts = Literal["thresholds", "coins", "rare"]

_REPORTS: Final = Path(__file__).parent / "reports"
_PROMPTS: Final = (30, 60, 100, 220, 300)
_HARD_PROMPTS: Final = (30, 60, 220)
_REPORT_OF: Final = {"usual": "trend_coverage.md", "hard": "trend_coverage_hard.md"}
_DOSES: Final = (3, 5)
_ALWAYS, _NEVER = 0.1, 0.5
"""Shares of prompts whose threshold lies before the first dose, and beyond the last."""
_LEVEL, _LEVELS_SPREAD, _SLOPE, _SLOPES_SPREAD = -2.2, 1.5, 2.2, 0.8
"""Of the coins: logits at the low end, spread between prompts, from the first to the last dose, spread of that."""
_RARE: Final = (0.1, 1.5)
"""Beta distribution of the highest rate of rare events: 6 % on average, near 0 on most prompts."""
_STEP = {"rising": 1, "falling": -1, "flat": 0}


class Setting(NamedTuple):
    """What is planted."""

    prompts: Prompts
    shape: Shape
    doses: int
    n: int
    """Prompts in a run."""
    epochs: int = 1


class Found(NamedTuple):
    """What the repetitions gave; shares are fractions, the others points."""

    planted: float
    coverage: float
    bootstrap_coverage: float
    """Of the percentile bootstrap by prompt, on the same draws."""
    width: float
    bootstrap_width: float
    rejected: float
    """Share with p of at most .05."""


def simulate(setting: Setting, repetitions: int, seed: int = 0) -> Found:
    """Measure the trend of many draws of one setting."""
    rng = np.random.default_rng(seed)
    planted = 100 * float(_planted_rates(setting) @ _weights(setting.doses))
    rows = [_measure(setting, planted, rng) for _ in range(repetitions)]
    covered, covered_bootstrap, width, width_bootstrap, rejected = np.mean(rows, axis=0)
    return Found(planted, covered, covered_bootstrap, width, width_bootstrap, rejected)


def _measure(setting: Setting, planted: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Of one draw: whether both intervals hold the trend, their widths, whether the test rejects."""
    verdicts = draw(setting, rng)
    # The order of a prompt's epochs does not matter: sorted, fewer prompts differ.
    rows = np.sort(verdicts, axis=0).transpose(1, 2, 0).tolist()
    counted: Tally = Counter(tuple(map(tuple, row)) for row in rows)
    found = tallied_trend(counted, [str(dose) for dose in range(setting.doses)])
    weights = _weights(setting.doses)
    reach = float(weights[weights > 0].sum())
    bootstrap = interval_by_prompt(verdicts.mean(axis=0) @ weights, reach=reach).interval
    lower, upper = 100 * bootstrap.lower, 100 * bootstrap.upper
    slack = 1e-9
    return (
        found.lower - slack <= planted <= found.upper + slack,
        lower - slack <= planted <= upper + slack,
        found.upper - found.lower,
        upper - lower,
        found.permutation_p_value <= 0.05,
    )


def draw(setting: Setting, rng: np.random.Generator) -> NDArray[np.float64]:
    """Verdicts of one run, shape (epochs, prompts, doses)."""
    if setting.prompts == "thresholds":
        return _thresholds(setting, rng)[None]
    if setting.prompts == "coins":
        levels, slopes = rng.normal(size=(2, setting.n, 1))
        rates = _coin_rates(setting, levels, slopes)
    else:
        rates = rng.beta(*_RARE, size=(setting.n, 1)) * _rare_shares(setting)
    return (rng.random((setting.epochs, setting.n, setting.doses)) < rates).astype(float)


def _thresholds(setting: Setting, rng: np.random.Generator) -> NDArray[np.float64]:
    n, doses = setting.n, setting.doses
    turns = setting.shape == "rising"
    rising = rng.random(n) < 0.5 if setting.shape == "flat" else np.full(n, turns)
    between = np.full(doses - 1, (1 - _ALWAYS - _NEVER) / (doses - 1))
    first = rng.choice(doses + 1, size=n, p=[_ALWAYS, *between, _NEVER])
    verdicts = (np.arange(doses) >= first[:, None]).astype(float)
    verdicts[~rising] = verdicts[~rising][:, ::-1]
    return verdicts


def _rare_shares(setting: Setting) -> NDArray[np.float64]:
    """Of a prompt's highest rate, at each dose."""
    rising = np.linspace(0.3, 1, setting.doses)
    flat = np.full(setting.doses, rising.mean())
    return {"rising": rising, "falling": rising[::-1], "flat": flat}[setting.shape]


def _coin_rates(
    setting: Setting, levels: NDArray[np.float64], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rates of prompts with these standard-normal levels and slopes, shape (..., doses)."""
    doses = np.linspace(0, 1, setting.doses)
    start = 0.0 if setting.shape == "falling" else _LEVEL
    mean = start + _STEP[setting.shape] * _SLOPE * doses
    # About the middle a spread of slopes has no trend of its own.
    turned = slopes * (doses - 0.5 if setting.shape == "flat" else doses)
    return 1 / (1 + np.exp(-(mean + _LEVELS_SPREAD * levels + _SLOPES_SPREAD * turned)))


def _planted_rates(setting: Setting) -> NDArray[np.float64]:
    """Rates of the population at each dose."""
    if setting.prompts == "thresholds":
        rising = np.linspace(_ALWAYS, 1 - _NEVER, setting.doses)
        both = (rising + rising[::-1]) / 2
        return {"rising": rising, "falling": rising[::-1], "flat": both}[setting.shape]
    if setting.prompts == "rare":
        return _rare_shares(setting) * _RARE[0] / sum(_RARE)
    nodes, weights = np.polynomial.hermite_e.hermegauss(81)
    weights = weights / weights.sum()
    rates = _coin_rates(setting, nodes[:, None, None], nodes[None, :, None])
    return np.asarray(np.einsum("i,j,ijk->k", weights, weights, rates))


def _weights(doses: int) -> NDArray[np.float64]:
    return np.array(slope_weights(np.linspace(0, 1, doses).tolist()))


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", choices=tuple(_REPORT_OF), default="usual")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settings = _usual() if options.settings == "usual" else _hard()
    results = []
    for setting in settings:
        short, long = (
            simulate(setting, times, options.seed) for times in (200, options.repetitions)
        )
        results.append((setting, short, long))
        print(_row(*results[-1]), flush=True)
    flag = "" if options.settings == "usual" else f" --settings {options.settings}"
    page = _report(results, options.repetitions, f"--seed {options.seed}{flag}")
    (options.out or _REPORTS / _REPORT_OF[options.settings]).write_text(page, encoding="utf-8")


def _usual() -> list[Setting]:
    return [
        Setting(prompts, shape, doses, n)
        for doses in _DOSES
        for prompts in ("thresholds", "coins")
        for shape in get_args(Shape)
        for n in _PROMPTS
    ]


def _hard() -> list[Setting]:
    kinds: tuple[tuple[Prompts, int], ...] = (("coins", 4), ("rare", 1), ("rare", 4))
    return [
        Setting(prompts, shape, 5, n, epochs)
        for prompts, epochs in kinds
        for shape in ("rising", "flat")
        for n in _HARD_PROMPTS
    ]


def _row(setting: Setting, short: Found, long: Found) -> str:
    """One line of the table."""
    cells = (
        f"{setting.doses}",
        setting.prompts + f", {setting.epochs} epochs" * (setting.epochs > 1),
        setting.shape,
        f"{setting.n}",
        f"{round(long.planted, 1) + 0.0:.1f}",
        f"{short.coverage:.1%}",
        f"{long.coverage:.1%}",
        f"{long.bootstrap_coverage:.1%}",
        f"{long.width:.1f}",
        f"{long.bootstrap_width:.1f}",
        f"{long.rejected:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _size_row(n: int, found: list[Found]) -> str:
    """All settings of one size: mean coverage, its lowest, and the widths' ratio."""
    cells = (
        f"{n}",
        f"{np.mean([each.coverage for each in found]):.1%}",
        f"{min(each.coverage for each in found):.1%}",
        f"{np.mean([each.bootstrap_coverage for each in found]):.1%}",
        f"{min(each.bootstrap_coverage for each in found):.1%}",
        f"{np.mean([each.width / each.bootstrap_width for each in found]):.2f}",
    )
    return f"| {' | '.join(cells)} |"


def _report(results: list[tuple[Setting, Found, Found]], repetitions: int, flags: str) -> str:
    """The page: what was run, and the tables."""
    error = 200 * (0.95 * 0.05 / repetitions) ** 0.5
    rows = "\n".join(_row(*each) for each in results)
    sizes = "\n".join(
        _size_row(n, [long for setting, _, long in results if setting.n == n])
        for n in sorted({setting.n for setting, *_ in results})
    )
    return f"""# Coverage of the paired trend

`python -m benchmarks.trend_coverage --repetitions {repetitions} {flags}` (the seed starts every line anew; simulated
prompts, no model).

How often the 95 % interval of a trend over doses holds the trend that was planted in the population of prompts, and how often
the permutation test gives p <= .05: for flat shapes that is its type I error, for the others its power. `thresholds` are prompts that turn
at one dose and stay, `coins` prompts whose every verdict is drawn at a rate of their own, `rare` those whose rates are mostly
near 0. The trend and the widths are in percentage points from the smallest to the largest dose. `bootstrap` is the percentile
bootstrap by prompt on the same draws, for comparison: rim_eval uses the score interval (`rim_eval/statistics/bounded_mean.py`).

Shares of {repetitions:,} repetitions are known to about {error:.1f} points (two standard errors), those of the first 200 to
about 3. An interval that covers exactly 95 % holds the trend in at least 190 of 200 repetitions only about six times in
ten, so the column of 200 says little by itself; the column of {repetitions:,} is the one to read. Falling thresholds are rising ones
in reverse, drawn alike: their lines are no further evidence.

Over all settings of one size:

| n | covered, mean | lowest | bootstrap, mean | lowest | width over bootstrap's |
|---|---|---|---|---|---|
{sizes}

Each setting:

| doses | prompts | shape | n | planted | covered, first 200 | covered | bootstrap | width | bootstrap width | p <= .05 |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
