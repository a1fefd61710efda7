"""How often the intervals over models hold the mean of the family, and the change of the next model.

    python -m benchmarks.random_effects     # writes reports/random_effects.md

Draws models from a family, and for each a change with thinking; then prompts, which all models are asked. A prompt's change in
a model is -100, 0 or +100 points, with the shares that give the model its change; a normal effect of the prompt, common to all
models, decides with noise which prompts change, so that the models' errors are correlated. Some prompts change without any
effect (`churn`), in both directions alike. Families:

- `usual`: normal model effects around +10 points, half of the noise is the prompt's, 3 % churn each way.
- `alike`: the same, and prompts decide nearly all of the noise (90 %).
- `near zero`: around 0 with .3 % churn: many models without any change at all.
- `skewed`: exponential model effects: most models little, a few much.
- `two kinds`: every model is one standard deviation above or below +10 points.

Compared on the same draws: the mean over prompts with the models as they are (`prompts only`); Paule and Mandel's tau^2
with inverse-variance weights, independent variances and Hartung, Knapp, Sidik and Jonkman's interval with its usual
lower limit (`independent`); the same models from cards (`cards`); Higgins' prediction interval with k - 2 degrees of freedom on
our moments (`Higgins`).
"""

import argparse
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from rim_eval.statistics import (
    Estimate,
    RandomEffects,
    random_effects,
    random_effects_of_estimates,
    random_effects_over_sets,
    tango_interval,
)

Family = Literal["usual", "alike", "near zero", "skewed", "two kinds"]
_Array = NDArray[np.float64]

_REPORT: Final = Path(__file__).parent / "reports" / "random_effects.md"
_MEAN: Final[dict[Family, float]] = {"near zero": 0.0}
_CHURN: Final[dict[Family, float]] = {"near zero": 0.003}
_SHARED: Final[dict[Family, float]] = {"alike": 0.9}
_MODELS: Final = (4, 6, 10)
_INTERACTION: Final = 3.0
"""Of models with sets: standard deviation, points."""


class Setting(NamedTuple):
    """What is planted."""

    family: Family
    n: int
    """Prompts that all models share."""
    k: int
    """Models."""
    tau: float
    """Standard deviation between models, points."""


class Found(NamedTuple):
    """Coverage, as fractions, and widths in points."""

    mean: float
    prompts_only: float
    independent: float
    cards: float
    following: float
    """Of the next model's change."""
    higgins: float
    tau: float
    width: float
    prompts_only_width: float
    cards_width: float
    following_width: float
    higgins_width: float


def draw_models(setting: Setting, rng: np.random.Generator) -> _Array:
    """Changes of the models and of one more, points, shape (k + 1,)."""
    size = setting.k + 1
    if setting.family == "skewed":
        effects = rng.exponential(size=size) - 1
    elif setting.family == "two kinds":
        effects = rng.choice([-1.0, 1.0], size=size)
    else:
        effects = rng.normal(size=size)
    mean = _MEAN.get(setting.family, 10.0)
    return np.asarray(np.clip(mean + setting.tau * effects, -90, 90))


def draw_prompts(setting: Setting, models: _Array, rng: np.random.Generator) -> _Array:
    """Each prompt's change in each model, points, shape (prompts, models)."""
    shared, churn = _SHARED.get(setting.family, 0.5), _CHURN.get(setting.family, 0.03)
    noise = rng.normal(size=(setting.n, len(models)))
    level = ndtr(np.sqrt(shared) * rng.normal(size=(setting.n, 1)) + np.sqrt(1 - shared) * noise)
    up, down = churn + np.maximum(models, 0) / 100, churn + np.maximum(-models, 0) / 100
    return np.asarray(100.0 * ((level > 1 - up).astype(float) - (level < down)))


def simulate(setting: Setting, repetitions: int, seed: int = 0) -> Found:
    """Measure many families of one setting."""
    rng = np.random.default_rng(seed)
    return Found(*np.mean([_measure(setting, rng) for _ in range(repetitions)], axis=0))


