"""The report of the analyses inside a model: one JSON file, which the card shows as a section.

It holds figures, counts and generated sentences; no prompt and no reply.
"""

import hashlib
import math
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import Field, ValidationError

from rim_eval.card import InsideFigure, InsideFinding, InsideSet, MechanismsCard
from rim_eval.card.schema import InsidePart
from rim_eval.errors import RimError, first_complaint
from rim_eval.formatting import mode_name, percent
from rim_eval.mechanisms import plots
from rim_eval.mechanisms.behaviour import LABELS, Fill
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.mitigations import Mitigation
from rim_eval.mechanisms.neurons import NeuronsSection
from rim_eval.mechanisms.probes import Auroc, ProbesSection, best_probes
from rim_eval.mechanisms.random_controls import RankTest
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.plots import Figure, Spec, figure
from rim_eval.statistics import Correlation, PairedDifference, Rate
from rim_eval.statistics._result import Result
from rim_eval.types import ArmKind, Mode

SCHEMA_VERSION: Final = 2


class MechanismReport(Result):
    """Everything that was measured inside one model."""

    schema_version: Literal[2] = SCHEMA_VERSION
    model: str
    """Its name, which other checkpoints may share."""
    fingerprint: str
    """Which weights (`rim_eval.fingerprint`)."""
    switch: ArmKind
    """How the two modes are brought about."""
    sets: tuple[InsideSet, ...]
    judge: str
    """Judge of harmful and benign replies; `refusal` over-counts misalignment."""
    fill: Fill
    seed: int
    max_new_tokens: int
    versions: dict[str, str]
    probes: ProbesSection | None = None
    heads: HeadsSection | None = None
    neurons: NeuronsSection | None = None
    ras: dict[Mode, RasSection] = Field(default_factory=dict)
    drift: DriftSection | None = None
    mitigations: tuple[Mitigation, ...] = ()
    left_out: dict[InsidePart, str] = Field(default_factory=dict)
    """Parts that were requested and could not be measured, and why."""

    @property
    def head(self) -> dict[str, object]:
        """Model, prompts and settings: reports that agree in it can hold each other's sections."""
        return self.model_dump(exclude={"versions", "left_out", *get_args(InsidePart)})

    @property
    def findings(self) -> Iterator[InsideFinding]:
        """Every verdict, in order."""
        for part, sentence, verdict in self._verdicts():
            says = sentence[:1].upper() + sentence[1:]
            yield InsideFinding(part=part, says=says, verdict=verdict)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every verdict in words, in order."""
        return tuple(finding.says for finding in self.findings)

    def _verdicts(self) -> Iterator[tuple[InsidePart, str, str | None]]:
        for sentence in self.probes.sentences if self.probes else ():
            yield "probes", sentence, None
        if self.heads:
            yield "heads", f"{self.heads.how}.", None
            yield "heads", self.heads.effects.sentence, self.heads.effects.verdict
        for mode, neurons in self.neurons.sets.items() if self.neurons else ():
            yield "neurons", f"{mode_name(mode)} mode: {neurons.sentence}", None
            if self.neurons and (effects := self.neurons.effects.get(mode)):
                yield "neurons", effects.sentence, effects.verdict
        for mode, section in self.ras.items():
            verdict = section.verdict
            yield "ras", f"{mode_name(mode)} mode: {verdict.sentence}", verdict.verdict
            yield "ras", verdict.remark, None
            yield "ras", section.overlap_sentence, None
        for run in self.drift.runs if self.drift else ():
            yield from (("drift", sentence, None) for sentence in run.sentences)
        for mitigation in self.mitigations:
            yield "mitigations", mitigation.sentence, None
        for part, why in self.left_out.items():
            yield part, f"Left out: {why}", "left_out"


def write_report(report: MechanismReport, path: Path) -> None:
    """Write a report as JSON; what could not be computed is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_report(path: Path) -> MechanismReport:
    """Read a report.

    Raises:
        RimError: The file cannot be read, or is no report of this version.
    """
    try:
        return MechanismReport.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RimError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise RimError(
            f"{path}: no report of schema version {SCHEMA_VERSION}: {first_complaint(error, 'the file')}. "
            "Make it again with `rim-eval mech`."
        ) from error


def continue_report(path: Path, fresh: MechanismReport) -> MechanismReport:
    """Read the report at a path, to which another part is to be added; the fresh one if there is none.

    Args:
        path: Where the report is kept.
        fresh: A report of the model and settings at hand, without parts.

    Raises:
        RimError: The report at the path is about other weights, prompts or settings.
    """
    if not path.is_file():
        return fresh
    before = read_report(path)
    if before.head == fresh.head:
        return before
    weights = [f"{each.model!r} with weights {each.fingerprint}" for each in (before, fresh)]
    if before.fingerprint != fresh.fingerprint:
        raise RimError(
            f"{path} is about {weights[0]}, and this is {weights[1]}: another checkpoint, whatever the "
            "folders are called, or the same one with another --dtype. Give another --out."
        )
    raise RimError(
        f"{path} is about {weights[0]} too, with other prompts or settings. Give another --out, or "
        "the same --model, sets, --limit, --judge, --fill, --seed and budget."
    )


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
        row = partial(_figure, "mitigations", mitigation.name)
        yield row("RIM score without it", mitigation.rim_before)
        yield row("RIM score with it", mitigation.rim_after)
        for each in mitigation.changes:
            measure = f"change of {LABELS[each.measure]}, {mode_name(each.mode)}"
            yield row(measure, each.difference)


