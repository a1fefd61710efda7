"""How often a probe is called good where there is nothing to find, and how often a planted direction is found.

    python -m benchmarks.probe_selection   # writes reports/probe_selection.md

Draws residual vectors of positives and negatives at every layer, normal with unit variance in 64 dimensions, correlated from
layer to layer (0.9 between neighbours). Contrast partners, one of each class, share half of their variance. Planted is a
distance of the class means along one axis, in the later half of the layers. Each draw goes through `probe_position`, which
makes the figures of a report.

Beside the layer that is chosen inside the calibration part stand a layer that was fixed beforehand (the last), and the layer
that looks best on the held-out samples.

Each setting starts its own generator from the seed.
"""

import argparse
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms.auroc import Auroc
from rim_eval.mechanisms.probe_samples import Mask, PromptClass, Samples
from rim_eval.mechanisms.probes import fit_samples, probe_position

_REPORT: Final = Path(__file__).parent / "reports" / "probe_selection.md"
_LAYERS: Final = (5, 37)
_SAMPLES: Final = (60, 120, 300)
_DISTANCES: Final = (0.0, 1.0)
_WIDTH: Final = 64
_NEIGHBOURS: Final = 0.9
_PARTNERS: Final = 0.5
_ALPHA: Final = 0.05


class Setting(NamedTuple):
    """What is planted."""

    distance: float
    """Of the class means, in standard deviations."""
    paired: bool
    """Whether samples come as contrast pairs, else each is a group of its own."""
    layers: int
    n: int
    """Samples of both classes together, 60 % of them for calibration."""


class Found(NamedTuple):
    """Shares of the repetitions, fractions, and mean AUROC."""

    best_shown: float
    """The interval of the layer that looks best on the held-out samples leaves 0.5 out."""
    best_covers: float
    """It holds the AUROC that this probe has in the population."""
    best_area: float
    fixed_shown: float
    """The same of the last layer."""
    fixed_covers: float
    shown: float
    """The same of the chosen layer."""
    covers: float
    area: float
    beyond: float
    """The chosen layer is told apart from permuted labels, rank p <= .05: the rule that decides."""


def simulate(setting: Setting, repetitions: int, seed: int = 0) -> Found:
    """Draw samples of one setting and probe them.

    Args:
        setting: What is planted.
        repetitions: Draws.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    rows = [_measure(setting, draw(setting, rng), seed=i) for i in range(repetitions)]
    return Found(*np.mean(rows, axis=0).tolist())


def draw(setting: Setting, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw states of shape (samples, layers, width); positives come first, partners in the same order."""
    half = setting.n // 2

    def noise(count: int) -> NDArray[np.float64]:
        steps = rng.normal(size=(setting.layers, count, _WIDTH))
        for layer in range(1, setting.layers):
            steps[layer] *= np.sqrt(1 - _NEIGHBOURS**2)
            steps[layer] += _NEIGHBOURS * steps[layer - 1]
        return steps.swapaxes(0, 1)

    states = noise(2 * half)
    if setting.paired:
        shared = np.tile(noise(half), (2, 1, 1))
        states = np.sqrt(1 - _PARTNERS) * states + np.sqrt(_PARTNERS) * shared
    states[:half, setting.layers // 2 :, 0] += setting.distance
    return states.astype(np.float32)


def _measure(setting: Setting, states: NDArray[np.float32], seed: int) -> tuple[float, ...]:
    half = len(states) // 2
    harmful = np.arange(len(states)) < half
    unknown = np.zeros(len(states), dtype=np.bool_)
    classes: dict[PromptClass, Mask] = {
        "harmful": harmful,
        "harmless": ~harmful,
        "refused": unknown,
        "fulfilled": unknown,
    }
    groups = [str(i % half if setting.paired else i) for i in range(len(states))]
    samples = Samples.split("harmful", classes, groups, seed)
    found = probe_position(states, samples, mode="no_think", position="last", logistic=False, seed=seed)  # fmt: skip
    assert found is not None
    directions = fit_samples(states, samples).direction
    planted = setting.distance * (np.arange(setting.layers) >= setting.layers // 2)
    gaps = directions[:, 0] * planted / np.linalg.norm(directions, axis=1)
    truth = [NormalDist().cdf(gap / 2**0.5) for gap in gaps.tolist()]

    def read(layer: int) -> tuple[bool, bool, Auroc]:
        area = found.scores[layer].auroc
        return not area.lower <= 0.5 <= area.upper, area.lower <= truth[layer] <= area.upper, area

    best = max(range(setting.layers), key=lambda layer: found.scores[layer].auroc.value)
    chosen = next(i for i, score in enumerate(found.scores) if score.layer == found.layer)
    (best_shown, best_covers, best_area), (shown, covers, area) = read(best), read(chosen)
    beyond = found.control.p_value <= _ALPHA
    fixed = read(setting.layers - 1)[:2]
    return (best_shown, best_covers, best_area.value, *fixed, shown, covers, area.value, beyond)


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000, help="where nothing is planted")
    parser.add_argument("--planted-repetitions", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=_REPORT)
    options = parser.parse_args()
    lines = []
    for values in product(_DISTANCES, (True, False), _LAYERS, _SAMPLES):
        setting = Setting(*values)
        count = options.planted_repetitions if setting.distance else options.repetitions
        lines.append(_row(setting, simulate(setting, count, options.seed)))
        print(lines[-1], flush=True)
    counts = options.repetitions, options.planted_repetitions
    options.out.write_text(_report(lines, counts, options.seed), encoding="utf-8")


def _row(setting: Setting, found: Found) -> str:
    """One line of the table."""
    cells = (
        f"{setting.distance:g}",
        "pairs" if setting.paired else "single",
        f"{setting.layers}",
        f"{setting.n}",
        f"{found.best_area:.2f}",
        f"{found.best_shown:.1%}",
        f"{found.best_covers:.1%}",
        f"{found.fixed_shown:.1%}",
        f"{found.fixed_covers:.1%}",
        f"{found.area:.2f}",
        f"{found.shown:.1%}",
        f"{found.covers:.1%}",
        f"{found.beyond:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _report(lines: list[str], counts: tuple[int, int], seed: int) -> str:
    errors = [200 * (rate * (1 - rate) / n) ** 0.5 for rate, n in zip((0.05, 0.5), counts, strict=True)]  # fmt: skip
    rows = "\n".join(lines)
    return f"""# Choice of a probe's layer

`python -m benchmarks.probe_selection --repetitions {counts[0]} --planted-repetitions {counts[1]} --seed {seed}` (the seed starts
every line anew; simulated states, no model).

Normal states in {_WIDTH} dimensions, neighbouring layers correlated with {_NEIGHBOURS}, contrast partners (`pairs`) sharing half of their variance; 60 % of
the samples calibrate. `distance` is that of the class means in the later half of the layers, in standard deviations: with 0
there is nothing to find, and shown and rank p <= .05 are type I errors, else they are power. `shown`: the 95 % interval of the
held-out AUROC leaves 0.5 out. `covers`: it holds the AUROC that this very probe has in the population. What decides in a report is
the last column, the rank of the chosen layer's held-out AUROC among those of 99 permutations of the labels, each with its own
choice of a layer. Type I errors near 5 % are known to about {errors[0]:.1f} points (two standard errors, {counts[0]:,} draws), power near 50 % to
{errors[1]:.1f} ({counts[1]:,} draws).

| distance | samples | layers | n | best held-out layer: AUROC | shown | covers | last layer: shown | covers | chosen layer: AUROC | shown | covers | rank p <= .05 |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
