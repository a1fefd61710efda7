"""Plots of the report: Vega-Lite specs as plain data, from a width in pixels."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.mechanisms.ras_verdict import DECIDING
from rim_eval.mechanisms.report import DriftSection, HeadsSection, MechanismReport, RasSection
from rim_eval.plotting._style import LEGEND, SPEC

__all__ = ["drift_plot", "effects_plot", "heads_plot", "plots", "probes_plot", "ras_plot"]

Spec = dict[str, Any]

_NARROW: Final = 500
"""Pixels below which panels stand below each other."""

_CLASSES: Final = {
    ("harmful", True): "harmful",
    ("harmful", False): "harmless",
    ("refused", True): "refused",
    ("refused", False): "fulfilled",
}
# Dark enough on white, and apart for colour-blind readers; shapes and dashes say the same.
_COLOURS: Final = ["#B8420F", "#00639C", "#2E7D4F", "#7A4B94", "#6B6B6B", "#8A6D00"]
_SHAPES: Final = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
_MARKS: Final = {"think": "<think>", "think_end": "</think>", "inside": "inside trace"}
_SET, _RANDOM = "these units", "random draws"


def plots(report: MechanismReport) -> dict[str, Callable[[int], Spec]]:
    """Every plot that a report has the figures for: name to a function from width to spec."""
    found: dict[str, Callable[[int], Spec]] = {}
    if report.probes and report.probes.scores:
        scores = report.probes.scores
        found["probes"] = lambda width: probes_plot(scores, width)
    if report.heads:
        heads = report.heads
        found["heads"] = lambda width: heads_plot(heads, width)
        found["heads_effect"] = lambda width: effects_plot(heads.effects, width)
    for mode, effects in report.neurons.effects.items() if report.neurons else ():
        found[f"neurons_effect_{mode}"] = lambda width, e=effects: effects_plot(e, width)  # type: ignore[misc]
    for mode, section in report.ras.items():
        found[f"ras_{mode}"] = lambda width, s=section: ras_plot(s, width)  # type: ignore[misc]
    if report.drift:
        drift = report.drift
        found["drift"] = lambda width: drift_plot(drift, width)
    return found


def probes_plot(scores: Sequence[ProbeScore], width: int = 640) -> Spec:
    """Share of held-out samples above the threshold by layer, a panel a mode and position (Fig. 3)."""
    rows = [
        {
            "layer": score.layer,
            "class": _CLASSES[score.question, positive],
            "share": share.value,
            "lower": share.lower,
            "upper": share.upper,
            "position": _MARKS.get(score.position, score.position.replace("_", " ")),
            "mode": score.mode.replace("_", "-"),
        }
        for score in scores
        for positive, share in ((True, score.above_positive), (False, score.above_negative))
    ]
    order = list(dict.fromkeys(str(row["position"]) for row in rows))
    layers = sorted({score.layer for score in scores if score.layer >= 0})
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    names = ("position", "mode") if width < _NARROW else ("mode", "position")
    columns = len(modes) if width < _NARROW else len(order)
    share: Spec = {
        "type": "quantitative",
        "title": "share above",
        "scale": {"domain": [0, 1]},
        "axis": {"tickCount": 3},
    }
    sorts = {"mode": modes, "position": order}
    facet = {
        way: {"field": name, "type": "nominal", "title": None, "sort": sorts[name]}
        for way, name in zip(("row", "column"), names, strict=True)
    }
    # -1, the embedding, is drawn without a tick of its own, which would run into that of layer 0.
    ticks = {"values": [layers[0], layers[len(layers) // 2], layers[-1]], "grid": False, "labelOverlap": True}  # fmt: skip
    x = {"field": "layer", "type": "quantitative", "title": "layer", "axis": ticks}
    return {
        **SPEC,
        "data": {"values": rows},
        "facet": facet,
        "spacing": 8,
        "spec": {
            "width": (width - 90) // columns - 8,
            "height": 90,
            "encoding": {"x": x, **_by("class", list(_CLASSES.values()))},
            "layer": [
                {
                    "mark": {"type": "area", "opacity": 0.15},
                    "encoding": {
                        "y": {"field": "lower", **share},
                        "y2": {"field": "upper"},
                        "strokeDash": {"value": [1, 0]},
                    },
                },
                {"mark": "line", "encoding": {"y": {"field": "share", **share}}},
            ],
        },
    }


def _by(field: str, domain: Sequence[str], *, dashes: bool = True) -> Spec:
    """Colour, and dash or shape, by a field; one legend for both."""
    scale = {"domain": list(domain), "range": [_COLOURS[i % 6] for i in range(len(domain))]}
    ways = [[1, 0], [6, 2], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3]] if dashes else _SHAPES
    second = {"domain": list(domain), "range": [ways[i % 6] for i in range(len(domain))]}
    legend = {**LEGEND, "direction": "horizontal", "columns": 2, "symbolStrokeWidth": 2}
    if dashes:
        legend |= {"symbolType": "stroke", "symbolSize": 400}
    named = {"field": field, "type": "nominal", "title": None}
    return {
        "color": {**named, "scale": scale, "legend": legend},
        ("strokeDash" if dashes else "shape"): {**named, "scale": second, "legend": legend},
    }


def heads_plot(section: HeadsSection, width: int = 640) -> Spec:
    """Every head as a bubble: area = share of samples, colour = attention on the empty span (Fig. 4)."""
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
    step = max(6, min(44, (width - (60 if width < _NARROW else 250)) // across))
    axis = {"labelOverlap": "greedy", "labelAngle": 0, "ticks": False, "domain": False, "grid": True}  # fmt: skip
    # Vega-Lite merges legends of equal domains, whatever they show: this one is told apart.
    whole = [0, 1.0001]
    bottom = {"orient": "bottom" if width < _NARROW else "right", "titleFontSize": 12, "titleFontWeight": "normal", "titleLimit": 0}  # fmt: skip
    return {
        **SPEC,
        "width": step * across,
        "height": step * down,
        "data": {"values": rows},
        "mark": {"type": "circle", "opacity": 1, "strokeWidth": max(1.5, step / 14)},
        "encoding": {
            "x": {"field": "head", "type": "ordinal", "title": "head", "axis": axis},
            "y": {"field": "layer", "type": "ordinal", "title": "layer", "sort": "descending", "axis": axis},
            "size": {
                "field": "share",
                "type": "quantitative",
                "title": "gaze moves, share of prompts",
                "scale": {"domain": [0, 1], "range": [step, round(0.6 * step * step)]},
                "legend": {**bottom, "values": [0, 0.5, 1], "symbolFillColor": "#888", "symbolStrokeWidth": 0},
            },
            "color": {
                "field": "mass",
                "type": "quantitative",
                "title": "attention on the empty trace",
                "scale": {"domain": whole, "range": ["#D6DEE6", "#23395B"]},
                "legend": {**bottom, "type": "gradient", "gradientLength": 130, "values": [0, 0.5, 1]},
            },
            "stroke": {
                "field": "taken",
                "type": "nominal",
                "title": None,
                "scale": {"domain": ["taken out"], "range": [_COLOURS[0]]},
                "legend": {**bottom, "symbolSize": 110, "symbolStrokeWidth": 2.5, "symbolFillColor": "white"},
            },
        },
    }  # fmt: skip


def effects_plot(effects: Effects, width: int = 640) -> Spec:
    """What the removal does, with its interval, and every random draw as a tick (Fig. 5, 6)."""
    drawn: list[Spec] = []
    ticks: list[Spec] = []
    names: list[str] = []
    for effect in effects.effects:
        label = f"{LABELS[effect.measure]}, {effect.mode.replace('_', '-')}"
        own = effect.difference
        if not math.isnan(own.difference):
            ends = {"points": own.difference, "lower": own.lower, "upper": own.upper}
            drawn.append({"what": label, "which": _SET, **ends})
        known = [value for value in effect.random if not math.isnan(value)]
        ticks += [{"what": label, "which": _RANDOM, "points": value} for value in known]
        names.append(label)
    labels = 8 + round(6.6 * max(map(len, names), default=0))
    row = {"field": "what", "type": "nominal", "title": None, "sort": names, "axis": {"labelLimit": 0, "ticks": False, "domain": False}}  # fmt: skip
    points = {"type": "quantitative", "title": "change without them, percentage points", "axis": {"tickCount": 5}}  # fmt: skip
    colour = {
        "field": "which",
        "type": "nominal",
        "title": None,
        "scale": {"domain": [_SET, _RANDOM], "range": [_COLOURS[0], "#6B6B6B"]},
        "legend": {**LEGEND, "direction": "horizontal"},
    }
    return {
        **SPEC,
        "width": width - labels - 20,
        "height": {"step": 28},
        "encoding": {"y": row},
        "layer": [
            {"data": {"values": [{}]}, "mark": {"type": "rule", "color": "#333", "strokeDash": [4, 3]}, "encoding": {"x": {"datum": 0}, "y": None}},
            {
                "data": {"values": drawn},
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {"field": "lower", **points}, "x2": {"field": "upper"}, "color": colour},
            },
            {
                "data": {"values": drawn},
                "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                "encoding": {"x": {"field": "points", **points}, "color": colour},
            },
            {
                "data": {"values": ticks},
                "mark": {"type": "tick", "thickness": 2, "size": 18, "opacity": 0.7},
                "encoding": {"x": {"field": "points", **points}, "color": colour},
            },
        ],
    }  # fmt: skip


def ras_plot(section: RasSection, width: int = 640) -> Spec:
    """Misalignment and RAS along each run; grey: the range of the random sets in the first run."""
    runs = [series for series in section.series if series.guard == DECIDING]
    lines = [
        {"run": run.run, "step": step, "misaligned": change, "ras": value.value}
        for run in runs
        for step, change, value in zip(run.steps, run.misaligned, run.selected, strict=True)
    ]
    band = [
        {"step": step, "low": min(column), "high": max(column)}
        for step, column in zip(runs[0].steps, zip(*runs[0].random, strict=True), strict=False)
        if not any(map(math.isnan, column))
    ]
    low = {"field": "low", "type": "quantitative"}
    grey = [
        {"data": {"values": band}, "mark": {**mark, "color": "#B8BEC5"}, "encoding": {"y": low, "y2": {"field": "high"}}}
        for mark in ({"type": "area", "opacity": 0.7}, {"type": "rule", "strokeWidth": 5})
    ]  # fmt: skip
    look = _by("run", [run.run for run in runs], dashes=False)
    panels = [
        _panel("misaligned", "change of misalignment, points", lines, look, "step", width),
        _panel("ras", "RAS; grey: random sets", lines, look, "step", width, grey),
    ]
    return {**SPEC, ("vconcat" if width < _NARROW else "hconcat"): panels}


def drift_plot(section: DriftSection, width: int = 640) -> Spec:
    """CKA layer ratio and drift along the safety direction by layer, with intervals."""
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
        _panel("drift", "drift, % of the way to refusal", rows, look, "layer", width, [_rule(0)], ends=True),
        _panel("ratio", "CKA ratio; above 1: harmful more", rows, look, "layer", width, [_rule(1)], ends=True, scale="log"),
    ]  # fmt: skip
    return {**SPEC, ("vconcat" if width < _NARROW else "hconcat"): panels}


def _triple(name: str, value: float, lower: float, upper: float) -> dict[str, float | None]:
    found = {name: value, f"{name}_lower": lower, f"{name}_upper": upper}
    return {key: each if math.isfinite(each) else None for key, each in found.items()}


def _rule(at: float) -> Spec:
    return {"data": {"values": [{}]}, "mark": {"type": "rule", "color": "#333", "strokeDash": [4, 3]}, "encoding": {"y": {"datum": at}, "x": None}}  # fmt: skip


def _panel(
    field: str,
    title: str,
    rows: Sequence[Spec],
    look: Spec,
    across: str,
    width: int,
    below: Sequence[Spec] = (),
    *,
    ends: bool = False,
    scale: str = "linear",
) -> Spec:
    y = {"type": "quantitative", "title": title, "axis": {"tickCount": 5}, "scale": {"type": scale}}
    line: Spec = {
        "data": {"values": list(rows)},
        "mark": {"type": "line", "point": {"filled": True, "size": 60, "opacity": 1}},
        "encoding": {"y": {"field": field, **y}, **look},
    }
    interval: Spec = {
        "data": {"values": list(rows)},
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.5},
        "encoding": {
            "y": {"field": f"{field}_lower", **y},
            "y2": {"field": f"{field}_upper"},
            "color": look["color"],
        },
    }
    x = {"field": across, "type": "quantitative", "title": across, "axis": {"tickMinStep": 1, "tickCount": 6, "grid": False}, "scale": {"zero": False, "nice": False, "padding": 10}}  # fmt: skip
    return {
        "width": (width if width < _NARROW else width // 2) - 75,
        "height": 190,
        "encoding": {"x": x},
        "layer": [*below, *([interval] if ends else []), line],
    }
