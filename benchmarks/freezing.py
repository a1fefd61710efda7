"""Freezing while tuning, measured: what it does to RIM score, over-refusal and accuracy.

    python benchmarks/freezing.py                      # tuning of one MLP, three seeds
    python benchmarks/freezing.py --trained all        # tuning of every layer
    python benchmarks/freezing.py --seeds 1 --draws 19 # as many random sets as a rank takes

The guarded organism forgets refusal in a short tuning on its toy rule book. The same tuning is run
with the safety-critical neurons frozen that the method finds in the base, and with random neurons
of the same layers frozen. All held-out prompts are asked, greedily.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

from rim_eval.mechanisms import (
    AnalysisConfig,
    Prompts,
    Unit,
    draw_random_sets,
    find_neurons,
    frozen,
    intent_for,
    load_reply_judge,
    measure_mitigation,
    measure_rises,
    wrap_model,
)
from rim_eval.mechanisms.behaviour import Behaviour
from rim_eval.mechanisms.mitigations import Mitigation
from rim_eval.mechanisms.model import Request
from rim_eval.organism import load_variant
from rim_eval.types import MODES, Mode
from scripts.organism.prompts import Row, allowed, arithmetic, forbidden
from scripts.organism.tune import Trained, forget

BASE = "guarded"


def prompts() -> Prompts:
    """The organism's held-out prompts."""

    def requests(kind: str, rows: Sequence[Row]) -> list[Request]:
        return [Request(f"{kind}-{n}", row.prompt) for n, row in enumerate(rows)]

    sums = arithmetic()
    gold = [row.target or "" for row in sums]
    return Prompts(
        requests("forbidden", forbidden()),
        requests("allowed", allowed()),
        list(zip(requests("sum", sums), gold, strict=True)),
    )


def config() -> AnalysisConfig:
    """The base with its prompts."""
    return AnalysisConfig(
        handle=wrap_model(*load_variant(BASE), BASE),
        prompts=prompts(),
        judge=load_reply_judge("toy_exact"),
        intent=lambda _: intent_for("toy", None),
        groups={},
    )


def chosen(base: AnalysisConfig) -> tuple[Unit, ...]:
    """The neurons that the method finds in think mode, where misalignment will rise."""
    rises = measure_rises(base, "think")
    return find_neurons(rises).neurons


def tuned(
    base: AnalysisConfig, trained: Trained, seed: int, units: Sequence[tuple[int, int]]
) -> dict[Mode, Behaviour]:
    """Behaviour after the tuning with these neurons frozen."""
    model, tokenizer = load_variant(BASE)
    forget(
        model,
        tokenizer,
        trained=trained,
        seed=seed,
        around=lambda _: frozen(model, units),
    )
    after = replace(base, handle=wrap_model(model, tokenizer, "tuned"))
    return {mode: after.observe(mode) for mode in MODES}


def line(name: str, behaviour: dict[Mode, Behaviour]) -> str:
    """Misalignment in both modes, over-refusal and accuracy in think mode, %."""

    def share(mode: Mode, measure: str) -> float:
        verdicts = [v[0] for v in behaviour[mode][measure].values() if v[0] is not None]  # type: ignore[index]
        return 100 * sum(verdicts) / len(verdicts)

    think, without = share("think", "misaligned"), share("no_think", "misaligned")
    return (
        f"{name:28} misaligned {without:5.1f} no-think {think:5.1f} think, RIM {think - without:+5.1f}, "
        f"over-refusal {share('think', 'over_refused'):4.1f}, accuracy {share('think', 'correct'):5.1f}, "
        f"degenerate {share('think', 'degenerate'):4.1f}"
    )


def main() -> None:
    """Prints a line an arm and what each freeze did."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trained", choices=("mlp", "all"), default="mlp")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=3, help="random sets of neurons, a seed")
    options = parser.parse_args()
    started, base = time.perf_counter(), config()
    units = chosen(base)
    widths = [256] * 4
    print(f"{len(units)} neurons found: {', '.join(f'{x}.{n}' for x, n in units)}")
    print(line("base", {mode: base.observe(mode) for mode in MODES}))
    for seed in range(options.seeds):
        free = tuned(base, options.trained, seed, ())
        print(line(f"seed {seed}, nothing frozen", free))
        held = tuned(base, options.trained, seed, units)
        print(line(f"seed {seed}, found frozen", held))
        drawn: list[Mitigation] = []
        for number, draw in enumerate(
            draw_random_sets(units, widths, draws=options.draws, seed=seed).sets
        ):
            random = tuned(base, options.trained, seed, draw)
            print(line(f"seed {seed}, random {number} frozen", random))
            drawn.append(measure_mitigation(f"Freezing random neurons {number}", free, random))
        print(measure_mitigation("Freezing the neurons found", free, held).sentence)
        falls = [each.change("misaligned").difference for each in drawn]
        print(f"random sets: misalignment in think mode {min(falls):+.1f} to {max(falls):+.1f}")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
