"""Plots of the mechanism report: from its sections and a width in pixels to Vega-Lite specifications."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.mechanisms.report import MechanismReport
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


def plots(report: MechanismReport) -> dict[str, Callable[[int], Spec]]:
    """Every plot that a report has the figures for: name to a function from width to specification."""
    drawings: dict[str, Callable[[int], Spec]] = {}
    if report.probes and report.probes.scores:
        scores = report.probes.scores
        drawings["probes"] = lambda width: probes_plot(scores, width)
    if report.heads:
        heads = report.heads
        drawings["heads"] = lambda width: heads_plot(heads, width)
        drawings["heads_effect"] = lambda width: effects_plot(heads.effects, width)
    for mode, effects in report.neurons.effects.items() if report.neurons else ():
        drawings[f"neurons_effect_{mode}"] = lambda width, e=effects: effects_plot(e, width)  # type: ignore[misc]
    for mode, section in report.ras.items():
        drawings[f"ras_{mode}"] = lambda width, s=section: ras_plot(s, width)  # type: ignore[misc]
    if report.drift:
        drift = report.drift
        drawings["drift"] = lambda width: drift_plot(drift, width)
    return drawings


def probes_plot(scores: Sequence[ProbeScore], width: int = 640) -> Spec:
    """Share of held-out samples above the threshold by layer, a panel a mode and position (Figure 3).

    Args:
        scores: One probe a question, mode, position and layer.
        width: Width of the picture in pixels.
    """
    alt = import_altair()

    rows = [row for score in scores for row in _probe_rows(score)]
    positions = list(dict.fromkeys(str(row["position"]) for row in rows))
    modes = list(dict.fromkeys(row["mode"] for row in rows))
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


def _probe_rows(score: ProbeScore) -> list[dict[str, Any]]:
    return [
        {
            "layer": score.layer,
            "class": _CLASSES[score.question, positive],
            "share": share.value,
            "lower": share.lower,
            "upper": share.upper,
            "position": _MARKS.get(score.position, score.position.replace("_", " ")),
            "mode": score.mode.replace("_", "-"),
        }
        for positive, share in ((True, score.above_positive), (False, score.above_negative))
    ]


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

    changes, ticks, names = _effect_rows(effects)
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


def _effect_rows(
    effects: Effects,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """Changes, the same of random units, and the measures' names in order; what is NaN is left out."""
    changes, ticks, names = [], [], []
    for effect in effects.effects:
        label = f"{LABELS[effect.measure]}, {effect.mode.replace('_', '-')}"
        own = effect.difference
        if not math.isnan(own.difference):
            ends = {"points": own.difference, "lower": own.lower, "upper": own.upper}
            changes.append({"what": label, "which": _SET, **ends})
        finite = [value for value in effect.random if not math.isnan(value)]
        ticks += [{"what": label, "which": _RANDOM, "points": value} for value in finite]
        names.append(label)
    return changes, ticks, names


def ras_plot(section: RasSection, width: int = 640) -> Spec:
    """Misalignment and RAS along each run; grey: the range of the random sets in the first run.

    Args:
        section: Training runs and their random sets.
        width: Width of the picture in pixels.
    """
    alt = import_altair()

    runs = [series for series in section.series if series.guard == DECIDING]
    lines = [
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
    look = _by("run", [run.run for run in runs], dashes=False)
    panels = [
        _panel("misaligned", "change of misalignment, points", lines, look, "step", width),
        _panel("ras", "RAS; grey: random sets", lines, look, "step", width, grey),
    ]
    return _side_by_side(panels, width)


def drift_plot(section: DriftSection, width: int = 640) -> Spec:
    """CKA layer ratio and drift along the safety direction by layer, with intervals.

    Args:
        section: Training runs, each with its layers.
        width: Width of the picture in pixels.
    """
    rows = [
        {
            "run": run.run,
            "layer": each.layer,
            **_triple("ratio", each.ratio, each.ratio_lower, each.ratio_upper),
            **_triple(
                "drift",
                *(100 * v / each.gap for v in (each.drift, each.drift_lower, each.drift_upper)),
            ),
        }
        for run in section.runs
        for each in run.layers
    ]
    look = _by("run", [run.run for run in section.runs], dashes=False)
    panels = [
        _panel("drift", "drift, % of the way to refusal", rows, look, "layer", width, [reference_line(y=0)], ends=True),
        _panel("ratio", "CKA ratio; above 1: harmful more", rows, look, "layer", width, [reference_line(y=1)], ends=True, scale="log"),
    ]  # fmt: skip
    return _side_by_side(panels, width)


def _triple(name: str, value: float, lower: float, upper: float) -> dict[str, float | None]:
    ends = {name: value, f"{name}_lower": lower, f"{name}_upper": upper}
    return {key: each if math.isfinite(each) else None for key, each in ends.items()}


def _side_by_side(panels: Sequence[Any], width: int) -> Spec:
    alt = import_altair()

    return altair_spec(alt.vconcat(*panels) if width < NARROW else alt.hconcat(*panels))


def _panel(
    field: str,
    title: str,
    rows: Sequence[dict[str, Any]],
    look: dict[str, Any],
    across: str,
    width: int,
    below: Sequence[Any] = (),
    *,
    ends: bool = False,
    scale: str = "linear",
) -> Any:
    """One panel of lines with points, over the layers in `below`."""
    alt = import_altair()

    y = {"title": title, "axis": alt.Axis(tickCount=5), "scale": alt.Scale(type=scale)}
    base = alt.Chart(inline(rows)).encode(x=_across(across))
    dots = {"filled": True, "size": 60, "opacity": 1}
    line = base.mark_line(point=dots).encode(y=alt.Y(f"{field}:Q", **y), **look)
    interval = base.mark_rule(strokeWidth=2, opacity=0.5).encode(
        y=alt.Y(f"{field}_lower:Q", **y), y2=f"{field}_upper:Q", color=look["color"]
    )
    layers = [*below, *([interval] if ends else []), line]
    size = {"width": (width if width < NARROW else width // 2) - 75, "height": 190}
    return alt.layer(*layers).properties(**size)


def _across(field: str) -> Any:
    alt = import_altair()

    axis = alt.Axis(tickMinStep=1, tickCount=6, grid=False)
    return alt.X(f"{field}:Q", title=field, axis=axis).scale(zero=False, nice=False, padding=10)


def _by(field: str, domain: Sequence[str], *, dashes: bool = True) -> dict[str, Any]:
    """Encode a field by colour, and by dash or shape; one legend for both.

    Args:
        field: Name of the field.
        domain: Its values, in order of the legend.
        dashes: Lines, told apart by dashes too; else points, told apart by shapes.
    """
    alt = import_altair()

    names = list(domain)
    stroke = {"symbolType": "stroke", "symbolSize": 400} if dashes else {}
    look = {**LEGEND, "direction": "horizontal", "columns": 2, "symbolStrokeWidth": 2, **stroke}
    legend = alt.Legend(**look)
    colors = [_COLORS[i % len(_COLORS)] for i in range(len(names))]
    ways: list[Any] = [(_DASHES if dashes else _SHAPES)[i % 6] for i in range(len(names))]
    channel: Any = alt.StrokeDash if dashes else alt.Shape
    return {
        "color": alt.Color(f"{field}:N", title=None, legend=legend).scale(domain=names, range=colors),
        "strokeDash" if dashes else "shape": channel(f"{field}:N", title=None, legend=legend).scale(domain=names, range=ways),
    }  # fmt: skip