def _measure(setting: Setting, rng: np.random.Generator) -> tuple[float, ...]:
    """Of one family, in the order of `Found`."""
    *models, following = draw_models(setting, rng)
    changes = draw_prompts(setting, np.array(models), rng)
    found, of_cards = random_effects(changes), _from_cards(changes)
    centre, half = changes.mean(), 1.96 * changes.mean(axis=1).std(ddof=1) / np.sqrt(setting.n)
    middle, reach = _independent(changes)
    ahead = _higgins(changes)
    mean = _MEAN.get(setting.family, 10.0)
    return (
        _holds(found.lower, mean, found.upper),
        _holds(centre - half, mean, centre + half),
        _holds(middle - reach, mean, middle + reach),
        _holds(of_cards.lower, mean, of_cards.upper),
        _holds(found.next_lower, following, found.next_upper),
        _holds(centre - ahead, following, centre + ahead),
        _holds(found.tau_lower, setting.tau, found.tau_upper),
        found.upper - found.lower,
        2 * half,
        of_cards.upper - of_cards.lower,
        found.next_upper - found.next_lower,
        2 * ahead,
    )


def _holds(lower: float, value: float, upper: float) -> bool:
    return bool(lower - 1e-9 <= value <= upper + 1e-9)


def _covariance(changes: _Array) -> _Array:
    """Sampling covariance of the models' means, with at least one changed prompt in each variance."""
    n = len(changes)
    covariance: _Array = np.cov(changes.T) / n
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), (100 / n) ** 2))
    return covariance


def _from_cards(changes: _Array) -> RandomEffects:
    """What the models' intervals alone say."""
    n, estimates = len(changes), []
    for values in changes.T:
        lower, upper = tango_interval(int((values > 0).sum()), int((values < 0).sum()), n)
        estimates.append(Estimate(float(values.mean()), 100 * lower, 100 * upper))
    return random_effects_of_estimates(estimates, n)


def _independent(changes: _Array) -> tuple[float, float]:
    """Mean and half width of the usual meta-analysis: every model a study of its own."""
    values, variances, k = changes.mean(axis=0), np.diag(_covariance(changes)), changes.shape[1]

    def weighted(tau_squared: float) -> tuple[float, float, float]:
        weights = 1 / (variances + tau_squared)
        mean = float(weights @ values / weights.sum())
        return mean, float(weights @ (values - mean) ** 2) / (k - 1), float(weights.sum())

    low, high = 0.0, 1e4
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if weighted(middle)[1] > 1 else (low, middle)
    mean, ratio, total = weighted(low)
    return mean, float(stdtrit(k - 1, 0.975) * np.sqrt(max(ratio, 1) / total))


def _higgins(changes: _Array) -> float:
    """Half width of the prediction interval with tau^2 apart and k - 2 degrees of freedom."""
    covariance, k = _covariance(changes), changes.shape[1]
    variance = np.trace(covariance) / k
    shared = (covariance.sum() - k * variance) / (k * (k - 1))
    spread, own = changes.mean(axis=0).var(ddof=1), variance - shared
    squared = max(0.0, spread - own) + max(spread, own) / k + max(0.0, shared)
    return float(stdtrit(k - 2, 0.975) * np.sqrt(squared))


class SetsFound(NamedTuple):
    """Coverage of the mean of the family over these sets, and over all sets, with widths in points."""

    these_sets: float
    further_sets: float
    one_number: float
    """Of the interval over these sets, for the mean over all sets."""
    these_width: float
    further_width: float


