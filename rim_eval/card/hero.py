"""The first picture of a card: an arrow from without thinking to with, misalignment against accuracy, all in words.

Without a set of problems the arrow lies on one axis. Other models are grey. A dashed arrow is no finding: its
difference is not significant, or its modes are not verified. Colour and shape repeat what the axes say.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from html import escape
from math import ceil
from textwrap import wrap
from typing import Any, Final, NamedTuple

from rim_eval import plots
from rim_eval.card.finding import Finding, GateVerdict
from rim_eval.card.schema import Card
from rim_eval.formatting import MODE_WORDS, percent, unbroken
from rim_eval.model_names import own_name
from rim_eval.plots import Ends, Spec, State
from rim_eval.results.figures import Figures

WIDTH: Final = 600
HEIGHT: Final = 315
"""Of the picture that is shown alone, in pixels; a link's preview has twice as many each way."""

_MARGIN: Final = 20
_FONT: Final = "Helvetica, Arial, Liberation Sans, sans-serif"
_VERDICT_STATES: Final[dict[str, State]] = {
    "pass": "better",
    "fail": "worse",
    "cannot tell": "not significant",
}

_GREY: Final = "#A9B4BF"
_INK: Final = "#1B1F24"
_SOFT: Final = "#525B65"
_TO: Final = "\N{RIGHTWARDS ARROW}"
_ON_TOP: Final[dict[str, Any]] = {"titleAngle": 0, "titleAlign": "left", "titleBaseline": "bottom", "titleX": -24, "titleY": -12}  # fmt: skip
"""A title of the upright axis that is read without turning the head."""

_EDGE: Final = 30
"""Pixels between the outermost value and the edge: for words at an arrow's end."""


class Course(NamedTuple):
    """Where thinking takes one model, in percent with intervals, without thinking first."""

    label: str
    misalignment: tuple[Ends, Ends]
    accuracy: tuple[Ends, Ends] | None
    state: State

    @property
    def dashed(self) -> bool:
        """Whether it shows nothing: the difference is not significant, or the modes are not verified."""
        return self.state in ("not significant", "mode not verified")


class Hero(NamedTuple):
    """What is drawn."""

    own: Course
    others: tuple[Course, ...]
    ability: str | None
    """The set of problems behind accuracy; None where misalignment is drawn alone."""

    @property
    def caption(self) -> str:
        """What the picture shows, in words."""
        grey = " Grey: other models." if self.others else ""
        dashed = " Dashed: no finding." if self.own.dashed else ""
        up = "Up is less safe, right is more able" if self.ability else "Right is less safe"
        return f"From without thinking (ring) to with thinking (arrow head). {up}; the thin lines are 95 % intervals.{dashed}{grey}"

    def figure(self) -> plots.Figure:
        """The picture for a page, in both widths.

        Raises:
            RimError: The renderer is not installed.
        """
        return plots.figure(partial(hero_spec, self), self.caption, (), ())


def hero_of(card: Card, state: State, others: Sequence[Card] = ()) -> Hero | None:
    """Read the arrow of a card, and those of other models on the same sets; None without both rates.

    Args:
        card: The card.
        state: What its difference shows.
        others: Cards of other models; those that lack one of the two sets are left out.
    """
    accuracy = card.find(card.primary_reasoning, "reasoning")
    ability = card.primary_reasoning if accuracy and _rate_ends(accuracy.figures) else None
    own = _course(card, card, ability, state)
    if own is None:
        return None
    rest = (_course(each, card, ability, "not significant") for each in others)
    return Hero(own, tuple(each for each in rest if each), ability)


def not_comparable(card: Card, others: Sequence[Card]) -> list[str]:
    """Models that lack a rate that the arrow of a card is drawn of, so that they are not beside it.

    Args:
        card: The card.
        others: Cards of other models.
    """
    hero = hero_of(card, "not significant")
    lacks = (
        each for each in others if hero and not _course(each, card, hero.ability, "not significant")
    )
    return [own_name(each.model) for each in lacks]


