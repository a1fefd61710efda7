"""The card's section on the inside of the model: a report as figures, plots and their tables."""

import hashlib
import math
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final, Literal

from rim_eval import plots
from rim_eval.card import InsideFigure, MechanismsCard
from rim_eval.card.schema import InsidePart
from rim_eval.formatting import mode_name, percent
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.effects import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.probe_plots import heads_plot, probe_shift_plot, probes_plot
from rim_eval.mechanisms.probe_samples import CLASSES
from rim_eval.mechanisms.probes import ProbesSection
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.mechanisms.report import MechanismReport
from rim_eval.plots import Figure, Spec, altair_spec, import_altair, inline, reference_line
from rim_eval.statistics import PairedDifference, Rate
from rim_eval.statistics._result import Result
from rim_eval.types import Mode

# Dark enough on white, and apart for colour-blind readers; shapes say the same.
_COLORS: Final = ["#B8420F", "#00639C", "#2E7D4F", "#7A4B94", "#6B6B6B", "#8A6D00"]
_SHAPES: Final = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]

_SET, _RANDOM = "these units", "random draws"


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
        if mitigation.changes:
            yield row("RIM score with it", mitigation.rim_after)
        for each in mitigation.changes:
            measure = f"change of {LABELS[each.measure]}, {mode_name(each.mode)}"
            yield row(measure, each.difference)
        if (steering := mitigation.steering) and steering.rank:
            n = f"{steering.ranked} prompts"
            yield row(
                "fall of misalignment among random vectors", steering.rank, unit="points", n=n
            )


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
    """The chosen layer of each question, mode and position."""
    for each in section.probes:
        score = each.chosen
        area = score.auroc
        what = f"{each.question}, {mode_name(each.mode)}, {each.position}, layer {each.layer}"
        n = f"{area.n_positive} + / {area.n_negative} \N{MINUS SIGN}"
        row = partial(_figure, "probes", what, n=n)
        yield row("AUROC", area, random=each.control.random, p_value=each.control.p_value)
        yield row(f"accuracy (majority {100 * each.majority:.0f} %)", each.accuracy)
        for name, share in score.above.items():
            yield _figure("probes", what, f"{name} above", share, n=str(share.n))
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
    for shift in section.probe_shifts:
        if shift.position == "last":
            what = f"harm probe, layer {shift.layers[-1]}"
            row = partial(_figure, "heads", what, unit="share", n=f"{shift.n} prompts")
            yield row(f"{shift.kind} above, untouched", shift.untouched[-1])
            yield row(f"{shift.kind} above, ablated", shift.ablated[-1])
            for name, ends in (("least", shift.random_least), ("most", shift.random_most)):
                yield row(f"{shift.kind} above, random heads, {name}", (ends or (math.nan,))[-1])


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
            *drift, moved = each.shares
            yield row("drift, share of the way to refusal", tuple(drift), unit="share", n=harmful)
            yield row("drift of harmless prompts", moved, unit="share", n=harmless)


