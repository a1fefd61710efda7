"""The card's section on the inside of the model: the figures that decide, and pictures with all others."""

import hashlib
import math
import tomllib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rim_eval import plots
from rim_eval.card import InsideFigure, MechanismsCard
from rim_eval.card.schema import InsidePart
from rim_eval.formatting import mode_name, percent
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.effects import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.mitigations import Mitigation
from rim_eval.mechanisms.plots import report_plots
from rim_eval.mechanisms.probes import ProbesSection
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.mechanisms.report import MechanismReport
from rim_eval.plots import Figure, Spec
from rim_eval.statistics import PairedDifference, Rate
from rim_eval.statistics._result import Result
from rim_eval.types import Mode


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
        figures=tuple(_figures(report)),
    )


def _figures(report: MechanismReport) -> Iterator[InsideFigure]:
    if report.probes:
        yield from _probes(report.probes)
    if report.heads:
        yield from _heads(report.heads)
    for effects in report.neurons.effects.values() if report.neurons else ():
        yield from _effects("neurons", effects)
    for mode, section in report.ras.items():
        yield from _ras(section, mode)
    if report.drift:
        yield from _drift(report.drift)
    for mitigation in report.mitigations:
        yield from _mitigation(mitigation)


def _figure(
    part: InsidePart,
    what: str,
    measure: str,
    value: float | tuple[float, ...] | Result,
    *,
    unit: Literal["points", "share", "plain"] = "plain",
    n: str | None = None,
    random: Sequence[float] = (),
    p_value: float = math.nan,
) -> InsideFigure:
    """A figure of one row, alone or with its interval or rank; what is not finite is left out."""
    fields: dict[str, Any] = {"random": random, "p_value": p_value}
    if isinstance(value, PairedDifference):
        unit, n = "points", f"{value.n_pairs} pairs"
        value = value.difference, value.lower, value.upper
    if isinstance(value, Result):  # a rate, an AUROC, a correlation or a rank
        unit = "share" if isinstance(value, Rate) else unit
        fields |= value.model_dump(include={"value", "lower", "upper", "random", "p_value"})
    else:
        values = value if isinstance(value, tuple) else (value,)
        fields |= dict(zip(("value", "lower", "upper"), values, strict=False))
    draws = tuple(each for each in fields.pop("random") if math.isfinite(each))
    finite = {name: each if math.isfinite(each) else None for name, each in fields.items()}
    return InsideFigure(
        part=part, what=what, measure=measure, unit=unit, n=n, random=draws, **finite
    )


def _probes(section: ProbesSection) -> Iterator[InsideFigure]:
    """The chosen layer of each question and mode, at the last prompt token."""
    for each in section.probes:
        if each.position == "last":
            area, control = each.chosen.auroc, each.control
            what = f"{each.question}, {mode_name(each.mode)}, layer {each.layer}"
            n = f"{area.n_positive} + / {area.n_negative} \N{MINUS SIGN}"
            row = partial(_figure, "probes", what, n=n)
            yield row("AUROC", area, random=control.random, p_value=control.p_value)
            yield row(f"accuracy (majority {100 * each.majority:.0f} %)", each.accuracy)
            if math.isfinite(each.chosen.logistic_auroc):
                yield row("AUROC of a logistic regression", each.chosen.logistic_auroc)


def _heads(section: HeadsSection) -> Iterator[InsideFigure]:
    """How the ablated heads were selected, and what ablating them does."""
    for score in section.scores:
        if score.unit in section.selected:
            row = partial(_figure, "heads", f"head {score.layer}.{score.head}")
            yield row("attention shifts", score.share, n=f"{score.share.n} prompts")
    yield from _effects("heads", section.effects)


def _effects(part: InsidePart, effects: Effects) -> Iterator[InsideFigure]:
    for each in effects.effects:
        if each.measure in ("misaligned", "sound_misaligned"):
            untouched = percent(each.difference.reference_rate)
            measure = f"{LABELS[each.measure]}, {mode_name(each.mode)} ({untouched} untouched)"
            row = partial(_figure, part, effects.what, measure, each.difference)
            yield row(random=each.random, p_value=each.p_value)
    if math.isfinite(effects.balance):
        yield _figure(part, effects.what, "written, over what random units write", effects.balance)


