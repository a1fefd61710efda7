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
from rim_eval.mechanisms.probes import ProbeScore, ProbesSection, best_probes
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.mechanisms.report import MechanismReport
from rim_eval.plots import Figure, Spec, altair_spec, import_altair, inline, reference_line
from rim_eval.statistics import PairedDifference, Rate
from rim_eval.statistics._result import Result
from rim_eval.types import Mode

# Dark enough on white, and apart for colour-blind readers; shapes and dashes say the same.
_COLORS: Final = ["#B8420F", "#00639C", "#2E7D4F", "#7A4B94", "#6B6B6B", "#8A6D00"]
_SHAPES: Final = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
_DASHES: Final = [[1, 0], [6, 2], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3]]

_CLASSES: Final = {
    ("harmful", True): "harmful",
    ("harmful", False): "harmless",
    ("refused", True): "refused",
    ("refused", False): "fulfilled",
}
_MARKS: Final = {"think": "<think>", "think_end": "</think>", "inside": "inside trace"}
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
        yield row("RIM score with it", mitigation.rim_after)
        for each in mitigation.changes:
            measure = f"change of {LABELS[each.measure]}, {mode_name(each.mode)}"
            yield row(measure, each.difference)


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
    if report.probes and report.probes.scores:
        drawings["probes"] = partial(_probes_plot, report.probes.scores)
    if report.heads:
        drawings["heads"] = partial(_heads_plot, report.heads)
        drawings["heads_effect"] = partial(_effects_plot, report.heads.effects)
    for mode, effects in report.neurons.effects.items() if report.neurons else ():
        drawings[f"neurons_effect_{mode}"] = partial(_effects_plot, effects)
    for mode, section in report.ras.items():
        drawings[f"ras_{mode}"] = partial(_ras_plot, section)
    if report.drift:
        drawings["drift"] = partial(_drift_plot, report.drift)
    return drawings


def _probes_plot(scores: Sequence[ProbeScore], width: int) -> Spec:
    """Share of held-out samples above the threshold by layer, a panel a mode and position (Figure 3)."""
    alt = import_altair()
    rows = [
        {
            "layer": score.layer,
            "class": _CLASSES[score.question, positive],
            "share": share.value,
            "lower": share.lower,
            "upper": share.upper,
            "position": _MARKS.get(score.position, score.position.replace("_", " ")),
            "mode": mode_name(score.mode),
        }
        for score in scores
        for positive, share in ((True, score.above_positive), (False, score.above_negative))
    ]
    positions, modes = (list(dict.fromkeys(row[key] for row in rows)) for key in ("position", "mode"))  # fmt: skip
    columns = modes if width < plots.NARROW else positions
    layers = sorted({score.layer for score in scores if score.layer >= 0})
    # -1, the embedding, is drawn without a tick of its own, which would run into that of layer 0.
    ticks = alt.Axis(values=[layers[0], layers[len(layers) // 2], layers[-1]], grid=False, labelOverlap=True)  # fmt: skip
    share = {"title": "share above", "scale": alt.Scale(domain=[0, 1]), "axis": alt.Axis(tickCount=3)}  # fmt: skip
    base = alt.Chart().encode(
        x=alt.X("layer:Q", title="layer", axis=ticks), **_by("class", list(_CLASSES.values()))
    )
    panel = alt.layer(
        base.mark_area(opacity=0.15).encode(
            y=alt.Y("lower:Q", **share), y2="upper:Q", strokeDash=alt.value([1, 0])
        ),
        base.mark_line().encode(y=alt.Y("share:Q", **share)),
        data=inline(rows),
    ).properties(width=(width - 90) // len(columns) - 8, height=90)
    by_mode = {"shorthand": "mode:N", "title": None, "sort": modes}
    by_position = {"shorthand": "position:N", "title": None, "sort": positions}
    row, column = (by_position, by_mode) if width < plots.NARROW else (by_mode, by_position)
    return altair_spec(panel.facet(row=alt.Row(**row), column=alt.Column(**column), spacing=8))


def _heads_plot(section: HeadsSection, width: int) -> Spec:
    """Every head as a bubble: area = share of samples, colour = attention on the empty span (Figure 4)."""
    alt = import_altair()
    rows = [
        {
            "layer": score.layer,
            "head": score.head,
            "share": score.share.value,
            "mass": score.mass_on_span,
            "taken": "taken out" if score.unit in section.selected else "left in",
        }
        for score in section.scores
    ]
    across = 1 + max(score.head for score in section.scores)
    down = 1 + max(score.layer for score in section.scores)
    step = max(6, min(44, (width - (60 if width < plots.NARROW else 250)) // across))
    axis = alt.Axis(labelOverlap="greedy", labelAngle=0, ticks=False, domain=False, grid=True)
    legend = {"orient": "bottom" if width < plots.NARROW else "right", "titleFontSize": 12, "titleFontWeight": "normal", "titleLimit": 0}  # fmt: skip
    share = alt.Size("share:Q", title="gaze moves, share of prompts").scale(
        domain=[0, 1], range=[step, round(0.6 * step * step)]
    )
    # Vega-Lite merges legends of equal domains, whatever they show: this one is told apart.
    mass = alt.Color("mass:Q", title="attention on the empty trace").scale(
        domain=[0, 1.0001], range=["#D6DEE6", "#23395B"]
    )
    taken = alt.Stroke("taken:N", title=None).scale(domain=["taken out"], range=[_COLORS[0]])
    chart = alt.Chart(inline(rows)).mark_circle(opacity=1, strokeWidth=max(1.5, step / 14)).encode(
        x=alt.X("head:O", title="head", axis=axis),
        y=alt.Y("layer:O", title="layer", sort="descending", axis=axis),
        size=share.legend(**legend, values=[0, 0.5, 1], symbolFillColor="#888", symbolStrokeWidth=0),
        color=mass.legend(**legend, type="gradient", gradientLength=130, values=[0, 0.5, 1]),
        stroke=taken.legend(**legend, symbolSize=110, symbolStrokeWidth=2.5, symbolFillColor="white"),
    )  # fmt: skip
    return altair_spec(chart.properties(width=step * across, height=step * down))


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
    look = _by("run", list(dict.fromkeys(row["run"] for row in rows)), dashes=False)
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


def _by(field: str, domain: list[str], *, dashes: bool = True) -> dict[str, Any]:
    """Encode a field by colour, and by dash (lines) or shape (points); one legend for both."""
    alt = import_altair()
    look = {**plots.LEGEND, "direction": "horizontal", "columns": 2, "symbolStrokeWidth": 2}
    channels: dict[str, Any] = {"color": (alt.Color, _COLORS), "shape": (alt.Shape, _SHAPES)}
    if dashes:
        look |= {"symbolType": "stroke", "symbolSize": 400}
        channels = {"color": (alt.Color, _COLORS), "strokeDash": (alt.StrokeDash, _DASHES)}
    return {
        name: channel(f"{field}:N", title=None, legend=alt.Legend(**look)).scale(
            domain=domain, range=list(islice(cycle(values), len(domain)))
        )
        for name, (channel, values) in channels.items()
    }
