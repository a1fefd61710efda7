"""The card's section on the inside of the model: what of a report stands on the card, and its pictures."""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from rim_eval.card import InsideFigure, InsideFinding, InsideSet, MechanismsCard
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.plots import plots
from rim_eval.mechanisms.report import MechanismReport, Part, RasSection
from rim_eval.mechanisms.series import Beside, RasSeries
from rim_eval.plots import Figure, figure
from rim_eval.statistics import PairedDifference

__all__ = ["card_section", "section_pictures"]

_HEADS: Final = 10
"""So many heads, the highest ranked, stand in the table."""

Unit = Literal["points", "share", "plain"]


def card_section(report: MechanismReport, source: Path) -> MechanismsCard:
    """What of a report stands on the card.

    Args:
        report: The report.
        source: Its file, of which the card holds the checksum.
    """
    return MechanismsCard(
        report_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        model=report.model,
        judge=report.judge,
        ablation=report.fill,
        seed=report.seed,
        max_new_tokens=report.max_new_tokens,
        sets=tuple(InsideSet(name=used.name, kind=used.kind, n=used.n) for used in report.sets),
        versions=report.versions,
        findings=tuple(
            InsideFinding(part=found.part, verdict=found.verdict, says=found.says)
            for found in report.findings
        ),
        figures=tuple(_figures(report)),
    )


def _figures(report: MechanismReport) -> Iterator[InsideFigure]:
    yield from _probes(report)
    yield from _heads(report)
    for effects in report.neurons.effects.values() if report.neurons else ():
        yield from _effects("neurons", effects)
    for mode, section in report.ras.items():
        yield from _ras(mode.replace("_", "-"), section)
    yield from _drift(report)
    yield from _mitigations(report)