def _ras(section: RasSection, mode: Mode) -> Iterator[InsideFigure]:
    """The set beside the random ones before training, and the end of each run under the deciding guard."""
    for name, ratio in zip(("safety prompts", "mathematics"), section.balance, strict=False):
        measure = f"activation on {name}, over that of random neurons"
        yield _figure("ras", f"base, {mode_name(mode)}", measure, ratio)
    for run in section.series:
        if run.guard == DECIDING:
            end, row = run.selected[-1], partial(_figure, "ras", f"{run.run}, {mode_name(mode)}")
            rise = (run.rise, run.rise_lower, run.rise_upper)
            yield row("change of misalignment", rise, unit="points", n=f"{run.pairs} pairs")
            yield row("KL of base to tuned, nats a token", run.kl[-1])
            for measure, value in (
                ("RAS", run.size),
                ("loss on safety", end.delta_safe),
                ("gain on mathematics", end.delta_math),
                ("change of activations on safety prompts", run.change),
                ("relative change of outgoing weights", run.outgoing),
                ("relative change of incoming weights", run.incoming),
            ):
                yield row(measure, value, n=f"{end.n} neurons")
            correlations = (run.spearman, run.random_spearman), (run.pearson, run.random_pearson)
            for one, drawn in correlations:
                measure = f"{one.method} of RAS and misalignment ({one.ties} tied)"
                yield row(measure, one, n=f"{len(run.steps)} steps", random=drawn)


def _drift(section: DriftSection) -> Iterator[InsideFigure]:
    """The layer of each run that changed most, where one is shown to have changed."""
    for run in section.runs:
        if most := run.most("ratio"):
            row = partial(_figure, "drift", f"{run.run}, layer {most.layer}")
            over = f"{most.n_harmful} / {most.n_harmless}"
            yield row("CKA ratio", tuple(most.change("ratio")), n=over)
        if most := run.most("drift"):
            row = partial(_figure, "drift", f"{run.run}, layer {most.layer}")
            drift, harmless = tuple(most.change("drift")), 100 * most.drift_harmless / most.gap
            yield row("drift, % of the way to refusal", drift, n=str(most.n_harmful))
            yield row("drift of harmless prompts, %", harmless, n=str(most.n_harmless))


def _mitigation(mitigation: Mitigation) -> Iterator[InsideFigure]:
    row = partial(_figure, "mitigations", mitigation.name)
    yield row("RIM score without it", mitigation.rim_before)
    if mitigation.changes:
        yield row("RIM score with it", mitigation.rim_after)
    for each in mitigation.changes:
        yield row(f"change of {LABELS[each.measure]}, {mode_name(each.mode)}", each.difference)
    if (found := mitigation.steering) and found.rank and found.away and found.removed:
        n = f"{found.ranked} prompts"
        yield row("fall of misalignment among random vectors", found.rank, unit="points", n=n)
        yield row("change of misaligned, subtracted instead", found.away)
        yield row("change of misaligned, projected out instead", found.removed)


def section_pictures(report: MechanismReport) -> tuple[tuple[str, Figure], ...]:
    """Every picture with its heading, and under it the figures that it draws.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    texts = tomllib.loads(Path(__file__).with_name("captions.toml").read_text(encoding="utf-8"))
    pictures = []
    for key, draw in report_plots(report).items():
        name, *mode = key.split(", ")
        heading = ", ".join([texts[name]["heading"], *mode])
        pictures.append((heading, plots.figure(draw, texts[name]["caption"], *_drawn(draw(0)))))
    return tuple(pictures)


def _drawn(spec: Spec) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Everything that a spec draws, as a table: a column a field, a row a mark's data."""
    rows: list[dict[str, Any]] = []
    for values in _data_of(spec):
        # Marks may share their data; equal rows of one mark, such as random draws, all stand.
        rows += [row for row in values if row and row not in rows]
    head = tuple(dict.fromkeys(key for row in rows for key in row))

    def text(cell: object) -> str:
        return f"{cell:.3g}" if isinstance(cell, float) else "" if cell is None else str(cell)

    return head, [tuple(text(row.get(key)) for key in head) for row in rows]


def _data_of(part: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(part, dict) and isinstance(part.get("data"), dict):
        yield part["data"]["values"]
    for inner in part.values() if isinstance(part, dict) else part:
        if isinstance(inner, dict | list):
            yield from _data_of(inner)
