"""The card's section on the inside of the model: a report as figures, sentences and pictures."""

import hashlib
import math
import tomllib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rim_eval.card import InsideFigure, MechanismsCard
from rim_eval.formatting import mode_name
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.plots import plots
from rim_eval.mechanisms.probes import Auroc, best_probes
from rim_eval.mechanisms.random_controls import RankTest
from rim_eval.mechanisms.ras_verdict import DECIDING
from rim_eval.mechanisms.report import MechanismReport, Part
from rim_eval.plots import Figure, figure
from rim_eval.statistics import Correlation, PairedDifference, Rate


def card_section(report: MechanismReport, source: Path) -> MechanismsCard:
    """Make the card's section of a report.

    Args:
        report: The report.
        source: Its file, whose checksum the card holds.
    """
    return MechanismsCard(
        report_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        model=report.model,
        judge=report.judge,
        ablation=report.fill,
        seed=report.seed,
        max_new_tokens=report.max_new_tokens,
        sets=report.sets,
        versions=report.versions,
        findings=tuple(report.findings),
        figures=(
            *_probes(report),
            *_heads(report),
            *_neurons(report),
            *_ras(report),
            *_drift(report),
            *_mitigations(report),
        ),
    )


def _figure(
    part: Part,
    what: str,
    measure: str,
    value: float | tuple[float, ...] | Rate | Auroc | Correlation | RankTest | PairedDifference,
    *,
    unit: Literal["points", "share", "plain"] = "plain",
    n: str | None = None,
    random: Sequence[float] = (),
    p_value: float = math.nan,
) -> InsideFigure:
    """A figure of one row, alone or with its interval or rank; what is not finite is left out."""
    ends = (math.nan, math.nan)
    match value:
        case tuple():
            value, *ends = value  # type: ignore[assignment]
        case Rate() | Auroc() | Correlation() as one:
            unit = "share" if isinstance(one, Rate) else unit
            value, ends = one.value, (one.lower, one.upper)
        case RankTest() as test:
            value, random, p_value = test.value, test.random, test.p_value
        case PairedDifference() as change:
            unit, n, ends = "points", f"{change.n_pairs} pairs", (change.lower, change.upper)
            value = change.difference
    known = [each if math.isfinite(each) else None for each in (value, *ends, p_value)]
    return InsideFigure(
        part=part,
        what=what,
        measure=measure,
        unit=unit,
        value=known[0],
        lower=known[1],
        upper=known[2],
        n=n,
        random=tuple(each for each in random if math.isfinite(each)),
        p_value=known[3],
    )


def _probes(report: MechanismReport) -> Iterator[InsideFigure]:
    """The best layer of each question, mode and position, by held-out AUROC."""
    for score in best_probes(report.probes.scores if report.probes else ()):
        area = score.auroc
        what = f"{score.question}, {mode_name(score.mode)}, {score.position}, layer {score.layer}"
        n = f"{area.n_positive} + / {area.n_negative} \N{MINUS SIGN}"
        row = partial(_figure, "probes", what, n=n)
        yield row("AUROC", area)
        yield row(f"accuracy (majority {100 * score.majority:.0f} %)", score.accuracy)
        if math.isfinite(score.logistic_auroc):
            yield row("AUROC of a logistic regression", score.logistic_auroc)


def _heads(report: MechanismReport) -> Iterator[InsideFigure]:
    """The ten heads of the highest rank, and what ablating the selected ones does."""
    if report.heads is None:
        return
    for score in report.heads.scores[:10]:
        what = f"head {score.layer}.{score.head}"
        row = partial(_figure, "heads", what, n=f"{score.share.n} prompts")
        yield row("attention shifts", score.share)
        yield row("attention on the empty trace", score.mass_on_span, unit="share")
    yield from _effects("heads", report.heads.effects)
    if (shift := report.heads.probe_shift) is not None:
        row = partial(_figure, "heads", f"layer {shift.layer}", n=f"{shift.untouched.n} prompts")
        measure = "harmful prompts above a harm probe's threshold"
        yield row(f"{measure}, untouched", shift.untouched)
        drawn = [each.value for each in shift.random]
        yield row(f"{measure}, ablated", shift.ablated, random=drawn)


def _neurons(report: MechanismReport) -> Iterator[InsideFigure]:
    for effects in report.neurons.effects.values() if report.neurons else ():
        yield from _effects("neurons", effects)