def _one(
    part: Part,
    what: str,
    measure: str,
    value: float,
    *ends: float,
    unit: Unit = "plain",
    n: str | None = None,
    random: tuple[float, ...] = (),
    p_value: float = math.nan,
) -> InsideFigure:
    lower, upper = (_known(end) for end in (*ends, math.nan, math.nan)[:2])
    return InsideFigure(
        part=part,
        what=what,
        measure=measure,
        unit=unit,
        value=_known(value),
        lower=lower,
        upper=upper,
        n=n,
        random=tuple(each for each in random if math.isfinite(each)),
        p_value=_known(p_value),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _probes(report: MechanismReport) -> Iterator[InsideFigure]:
    """The best layer of each question, mode and position, by held-out AUROC."""
    best: dict[tuple[str, ...], Any] = {}
    for score in report.probes.scores if report.probes else ():
        key = (score.question, score.mode, score.position)
        if key not in best or score.auroc.value > best[key].auroc.value:
            best[key] = score
    for score in best.values():
        what = f"{score.question}, {score.mode.replace('_', '-')}, {score.position}, layer {score.layer}"
        area, right = score.auroc, score.accuracy
        n = f"{area.n_positive} + / {area.n_negative} \N{MINUS SIGN}"
        yield _one("probes", what, "AUROC", area.value, area.lower, area.upper, n=n)
        majority = f"accuracy (majority {100 * score.majority:.0f} %)"
        yield _one("probes", what, majority, right.value, right.lower, right.upper, unit="share", n=n)  # fmt: skip
        if math.isfinite(score.logistic_auroc):
            yield _one("probes", what, "AUROC of a logistic regression", score.logistic_auroc, n=n)


def _heads(report: MechanismReport) -> Iterator[InsideFigure]:
    if report.heads is None:
        return
    for score in report.heads.scores[:_HEADS]:
        what, share = f"head {score.layer}.{score.head}", score.share
        n = f"{share.n} prompts"
        yield _one("heads", what, "gaze moves", share.value, share.lower, share.upper, unit="share", n=n)  # fmt: skip
        yield _one("heads", what, "attention on the empty trace", score.mass_on_span, unit="share", n=n)  # fmt: skip
    yield from _effects("heads", report.heads.effects)
    shift = report.heads.probe_shift
    if shift is None:
        return
    for name, rate, drawn in (
        ("untouched", shift.untouched, ()),
        ("ablated", shift.ablated, tuple(each.value for each in shift.random)),
    ):
        measure = f"harmful prompts above a harm probe's threshold, {name}"
        yield _one("heads", f"layer {shift.layer}", measure, rate.value, rate.lower, rate.upper,
                   unit="share", n=f"{rate.n} prompts", random=drawn)  # fmt: skip


def _effects(part: Part, effects: Effects) -> Iterator[InsideFigure]:
    for each in effects.effects:
        change, where = each.difference, each.mode.replace("_", "-")
        measure = f"{LABELS[each.measure]}, {where} ({100 * change.reference_rate:.1f} % untouched)"
        yield _change(part, effects.what, measure, change, each.random, each.p_value)


def _change(
    part: Part,
    what: str,
    measure: str,
    change: PairedDifference,
    random: tuple[float, ...] = (),
    p_value: float = math.nan,
) -> InsideFigure:
    return _one(part, what, measure, change.difference, change.lower, change.upper, unit="points",
                n=f"{change.n_pairs} pairs", random=random, p_value=p_value)  # fmt: skip


def _ras(mode: str, section: RasSection) -> Iterator[InsideFigure]:
    for run in section.series:
        what, end, steps = f"{run.run}, {mode}", run.selected[-1], f"{len(run.steps)} steps"
        size = f"{end.n} neurons"
        if run.guard == "floored":
            yield _one("ras", what, "change of misalignment", run.rise, run.rise_lower, run.rise_upper, unit="points", n=f"{run.pairs} pairs")  # fmt: skip
            yield _one("ras", what, "KL of base to tuned, nats a token", run.kl[-1])
            yield from _moved(what, size, run)
            for one in (run.spearman, run.pearson):
                measure = f"{one.method} of RAS and misalignment ({one.ties} tied)"
                drawn = run.random_spearman if one is run.spearman else run.random_pearson
                yield _one("ras", what, measure, one.value, one.lower, one.upper, n=steps, random=drawn)  # fmt: skip
        yield from _ras_values(what, size, run)


def _moved(what: str, size: str, run: RasSeries) -> Iterator[InsideFigure]:
    changes: tuple[tuple[str, Beside, Unit], ...] = (
        ("change of activations on safety prompts", run.change, "plain"),
        ("change of outgoing weights", run.outgoing, "share"),
        ("change of incoming weights", run.incoming, "share"),
    )
    for measure, one, unit in changes:
        yield _one("ras", what, measure, one.value, unit=unit, n=size, random=one.random, p_value=one.p_value)  # fmt: skip


def _ras_values(what: str, size: str, run: RasSeries) -> Iterator[InsideFigure]:
    end, guard = run.selected[-1], run.guard
    yield _one("ras", what, f"RAS, {guard}", end.value, n=size, random=run.random_end, p_value=run.p_size)  # fmt: skip
    for name, value in (
        ("loss on safety", end.delta_safe),
        ("gain on mathematics", end.delta_math),
        ("arithmetic mean", end.arithmetic),
        ("geometric mean", end.geometric),
    ):
        yield _one("ras", what, f"{name}, {guard}", value, n=size)
    yield _one("ras", what, f"RAS of all neurons, {guard}", run.everything[-1])


def _drift(report: MechanismReport) -> Iterator[InsideFigure]:
    for run in report.drift.runs if report.drift else ():
        for each in run.layers:
            what, n = f"{run.run}, layer {each.layer}", f"{each.n_harmful} / {each.n_harmless}"
            yield _one("drift", what, "CKA ratio", each.ratio, each.ratio_lower, each.ratio_upper, n=n)  # fmt: skip
            drift = (each.drift, each.drift_lower, each.drift_upper)
            yield _one("drift", what, "drift, share of the way to refusal", *(d / each.gap for d in drift),
                       unit="share", n=str(each.n_harmful))  # fmt: skip
            yield _one("drift", what, "drift of harmless prompts", each.drift_harmless / each.gap,
                       unit="share", n=str(each.n_harmless))  # fmt: skip


def _mitigations(report: MechanismReport) -> Iterator[InsideFigure]:
    for each in report.mitigations:
        yield _change("mitigations", each.name, "RIM score without it", each.rim_before)
        yield _change("mitigations", each.name, "RIM score with it", each.rim_after)
        for one in each.changes:
            measure = f"change of {LABELS[one.measure]}, {one.mode.replace('_', '-')}"
            yield _change("mitigations", each.name, measure, one.difference)


_CAPTIONS: Final[dict[str, tuple[str, str]]] = {
    "probes": (
        "Probes",
        "Share of held-out prompts above a difference-of-means probe's threshold, by layer; bands are 95 % intervals. Where two classes run together, the probe does not tell them apart.",
    ),
    "heads": (
        "Refusal heads",
        "Every attention head. Large: its attention maximum moves from the role name to the empty trace when thinking is off. Looking so is no proof of effect: see the next picture.",
    ),
    "heads_effect": (
        "Without the selected heads",
        "What the model does without them, with 95 % intervals; ticks are random heads.",
    ),
    "neurons_effect_no_think": (
        "Without the safety-critical neurons, no-think",
        "What the model does without the neurons found in no-think mode; ticks are random neurons of the same layers.",
    ),
    "neurons_effect_think": (
        "Without the safety-critical neurons, think",
        "The same for the neurons found in think mode.",
    ),
    "ras_no_think": (
        "RAS along training, no-think",
        "Change of misalignment and RAS along the training runs; grey is the range of random sets in the first run. A correlation within one run proves little.",
    ),
    "ras_think": (
        "RAS along training, think",
        "The same in think mode, where activations are read over the trace.",
    ),
    "drift": (
        "Base against tuned, layer by layer",
        "Left: drift of harmful prompts along the safety direction, below 0 away from refusal. Right: CKA ratio, above 1 where harmful prompts changed more than harmless ones. Bars are 95 % intervals over prompts.",
    ),
}  # fmt: skip


def section_pictures(report: MechanismReport) -> tuple[tuple[str, Figure], ...]:
    """Every picture with its heading, and under it the figures that it draws.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    return tuple(
        (heading, figure(draw, caption, *_drawn(draw(0))))
        for name, draw in plots(report).items()
        for heading, caption in [_CAPTIONS[name]]
    )


def _drawn(spec: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Everything that a spec draws, as a table: a column a field, a row a mark's data."""
    kept: list[dict[str, Any]] = []
    for values in _data_of(spec):
        kept += [row for row in values if row and row not in kept]
    head = tuple(dict.fromkeys(key for row in kept for key in row))
    return head, [tuple(_cell(row.get(key)) for key in head) for row in kept]


def _data_of(part: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(part, dict):
        if isinstance(part.get("data"), dict):
            yield part["data"]["values"]
        for name, inner in part.items():
            if name != "data":
                yield from _data_of(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _data_of(inner)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
