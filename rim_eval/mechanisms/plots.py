"""Plots of the report: Vega-Lite specs as plain data, drawn by any Vega-Lite renderer."""

import math
from collections.abc import Sequence
from typing import Any, Final

from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.mechanisms.report import HeadsSection, MechanismReport, RasSection

__all__ = ["effects_plot", "heads_plot", "plots", "probes_plot", "ras_plot"]

_BASE: Final[dict[str, Any]] = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "background": "transparent",
    "config": {
        "font": "sans-serif",
        "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        "header": {"labelFontSize": 12, "titleFontSize": 12},
        "view": {"stroke": None},
    },
}

_CLASSES: Final = {
    ("harmful", True): "harmful",
    ("harmful", False): "harmless",
    ("refused", True): "refused",
    ("refused", False): "fulfilled",
}
# Okabe and Ito's colours, which colour-blind readers tell apart.
_COLOURS: Final = ["#D55E00", "#009E73", "#0072B2", "#CC79A7"]


def plots(report: MechanismReport) -> dict[str, dict[str, Any]]:
    """Every plot that a report has the figures for: name to spec."""
    found: dict[str, dict[str, Any]] = {}
    if report.probes and report.probes.scores:
        found["probes"] = probes_plot(report.probes.scores)
    if report.heads:
        found["heads"] = heads_plot(report.heads)
        found["heads_effect"] = effects_plot(report.heads.effects)
    if report.neurons:
        for mode, effects in report.neurons.effects.items():
            found[f"neurons_effect_{mode}"] = effects_plot(effects)
    if report.ras:
        found["ras"] = ras_plot(report.ras)
    return found


def probes_plot(scores: Sequence[ProbeScore]) -> dict[str, Any]:
    """Share of held-out samples above the threshold by layer, a panel a mode and position (Fig. 3)."""
    rows = [
        {
            "layer": score.layer,
            "class": _CLASSES[score.question, positive],
            "share": share.value,
            "lower": share.lower,
            "upper": share.upper,
            "position": score.position,
            "mode": score.mode.replace("_", "-"),
        }
        for score in scores
        for positive, share in ((True, score.above_positive), (False, score.above_negative))
    ]
    layer = {"field": "layer", "type": "quantitative", "title": "layer", "axis": {"tickMinStep": 1}}
    share = {"type": "quantitative", "title": "share above", "scale": {"domain": [0, 1]}}
    colour = {
        "field": "class",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(_CLASSES.values()), "range": _COLOURS},
        "legend": {"orient": "bottom"},
    }
    return {
        **_BASE,
        "data": {"values": rows},
        "facet": {
            "row": {"field": "mode", "type": "nominal", "title": None},
            "column": {"field": "position", "type": "nominal", "title": None},
        },
        "spec": {
            "width": 110,
            "height": 110,
            "encoding": {"x": layer, "color": colour},
            "layer": [
                {
                    "mark": {"type": "area", "opacity": 0.15},
                    "encoding": {"y": {"field": "lower", **share}, "y2": {"field": "upper"}},
                },
                {"mark": "line", "encoding": {"y": {"field": "share", **share}}},
            ],
        },
    }


def heads_plot(section: HeadsSection) -> dict[str, Any]:
    """Every head as a bubble: area = share of samples, colour = attention on the empty span (Fig. 4)."""
    rows = [
        {
            "layer": score.layer,
            "head": score.head,
            "share": score.share.value,
            "mass": score.mass_on_span,
            "taken out": "yes" if score.unit in section.selected else "no",
        }
        for score in section.scores
    ]
    return {
        **_BASE,
        "width": 360,
        "height": 240,
        "data": {"values": rows},
        "mark": {"type": "circle", "opacity": 0.9, "strokeWidth": 2},
        "encoding": {
            "x": {"field": "head", "type": "ordinal", "title": "head"},
            "y": {"field": "layer", "type": "ordinal", "title": "layer", "sort": "descending"},
            "size": {
                "field": "share",
                "type": "quantitative",
                "title": "gaze moves (share)",
                "scale": {"domain": [0, 1], "range": [8, 700]},
            },
            "color": {
                "field": "mass",
                "type": "quantitative",
                "title": "attention on span",
                "scale": {"domain": [0, 1], "scheme": "viridis"},
            },
            "stroke": {
                "field": "taken out",
                "type": "nominal",
                "scale": {"domain": ["yes", "no"], "range": ["#D55E00", "transparent"]},
            },
        },
    }


