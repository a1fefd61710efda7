"""Plots: every picture of the project is made here with Altair and rendered to SVG text by vl-convert.

A plot is a function from its rows and a width in pixels to a Vega-Lite specification; colours and shapes are in
`plots.toml`. Altair is imported inside the functions: it is needed to draw and not to measure
(`pip install 'rim-eval[card]'`).
"""

import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from math import atan2, ceil, degrees, floor, hypot, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    import altair as alt

Spec = dict[str, Any]
"""A Vega-Lite specification, as JSON holds it."""

State = Literal["worse", "better", "not significant", "mode not verified"]
"""What a difference shows. The first three are in every legend, so that a plot of one direction shows that there is
another."""

Ends = tuple[float, float, float]
"""A rate with the lower and upper end of its interval, in percent."""

NARROW: Final = 500
"""Width in pixels below which panels are stacked and legends are below."""

_WIDE_PIXELS: Final = 640
_NARROW_PIXELS: Final = 330
"""For a screen, and for a phone of 360 pixels and more."""

_LOOK: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))  # fmt: skip

LEGEND: Final[dict[str, Any]] = {"title": None, **_LOOK["legend"]}

_MODE_NAMES: Final[dict[Mode, str]] = {"no_think": "no thinking", "think": "thinking"}
_DASHED: Final[dict[str, Any]] = {"color": "#333", "strokeDash": [4, 3]}

_COLOUR: Final = re.compile(r'(?<=")(#[0-9A-Fa-f]{3}|#[0-9A-Fa-f]{6}|black|white)(?=")')
_COLOUR_WORDS: Final = {"black": "#000000", "white": "#FFFFFF"}

ARROW_HEAD: Final = "M0,0L0.55,1.7L0,1.35L-0.55,1.7Z"
"""Points up, and its tip is where it is put; a triangle of equal sides would not show where it points."""

_HEAD_SIZE: Final = 260

_NOTCH: Final = 1.35 / 2
"""From the tip to the notch in which the shaft ends, in square roots of the head's size."""


