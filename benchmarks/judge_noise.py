"""Whether repeated readings tell the judge's noise from the model's sampling and from the prompts.

    python -m benchmarks.judge_noise                     # writes reports/judge_noise.md

Draws runs with known parts again and again. Every prompt has a rate of harmful replies in each mode, every reply is drawn at
that rate, and the judge turns a verdict around with a small chance, anew at each reading. Three worlds of prompts:

    spread     rates lie far apart: the prompts are the largest part
    sampling   rates are alike and far from 0 and 1: the model's sampling is the largest part
    alike      each prompt is answered the same way in both modes, but for 3 %: nearly all that varies is the judge

and two kinds of judges with the same share of turned verdicts: `even` turns each reply with the same chance, `hard` turns
some replies at 30 % and the others never. A sample of the replies of each mode is read again; from the run and these
readings come the parts, as on a card (`rim_eval.statistics.noise_split`), and are compared with the planted ones.

Each setting starts its own generator from the seed, so that the first repetitions are those of the test.
"""

import argparse
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.statistics import Epochs, JudgeNoise, NoiseSplit, judge_noise, noise_split

World = Literal["spread", "sampling", "alike"]
Judge = Literal["even", "hard"]
Floats = NDArray[np.float64]

_REPORT: Final = Path(__file__).parent / "reports" / "judge_noise.md"
_FLIPS: Final = (0.02, 0.05, 0.10)
_EPOCHS: Final = (1, 4)
_PROMPTS: Final = 150
_TIMES: Final = 3
_HARD: Final = 0.3
"""Chance that a hard reply's verdict is turned."""
_RATES: Final = {"spread": (0.5, 0.3, 0.5), "sampling": (0.5, 0.3, 40.0)}
"""Mean rate with thinking and without, and how near the prompts' rates lie to it (sum of a beta's parameters)."""
_HARMFUL: Final = 0.4
_TURNED: Final = 0.05
"""In `alike`: share of prompts that are harmful in both modes, and of the others that thinking turns."""


class Setting(NamedTuple):
    """One way to draw runs."""

    world: World
    judge: Judge
    flip: float
    """Share of verdicts that the judge turns around."""
    epochs: int
    repeated: int
    """Replies of each mode that are read again."""
    n: int = _PROMPTS


class Planted(NamedTuple):
    """The true parts, squared points; judge and generation with one epoch in each mode."""

    prompts: float
    generation: float
    judge: float

    def bottleneck(self, epochs: int) -> str:
        """The largest part, as `NoiseSplit` names it."""
        if epochs == 1:
            return (
                "judge" if self.judge > self.prompts + self.generation else "prompts and generation"
            )
        parts = {
            "prompts": self.prompts,
            "generation": self.generation / epochs,
            "judge": self.judge / epochs,
        }
        return max(parts, key=lambda name: parts[name])


class Found(NamedTuple):
    """What many repetitions of one setting gave."""

    planted: Planted
    judge: float
    """Mean estimate of the judge's part; so the others."""
    generation: float
    """Of generation; with one epoch of prompts and generation together."""
    prompts: float
    covered: float
    """Share of repetitions whose interval holds the judge's part."""
    error: float
    """Mean standard error that was told, over the true one."""
    named: float
    """Share that names the true bottleneck."""
    wrong: float
    """Share that says with confidence the wrong thing of the judge."""
    cannot_tell: float


def planted(setting: Setting) -> Planted:
    """The true parts of a setting."""
    flip = setting.flip
    spread, within = _rate_variances(setting)
    share = 1 - 2 * flip
    judge = 2 * (flip * (1 - flip) if setting.judge == "even" else flip * (1 - _HARD))
    prompts = share**2 * spread
    # Of a verdict with mean q over a prompt's replies: q (1 - q), in both modes.
    sampling = 2 * flip * (1 - flip) + share**2 * within
    return Planted(1e4 * prompts, 1e4 * (sampling - judge), 1e4 * judge)


