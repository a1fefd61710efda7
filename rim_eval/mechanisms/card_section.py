"""The card's section on the inside of the model: a report as figures, sentences and pictures."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from rim_eval.card import InsideFigure, InsideFinding, InsideSet, MechanismsCard
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.plots import plots
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.mechanisms.random_controls import RankTest
from rim_eval.mechanisms.ras_verdict import DECIDING
from rim_eval.mechanisms.report import MechanismReport, Part
from rim_eval.mechanisms.series import RasSeries
from rim_eval.mechanisms.wording import mode_name
from rim_eval.plots import Figure, figure
from rim_eval.statistics import PairedDifference, Rate

_HEADS: Final = 10
"""So many heads, the highest ranked, stand in the table."""

Unit = Literal["points", "share", "plain"]


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
        sets=tuple(InsideSet(name=used.name, kind=used.kind, n=used.n) for used in report.sets),
        versions=report.versions,
        findings=tuple(
            InsideFinding(part=finding.part, verdict=finding.verdict, says=finding.says)
            for finding in report.findings
        ),
        figures=tuple(_figures(report)),
    )


def _figures(report: MechanismReport) -> Iterator[InsideFigure]:
    yield from _probes(report)
    yield from _heads(report)
    for effects in report.neurons.effects.values() if report.neurons else ():
        yield from _effects("neurons", effects)
    for mode, section in report.ras.items():
        for run in section.series:
            yield from _ras(f"{run.run}, {mode_name(mode)}", run)
    yield from _drift(report)
    yield from _mitigations(report)


class _Row:
    """Figures of one row: a part and what it is about, to which measures are added."""

    def __init__(self, part: Part, what: str, n: str | None = None) -> None:
        self.part, self.what, self.n = part, what, n

    def figure(
        self,
        measure: str,
        value: float,
        lower: float = math.nan,
        upper: float = math.nan,
        *,
        unit: Unit = "plain",
        n: str | None = None,
        random: Sequence[float] = (),
        p_value: float = math.nan,
    ) -> InsideFigure:
        """A figure; what is not finite is left out."""
        ends = (value, lower, upper, p_value)
        known = [end if math.isfinite(end) else None for end in ends]
        return InsideFigure(
            part=self.part,
            what=self.what,
            measure=measure,
            unit=unit,
            value=known[0],
            lower=known[1],
            upper=known[2],
            n=n or self.n,
            random=tuple(each for each in random if math.isfinite(each)),
            p_value=known[3],
        )

    def share(self, measure: str, rate: Rate, random: Sequence[float] = ()) -> InsideFigure:
        """A rate with its interval."""
        ends = (rate.value, rate.lower, rate.upper)
        return self.figure(measure, *ends, unit="share", random=random)

    def change(
        self,
        measure: str,
        change: PairedDifference,
        random: Sequence[float] = (),
        p_value: float = math.nan,
    ) -> InsideFigure:
        """A paired difference in percentage points."""
        ends = (change.difference, change.lower, change.upper)
        n = f"{change.n_pairs} pairs"
        return self.figure(measure, *ends, unit="points", n=n, random=random, p_value=p_value)


def _probes(report: MechanismReport) -> Iterator[InsideFigure]:
    """The best layer of each question, mode and position, by held-out AUROC."""
    best: dict[tuple[str, ...], ProbeScore] = {}
    for score in report.probes.scores if report.probes else ():
        key = (score.question, score.mode, score.position)
        if key not in best or score.auroc.value > best[key].auroc.value:
            best[key] = score
    for score in best.values():
        area = score.auroc
        what = f"{score.question}, {mode_name(score.mode)}, {score.position}, layer {score.layer}"
        row = _Row("probes", what, f"{area.n_positive} + / {area.n_negative} \N{MINUS SIGN}")
        yield row.figure("AUROC", area.value, area.lower, area.upper)
        yield row.share(f"accuracy (majority {100 * score.majority:.0f} %)", score.accuracy)
        if math.isfinite(score.logistic_auroc):
            yield row.figure("AUROC of a logistic regression", score.logistic_auroc)


def _heads(report: MechanismReport) -> Iterator[InsideFigure]:
    if report.heads is None:
        return
    for score in report.heads.scores[:_HEADS]:
        row = _Row("heads", f"head {score.layer}.{score.head}", f"{score.share.n} prompts")
        yield row.share("attention shifts", score.share)
        yield row.figure("attention on the empty trace", score.mass_on_span, unit="share")
    yield from _effects("heads", report.heads.effects)
    shift = report.heads.probe_shift
    if shift is not None:
        row = _Row("heads", f"layer {shift.layer}", f"{shift.untouched.n} prompts")
        measure = "harmful prompts above a harm probe's threshold"
        yield row.share(f"{measure}, untouched", shift.untouched)
        drawn = [each.value for each in shift.random]
        yield row.share(f"{measure}, ablated", shift.ablated, drawn)


def _effects(part: Part, effects: Effects) -> Iterator[InsideFigure]:
    row = _Row(part, effects.what)
    for each in effects.effects:
        untouched = f"{100 * each.difference.reference_rate:.1f} % untouched"
        measure = f"{LABELS[each.measure]}, {mode_name(each.mode)} ({untouched})"
        yield row.change(measure, each.difference, each.random, each.p_value)


def _ras(what: str, run: RasSeries) -> Iterator[InsideFigure]:
    end, guard = run.selected[-1], run.guard
    row, bare = _Row("ras", what, f"{end.n} neurons"), _Row("ras", what)
    if guard == DECIDING:
        rise = (run.rise, run.rise_lower, run.rise_upper)
        yield row.figure("change of misalignment", *rise, unit="points", n=f"{run.pairs} pairs")
        yield bare.figure("KL of base to tuned, nats a token", run.kl[-1])
        ranked: tuple[tuple[str, RankTest, Unit], ...] = (
            ("change of activations on safety prompts", run.change, "plain"),
            ("change of outgoing weights", run.outgoing, "share"),
            ("change of incoming weights", run.incoming, "share"),
        )
        for measure, test, unit in ranked:
            yield row.figure(
                measure, test.value, unit=unit, random=test.random, p_value=test.p_value
            )
        steps = f"{len(run.steps)} steps"
        for one, drawn in ((run.spearman, run.random_spearman), (run.pearson, run.random_pearson)):
            measure = f"{one.method} of RAS and misalignment ({one.ties} tied)"
            yield row.figure(measure, one.value, one.lower, one.upper, n=steps, random=drawn)
    size = run.size
    yield row.figure(f"RAS, {guard}", size.value, random=size.random, p_value=size.p_value)
    yield row.figure(f"loss on safety, {guard}", end.delta_safe)
    yield row.figure(f"gain on mathematics, {guard}", end.delta_math)
    yield row.figure(f"arithmetic mean, {guard}", end.arithmetic)
    yield row.figure(f"geometric mean, {guard}", end.geometric)
    yield bare.figure(f"RAS of all neurons, {guard}", run.everything[-1])


def _drift(report: MechanismReport) -> Iterator[InsideFigure]:
    for run in report.drift.runs if report.drift else ():
        for each in run.layers:
            harmful, harmless = str(each.n_harmful), str(each.n_harmless)
            row = _Row("drift", f"{run.run}, layer {each.layer}", f"{harmful} / {harmless}")
            yield row.figure("CKA ratio", each.ratio, each.ratio_lower, each.ratio_upper)
            drift = (d / each.gap for d in (each.drift, each.drift_lower, each.drift_upper))
            measure = "drift, share of the way to refusal"
            yield row.figure(measure, *drift, unit="share", n=harmful)
            drift_harmless = each.drift_harmless / each.gap
            yield row.figure("drift of harmless prompts", drift_harmless, unit="share", n=harmless)


def _mitigations(report: MechanismReport) -> Iterator[InsideFigure]:
    for each in report.mitigations:
        row = _Row("mitigations", each.name)
        yield row.change("RIM score without it", each.rim_before)
        yield row.change("RIM score with it", each.rim_after)
        for one in each.changes:
            measure = f"change of {LABELS[one.measure]}, {mode_name(one.mode)}"
            yield row.change(measure, one.difference)


_CAPTIONS: Final[dict[str, tuple[str, str]]] = {
    "probes": (
        "Probes",
        "Share of held-out prompts above a difference-of-means probe's threshold, by layer; bands are 95 % intervals. Where two classes run together, the probe does not tell them apart.",
    ),
    "heads": (
        "Refusal heads",
        "Every attention head. Large: its attention maximum shifts from the role name to the empty trace when thinking is off. That is no proof of an effect: see the next picture.",
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
        "MitigationChange of misalignment and RAS along the training runs; grey is the range of random sets in the first run. A correlation within one run proves little.",
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
    rows: list[dict[str, Any]] = []
    for values in _data_of(spec):
        rows += [row for row in values if row and row not in rows]
    head = tuple(dict.fromkeys(key for row in rows for key in row))
    return head, [tuple(_cell(row.get(key)) for key in head) for row in rows]


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
