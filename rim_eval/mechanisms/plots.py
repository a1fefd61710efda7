"""Plots of a report: what each layer, head, ablation and training step shows.

A plot is a function from its section and a width in pixels to a specification, see `rim_eval.plots`.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice, zip_longest
from typing import Any, Final

from rim_eval import plots
from rim_eval.formatting import mode_name
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.effects import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.probe_samples import CLASSES
from rim_eval.mechanisms.probe_shift import ProbeShift
from rim_eval.mechanisms.probes import PositionProbes
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.mechanisms.report import MechanismReport
from rim_eval.plots import Spec, altair_spec, import_altair, inline, reference_line

# Dark enough on white, and apart for colour-blind readers; dashes say the same.
_COLORS: Final = ["#B8420F", "#00639C", "#2E7D4F", "#7A4B94", "#6B6B6B", "#8A6D00"]
_DASHES: Final = [[1, 0], [6, 2], [2, 2], [8, 3, 2, 3]]
_GREY: Final = "#B8BEC5"
"""Ranges of random sets."""

_SET, _RANDOM = "these units", "random draws"
_CLASSES: Final = list(dict.fromkeys(name for names in CLASSES.values() for name in names))
_HEADS: Final = ["without them", "with the heads"]
_MARKS: Final = {"think": "<think>", "think_end": "</think>", "inside": "inside trace"}


def report_plots(report: MechanismReport) -> dict[str, Callable[[int], Spec]]:
    """Every plot that a report has the figures for: name, and mode after a comma, to what draws it."""
    drawings: dict[str, Callable[[int], Spec]] = {}
    probes = report.probes.probes if report.probes else ()
    for question in CLASSES:
        if some := [each for each in probes if each.question == question]:
            drawings[f"probes_{question}"] = partial(probes_plot, some)
    if report.heads:
        drawings["heads"] = partial(heads_plot, report.heads)
        if report.heads.probe_shifts:
            drawings["probe_shift"] = partial(probe_shift_plot, report.heads.probe_shifts)
        drawings["heads_effect"] = partial(_effects_plot, report.heads.effects)
    for mode, effects in report.neurons.effects.items() if report.neurons else ():
        drawings[f"neurons_effect, {mode_name(mode)}"] = partial(_effects_plot, effects)
    for mode, section in report.ras.items():
        drawings[f"ras, {mode_name(mode)}"] = partial(_ras_plot, section)
    if report.drift:
        drawings["drift"] = partial(_drift_plot, report.drift)
    return drawings


def probes_plot(probes: Sequence[PositionProbes], width: int) -> Spec:
    """Share of each class above one direction's threshold by layer, a panel a mode and position (Fig. 3).

    Args:
        probes: Of one question.
        width: Pixels.
    """
    alt = import_altair()
    rows = [
        {
            "layer": score.layer,
            "class": name,
            "share": share.value,
            "lower": share.lower,
            "upper": share.upper,
            "position": _place(each.position),
            "mode": mode_name(each.mode),
        }
        for each in probes
        for score in each.scores
        for name, share in score.above.items()
    ]
    base = alt.Chart().encode(x=_across("layer", ticks=3), **_by("class", _CLASSES))
    band = base.mark_area(opacity=0.15).encode(
        y=_share("lower"), y2="upper:Q", strokeDash=alt.value([1, 0])
    )
    panel = alt.layer(band, base.mark_line().encode(y=_share("share")), data=inline(rows))
    return _panels(panel, rows, "mode", width)


def probe_shift_plot(shifts: Sequence[ProbeShift], width: int) -> Spec:
    """The same shares with and without heads, a panel a class and position; grey: random heads (Fig. 5)."""
    alt = import_altair()
    rows = [
        {"class": each.kind, "position": _place(each.position), "layer": layer}
        | dict(zip((*_HEADS, "random, least", "random, most"), shares, strict=False))
        for each in shifts
        for layer, *shares in zip_longest(
            each.layers, each.ablated, each.untouched, each.random_least, each.random_most
        )
    ]
    base = alt.Chart().encode(x=_across("layer", ticks=3))
    band = base.mark_area(color=_GREY, opacity=0.7)
    line = base.transform_fold([*_HEADS], as_=["heads", "share"]).mark_line()
    panel = alt.layer(
        band.encode(y=_share("random, least"), y2="random, most:Q"),
        line.encode(y=_share("share"), **_by("heads", _HEADS)),
        data=inline(rows),
    )
    return _panels(panel, rows, "class", width)


def heads_plot(section: HeadsSection, width: int) -> Spec:
    """Every head as a bubble: area = share of samples, colour = attention on the empty span (Fig. 4)."""
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
        domain=[0, 1.0001], range=["#C3CEDA", "#3C6FB0"]
    )
    taken = alt.Stroke("taken:N", title=None).scale(domain=["taken out"], range=["#B8420F"])
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
    modes = {each.mode for each in effects.effects}
    names = [
        f"{LABELS[each.measure]}, {mode_name(each.mode)}"
        if len(modes) > 1
        else LABELS[each.measure]
        for each in effects.effects
    ]
    where = f", {mode_name(*modes)}" if len(modes) == 1 else ""
    changes, ticks = list[dict[str, Any]](), list[dict[str, Any]]()
    for name, effect in zip(names, effects.effects, strict=True):
        ticks += [{"what": name, "which": _RANDOM, "points": value} for value in effect.random]
        own = effect.difference
        ends = {"points": own.difference, "lower": own.lower, "upper": own.upper}
        changes.append({"what": name, "which": _SET, **ends})
    labels = 8 + round(6.6 * max(map(len, names), default=0))
    what = alt.Y("what:N", title=None, sort=names).axis(labelLimit=0, ticks=False, domain=False)
    axis = alt.Axis(tickCount=3 if width < plots.NARROW else 5)
    points = {"title": f"change without them{where}, points", "axis": axis}
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
    """Misalignment and RAS along each run; grey: the range of the random sets in the first run (Fig. 8)."""
    alt = import_altair()
    runs = [series for series in section.series if series.guard == DECIDING]
    rows = [
        {"run": run.run, "step": step, "misaligned": change, "ras": value.value}
        for run in runs
        for step, change, value in zip(run.steps, run.misaligned, run.selected, strict=True)
    ]
    ranges = [
        {"step": step, "random, least": min(drawn), "random, most": max(drawn)}
        for step, drawn in zip(runs[0].steps, zip(*runs[0].random, strict=True), strict=False)
        if not any(map(math.isnan, drawn))
    ]
    grey = alt.Chart(inline(ranges)).mark_rule(strokeWidth=8, color=_GREY).encode(
        x=_across("step"), y="random, least:Q", y2="random, most:Q"
    )  # fmt: skip
    panels = [
        ("misaligned", "change of misalignment, points", "linear", reference_line(y=0)),
        ("ras", "RAS; grey: random sets", "linear", grey),
    ]
    return _lines(rows, "step", panels, width)


def _drift_plot(section: DriftSection, width: int) -> Spec:
    """Drift along the safety direction and CKA ratio by layer, with intervals."""
    rows = [
        {"run": run.run, "layer": each.layer}
        | {
            f"{what}{end}": value
            for what in ("drift", "ratio")
            for end, value in zip(("", "_lower", "_upper"), each.change(what), strict=True)
        }
        for run in section.runs
        for each in run.layers
    ]
    panels = [
        ("drift", "drift, % of the way to refusal", "linear", reference_line(y=0)),
        ("ratio", "CKA ratio; above 1: harmful more", "log", reference_line(y=1)),
    ]
    return _lines(rows, "layer", panels, width)


def _place(position: str) -> str:
    return _MARKS.get(position, position.replace("_", " "))


def _share(field: str) -> Any:
    alt = import_altair()
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(tickCount=3)
    return alt.Y(f"{field}:Q", title="share above", scale=scale, axis=axis)


def _by(field: str, names: Sequence[str]) -> dict[str, Any]:
    """Encode a field by colour and dash, with one legend for both."""
    alt = import_altair()
    look = {"direction": "horizontal", "columns": 2, "symbolType": "stroke", "symbolSize": 400}
    legend = alt.Legend(**{**plots.LEGEND, **look, "symbolStrokeWidth": 2})
    channels: dict[str, Any] = {
        "color": (alt.Color, _COLORS),
        "strokeDash": (alt.StrokeDash, _DASHES),
    }
    return {
        name: channel(f"{field}:N", title=None, legend=legend).scale(
            domain=list(names), range=list(islice(cycle(values), len(names)))
        )
        for name, (channel, values) in channels.items()
    }


def _panels(panel: Any, rows: Sequence[dict[str, Any]], across: str, width: int) -> Spec:
    """One panel a position and value of another field; on narrow screens positions go down."""
    alt = import_altair()
    order = {name: list(dict.fromkeys(row[name] for row in rows)) for name in ("position", across)}
    down, right = ("position", across) if width < plots.NARROW else (across, "position")
    size = {"width": max(30, (width - 90) // len(order[right]) - 8), "height": 90}
    facets = {
        side: channel(f"{name}:N", title=None, sort=order[name])
        for side, channel, name in (("row", alt.Row, down), ("column", alt.Column, right))
    }
    return altair_spec(panel.properties(**size).facet(**facets, spacing=8))


def _lines(
    rows: Sequence[dict[str, Any]],
    across: str,
    panels: Sequence[tuple[str, str, str, Any]],
    width: int,
) -> Spec:
    """Lines with points, one a run, over what lies below them; intervals where the rows have ends."""
    alt = import_altair()
    look = _by("run", list(dict.fromkeys(row["run"] for row in rows)))
    base = alt.Chart(inline(rows)).encode(x=_across(across), color=look["color"])
    size = {"width": (width if width < plots.NARROW else width // 2) - 75, "height": 190}
    charts = []
    for field, title, scale, below in panels:
        y = {"title": title, "axis": alt.Axis(tickCount=5), "scale": alt.Scale(type=scale)}
        layers = [below]
        if f"{field}_lower" in rows[0]:
            interval = base.mark_rule(strokeWidth=2, opacity=0.5)
            ends = {"y": alt.Y(f"{field}_lower:Q", **y), "y2": f"{field}_upper:Q"}
            layers.append(interval.encode(**ends))
        line = base.mark_line(point={"filled": True, "size": 60, "opacity": 1})
        layers.append(line.encode(y=alt.Y(f"{field}:Q", **y), strokeDash=look["strokeDash"]))
        charts.append(alt.layer(*layers).properties(**size))
    return altair_spec(alt.vconcat(*charts) if width < plots.NARROW else alt.hconcat(*charts))


def _across(field: str, ticks: int = 6) -> Any:
    alt = import_altair()
    axis = alt.Axis(tickMinStep=1, tickCount=ticks, grid=False, labelOverlap=True)
    return alt.X(f"{field}:Q", title=field, axis=axis).scale(zero=False, nice=False, padding=10)