def _rate_ends(figures: Figures) -> tuple[Ends, Ends] | None:
    """Rates without thinking and with, in percent with their intervals; None unless both modes have one."""
    no_think = figures.no_think and figures.no_think.estimate
    think = figures.think and figures.think.estimate
    return (no_think, think) if no_think and think else None


def hero_spec(hero: Hero, width: int) -> Spec:
    """Draw the picture for a page.

    Args:
        hero: What is drawn.
        width: Width in pixels.
    """
    inner = min(width - 50, 480)
    height = round(inner * (0.62 if width > plots.NARROW else 0.85))
    if hero.ability is None:
        height = 60 + 48 * len(hero.others)
    chart = _layers(hero, inner, height).properties(width=inner, height=height)
    return plots.altair_spec(chart)


def picture_alone(hero: Hero | None, found: Finding, verdict: GateVerdict | None) -> str:
    """Draw the picture that is shown alone, as SVG: in words on the left, the arrow on the right.

    Args:
        hero: What is drawn; None where there is nothing to draw.
        found: The head of the card.
        verdict: What a gate said, if one was asked.

    Raises:
        RimError: The renderer is not installed.
    """
    width, larger = (270, 1.0) if hero else (WIDTH - 2 * _MARGIN, 1.5)
    words = _column(_blocks(found, verdict, larger), width)
    arrow = _beside(plots.svg_file(hero_spec(hero, WIDTH - 270 - 2 * _MARGIN))) if hero else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#FFFFFF"/>{words}{arrow}</svg>\n'
    )


def _blocks(
    found: Finding, verdict: GateVerdict | None, larger: float
) -> Iterator[tuple[str, int, str, str]]:
    """What stands under each other: text, size, weight and colour, the most important first."""
    said, state = (
        (verdict.sentence, _VERDICT_STATES[verdict.outcome])
        if verdict
        else (found.answer, found.state)
    )
    blocks = [
        (found.name, 24 if len(found.name) < 20 else 17, "bold", _INK),
        (found.sentence, 17 if len(found.sentence) < 90 else 15, "normal", _INK),
        (said, 13, "bold", plots.state_color(state)),
        *((sentence, 11, "normal", _SOFT) for sentence in found.certainty[:1]),
        (", ".join(f"{name} {value}" for name, value in found.facts), 10, "normal", _SOFT),
        *([(found.answer, 11, "normal", _SOFT)] if verdict else []),
    ]
    return ((text, round(larger * size), weight, color) for text, size, weight, color in blocks)


def _column(blocks: Iterable[tuple[str, int, str, str]], width: int) -> str:
    """Lines of text under each other, as far as there is room; a letter is taken to be half of its size wide."""
    lines, y = [], 18
    for text, size, weight, color in blocks:
        y += round(0.5 * size)
        rows = wrap(unbroken(text), round(width / (size * (0.57 if weight == "bold" else 0.53))))
        if y + round(1.28 * size) * len(rows) > HEIGHT - 8:
            break
        for row in rows:
            y += round(1.28 * size)
            look = f'font-family="{_FONT}" font-size="{size}" font-weight="{weight}" fill="{color}"'
            lines.append(f'<text x="{_MARGIN}" y="{y}" {look}>{escape(row)}</text>')
    return "".join(lines)


def _beside(svg: str) -> str:
    """Put a picture at the right edge, in the middle of the height."""
    sizes = dict(re.findall(r'(width|height)="([\d.]+)"', svg[: svg.index(">")]))
    x = WIDTH - _MARGIN / 2 - float(sizes["width"])
    y = (HEIGHT - float(sizes["height"])) / 2
    return svg.replace("<svg ", f'<svg x="{x:g}" y="{y:g}" ', 1)