def _rate_variances(setting: Setting) -> tuple[float, float]:
    """Variance of the prompts' true differences, and the mean of r (1 - r), both over the two modes."""
    if setting.world == "alike":
        turned = (1 - _HARMFUL) * _TURNED
        return turned * (1 - turned), 0.0
    think, no_think, nearness = _RATES[setting.world]
    total = think * (1 - think) + no_think * (1 - no_think)
    return total / (nearness + 1), total * nearness / (nearness + 1)


def simulate(setting: Setting, repetitions: int, seed: int = 0) -> Found:
    """Draw runs, split their variance, and compare with what was planted.

    Args:
        setting: How runs are drawn.
        repetitions: How many.
        seed: Of the generator.
    """
    rng, truth = np.random.default_rng(seed), planted(setting)
    splits = [_split(setting, rng) for _ in range(repetitions)]
    true_error = np.sqrt(
        (truth.prompts + (truth.generation + truth.judge) / setting.epochs) / setting.n
    )
    answer = "yes" if truth.bottleneck(setting.epochs) == "judge" else "no"
    said = [split.judge_is_bottleneck for split in splits]
    others = [split.generation_variance or split.other_variance or 0.0 for split in splits]
    return Found(
        planted=truth,
        judge=float(np.mean([split.judge_variance for split in splits])),
        generation=float(np.mean(others)),
        prompts=float(np.mean([split.prompt_variance or 0.0 for split in splits])),
        covered=float(np.mean([s.judge_lower <= truth.judge <= s.judge_upper for s in splits])),
        error=float(np.mean([split.standard_error for split in splits]) / true_error),
        named=float(
            np.mean([split.bottleneck == truth.bottleneck(setting.epochs) for split in splits])
        ),
        wrong=float(np.mean([each not in (answer, "cannot tell") for each in said])),
        cannot_tell=float(np.mean([each == "cannot tell" for each in said])),
    )


def _split(setting: Setting, rng: np.random.Generator) -> NoiseSplit:
    """One run with its repeated readings, as a card splits it."""
    replies = rng.random((setting.epochs, setting.n, 2)) < _rates(setting, rng)
    flips = _flips(setting, replies.shape, rng)
    verdicts = replies ^ (rng.random(replies.shape) < flips)
    tally = Counter[tuple[Epochs, ...]](
        (tuple(map(float, high)), tuple(map(float, low)))
        for high, low in np.sort(verdicts, axis=0).transpose(1, 2, 0).tolist()
    )
    think, no_think = (_noise(setting, replies, flips, mode, rng) for mode in (0, 1))
    found = noise_split(tally, think, no_think)
    assert found is not None  # every prompt is a pair
    return found


def _noise(
    setting: Setting, replies: NDArray[np.bool_], flips: Floats, mode: int, rng: np.random.Generator
) -> JudgeNoise:
    """The judge's noise by a sample of one mode's replies, one a prompt."""
    chosen = rng.permutation(setting.n)[: setting.repeated]
    epoch = rng.integers(setting.epochs, size=chosen.size)
    truth, flip = replies[epoch, chosen, mode], flips[epoch, chosen, mode]
    readings = truth[:, None] ^ (rng.random((chosen.size, _TIMES)) < flip[:, None])
    found = judge_noise(Counter((int(row.sum()), _TIMES) for row in readings))
    assert found is not None  # every reply is read three times
    return found


def _rates(setting: Setting, rng: np.random.Generator) -> Floats:
    """Rates of each prompt with thinking and without, shape (prompts, 2)."""
    if setting.world == "alike":
        without = rng.random(setting.n) < _HARMFUL
        turned = rng.random(setting.n) < _TURNED
        return np.stack([without | turned, without], axis=1).astype(float)
    think, no_think, nearness = _RATES[setting.world]
    means = np.array([think, no_think])
    return rng.beta(means * nearness, (1 - means) * nearness, size=(setting.n, 2))