class Figure(NamedTuple):
    """One picture in two widths, with its caption and a table of the same figures for screen readers."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: str
    narrow: str


class ForestRow(NamedTuple):
    """One line of a forest plot: a difference in percentage points with its interval."""

    group: str
    label: str
    value: float
    lower: float
    upper: float
    state: State
    prediction: bool = False
    """Whether the interval is where one further value is expected; drawn dashed."""


class Arrow(NamedTuple):
    """One model or set: accuracy and misalignment, each without thinking and with."""

    label: str
    accuracy: tuple[Ends, Ends]
    misalignment: tuple[Ends, Ends]
    state: State


class Bar(NamedTuple):
    """One bar of a histogram by mode."""

    group: str
    """What the axis names: a score, a pattern."""
    mode: Mode
    percent: float


class SeriesPoint(NamedTuple):
    """One checkpoint in one mode, in percent."""

    step: str
    mode: Mode
    percent: float
    lower: float
    upper: float


class DosePoint(NamedTuple):
    """One dose of thinking on one set, in percent."""

    series: str
    """What the line is called: the rate and the set."""
    kind: PromptKind
    dose: str
    tokens: float
    """Thinking tokens that were spent, on average."""
    percent: float
    lower: float
    upper: float


class ChangePoint(NamedTuple):
    """One result of the leaderboard, in percentage points; intervals are None where none was published."""

    significance: str
    """`more`, `less`, `not_shown` or `unknown`."""
    accuracy: tuple[float, float | None, float | None]
    misalignment: tuple[float, float | None, float | None]


def state_of(kind: PromptKind, significance: str, verified: bool = True) -> State:
    """Say whether a difference is good or bad.

    Args:
        kind: Of misalignment and over-refusal more is worse, of accuracy more is better.
        significance: What interval and test show (`rim_eval.statistics.significance`).
        verified: Whether the manipulation check passed; otherwise the difference shows nothing.
    """
    if not verified:
        return "mode not verified"
    if significance not in ("more", "less"):
        return "not significant"
    return "better" if (significance == "more") == (kind == "reasoning") else "worse"


def state_color(state: State) -> str:
    """The colour of a state, as `#RRGGBB`."""
    color: str = _LOOK["states"][state]["color"]
    return color


def state_label(state: State, versus: str) -> str:
    """Name a state as the legend does: `worse with thinking`."""
    return f"{state} {versus}" if state in ("worse", "better") else state


def figure(
    draw: Callable[[int], Spec],
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> Figure:
    """Render a plot in both widths.

    Args:
        draw: From a width in pixels to a specification.
        caption: One or two sentences that say what is to be seen.
        head: Column names of the table.
        rows: The table: every figure in the picture with its n.

    Raises:
        RimError: Altair or vl-convert is not installed.
    """
    wide, narrow = (svg(draw(width)) for width in (_WIDE_PIXELS, _NARROW_PIXELS))
    return Figure(caption, tuple(head), tuple(tuple(row) for row in rows), wide, narrow)


def svg(spec: Spec, *, hidden: bool = True) -> str:
    """Render a specification to one `<svg>` element of a page, which needs no script and no network.

    Roles and labels of single marks, which would be read out one by one, are dropped. Colours with a token take the
    page's, so that a dark page has a picture that can be read.

    Args:
        spec: The specification.
        hidden: Whether to hide it from screen readers, where text and a table beside it speak.

    Raises:
        RimError: vl-convert is not installed.
    """
    text = _COLOUR.sub(lambda colour: _page_colour(colour[1]), svg_file(spec))
    attributes = 'aria-hidden="true" focusable="false" ' if hidden else ""
    return text.replace("<svg ", f"<svg {attributes}", 1)


def svg_file(spec: Spec) -> str:
    """Render a specification to SVG that stands alone, with colours of its own.

    Raises:
        RimError: vl-convert is not installed.
    """
    drawn: str = _import("vl_convert").vegalite_to_svg(spec)
    return re.sub(r' (aria-[a-z]+|role)="[^"]*"', "", drawn)


def png_file(svg_text: str, scale: float = 1) -> bytes:
    """Turn SVG that stands alone into PNG.

    Args:
        svg_text: The SVG.
        scale: Pixels of the file for each pixel of the SVG.

    Raises:
        RimError: vl-convert is not installed.
    """
    drawn: bytes = _import("vl_convert").svg_to_png(svg_text, scale=scale)
    return drawn


def _page_colour(colour: str) -> str:
    """A colour as a page writes it: its token with itself behind it, or itself where it has none."""
    plain = _COLOUR_WORDS.get(colour, colour).upper()
    plain = "#" + "".join(2 * digit for digit in plain[1:]) if len(plain) == 4 else plain
    token = _LOOK["tokens"].get(plain)
    return f"var(--{token},{plain})" if token else colour


def altair_spec(chart: "alt.TopLevelMixin") -> Spec:
    """Give a chart the common look and return its specification."""
    configured: Any = chart
    configured = configured.properties(background="transparent", padding=2)
    configured = configured.configure(**_LOOK["configuration"], view={"stroke": None})
    spec: Spec = configured.to_dict(
        validate=False
    )  # Checking against the schema takes half of the time.
    return spec


def inline(values: Sequence[Any]) -> "alt.Data":
    """Rows (dictionaries or named tuples) as data inside the specification; what is not finite is null."""
    alt = import_altair()
    rows = [row if isinstance(row, dict) else row._asdict() for row in values]

    def known(value: Any) -> Any:
        return None if isinstance(value, float) and not isfinite(value) else value

    return alt.Data(values=[{name: known(value) for name, value in row.items()} for row in rows])


def reference_line(**at: float) -> "alt.Chart":
    """Draw a dashed line at a value of one axis: `reference_line(x=0)`."""
    alt = import_altair()
    channels = {axis: alt.datum(value) for axis, value in at.items()}
    return alt.Chart(inline([{}])).mark_rule(**_DASHED).encode(**channels)


def forest(
    rows: Sequence[ForestRow],
    width: int,
    *,
    title: str = "change, percentage points",
    versus: str = "with thinking",
) -> Spec:
    """Forest plot: differences with their intervals, one a line, and a line at no difference.

    Args:
        rows: The lines, in the order to show them in, under the name of their group.
        width: Width of the picture in pixels, labels included.
        title: Title of the axis.
        versus: What is worse or better, for the legend: `with thinking`, `than the reference`.
    """
    labels = min(round(7.2 * max(len(row.label) for row in rows)) + 10, round(0.5 * width))
    letters = round((labels - 10) / 7.2)
    lines = [_label_lines(row.label, letters) for row in rows]
    values = [
        row._asdict() | {"label": "\t".join([str(i), *lines[i]]), "state": state_label(row.state, versus)}
        for i, row in enumerate(rows)
    ]  # fmt: skip
    groups = tuple(dict.fromkeys(row.group for row in rows))
    step = 26 if max(map(len, lines)) == 1 else 36
    states = frozenset(row.state for row in rows)
    frame = _forest_frame(width, labels, step, title, versus, groups, states)
    return {**frame, "data": {"values": values}}


@lru_cache(maxsize=64)
def _forest_frame(
    width: int,
    labels: int,
    step: int,
    title: str,
    versus: str,
    groups: tuple[str, ...],
    states: frozenset[State],
) -> Spec:
    """A forest plot without its rows. A card draws many alike, and Altair takes longer to build one than to fill it."""
    alt = import_altair()
    # Each label begins with the number of its row: names that are cut alike stay rows of their own.
    y = alt.Y("label:N", sort=None, title=None).axis(
        labelExpr="slice(split(datum.label, '\\t'), 1)",
        labelLimit=0,
        ticks=False,
        domain=False,
        minExtent=labels,
    )
    x = {"title": title, "axis": alt.Axis(tickCount=5, labelOverlap="parity")}
    color, shape = _state_scales(states, versus)
    base = alt.Chart().encode(y=y, color=color)
    dash = alt.condition("datum.prediction", alt.value([5, 4]), alt.value([1, 0]))
    lines = alt.layer(
        alt.Chart().mark_rule(**_DASHED).encode(x=alt.datum(0)),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("lower:Q", **x), x2="upper:Q", strokeDash=dash),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=alt.X("value:Q", **x), shape=shape),
        data=inline([]),
    ).properties(width=width - labels - 14, height=alt.Step(step))  # fmt: skip
    header = alt.Header(title=None, orient="top", labelAnchor="start", labelPadding=2)
    grouped = lines.facet(row=alt.Row("group:N", sort=list(groups), header=header), spacing=4)
    return altair_spec(grouped.resolve_scale(y="independent"))


class Shaft(NamedTuple):
    """Where the line of an arrow ends, so that it does not show beside the tip, and how its head is turned."""

    x: float
    y: float
    angle: float
    """Degrees, clockwise from up."""


def shaft_to_head(
    tail: tuple[float, float], tip: tuple[float, float], scale: tuple[float, float], size: int
) -> Shaft:
    """End an arrow's line in the notch of its head.

    Args:
        tail: Across and up, in units of the axes.
        tip: Likewise.
        scale: Pixels of one unit, across and up.
        size: Of the head, as Vega counts it.
    """
    across, up = ((b - a) * s for a, b, s in zip(tail, tip, scale, strict=True))
    length = hypot(across, up)
    if not length:
        return Shaft(*tip, angle=90.0)
    part = max(0.0, 1 - _NOTCH * size**0.5 / length)
    x, y = (a + part * (b - a) for a, b in zip(tail, tip, strict=True))
    return Shaft(x, y, degrees(atan2(across, up)) % 360)


def arrows(drawn: Sequence[Arrow], width: int) -> Spec:
    """Misalignment against accuracy (Figure 1 of the paper): an arrow from no-think to think, with intervals.

    Args:
        drawn: Models or sets.
        width: Width of the picture in pixels.
    """
    alt = import_altair()
    inner = min(width - 70, 420)
    height = round(inner * 0.75)
    across = percent_domain([end for arrow in drawn for end in arrow.accuracy])
    up = percent_domain([end for arrow in drawn for end in arrow.misalignment])
    scale = (inner / (across[1] - across[0]), height / (up[1] - up[0]))
    x = {"title": "accuracy, %", "scale": alt.Scale(domain=across), "axis": alt.Axis(tickCount=5)}
    y = {"title": "misaligned, %", "scale": alt.Scale(domain=up), "axis": alt.Axis(tickCount=5)}
    color, _ = _state_scales({arrow.state for arrow in drawn}, "with thinking")
    tail = {"x": alt.X("x:Q", **x), "y": alt.Y("y:Q", **y), "color": color}
    tip = {"x": alt.X("x2:Q", **x), "y": alt.Y("y2:Q", **y)}
    crosses, shafts = [], []
    for arrow in drawn:
        state = {"state": state_label(arrow.state, "with thinking")}
        for (at, left, right), (level, low, high) in zip(arrow.accuracy, arrow.misalignment, strict=True):  # fmt: skip
            crosses.append({"x": left, "x2": right, "y": level, "y2": level, **state})
            crosses.append({"x": at, "x2": at, "y": low, "y2": high, **state})
        tail_at, tip_at = (
            (a[0], b[0]) for a, b in zip(arrow.accuracy, arrow.misalignment, strict=True)
        )
        line = shaft_to_head(tail_at, tip_at, scale, _HEAD_SIZE)
        shafts.append({"label": arrow.label, "x": tail_at[0], "y": tail_at[1], "x2": tip_at[0], "y2": tip_at[1], "xs": line.x, "ys": line.y, "angle": line.angle, **state})  # fmt: skip
    shaft = alt.Chart(inline(shafts))
    head = {"shape": ARROW_HEAD, "size": _HEAD_SIZE, "filled": True, "opacity": 1}
    layers = alt.layer(
        alt.Chart(inline(crosses)).mark_rule(opacity=0.45).encode(**tail, x2="x2:Q", y2="y2:Q"),
        shaft.mark_rule(strokeWidth=2).encode(**tail, x2="xs:Q", y2="ys:Q"),
        shaft.mark_point(size=90, fill="white", opacity=1).encode(**tail),
        shaft.mark_point(**head).encode(**tip, color=color, angle=alt.Angle("angle:Q", scale=None)),
        shaft.mark_text(fontSize=12, dy=-14).encode(**tip, text="label:N"),
    )
    return altair_spec(layers.properties(width=inner, height=height))


def bars(drawn: Sequence[Bar], width: int, *, title: str) -> Spec:
    """Bars side by side for the two modes, in percent: score histograms, shares of patterns.

    Args:
        drawn: The bars; groups stay in the order given.
        width: Width of the picture in pixels.
        title: What the groups are.
    """
    top = 10 * max(1, ceil(max(bar.percent for bar in drawn) / 10))
    # Labels of several words get a line each, which the layout does not measure.
    padding = 4 + 13 * max(bar.group.count(" ") for bar in drawn)
    values = [row._asdict() | {"mode": _MODE_NAMES[row.mode]} for row in drawn]
    return {**_bars_frame(width, title, top, padding), "data": {"values": values}}


@lru_cache(maxsize=64)
def _bars_frame(width: int, title: str, top: int, padding: int) -> Spec:
    """Bars without their rows, as `_forest_frame`."""
    alt = import_altair()
    labels = alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')", titlePadding=padding)
    chart = _by_mode([]).mark_bar().encode(
        x=alt.X("group:N", sort=None, title=title, axis=labels),
        xOffset=alt.XOffset("mode:N", sort=list(_MODE_NAMES.values())),
        y=alt.Y("percent:Q", title="share, %").scale(domain=[0, top]).axis(tickCount=5),
    )  # fmt: skip
    return altair_spec(chart.properties(width=min(width - 60, 480), height=170))


def series(points: Sequence[SeriesPoint], width: int, *, title: str) -> Spec:
    """Rates over a series of checkpoints, one line a mode, with their intervals.

    Args:
        points: Checkpoints in the order to show them in, evenly spaced.
        width: Width of the picture in pixels.
        title: Title of the axis of rates.
    """
    alt = import_altair()
    y = {"title": title, "scale": alt.Scale(domain=[0, 100])}
    step = alt.X("step:O", sort=None, title=None).axis(labelAngle=-30, labelLimit=120)
    base, rate = _by_mode(points).encode(x=step), alt.Y("percent:Q", **y)
    shape = _styled(alt.Shape, "mode", _LOOK["modes"], legend=True)
    chart = alt.layer(
        base.mark_rule().encode(y=alt.Y("lower:Q", **y), y2="upper:Q"),
        base.mark_line().encode(y=rate),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=rate, shape=shape),
    )
    return altair_spec(chart.properties(width=min(width - 60, 560), height=220))


def doses(points: Sequence[DosePoint], width: int) -> Spec:
    """Rates against the thinking tokens that were spent, one line a set, with their intervals and the doses' names.

    Tokens are on a scale that is linear up to 10 and logarithmic above, so that a dose without thinking has a place.

    Args:
        points: Doses of each set, from least to most.
        width: Width of the picture in pixels.
    """
    alt = import_altair()
    rows = [point._asdict() for point in points]
    most = max(point.tokens for point in points)
    ticks = [0, *(10**n * part for n in range(1, 6) for part in (1, 3) if 10**n * part <= most)]
    tokens = (
        alt.X("tokens:Q", title="thinking tokens spent, mean")
        .scale(type="symlog", constant=10)
        .axis(values=ticks, grid=False)
    )
    y = {"title": "share, %", "scale": alt.Scale(domain=[0, 100])}
    names = list(dict.fromkeys(point.series for point in points))
    legend = {**LEGEND, "orient": "top", "columns": 1, "labelLimit": width - 60}
    color = alt.Color("series:N", sort=names).legend(**legend)
    base, rate = alt.Chart(inline(rows)).encode(x=tokens, color=color), alt.Y("percent:Q", **y)
    chart = alt.layer(
        base.mark_rule().encode(y=alt.Y("lower:Q", **y), y2="upper:Q"),
        base.mark_line().encode(y=rate, order="tokens:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            y=rate, shape=alt.Shape("series:N", sort=names).legend(None)
        ),
        base.mark_text(dy=-10, fontSize=10, align="left", dx=4).encode(y=rate, text="dose:N"),
    )
    return altair_spec(chart.properties(width=min(width - 60, 560), height=240))


def changes(points: Sequence[ChangePoint], reach: tuple[float, float], *, width: int) -> Spec:
    """Change of misalignment against gain of accuracy, a mark for each result, all corners alike.

    The marks, `points`, and their intervals, `across` and `up`, are named groups of the SVG whose children have the
    order of the rows, so that a page can hide some of them.

    Args:
        points: Results.
        reach: Ends of both symmetric axes, accuracy and misalignment, in percentage points.
        width: Width of the picture in pixels.
    """
    alt = import_altair()
    narrow = width < NARROW
    labels = {"format": "+.0f", "labelExpr": "datum.value ? datum.label : '0'", "grid": True, "domain": False, "ticks": False}  # fmt: skip
    x, y = (
        {"scale": alt.Scale(domain=[-end, end], nice=False),
         "axis": alt.Axis(values=[part * end for part in (-1, -0.5, 0, 0.5, 1)], **labels)}
        for end in reach
    )  # fmt: skip
    looks = _LOOK["significance"]
    thin = {"strokeWidth": 1, "opacity": 0.45}
    at = {
        "x": alt.X("x:Q", title="accuracy gain, percentage points", **x),
        "y": alt.Y("y:Q", title="misalignment change, points", **y),
    }
    base = alt.Chart(inline([_change_row(point) for point in points]))
    rules = base.mark_rule(**thin).encode(color=_styled(alt.Color, "significance", looks))
    marks = base.mark_point(filled=True, size=100, opacity=1, strokeWidth=1.5).encode(
        **at,
        shape=_styled(alt.Shape, "significance", looks),
        fill=_styled(alt.Fill, "significance", looks),
        stroke=_styled(alt.Stroke, "significance", looks),
    )
    layers = [
        reference_line(x=0),
        reference_line(y=0),
        rules.encode(at["y"], x=alt.X("x_low:Q", **x), x2="x_high:Q").properties(name="across"),
        rules.encode(at["x"], y=alt.Y("y_low:Q", **y), y2="y_high:Q").properties(name="up"),
        marks.properties(name="points"),
        *([] if narrow else [_corners(*reach)]),
    ]
    size = {"width": width - 80, "height": width - 80 if narrow else 370}
    return altair_spec(alt.layer(*layers).properties(**size))


def import_altair() -> Any:
    """Import Altair.

    Raises:
        RimError: It is not installed.
    """
    return _import("altair")


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        packages = "altair and vl-convert-python: pip install 'rim-eval[card]'"
        raise RimError(f"Pictures need {packages}.") from None


def _styled(channel: Any, field: str, looks: Mapping[str, Mapping[str, str]], *, legend: bool = False) -> Any:  # fmt: skip
    """Encode a field by the colour, shape or fill of each of its values."""
    alt = import_altair()
    part = {alt.Shape: "shape", alt.Fill: "fill"}.get(channel, "color")
    entries = alt.Legend(**LEGEND) if legend else None
    scale = {"domain": list(looks), "range": [look[part] for look in looks.values()]}
    return channel(f"{field}:N", legend=entries).scale(**scale)


def _state_scales(states: Collection[State], versus: str) -> tuple[Any, Any]:
    """Colour and shape by state; states that every reader must know of are in the legend always."""
    alt = import_altair()
    looks = {
        state_label(state, versus): look
        for state, look in _LOOK["states"].items()
        if state in states or state != "mode not verified"
    }
    color, shape = (_styled(each, "state", looks, legend=True) for each in (alt.Color, alt.Shape))
    return color, shape


def _by_mode(rows: Sequence[Bar] | Sequence[SeriesPoint]) -> Any:
    """A chart of rows coloured by their mode."""
    alt = import_altair()
    named = [row._asdict() | {"mode": _MODE_NAMES[row.mode]} for row in rows]
    color = _styled(alt.Color, "mode", _LOOK["modes"], legend=True)
    return alt.Chart(inline(named)).encode(color=color)


def _label_lines(label: str, letters: int) -> list[str]:
    """A label, in two lines if one is too short: the name and, in brackets, its n."""
    name, opening, n = label.rpartition(" (")
    if len(label) <= letters or not opening:
        return [_shorten(label, letters)]
    return [_shorten(name, letters), f"({n}"]


def _shorten(name: str, letters: int) -> str:
    """Cut a name in its middle, for names of one family differ at their ends.

    Cut here and not by the renderer, which does not know the reader's fonts.
    """
    half = max(letters - 1, 8) // 2
    return name if len(name) <= letters else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def percent_domain(ends: Sequence[Ends]) -> tuple[float, float]:
    """Room for all intervals in steps of ten, in percent; from 0 to 100 where they need most of that."""
    low = 10 * floor(min(lower for _, lower, _ in ends) / 10)
    high = 10 * ceil(max(upper for *_, upper in ends) / 10)
    return (0, 100) if high - low > 60 else (max(min(low, 80), 0), min(max(high, low + 20), 100))


def _change_row(point: ChangePoint) -> dict[str, Any]:
    """A mark and its intervals; without an interval a line of no length, which keeps its place among them."""
    row: dict[str, Any] = {"significance": point.significance}
    for axis, (value, low, high) in (("x", point.accuracy), ("y", point.misalignment)):
        row |= {axis: value, f"{axis}_low": value if low is None else low, f"{axis}_high": value if high is None else high}  # fmt: skip
    return row


def _corners(across: float, up: float) -> Any:
    """Name the four corners."""
    alt = import_altair()
    corners = [
        alt.Chart(inline([{"x": x, "y": y, "text": f"{gain}, {change} misaligned"}]))
        .mark_text(align=align, baseline=baseline, dx=dx, dy=dy, fontSize=12, color="#555E68")
        .encode(x="x:Q", y="y:Q", text="text:N")
        for x, gain, align, dx in ((across, "gain", "right", -6), (-across, "loss", "left", 6))
        for y, change, baseline, dy in ((up, "more", "top", 8), (-up, "less", "bottom", -8))
    ]
    return alt.layer(*corners)


class ModelRates(NamedTuple):
    """One model's rates without thinking and with, in percent; None in a mode without a rate."""

    label: str
    no_think: Ends | None
    think: Ends | None
    state: State | None
    """What its difference from the reference shows; None for the reference."""
    note: str
    """That difference in words, at the right of its name."""