def effects_plot(effects: Effects) -> dict[str, Any]:
    """What the removal does, with its interval, and every random draw as a tick (Fig. 5, 6)."""
    drawn: list[dict[str, Any]] = []
    ticks: list[dict[str, Any]] = []
    for effect in effects.effects:
        label = f"{effect.measure.replace('_', '-')}, {effect.mode.replace('_', '-')}"
        own = effect.difference
        if not math.isnan(own.difference):
            ends = {"points": own.difference, "lower": own.lower, "upper": own.upper}
            drawn.append({"what": label, **ends})
        ticks += [{"what": label, "points": value} for value in effect.random]
    row = {"field": "what", "type": "nominal", "title": None, "sort": None}
    title = "ablated minus untouched, percentage points"
    points = {"type": "quantitative", "title": title}
    return {
        **_BASE,
        "title": {"text": effects.what, "fontSize": 13, "fontWeight": "normal", "anchor": "start"},
        "width": 380,
        "height": {"step": 26},
        "encoding": {"y": row},
        "layer": [
            {
                "data": {"values": ticks},
                "mark": {"type": "tick", "color": "#8A8A8A", "thickness": 2},
                "encoding": {"x": {"field": "points", **points}},
            },
            {
                "data": {"values": drawn},
                "mark": {"type": "rule", "color": "#D55E00", "strokeWidth": 2},
                "encoding": {"x": {"field": "lower", **points}, "x2": {"field": "upper"}},
            },
            {
                "data": {"values": drawn},
                "mark": {"type": "point", "filled": True, "color": "#D55E00", "size": 70},
                "encoding": {"x": {"field": "points", **points}},
            },
            {"data": {"values": [{}]}, "mark": "rule", "encoding": {"x": {"datum": 0}, "y": None}},
        ],
    }  # fmt: skip


def ras_plot(section: RasSection, guard: str = "floored") -> dict[str, Any]:
    """Misalignment and RAS along each run; grey: the range of the random sets in the first run."""
    runs = [series for series in section.series if series.guard == guard]
    lines = [
        {"run": run.run, "step": step, "misaligned": change, "ras": value.value}
        for run in runs
        for step, change, value in zip(run.steps, run.misaligned, run.selected, strict=True)
    ]
    band = [
        {"step": step, "low": min(column), "high": max(column)}
        for step, column in zip(runs[0].steps, zip(*runs[0].random, strict=True), strict=True)
        if not any(map(math.isnan, column))
    ]
    step = {"field": "step", "type": "quantitative", "title": "step"}
    colour = {"field": "run", "type": "nominal", "title": None, "legend": {"orient": "bottom"}}

    def panel(field: str, title: str, *below: dict[str, Any]) -> dict[str, Any]:
        y = {"field": field, "type": "quantitative", "title": title}
        line = {"data": {"values": lines}, "mark": {"type": "line", "point": True},
                "encoding": {"x": step, "y": y, "color": colour}}  # fmt: skip
        return {"width": 250, "height": 200, "layer": [*below, line]}

    range_ = {
        "data": {"values": band},
        "mark": {"type": "area", "color": "#B0B0B0", "opacity": 0.6},
        "encoding": {"x": step, "y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
    }  # fmt: skip
    return {
        **_BASE,
        "hconcat": [
            panel("misaligned", "change of misalignment, points"),
            panel("ras", f"RAS ({guard}); grey: random sets", range_),
        ],
    }