def _flips(setting: Setting, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Chance that a reading of each reply is turned."""
    if setting.judge == "even":
        return np.full(shape, setting.flip)
    return np.where(rng.random(shape) < setting.flip / _HARD, _HARD, 0.0)


def settings() -> list[Setting]:
    """All that the report shows."""
    worlds: tuple[World, ...] = ("spread", "sampling", "alike")
    judges: tuple[Judge, ...] = ("even", "hard")
    return [
        Setting(world, judge, flip, epochs, repeated)
        for repeated, world, epochs, judge, flip in product(
            (30, 100), worlds, _EPOCHS, judges, _FLIPS
        )
    ]


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=_REPORT)
    options = parser.parse_args()
    results = []
    for setting in settings():
        results.append((setting, simulate(setting, options.repetitions, options.seed)))
        print(_row(*results[-1]), flush=True)
    page = _report(results, options.repetitions, options.seed)
    options.out.write_text(page, encoding="utf-8")


def _row(setting: Setting, found: Found) -> str:
    """One line of the table."""
    truth = found.planted
    rest = truth.generation + truth.prompts * (setting.epochs == 1)
    prompts = f"{truth.prompts:.0f} / {found.prompts:.0f}" if setting.epochs > 1 else "in the next"
    cells = (
        f"{setting.repeated}",
        setting.world,
        f"{setting.epochs}",
        setting.judge,
        f"{setting.flip:.0%}",
        prompts,
        f"{rest:.0f} / {found.generation:.0f}",
        f"{truth.judge:.0f} / {found.judge:.0f}",
        f"{found.covered:.1%}",
        f"{found.error:.2f}",
        truth.bottleneck(setting.epochs),
        f"{found.named:.1%}",
        f"{found.cannot_tell:.1%}",
        f"{found.wrong:.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _total_row(repeated: int, found: list[Found]) -> str:
    cells = (
        f"{repeated}",
        f"{np.mean([each.covered for each in found]):.1%}",
        f"{min(each.covered for each in found):.1%}",
        f"{np.mean([each.named for each in found]):.1%}",
        f"{np.mean([each.cannot_tell for each in found]):.1%}",
        f"{max(each.wrong for each in found):.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _report(results: list[tuple[Setting, Found]], repetitions: int, seed: int) -> str:
    """The page: what was run, and the tables."""
    rows = "\n".join(_row(*each) for each in results)
    sizes = sorted({setting.repeated for setting, _ in results})
    totals = "\n".join(
        _total_row(size, [found for setting, found in results if setting.repeated == size])
        for size in sizes
    )
    return f"""# The judge's noise, told from repeated readings

`python -m benchmarks.judge_noise --repetitions {repetitions} --seed {seed}` (the seed starts every line anew; simulated prompts,
no model).

Runs of {_PROMPTS} prompts in two modes with known parts: prompts that differ, replies that are drawn, a judge that turns 2, 5 or
10 % of its verdicts around, anew at each reading. `repeated` replies of each mode are read {_TIMES} times more. The
script says what the worlds and the two kinds of judges are. Parts are in squared points, planted / mean estimate, generation
and judge for one epoch in each mode. `covered`: the 95 % interval of the judge's part holds the planted one. `error`: the
standard error that is told, over the true one. `named`: the true bottleneck is named. `cannot tell` and `wrong`: what is said
of the judge with its interval; wrong means that a judge which is no bottleneck is called one, or the other way. Estimated
parts are cut at 0, so one that is 0 (generation in `alike` with the `even` judge) has a mean above it. Where two parts are
nearly alike (`alike`, 4 epochs, 5 %), which one is named is chance, and mostly it cannot be told.

Over all settings:

| repeated | covered, mean | lowest | named, mean | cannot tell, mean | wrong, highest |
|---|---|---|---|---|---|
{totals}

Each setting:

| repeated | world | epochs | judge | turned | prompts | generation (one epoch: with prompts) | judge's noise | covered | error | true bottleneck | named | cannot tell | wrong |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