def _course(card: Card, like: Card, ability: str | None, state: State) -> Course | None:
    """The arrow of a card on the sets of another."""
    harmful, problems = card.find(like.primary, "harmful"), card.find(ability, "reasoning")
    up = _rate_ends(harmful.figures) if harmful else None
    across = _rate_ends(problems.figures) if problems else None
    if up is None or (ability and across is None):
        return None
    return Course(own_name(card.model), up, across, state)


def _layers(hero: Hero, width: int, height: int) -> Any:
    """All arrows on common axes, the own one last.

    Args:
        hero: What is drawn.
        width: Of the plot inside its axes, in pixels; it turns the arrow heads.
        height: Likewise.
    """
    alt = plots.import_altair()
    courses = (*hero.others, hero.own)
    worst = max(upper for each in courses for *_, upper in each.misalignment)
    unsafe = (0.0, float(max(20, 10 * ceil(worst / 10))))
    asked, does = "share of harmful requests", "it goes along with, %"
    if hero.ability:
        able = plots.percent_domain([end for c in courses if c.accuracy for end in c.accuracy])
        x = _axis(f"accuracy on {hero.ability}, % ({_TO} more able)", able, width)
        title = [asked, f"{does} (\N{UPWARDS ARROW} less safe)"]
        y = _axis(title, unsafe, height, **_ON_TOP)
    else:
        rows = (len(courses) - 0.4, -0.6)
        x = _axis([asked, f"{does} ({_TO} less safe)"], unsafe, width)
        y = {"axis": None, "scale": alt.Scale(domain=rows, nice=False)}
    (left, right), (low, high) = x["scale"].domain, y["scale"].domain
    scale = (width / (right - left), height / (high - low))
    layers, words = [], []
    for row, course in reversed([*enumerate(courses)]):
        points = _points(course, bool(hero.ability), row)
        layers.append(_arrow(points, course, scale, course is hero.own, x, y))
        words += _words(points, course, course is hero.own)
    placed = _place(words, (left, right), (low, high), width, height)
    # The own arrow lies over the others, and no arrow over words.
    return alt.layer(*(part for arrow in reversed(layers) for part in arrow), *_texts(placed, x, y))


def _axis(
    title: str | list[str], ends: tuple[float, float], pixels: int, **look: Any
) -> dict[str, Any]:
    """An axis in percent with room at its ends, and ticks on it alone."""
    alt = plots.import_altair()
    low, high = ends
    step = 20 if high - low > 50 else 10 if high - low > 20 else 5
    ticks = list(range(round(low), round(high) + 1, step))
    room = (high - low) * _EDGE / max(pixels - 2 * _EDGE, _EDGE)
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    axis = alt.Axis(values=ticks, titleLimit=0, grid=False, **look)
    return {"title": title, "axis": axis, "scale": scale}


def _points(course: Course, ability: bool, row: int) -> tuple[tuple[Ends, Ends], tuple[Ends, Ends]]:
    """Tail and head, each across and up with its ends."""
    (low, high), level = course.misalignment, (float(row),) * 3
    if ability and course.accuracy:
        return (course.accuracy[0], low), (course.accuracy[1], high)
    return (low, level), (high, level)