def section_pictures(report: MechanismReport) -> tuple[tuple[str, Figure], ...]:
    """Every picture with its heading, and under it the figures that it draws.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    texts = tomllib.loads(Path(__file__).with_name("captions.toml").read_text(encoding="utf-8"))
    return tuple(
        (texts[name]["heading"], plots.figure(draw, texts[name]["caption"], *_drawn(draw(0))))
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
    if isinstance(part, dict) and isinstance(part.get("data"), dict):
        yield part["data"]["values"]
    for inner in part.values() if isinstance(part, dict) else part:
        if isinstance(inner, dict | list):
            yield from _data_of(inner)


def report_plots(report: MechanismReport) -> dict[str, Callable[[int], Spec]]:
    """Every plot that a report has the figures for: name to a function from width to specification."""
    drawings: dict[str, Callable[[int], Spec]] = {}
    for question in CLASSES:
        probes = [
            p for p in (report.probes.probes if report.probes else ()) if p.question == question
        ]
        if probes:
            drawings[f"probes_{question}"] = partial(probes_plot, probes)
    if report.heads:
        drawings["heads"] = partial(heads_plot, report.heads)
        if report.heads.probe_shifts:
            drawings["probe_shift"] = partial(probe_shift_plot, report.heads.probe_shifts)
        drawings["heads_effect"] = partial(_effects_plot, report.heads.effects)
    for mode, effects in report.neurons.effects.items() if report.neurons else ():
        drawings[f"neurons_effect_{mode}"] = partial(_effects_plot, effects)
    for mode, section in report.ras.items():
        drawings[f"ras_{mode}"] = partial(_ras_plot, section)
    if report.drift:
        drawings["drift"] = partial(_drift_plot, report.drift)
    return drawings


def _effects_plot(effects: Effects, width: int) -> Spec:
    """What an ablation does, with its interval, and every random control as a tick (Figures 5 and 6)."""
    alt = import_altair()
    names = [f"{LABELS[each.measure]}, {mode_name(each.mode)}" for each in effects.effects]
    changes, ticks = list[dict[str, Any]](), list[dict[str, Any]]()
    for name, effect in zip(names, effects.effects, strict=True):
        own, row = effect.difference, {"what": name, "which": _RANDOM}
        ticks += [row | {"points": value} for value in effect.random if not math.isnan(value)]
        if not math.isnan(own.difference):
            ends = {"points": own.difference, "lower": own.lower, "upper": own.upper}
            changes.append({"what": name, "which": _SET, **ends})
    labels = 8 + round(6.6 * max(map(len, names), default=0))
    what = alt.Y("what:N", title=None, sort=names).axis(labelLimit=0, ticks=False, domain=False)
    points = {"title": "change without them, percentage points", "axis": alt.Axis(tickCount=5)}
    legend = alt.Legend(**{**plots.LEGEND, "direction": "horizontal"})
    color = alt.Color("which:N", title=None, legend=legend).scale(
        domain=[_SET, _RANDOM], range=[_COLORS[0], "#6B6B6B"]
    )
    at = alt.X("points:Q", **points)
    made = alt.Chart(inline(changes)).encode(y=what, color=color)
    drawn = alt.Chart(inline(ticks)).encode(y=what, color=color)
    return altair_spec(
        alt.layer(
            reference_line(x=0),
            made.mark_rule(strokeWidth=2).encode(x=alt.X("lower:Q", **points), x2="upper:Q"),
            made.mark_point(filled=True, size=80, opacity=1).encode(x=at),
            drawn.mark_tick(thickness=2, size=18, opacity=0.7).encode(x=at),
        ).properties(width=width - labels - 20, height=alt.Step(28))
    )


def _ras_plot(section: RasSection, width: int) -> Spec:
    """Misalignment and RAS along each run; grey: the range of the random sets in the first run."""
    alt = import_altair()
    runs = [series for series in section.series if series.guard == DECIDING]
    rows = [
        {"run": run.run, "step": step, "misaligned": change, "ras": value.value}
        for run in runs
        for step, change, value in zip(run.steps, run.misaligned, run.selected, strict=True)
    ]
    ranges = [
        {"step": step, "low": min(column), "high": max(column)}
        for step, column in zip(runs[0].steps, zip(*runs[0].random, strict=True), strict=False)
        if not any(map(math.isnan, column))
    ]
    base = alt.Chart(inline(ranges)).encode(x=_across("step"), y="low:Q", y2="high:Q")
    color = "#B8BEC5"
    grey = [base.mark_area(opacity=0.7, color=color), base.mark_rule(strokeWidth=5, color=color)]
    panels = [
        ("misaligned", "change of misalignment, points", "linear", []),
        ("ras", "RAS; grey: random sets", "linear", grey),
    ]
    return _line_panels(rows, "step", panels, width)


def _drift_plot(section: DriftSection, width: int) -> Spec:
    """CKA layer ratio and drift along the safety direction by layer, with intervals."""
    ends = ("", "_lower", "_upper")
    rows = []
    for run in section.runs:
        for each in run.layers:
            ratio = {f"ratio{end}": getattr(each, f"ratio{end}") for end in ends}
            drift = {f"drift{end}": 100 * v for end, v in zip(ends, each.shares, strict=False)}
            row = {name: v if math.isfinite(v) else None for name, v in (ratio | drift).items()}
            rows.append({"run": run.run, "layer": each.layer, **row})
    panels = [
        ("drift", "drift, % of the way to refusal", "linear", [reference_line(y=0)]),
        ("ratio", "CKA ratio; above 1: harmful more", "log", [reference_line(y=1)]),
    ]
    return _line_panels(rows, "layer", panels, width)


def _line_panels(
    rows: Sequence[dict[str, Any]],
    across: str,
    panels: Sequence[tuple[str, str, str, list[Any]]],
    width: int,
) -> Spec:
    """Lines with points, one a run, and intervals where the rows have ends, a panel a field."""
    alt = import_altair()
    look = _by("run", list(dict.fromkeys(row["run"] for row in rows)))
    base = alt.Chart(inline(rows)).encode(x=_across(across))
    size = {"width": (width if width < plots.NARROW else width // 2) - 75, "height": 190}
    charts = []
    for field, title, scale, below in panels:
        y = {"title": title, "axis": alt.Axis(tickCount=5), "scale": alt.Scale(type=scale)}
        layers = [*below]
        if f"{field}_lower" in rows[0]:
            interval = base.mark_rule(strokeWidth=2, opacity=0.5)
            ends = {"y": alt.Y(f"{field}_lower:Q", **y), "y2": f"{field}_upper:Q"}
            layers.append(interval.encode(**ends, color=look["color"]))
        line = base.mark_line(point={"filled": True, "size": 60, "opacity": 1})
        layers.append(line.encode(y=alt.Y(f"{field}:Q", **y), **look))
        charts.append(alt.layer(*layers).properties(**size))
    return altair_spec(alt.vconcat(*charts) if width < plots.NARROW else alt.hconcat(*charts))


def _across(field: str) -> Any:
    alt = import_altair()
    axis = alt.Axis(tickMinStep=1, tickCount=6, grid=False)
    return alt.X(f"{field}:Q", title=field, axis=axis).scale(zero=False, nice=False, padding=10)


def _by(field: str, domain: list[str]) -> dict[str, Any]:
    """Encode a field by colour and shape; one legend for both."""
    alt = import_altair()
    look = {**plots.LEGEND, "direction": "horizontal", "columns": 2, "symbolStrokeWidth": 2}
    channels: dict[str, Any] = {"color": (alt.Color, _COLORS), "shape": (alt.Shape, _SHAPES)}
    return {
        name: channel(f"{field}:N", title=None, legend=alt.Legend(**look)).scale(
            domain=domain, range=list(islice(cycle(values), len(domain)))
        )
        for name, (channel, values) in channels.items()
    }