def _figure(
    part: InsidePart,
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
    ends: Sequence[float] = (math.nan, math.nan)
    match value:
        case tuple():
            value, *ends = value
        case Rate() | Auroc() | Correlation() as one:
            unit = "share" if isinstance(one, Rate) else unit
            value, ends = one.value, (one.lower, one.upper)
        case RankTest() as test:
            value, random, p_value = test.value, test.random, test.p_value
        case PairedDifference() as change:
            unit, n, ends = "points", f"{change.n_pairs} pairs", (change.lower, change.upper)
            value = change.difference
    finite = [each if math.isfinite(each) else None for each in (value, *ends, p_value)]
    return InsideFigure(
        part=part,
        what=what,
        measure=measure,
        unit=unit,
        value=finite[0],
        lower=finite[1],
        upper=finite[2],
        n=n,
        random=tuple(each for each in random if math.isfinite(each)),
        p_value=finite[3],
    )


def _probes(section: ProbesSection) -> Iterator[InsideFigure]:
    """The best layer of each question, mode and position, by held-out AUROC."""
    for score in best_probes(section.scores):
        area = score.auroc
        what = f"{score.question}, {mode_name(score.mode)}, {score.position}, layer {score.layer}"
        n = f"{area.n_positive} + / {area.n_negative} \N{MINUS SIGN}"
        row = partial(_figure, "probes", what, n=n)
        yield row("AUROC", area)
        yield row(f"accuracy (majority {100 * score.majority:.0f} %)", score.accuracy)
        if math.isfinite(score.logistic_auroc):
            yield row("AUROC of a logistic regression", score.logistic_auroc)


def _heads(section: HeadsSection) -> Iterator[InsideFigure]:
    """The ten heads of the highest rank, and what ablating the selected ones does."""
    for score in section.scores[:10]:
        what = f"head {score.layer}.{score.head}"
        row = partial(_figure, "heads", what, n=f"{score.share.n} prompts")
        yield row("attention shifts", score.share)
        yield row("attention on the empty trace", score.mass_on_span, unit="share")
    yield from _effects("heads", section.effects)
    if shift := section.probe_shift:
        row = partial(_figure, "heads", f"layer {shift.layer}", n=f"{shift.untouched.n} prompts")
        measure = "harmful prompts above a harm probe's threshold"
        yield row(f"{measure}, untouched", shift.untouched)
        drawn = [each.value for each in shift.random]
        yield row(f"{measure}, ablated", shift.ablated, random=drawn)


def _effects(part: InsidePart, effects: Effects) -> Iterator[InsideFigure]:
    for each in effects.effects:
        untouched = percent(each.difference.reference_rate)
        measure = f"{LABELS[each.measure]}, {mode_name(each.mode)} ({untouched} untouched)"
        row = partial(_figure, part, effects.what, measure, each.difference)
        yield row(random=each.random, p_value=each.p_value)


def _ras(section: RasSection, mode: Mode) -> Iterator[InsideFigure]:
    for run in section.series:
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
            correlations = (run.spearman, run.random_spearman), (run.pearson, run.random_pearson)
            for one, drawn in correlations:
                measure = f"{one.method} of RAS and misalignment ({one.ties} tied)"
                yield bare(measure, one, n=f"{len(run.steps)} steps", random=drawn)
        yield row(f"RAS, {guard}", run.size)
        yield row(f"loss on safety, {guard}", end.delta_safe)
        yield row(f"gain on mathematics, {guard}", end.delta_math)
        yield row(f"arithmetic mean, {guard}", end.arithmetic)
        yield row(f"geometric mean, {guard}", end.geometric)
        yield bare(f"RAS of all neurons, {guard}", run.everything[-1])


def _drift(section: DriftSection) -> Iterator[InsideFigure]:
    for run in section.runs:
        for each in run.layers:
            harmful, harmless = str(each.n_harmful), str(each.n_harmless)
            row = partial(_figure, "drift", f"{run.run}, layer {each.layer}")
            ratio = (each.ratio, each.ratio_lower, each.ratio_upper)
            yield row("CKA ratio", ratio, n=f"{harmful} / {harmless}")
            drift = tuple(d / each.gap for d in (each.drift, each.drift_lower, each.drift_upper))
            yield row("drift, share of the way to refusal", drift, unit="share", n=harmful)
            moved = each.drift_harmless / each.gap
            yield row("drift of harmless prompts", moved, unit="share", n=harmless)


def report_plots(report: MechanismReport) -> dict[str, Callable[[int], Spec]]:
    """Every plot that a report has the figures for: name to a function from width to specification."""
    drawings: dict[str, Callable[[int], Spec]] = {}
    if report.probes and report.probes.scores:
        drawings["probes"] = partial(plots.probes_plot, report.probes.scores)
    if report.heads:
        drawings["heads"] = partial(plots.heads_plot, report.heads)
        drawings["heads_effect"] = partial(plots.effects_plot, report.heads.effects)
    for mode, effects in report.neurons.effects.items() if report.neurons else ():
        drawings[f"neurons_effect_{mode}"] = partial(plots.effects_plot, effects)
    for mode, section in report.ras.items():
        drawings[f"ras_{mode}"] = partial(plots.ras_plot, section)
    if report.drift:
        drawings["drift"] = partial(plots.drift_plot, report.drift)
    return drawings


def section_pictures(report: MechanismReport) -> tuple[tuple[str, Figure], ...]:
    """Every picture with its heading, and under it the figures that it draws.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    texts = tomllib.loads(Path(__file__).with_name("captions.toml").read_text(encoding="utf-8"))
    return tuple(
        (texts[name]["heading"], figure(draw, texts[name]["caption"], *_drawn(draw(0))))
        for name, draw in report_plots(report).items()
    )


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
    if isinstance(part, dict):
        if isinstance(part.get("data"), dict):
            yield part["data"]["values"]
        part = [inner for name, inner in part.items() if name != "data"]
    if isinstance(part, list):
        for inner in part:
            yield from _data_of(inner)
