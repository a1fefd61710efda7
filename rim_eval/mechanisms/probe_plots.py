"""Plots of probes and heads: Figures 3, 4 and 5 of the paper, for every layer and position."""

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, Final

from rim_eval import plots
from rim_eval.formatting import mode_name
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.probe_samples import PromptClass
from rim_eval.mechanisms.probe_shift import ProbeShift
from rim_eval.mechanisms.probes import PositionProbes
from rim_eval.plots import Spec, altair_spec, import_altair, inline

# Dark enough on white, and apart for colour-blind readers; dashes say the same.
_LINES: Final[dict[PromptClass, tuple[str, list[int]]]] = {
    "harmful": ("#B8420F", [1, 0]),
    "harmless": ("#00639C", [6, 2]),
    "refused": ("#2E7D4F", [2, 2]),
    "fulfilled": ("#7A4B94", [8, 3, 2, 3]),
}
_HEADS: Final[dict[str, tuple[str, list[int]]]] = {
    "with the heads": ("#23395B", [6, 2]),
    "without them": ("#B8420F", [1, 0]),
}
_MARKS: Final = {"think": "<think>", "think_end": "</think>", "inside": "inside trace"}


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
    base = alt.Chart().encode(x=_layers(rows), **_by("class", _LINES))
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
            each.layers, each.untouched, each.ablated, each.random_least, each.random_most
        )
    ]
    base = alt.Chart().encode(x=_layers(rows))
    band = base.mark_area(color="#B8BEC5", opacity=0.7)
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
            "share": _or_none(score.share.value),
            "mass": _or_none(score.mass_on_span),
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
    taken = alt.Stroke("taken:N", title=None).scale(domain=["taken out"], range=["#B8420F"])
    chart = alt.Chart(inline(rows)).mark_circle(opacity=1, strokeWidth=max(1.5, step / 14)).encode(
        x=alt.X("head:O", title="head", axis=axis),
        y=alt.Y("layer:O", title="layer", sort="descending", axis=axis),
        size=share.legend(**legend, values=[0, 0.5, 1], symbolFillColor="#888", symbolStrokeWidth=0),
        color=mass.legend(**legend, type="gradient", gradientLength=130, values=[0, 0.5, 1]),
        stroke=taken.legend(**legend, symbolSize=110, symbolStrokeWidth=2.5, symbolFillColor="white"),
    )  # fmt: skip
    return altair_spec(chart.properties(width=step * across, height=step * down))


def _place(position: str) -> str:
    return _MARKS.get(position, position.replace("_", " "))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _share(field: str) -> Any:
    alt = import_altair()
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(tickCount=3)
    return alt.Y(f"{field}:Q", title="share above", scale=scale, axis=axis)


def _layers(rows: Iterable[dict[str, Any]]) -> Any:
    alt = import_altair()
    layers = sorted({row["layer"] for row in rows if row["layer"] >= 0})
    # -1, the embedding, is drawn without a tick of its own, which would run into that of layer 0.
    ticks = [layers[0], layers[len(layers) // 2], layers[-1]]
    return alt.X("layer:Q", title="layer", axis=alt.Axis(values=ticks, grid=False, labelOverlap=True))  # fmt: skip


def _by(field: str, looks: dict[Any, tuple[str, list[int]]]) -> dict[str, Any]:
    """Encode a field by colour and dash, with one legend for both."""
    alt = import_altair()
    look = {"direction": "horizontal", "columns": 2, "symbolType": "stroke", "symbolSize": 400}
    legend = alt.Legend(**{**plots.LEGEND, **look, "symbolStrokeWidth": 2})
    colors, dashes = (list(values) for values in zip(*looks.values(), strict=True))
    return {
        name: channel(f"{field}:N", title=None, legend=legend).scale(
            domain=list(looks), range=values
        )
        for name, channel, values in (
            ("color", alt.Color, colors),
            ("strokeDash", alt.StrokeDash, dashes),
        )
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
