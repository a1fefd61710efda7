"""Plots of the mechanism report: from its sections and a width in pixels to Vega-Lite specifications."""

import math
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any, Final

from rim_eval.formatting import mode_name
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.plots import LEGEND, NARROW, Spec, altair_spec, import_altair, inline, reference_line

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


def probes_plot(scores: Sequence[ProbeScore], width: int = 640) -> Spec:
    """Share of held-out samples above the threshold by layer, a panel a mode and position (Figure 3).

    Args:
        scores: One probe a question, mode, position and layer.
        width: Width of the picture in pixels.
    """
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
    columns = modes if width < NARROW else positions
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
    row, column = (by_position, by_mode) if width < NARROW else (by_mode, by_position)
    return altair_spec(panel.facet(row=alt.Row(**row), column=alt.Column(**column), spacing=8))


def heads_plot(section: HeadsSection, width: int = 640) -> Spec:
    """Every head as a bubble: area = share of samples, colour = attention on the empty span (Figure 4).

    Args:
        section: Scores of all heads, and the selected ones.
        width: Width of the picture in pixels.
    """
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
    step = max(6, min(44, (width - (60 if width < NARROW else 250)) // across))
    axis = alt.Axis(labelOverlap="greedy", labelAngle=0, ticks=False, domain=False, grid=True)
    legend = {"orient": "bottom" if width < NARROW else "right", "titleFontSize": 12, "titleFontWeight": "normal", "titleLimit": 0}  # fmt: skip
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


def effects_plot(effects: Effects, width: int = 640) -> Spec:
    """What an ablation does, with its interval, and every random control as a tick (Figures 5 and 6).

    Args:
        effects: Change of each measure, and the same for random units.
        width: Width of the picture in pixels.
    """
    alt = import_altair()
    names = [f"{LABELS[each.measure]}, {mode_name(each.mode)}" for each in effects.effects]
    named = list(zip(names, effects.effects, strict=True))
    changes = [
        {"what": name, "which": _SET, "points": own.difference, "lower": own.lower, "upper": own.upper}
        for name, own in ((name, effect.difference) for name, effect in named)
        if not math.isnan(own.difference)
    ]  # fmt: skip
    ticks = [
        {"what": name, "which": _RANDOM, "points": value}
        for name, effect in named
        for value in effect.random
        if not math.isnan(value)
    ]
    labels = 8 + round(6.6 * max(map(len, names), default=0))
    row = alt.Y("what:N", title=None, sort=names).axis(labelLimit=0, ticks=False, domain=False)
    points = {"title": "change without them, percentage points", "axis": alt.Axis(tickCount=5)}
    legend = alt.Legend(**{**LEGEND, "direction": "horizontal"})
    color = alt.Color("which:N", title=None, legend=legend).scale(
        domain=[_SET, _RANDOM], range=[_COLORS[0], "#6B6B6B"]
    )
    at = alt.X("points:Q", **points)
    own = alt.Chart(inline(changes)).encode(y=row, color=color)
    drawn = alt.Chart(inline(ticks)).encode(y=row, color=color)
    return altair_spec(
        alt.layer(
            reference_line(x=0),
            own.mark_rule(strokeWidth=2).encode(x=alt.X("lower:Q", **points), x2="upper:Q"),
            own.mark_point(filled=True, size=80, opacity=1).encode(x=at),
            drawn.mark_tick(thickness=2, size=18, opacity=0.7).encode(x=at),
        ).properties(width=width - labels - 20, height=alt.Step(28))
    )


def ras_plot(section: RasSection, width: int = 640) -> Spec:
    """Misalignment and RAS along each run; grey: the range of the random sets in the first run.

    Args:
        section: Training runs and their random sets.
        width: Width of the picture in pixels.
    """
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
    grey = [
        base.mark_area(opacity=0.7, color="#B8BEC5"),
        base.mark_rule(strokeWidth=5, color="#B8BEC5"),
    ]
    panels = [
        ("misaligned", "change of misalignment, points", "linear", []),
        ("ras", "RAS; grey: random sets", "linear", grey),
    ]
    return _line_panels(rows, "step", panels, width)


def drift_plot(section: DriftSection, width: int = 640) -> Spec:
    """CKA layer ratio and drift along the safety direction by layer, with intervals.

    Args:
        section: Training runs, each with its layers.
        width: Width of the picture in pixels.
    """
    rows = [
        {"run": run.run, "layer": each.layer}
        | {
            name: value if math.isfinite(value) else None
            for name, value in {
                "ratio": each.ratio,
                "ratio_lower": each.ratio_lower,
                "ratio_upper": each.ratio_upper,
                "drift": 100 * each.drift / each.gap,
                "drift_lower": 100 * each.drift_lower / each.gap,
                "drift_upper": 100 * each.drift_upper / each.gap,
            }.items()
        }
        for run in section.runs
        for each in run.layers
    ]
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
    """Lines with points, one a run, and intervals where the rows have ends, a panel a field.

    Args:
        rows: The points.
        across: Field of the horizontal axis.
        panels: For each its field, title, kind of scale, and the layers below its lines.
        width: Width of the picture in pixels.
    """
    alt = import_altair()
    look = _by("run", list(dict.fromkeys(row["run"] for row in rows)), dashes=False)
    base = alt.Chart(inline(rows)).encode(x=_across(across))
    size = {"width": (width if width < NARROW else width // 2) - 75, "height": 190}
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
    return altair_spec(alt.vconcat(*charts) if width < NARROW else alt.hconcat(*charts))


def _across(field: str) -> Any:
    alt = import_altair()
    axis = alt.Axis(tickMinStep=1, tickCount=6, grid=False)
    return alt.X(f"{field}:Q", title=field, axis=axis).scale(zero=False, nice=False, padding=10)


def _by(field: str, domain: list[str], *, dashes: bool = True) -> dict[str, Any]:
    """Encode a field by colour, and by dash (lines) or shape (points); one legend for both."""
    alt = import_altair()
    stroke = {"symbolType": "stroke", "symbolSize": 400} if dashes else {}
    look = {**LEGEND, "direction": "horizontal", "columns": 2, "symbolStrokeWidth": 2, **stroke}
    second, ways = (alt.StrokeDash, _DASHES) if dashes else (alt.Shape, _SHAPES)
    return {
        name: channel(f"{field}:N", title=None, legend=alt.Legend(**look)).scale(
            domain=domain, range=list(islice(cycle(values), len(domain)))
        )
        for name, channel, values in (
            ("color", alt.Color, _COLORS),
            ("strokeDash" if dashes else "shape", second, ways),
        )
    }
