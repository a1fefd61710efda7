"""Labels from the run itself, simulated: coverage, width against labels alone, and what the transport audit says.

    python -m benchmarks.label_correction                        # writes reports/label_correction.md
    python -m benchmarks.label_correction --repetitions 300      # sooner, coarser

`_label_simulation.py` draws the runs. Each setting starts its own generator from the seed.
"""

import argparse
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks._label_simulation import (
    EPOCH_SETTINGS,
    JUDGES,
    LABEL_COUNTS,
    MARGINS,
    SIGNS,
    Doubt,
    EpochSetting,
    Found,
    Setting,
    epochs_coverage,
    raw_coverage,
    shared_coverage,
    simulate,
)
from rim_eval.statistics.transport import DEFAULT_MARGIN

_REPORT: Final = Path(__file__).parent / "reports" / "label_correction.md"
_PROMPTS: Final = (100, 300)
_RATES: Final = ((0.02, 0.08), (0.10, 0.0), (0.10, 0.15), (0.30, 0.20), (0.60, 0.20))
_SHARED_RUNS: Final = 100
_AGAIN: Final = 10
"""Settings that are drawn anew."""


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
    epochs = [_epochs_row(each, options.repetitions // 2, options.seed) for each in EPOCH_SETTINGS]
    page = _report(rows, found_all, again, shared, opposing, epochs, options)
    options.out.write_text(page, encoding="utf-8")


def _epochs_row(each: EpochSetting, repetitions: int, seed: int) -> str:
    cells = (
        f"{each.epochs}",
        f"{each.n}",
        f"{each.labels}",
        " / ".join(map(str, each.sensitivity)),
        " / ".join(map(str, each.specificity)),
        f"{each.repeating:.0%}",
        f"{each.errors_repeat:.0%}",
        f"{epochs_coverage(each, repetitions, seed):.1%}",
    )
    return f"| {' | '.join(cells)} |"


def _row(setting: Setting, found: dict[int, Found], raw: float) -> str:
    """One line of the table."""
    cells = [f"{setting.n}", f"{setting.base:.0%}", f"{100 * setting.rise:+.0f}", setting.judge, setting.doubt, f"{raw:.1%}"]  # fmt: skip
    cells += [
        " / ".join(f"{100 * each.coverage[name]:.1f}" for each in found.values()) for name in SIGNS
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
                f"{np.median([found[labels].ratio for found in fair]):.2f}"
                for labels in LABEL_COUNTS
            ]
            lines.append(f"| {n} | {base:.0%} | {100 * rise:+.0f} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _lowest_rows(found_all: list[tuple[Setting, dict[int, Found]]]) -> str:
    lines = []
    for labels in LABEL_COUNTS:
        for name in SIGNS:
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
    epochs: list[str],
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

The lowest of {3 * len(found_all) * len(LABEL_COUNTS)} shares is low by chance too. The {len(again)} settings with the lowest, drawn anew with
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

| prompts | rate without thinking | judge | doubt | planted | {" | ".join(f"margin {margin:g}" for margin in MARGINS)} |
|---|---|---|---|---|{"---|" * len(MARGINS)}
{_audit_rows(found_all)}

## Shared correction

One sensitivity and specificity for both modes, 300 prompts, 30 % without thinking, a rise of 20 points, 80 labels,
{_SHARED_RUNS} repetitions: how often its interval holds the true difference. It is not valid where the audit should fail.

| judge | doubt | covered |
|---|---|---|
{chr(10).join(shared)}

## Several epochs

From 30 to 50 %. A prompt's true verdict is its own in a share of its epochs, and so is the judge's error; in the others they are
drawn anew. {options.repetitions // 2} repetitions:

| epochs | prompts | labels | sensitivity with, without thinking | specificity | verdicts repeat | errors repeat | the difference's interval covers |
|---|---|---|---|---|---|---|---|
{chr(10).join(epochs)}

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