_BAND: Final = 46
"""Height in pixels of one model: a line for its name and a line for its rates."""


def rates(
    models: Sequence[ModelRates],
    width: int,
    *,
    title: str,
    versus: str,
    level: float | None = None,
    legend: bool = True,
) -> Spec:
    """Rates without thinking and with, a line a model, from a hollow mark to a filled one.

    Names stand above the marks, so that they have the whole width and never meet one another.

    Args:
        models: In the order to show them in.
        width: Width of the picture in pixels.
        title: Title of the axis.
        versus: What is worse or better, for the legend: `than the reference`.
        level: Where to draw a dashed line, percent: the reference's rate.
        legend: Whether to explain the colours; not under a picture that does.
    """
    alt = import_altair()
    inner, narrow = width - 24, width < NARROW
    across = percent_domain([ends for each in models for ends in each[1:3] if ends])
    x = {"title": title, "scale": alt.Scale(domain=across), "axis": alt.Axis(tickCount=5)}
    scale = alt.Scale(domain=[-0.72, len(models) - 0.4], nice=False, reverse=True)
    color, shape = _state_scales({each.state for each in models if each.state}, versus)
    if not legend:
        color, shape = color.legend(None), shape.legend(None)
    letters = round((inner - (50 if narrow else 190)) / 7.4)
    base = alt.Chart(inline([_rates_row(i, each, versus, letters, narrow=narrow) for i, each in enumerate(models)]))  # fmt: skip
    base = base.encode(y=alt.Y("index:Q", scale=scale, axis=None))
    other, reference = base.transform_filter("datum.state != null"), base.transform_filter("datum.state == null")  # fmt: skip
    at, shown = alt.X("think:Q", **x), {"filled": True, "size": 110, "opacity": 1}
    ink = alt.value(_DASHED["color"])
    layers = [
        *([_level_line(models, level).encode(x=alt.X("x:Q", **x), y=alt.Y("index:Q", scale=scale, axis=None))] if level is not None else []),
        *(
            part.mark_rule(strokeWidth=7, opacity=0.22).encode(alt.X(f"{mode}_low:Q", **x), x2=f"{mode}_high:Q", color=look)
            for part, look in ((other, color), (reference, ink)) for mode in ("no_think", "think")
        ),
        other.mark_rule(strokeWidth=2).encode(alt.X("no_think:Q", **x), x2="think:Q", color=color),
        reference.mark_rule(strokeWidth=2).encode(alt.X("no_think:Q", **x), x2="think:Q", color=ink),
        other.mark_point(size=80, fill="white", opacity=1).encode(alt.X("no_think:Q", **x), color=color),
        reference.mark_point(size=80, fill="white", opacity=1).encode(alt.X("no_think:Q", **x), color=ink),
        other.mark_point(**shown).encode(at, color=color, shape=shape),
        reference.mark_point(**shown).encode(at, color=ink),
        base.mark_text(align="left", fontSize=13, dy=-17).encode(x=alt.value(0), text="label:N"),
        base.mark_text(align="right", fontSize=13, dy=-17, fontWeight="bold").encode(x=alt.value(inner), text="note:N"),
    ]  # fmt: skip
    return altair_spec(alt.layer(*layers).properties(width=inner, height=_BAND * len(models)))


def _level_line(models: Sequence[ModelRates], level: float) -> Any:
    """A dashed line at a rate beside each model's marks, with gaps where the names are."""
    alt = import_altair()
    ends = [{"index": i - 0.2, "end": i + 0.3, "x": level} for i in range(len(models))]
    return alt.Chart(inline(ends)).mark_rule(**_DASHED).encode(y2="end:Q")


def _rates_row(
    index: int, each: ModelRates, versus: str, letters: int, *, narrow: bool
) -> dict[str, Any]:
    """A model's name, difference and marks."""
    note = each.note.partition(" (")[0] if narrow else each.note
    row: dict[str, Any] = {"index": index, "label": _shorten(each.label, letters), "note": note}
    row["state"] = state_label(each.state, versus) if each.state else None
    for mode, ends in (("no_think", each.no_think), ("think", each.think)):
        for part, value in zip(("", "_low", "_high"), ends or (None, None, None), strict=True):
            row[f"{mode}{part}"] = value
    return row
