"""Plots of one model: its probes, its heads, and what taking units out does."""

import math
from collections.abc import Sequence
from typing import Final

from rim_eval.mechanisms._looks import COLOURS, NARROW, Spec, by_field
from rim_eval.mechanisms.behaviour import LABELS
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.plotting._style import LEGEND, SPEC

__all__ = ["effects_plot", "heads_plot", "probes_plot"]

_CLASSES: Final = {
    ("harmful", True): "harmful",
    ("harmful", False): "harmless",
    ("refused", True): "refused",
    ("refused", False): "fulfilled",
}
_MARKS: Final = {"think": "<think>", "think_end": "</think>", "inside": "inside trace"}
_SET, _RANDOM = "these units", "random draws"


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
    names = ("position", "mode") if width < NARROW else ("mode", "position")
    columns = len(modes) if width < NARROW else len(order)
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
            "encoding": {"x": x, **by_field("class", list(_CLASSES.values()))},
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
    step = max(6, min(44, (width - (60 if width < NARROW else 250)) // across))
    axis = {"labelOverlap": "greedy", "labelAngle": 0, "ticks": False, "domain": False, "grid": True}  # fmt: skip
    # Vega-Lite merges legends of equal domains, whatever they show: this one is told apart.
    whole = [0, 1.0001]
    bottom = {"orient": "bottom" if width < NARROW else "right", "titleFontSize": 12, "titleFontWeight": "normal", "titleLimit": 0}  # fmt: skip
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
                "scale": {"domain": ["taken out"], "range": [COLOURS[0]]},
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
        "scale": {"domain": [_SET, _RANDOM], "range": [COLOURS[0], "#6B6B6B"]},
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