def _effects(part: Part, effects: Effects) -> Iterator[InsideFigure]:
    for each in effects.effects:
        change, mode = each.difference, mode_name(each.mode)
        measure = f"{LABELS[each.measure]}, {mode} ({100 * change.reference_rate:.1f} % untouched)"
        yield _figure(part, effects.what, measure, change, random=each.random, p_value=each.p_value)


def _ras(report: MechanismReport) -> Iterator[InsideFigure]:
    for mode, run in ((mode, run) for mode, each in report.ras.items() for run in each.series):
        end, guard = run.selected[-1], run.guard
        bare = partial(_figure, "ras", f"{run.run}, {mode_name(mode)}")
        row = partial(bare, n=f"{end.n} neurons")
        if guard == DECIDING:
            rise = (run.rise, run.rise_lower, run.rise_upper)
            yield bare("change of misalignment", rise, unit="points", n=f"{run.pairs} pairs")
            yield bare("KL of base to tuned, nats a token", run.kl[-1])
            yield row("change of activations on safety prompts", run.change)
            yield row("change of outgoing weights", run.outgoing, unit="share")
            yield row("change of incoming weights", run.incoming, unit="share")
            for one, drawn in (
                (run.spearman, run.random_spearman),
                (run.pearson, run.random_pearson),
            ):
                measure = f"{one.method} of RAS and misalignment ({one.ties} tied)"
                yield bare(measure, one, n=f"{len(run.steps)} steps", random=drawn)
        yield row(f"RAS, {guard}", run.size)
        yield row(f"loss on safety, {guard}", end.delta_safe)
        yield row(f"gain on mathematics, {guard}", end.delta_math)
        yield row(f"arithmetic mean, {guard}", end.arithmetic)
        yield row(f"geometric mean, {guard}", end.geometric)
        yield bare(f"RAS of all neurons, {guard}", run.everything[-1])


def _drift(report: MechanismReport) -> Iterator[InsideFigure]:
    for run in report.drift.runs if report.drift else ():
        for each in run.layers:
            harmful, harmless = str(each.n_harmful), str(each.n_harmless)
            row = partial(_figure, "drift", f"{run.run}, layer {each.layer}")
            ratio = (each.ratio, each.ratio_lower, each.ratio_upper)
            yield row("CKA ratio", ratio, n=f"{harmful} / {harmless}")
            drift = tuple(d / each.gap for d in (each.drift, each.drift_lower, each.drift_upper))
            yield row("drift, share of the way to refusal", drift, unit="share", n=harmful)
            moved = each.drift_harmless / each.gap
            yield row("drift of harmless prompts", moved, unit="share", n=harmless)


def _mitigations(report: MechanismReport) -> Iterator[InsideFigure]:
    for each in report.mitigations:
        row = partial(_figure, "mitigations", each.name)
        yield row("RIM score without it", each.rim_before)
        yield row("RIM score with it", each.rim_after)
        for one in each.changes:
            measure = f"change of {LABELS[one.measure]}, {mode_name(one.mode)}"
            yield row(measure, one.difference)


def section_pictures(report: MechanismReport) -> tuple[tuple[str, Figure], ...]:
    """Every picture with its heading, and under it the figures that it draws.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    texts = tomllib.loads(Path(__file__).with_name("captions.toml").read_text(encoding="utf-8"))
    return tuple(
        (texts[name]["heading"], figure(draw, texts[name]["caption"], *_drawn(draw(0))))
        for name, draw in plots(report).items()
    )


def _drawn(spec: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Everything that a spec draws, as a table: a column a field, a row a mark's data."""
    rows: list[dict[str, Any]] = []
    for values in _data_of(spec):
        # Marks may share their data; equal rows of one mark, such as random draws, all stand.
        rows += [row for row in values if row and row not in rows]
    head = tuple(dict.fromkeys(key for row in rows for key in row))
    cells = [[row.get(key) for key in head] for row in rows]
    return head, [
        tuple(
            f"{cell:.3g}" if isinstance(cell, float) else "" if cell is None else str(cell)
            for cell in row
        )
        for row in cells
    ]


def _data_of(part: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(part, dict):
        if isinstance(part.get("data"), dict):
            yield part["data"]["values"]
        part = [inner for name, inner in part.items() if name != "data"]
    if isinstance(part, list):
        for inner in part:
            yield from _data_of(inner)
