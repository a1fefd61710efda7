"""Plots of training runs: RAS along the steps, drift along the layers."""

import math
from collections.abc import Sequence

from rim_eval.mechanisms._looks import NARROW, Spec, by_field
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.plotting._style import SPEC

__all__ = ["drift_plot", "ras_plot"]


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
    look = by_field("run", [run.run for run in runs], dashes=False)
    panels = [
        _panel("misaligned", "change of misalignment, points", lines, look, "step", width),
        _panel("ras", "RAS; grey: random sets", lines, look, "step", width, grey),
    ]
    return {**SPEC, ("vconcat" if width < NARROW else "hconcat"): panels}


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
    look = by_field("run", [run.run for run in section.runs], dashes=False)
    panels = [
        _panel("drift", "drift, % of the way to refusal", rows, look, "layer", width, [_rule(0)], ends=True),
        _panel("ratio", "CKA ratio; above 1: harmful more", rows, look, "layer", width, [_rule(1)], ends=True, scale="log"),
    ]  # fmt: skip
    return {**SPEC, ("vconcat" if width < NARROW else "hconcat"): panels}


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
        "width": (width if width < NARROW else width // 2) - 75,
        "height": 190,
        "encoding": {"x": x},
        "layer": [*below, *([interval] if ends else []), line],
    }
