"""Rates corrected by labels of other models, measured: how often the interval holds the truth.

    python benchmarks/judge_correction.py                 # simulated judges that vary between models
    python benchmarks/judge_correction.py --judge refusal # each measured model corrected by the others

The simulation draws logits of sensitivity and specificity for some measured models and one further
model, labelled replies of the former, and verdicts on 300 replies of the latter. Rates are simulated, differences between
modes are not. `corrected` is the share of runs in which there is a corrected rate; coverage is of those.
`pooled` takes all labelled replies as of one model, as one would without the spread. The second form needs the figures
beside the judge (`rim-eval judge validate`): the rate of refusals that people count on each model's replies
against the rate that the judge counts, corrected by the other models.
"""

import argparse
from collections.abc import Sequence
from itertools import product

import numpy as np

from rim_eval.errors import RimError
from rim_eval.judging import load_judge, load_validation
from rim_eval.statistics import Calibration, Measured, corrected_rate

_REPLIES = 300


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--judge", help="a measured judge, for its models instead of simulated ones"
    )
    parser.add_argument("--runs", type=int, default=400)
    options = parser.parse_args()
    if options.judge:
        leave_one_out(options.judge)
        return
    print(
        "models  spread  correlation  Se   Sp    truth  | corrected  covered  width | pooled: corrected  covered"
    )
    judges = ((0.93, 0.98), (0.75, 0.95))
    apart = product((3, 5), (0.5, 1.0, 1.5), (0.0,), judges, (0.03, 0.3))
    together = product((5,), (1.0,), (-0.8, 0.8), judges[:1], (0.03, 0.3))
    for models, spread, correlation, shares, truth in (*apart, *together):
        simulate(models, spread, correlation, shares, truth, options.runs)


def simulate(
    models: int,
    spread: float,
    correlation: float,
    shares: tuple[float, float],
    truth: float,
    runs: int,
) -> None:
    """Print one setting's line."""
    rng = np.random.default_rng(2026)
    middle = np.log(np.array(shares) / (1 - np.array(shares)))
    covariance = spread**2 * np.array([[1, correlation], [correlation, 1]])
    covered, widths, pooled = [], [], []
    for _ in range(runs):
        drawn = 1 / (1 + np.exp(-rng.multivariate_normal(middle, covariance, size=models + 1)))
        sizes = rng.integers((60, 100), (350, 380), size=(models, 2))
        each = [
            Calibration(true_positives=tp, positives=p, true_negatives=tn, negatives=n)
            for (tp, tn), (p, n) in zip(
                rng.binomial(sizes, drawn[:-1]).tolist(), sizes.tolist(), strict=True
            )
        ]
        positives = rng.binomial(_REPLIES, truth)
        k = int(rng.binomial(positives, drawn[-1, 0]) + rng.binomial(_REPLIES - positives, 1 - drawn[-1, 1]))  # fmt: skip
        if found := interval(k, _REPLIES, each):
            covered.append(found[1] <= truth <= found[2])
            widths.append(found[2] - found[1])
        if found := interval(k, _REPLIES, as_one_model(each)):
            pooled.append(found[1] <= truth <= found[2])
    print(
        f"{models:>6}  {spread:>6}  {correlation:>11}  {shares[0]:.2f} {shares[1]:.2f}  {truth:>5}  | "
        f"{len(covered) / runs:>9.0%}  {np.mean(covered):>7.1%}  {np.mean(widths):>5.2f} | "
        f"{len(pooled) / runs:>17.0%}  {np.mean(pooled):>7.1%}",
        flush=True,
    )


def as_one_model(each: Sequence[Calibration]) -> Calibration:
    """All labelled replies as of one model."""
    names = ("true_positives", "positives", "true_negatives", "negatives")
    return Calibration(**{name: sum(getattr(one, name) for one in each) for name in names})


def interval(k: int, n: int, measured: Measured) -> tuple[float, float, float] | None:
    """Corrected rate with both ends; None where nothing is corrected."""
    try:
        found = corrected_rate(k, n, measured)
    except RimError:
        return None
    return found.value, found.lower, found.upper


def leave_one_out(name: str) -> None:
    """Print each measured model's rate by people, by the judge, and corrected by the other models."""
    validation = load_validation(load_judge(name))
    if validation is None:
        raise SystemExit(f"{name} was not measured: rim-eval judge validate {name}")
    left_out = any(one.left_out for one in validation.measurements)
    counts = {
        one.model: one.agreement for one in validation.measurements if one.left_out == left_out
    }
    print("model              people   judge   corrected by the others      pooled")
    for model, own in counts.items():
        each = [
            Calibration(
                true_positives=a.true_positive,
                positives=a.true_positive + a.false_negative,
                true_negatives=a.true_negative,
                negatives=a.true_negative + a.false_positive,
            )
            for other, a in counts.items()
            if other != model
        ]
        n, truth = own.n_scored, (own.true_positive + own.false_negative) / own.n_scored
        k = own.true_positive + own.false_positive
        cells = [
            "nothing corrected" if found is None else
            f"{found[0]:.1%} [{found[1]:.1%}, {found[2]:.1%}]" + " missed" * (not found[1] <= truth <= found[2])
            for found in (interval(k, n, each), interval(k, n, as_one_model(each)))
        ]  # fmt: skip
        print(f"{model:<18} {truth:>6.1%}  {k / n:>6.1%}  {cells[0]:<27}  {cells[1]}")


if __name__ == "__main__":
    main()