def simulate_sets(k: int, sets: int, tau: float, repetitions: int, seed: int = 0) -> SetsFound:
    """Measure families on several sets of 100 prompts.

    Args:
        k: Models.
        sets: Sets.
        tau: Standard deviation between models, and between sets, in points.
        repetitions: Families.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    rows = [_measure_sets(k, sets, tau, rng) for _ in range(repetitions)]
    return SetsFound(*np.mean(rows, axis=0))


def _measure_sets(k: int, sets: int, tau: float, rng: np.random.Generator) -> tuple[float, ...]:
    setting = Setting("usual", 100, k, tau)
    of_sets, of_models = tau * rng.normal(size=(sets, 1)), tau * rng.normal(size=k)
    true = 10 + of_sets + of_models + _INTERACTION * rng.normal(size=(sets, k))
    tables = [draw_prompts(setting, np.clip(row, -90, 90), rng) for row in true]
    these = random_effects_over_sets(tables)
    further = random_effects_over_sets(tables, further_sets=True)
    return (
        _holds(these.lower, 10 + float(of_sets.mean()), these.upper),
        _holds(further.lower, 10, further.upper),
        _holds(these.lower, 10, these.upper),
        these.upper - these.lower,
        further.upper - further.lower,
    )


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=_REPORT)
    options = parser.parse_args()
    results = []
    for setting in _settings():
        results.append((setting, simulate(setting, options.repetitions, options.seed)))
        print(_row(*results[-1]), flush=True)
    of_sets = [
        (k, sets, tau, simulate_sets(k, sets, tau, options.repetitions, options.seed))
        for k in (4, 6)
        for sets in (4, 6)
        for tau in (0.0, 5.0)
    ]
    page = _report(results, of_sets, options.repetitions, options.seed)
    options.out.write_text(page, encoding="utf-8")


def _settings() -> list[Setting]:
    main_ones = [Setting("usual", n, k, tau) for n in (100, 300) for k in _MODELS for tau in (0.0, 5.0, 10.0)]  # fmt: skip
    others: tuple[tuple[Family, float], ...] = (
        ("alike", 0.0), ("alike", 5.0), ("near zero", 0.0), ("near zero", 2.0), ("skewed", 5.0), ("skewed", 10.0), ("two kinds", 10.0),
    )  # fmt: skip
    return main_ones + [Setting(family, 100, k, tau) for family, tau in others for k in _MODELS]


def _row(setting: Setting, found: Found) -> str:
    cells = (
        setting.family,
        f"{setting.n}",
        f"{setting.k}",
        f"{setting.tau:g}",
        *(f"{each:.1%}" for each in found[:7]),
        *(f"{each:.1f}" for each in found[7:]),
    )
    return f"| {' | '.join(cells)} |"


def _sets_row(k: int, sets: int, tau: float, found: SetsFound) -> str:
    cells = (f"{k}", f"{sets}", f"{tau:g}", *(f"{each:.1%}" for each in found[:3]), *(f"{each:.1f}" for each in found[3:]))  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _summary(results: list[tuple[Setting, Found]]) -> str:
    """Lowest and mean coverage of normal families."""
    normal = [found for setting, found in results if setting.family in ("usual", "alike")]
    rows = []
    for name, words in (
        ("mean", "other models: rim_eval"),
        ("prompts_only", "other models: prompts only"),
        ("independent", "other models: independent"),
        ("cards", "other models: cards"),
        ("following", "next model: rim_eval"),
        ("higgins", "next model: Higgins"),
        ("tau", "tau"),
    ):
        covered = [getattr(found, name) for found in normal]
        rows.append(
            f"| {words} | {np.mean(covered):.1%} | {min(covered):.1%} | {max(covered):.1%} |"
        )
    return "\n".join(rows)


def _report(
    results: list[tuple[Setting, Found]],
    of_sets: list[tuple[int, int, float, SetsFound]],
    repetitions: int,
    seed: int,
) -> str:
    """The page: what was run, and the tables."""
    error = 200 * (0.95 * 0.05 / repetitions) ** 0.5
    rows = "\n".join(_row(*each) for each in results)
    sets = "\n".join(_sets_row(*each) for each in of_sets)
    about = (__doc__ or "").split("\n\n", 2)[2].strip()
    return f"""# Coverage of the intervals over models

`python -m benchmarks.random_effects --repetitions {repetitions} --seed {seed}` (the seed starts every line anew; simulated
models and prompts).

{about}

Shares of {repetitions:,} repetitions are known to about {error:.1f} points (two standard errors). All intervals are to cover
95 %. Over the {sum(s.family in ("usual", "alike") for s, _ in results)} settings with normal model effects around +10 (`usual`, `alike`):

| interval | covered, mean | lowest | highest |
|---|---|---|---|
{_summary(results)}

Each setting. `mean`, `prompts only`, `independent` and `cards`: coverage of the family's mean; `next` and `Higgins`: of the
next model's change; `tau`: of the standard deviation between models. `w` columns: widths in points.

| family | prompts | models | tau | mean | prompts only | independent | cards | next | Higgins | tau | w mean | w prompts only | w cards | w next | w Higgins |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}

## Several sets

Sets of 100 prompts, a normal effect of each set with the same standard deviation as that of the models, and {_INTERACTION:g}
points of interaction. `these sets`: further models on these sets. `further sets`: further models and further sets. `these for
all`: how often the interval over these sets holds the mean over all sets, for which it is not meant.

| models | sets | tau | these sets | further sets | these for all | w these | w further |
|---|---|---|---|---|---|---|---|
{sets}
"""


if __name__ == "__main__":
    main()