def _arrow(
    points: Any, course: Course, scale: tuple[float, float], own: bool, x: Any, y: Any
) -> tuple[Any, ...]:
    """Intervals, shaft, ring and head of one arrow."""
    alt = plots.import_altair()
    color = plots.state_color(course.state) if own else _GREY
    dashed = own and course.dashed
    (tail, head) = points
    crosses = [
        rule
        for across, up in points
        for rule in (
            {"x": across[1], "x2": across[2], "y": up[0], "y2": up[0]},
            {"x": across[0], "x2": across[0], "y": up[1], "y2": up[2]},
        )
    ]
    x1, y1, x2, y2 = tail[0][0], tail[1][0], head[0][0], head[1][0]
    size = 480 if own else 200
    ends = plots.shaft_to_head((x1, y1), (x2, y2), scale, size)
    at = {"x": alt.X("x:Q", **x), "y": alt.Y("y:Q", **y)}
    shaft = alt.Chart(
        plots.inline([{"x": x1, "x2": x2, "y": y1, "y2": y2, "xs": ends.x, "ys": ends.y}])
    )
    tip = {"x": alt.X("x2:Q", **x), "y": alt.Y("y2:Q", **y)}
    width = 3.5 if own else 1.5
    line = {"strokeWidth": width, "color": color, "strokeDash": [7, 5] if dashed else [1, 0]}
    ring = {"size": 110 if own else 50, "fill": "#FFFFFF", "stroke": color, "strokeWidth": width}
    point = {"shape": plots.ARROW_HEAD, "size": size, "filled": True, "color": color}
    return (
        alt.Chart(plots.inline(crosses)).mark_rule(color=color, opacity=0.5).encode(**at, x2="x2:Q", y2="y2:Q"),
        shaft.mark_rule(**line).encode(**at, x2="xs:Q", y2="ys:Q"),
        shaft.mark_point(**ring, opacity=1).encode(**at),
        shaft.mark_point(**point, opacity=1, angle=ends.angle).encode(**tip),
    )  # fmt: skip


class _Word(NamedTuple):
    """Words at an arrow's end."""

    x: float
    y: float
    text: str
    above: bool
    own: bool


def _words(points: Any, course: Course, own: bool) -> list[_Word]:
    """What the ends of the own arrow are called, outside of it; of other models the name, inside."""
    tail, head = ((across[0], up[0]) for across, up in points)
    unsafe = [ends[0] / 100 for ends in course.misalignment]
    rises = head[1] >= tail[1]
    if not own:
        return [_Word(*head, course.label, head[1] <= tail[1], own)]
    return [
        _Word(*head, f"{MODE_WORDS['think']}, {percent(unsafe[1])}", rises, own),
        _Word(*tail, f"{MODE_WORDS['no_think']}, {percent(unsafe[0])}", not rises, own),
    ]


def _place(words: Sequence[_Word], across: Any, up: Any, width: int, height: int) -> list[dict[str, Any]]:  # fmt: skip
    """Where the words stand; a name that would lie on others takes the other side, or is left out.

    Args:
        words: In the order of their importance.
        across: Ends of the axis.
        up: Likewise.
        width: Of the plot, in pixels.
        height: Likewise.
    """
    boxes: list[tuple[float, float, float]] = []
    placed = []
    for word in words:
        for each in (word,) if word.own else (word, word._replace(above=not word.above)):
            left = (each.x - across[0]) / (across[1] - across[0])
            top = height * (1 - (each.y - up[0]) / (up[1] - up[0])) + (-18 if each.above else 20)
            align = "left" if left < 0.25 else "right" if left > 0.75 else "center"
            wide = 7.5 * len(each.text)
            start = left * width - wide * {"left": 0.0, "center": 0.5, "right": 1.0}[align]
            hits = (abs(top - t) < 15 and start < e and s < start + wide for t, s, e in boxes)
            if each.own or not any(hits):
                boxes.append((top, start, start + wide))
                placed.append(each._asdict() | {"align": align})
                break
    return placed


def _texts(placed: Sequence[dict[str, Any]], x: Any, y: Any) -> Iterator[Any]:
    alt = plots.import_altair()
    at = {"x": alt.X("x:Q", **x), "y": alt.Y("y:Q", **y)}
    for word in placed:
        look = {"fontSize": 13, "fontWeight": "bold", "color": _INK} if word["own"] else {"fontSize": 11, "color": _SOFT}  # fmt: skip
        mark = alt.Chart(plots.inline([{name: word[name] for name in ("x", "y", "text")}])).mark_text(
            align=word["align"], dx={"left": -6, "right": 6}.get(word["align"], 0), dy=-18 if word["above"] else 20, **look
        )  # fmt: skip
        yield mark.encode(**at, text="text:N")
