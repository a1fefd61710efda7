"""How fast the bootstrap by prompt is, against scipy's on the same data, in one run.

Run: python benchmarks/bootstrap.py
Prints the seconds for 300 prompts x 20 sets (own: all resamples at once, by convolution;
scipy: 10,000), the ratio to scipy.stats.bootstrap
(vectorised, percentile, same sets), the largest distance of the ends in widths (Monte Carlo error:
a few hundredths), and the cost of whole scores. Ratios travel between machines; seconds do not.
"""

from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rim_eval.statistics import bootstrap_by_prompt, rim_score, tango_interval

SETS, PROMPTS, RESAMPLES, EPOCHS = 20, 300, 10_000, 4


def make_sets(epochs: int) -> list[NDArray[np.float64]]:
    """Differences of two binomial arms, one array of prompts a set."""
    rng = np.random.default_rng(0)
    return [
        (rng.binomial(epochs, 0.23, PROMPTS) - rng.binomial(epochs, 0.15, PROMPTS)) / epochs
        for _ in range(SETS)
    ]


def main() -> None:
    """Prints one line a measurement."""
    for epochs in (1, EPOCHS, 16):
        compare(f"{epochs} epochs", make_sets(epochs))
    rng = np.random.default_rng(1)
    compare("continuous", [rng.normal(size=PROMPTS) for _ in range(SETS)])
    think = {f"p{i}": [int(i % 4 == 0)] * EPOCHS for i in range(PROMPTS)}
    no_think = {f"p{i}": [int(i % 5 == 0), 0, 0, 0] for i in range(PROMPTS)}
    print(f"rim_score, {EPOCHS} epochs: {1e3 * seconds(lambda: rim_score(think, no_think)):.1f} ms")
    print(f"tango_interval: {1e6 * seconds(lambda: tango_interval(30, 8, 300)):.0f} us")


def compare(name: str, sets: list[NDArray[np.float64]]) -> None:
    """Own against scipy's, on the same sets."""
    start = perf_counter()
    own = [bootstrap_by_prompt(each) for each in sets]
    middle = perf_counter()
    oracle = [
        stats.bootstrap(
            (each,),
            np.mean,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        for each in sets
    ]
    end = perf_counter()
    apart = max(
        max(abs(a.lower - b.low), abs(a.upper - b.high)) / (b.high - b.low)
        for a, b in zip(own, oracle, strict=True)
    )
    print(
        f"{name:>10}: {middle - start:.3f} s for {SETS} sets, scipy {end - middle:.2f} s, "
        f"ratio {(end - middle) / (middle - start):.0f}, ends apart by at most {apart:.3f} widths"
    )


def seconds(action: object, times: int = 50) -> float:
    """Mean seconds of one call, after a first one."""
    assert callable(action)
    action()
    start = perf_counter()
    for _ in range(times):
        action()
    return (perf_counter() - start) / times


if __name__ == "__main__":
    main()
