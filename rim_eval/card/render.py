"""A card as Markdown for a model card, and as one HTML page with pictures that needs no script and no network."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rim_eval import plots
from rim_eval.card import tables
from rim_eval.card.finding import Finding, GateVerdict, finding
from rim_eval.card.hero import hero_of, picture_alone
from rim_eval.card.labels import label_headline
from rim_eval.card.noise import bottleneck_sentence
from rim_eval.card.schema import Card, MechanismsCard, SetCard
from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    interval,
    percent_of,
    points,
    unbroken,
)
from rim_eval.results.figures import Figures
from rim_eval.thinking import MODE_DOSES
from rim_eval.types import PROMPT_KINDS, Mode

_TEMPLATES: Final = Path(__file__).parent
_MARKDOWN_SIGNS: Final = re.compile(r"([\\`*_\[\]|~#!])")

Picture = tuple[str, plots.Figure]
"""A heading and what is under it."""

LEAST_DRAWN: Final = 10
"""Pairs from which on a category is drawn. Of fewer even no change at all has an interval of 28 points or more to each
side (Tango), so that the picture would show intervals alone. The table has them all."""


class Section(NamedTuple):
    """A part of the page that is folded: pictures, and the tables of the same figures."""

    title: str
    pictures: tuple[Picture, ...]
    grids: tuple[tables.Grid, ...]


def card_html(
    card: Card,
    inside_pictures: Sequence[Picture] = (),
    *,
    verdict: GateVerdict | None = None,
    others: Sequence[Card] = (),
    preview: str | None = None,
) -> str:
    """Render one self-contained page.

    Args:
        card: The card.
        inside_pictures: Pictures of its section on the inside of the model; the card itself holds
            that section's figures, but not all that is drawn.
        verdict: What a gate said of the card.
        others: Cards of other models, grey in the first picture.
        preview: Address of the picture that links to the page show, from the page or in full; None: there is none.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    found = finding(card)
    hero = hero_of(card, found.state, others)
    values = {
        "hero": hero.figure() if hero else None,
        "sections": tuple(_sections(card)),
        "doses": tuple(_dose_curves(card)),
        "inside_pictures": inside_pictures,
        "preview": preview,
        "other_rows": tuple(tables.short_rows(card, primary=False)),
    }
    return render_page(
        _TEMPLATES / "card.html.jinja", **_card_values(card, found, verdict), **values
    )


def card_pictures(
    card: Card, verdict: GateVerdict | None = None, others: Sequence[Card] = ()
) -> tuple[str, bytes]:
    """Draw the picture of a card that is shown alone: as SVG, and as PNG of 1200 by 630 pixels.

    Args:
        card: The card.
        verdict: What a gate said of it.
        others: Cards of other models, in grey.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    found = finding(card)
    hero = hero_of(card, found.state, others)
    svg = picture_alone(hero, found, verdict)
    return svg, plots.png_file(svg, scale=2)


def inside_html(section: MechanismsCard, inside_pictures: Sequence[Picture] = ()) -> str:
    """Render the section on the inside of the model as a page of its own.

    Args:
        section: What was found.
        inside_pictures: Its pictures.
    """
    values = _inside_values(section)
    return render_page(
        _TEMPLATES / "inside_page.html.jinja", inside_pictures=inside_pictures, **values
    )


def card_markdown(card: Card, verdict: GateVerdict | None = None) -> str:
    """Render the whole card as Markdown.

    Args:
        card: The card.
        verdict: What a gate said of it.
    """
    return _markdown("card.md.jinja", card, verdict)


def card_summary(card: Card, verdict: GateVerdict | None = None) -> str:
    """Render about twelve lines of Markdown to paste into a model card.

    Args:
        card: The card.
        verdict: What a gate said of it.
    """
    return _markdown("summary.md.jinja", card, verdict)


def _markdown(template: str, card: Card, verdict: GateVerdict | None) -> str:
    filters = {"md": escape_markdown, "code": _escape_code}
    environment = page_environment(_TEMPLATES, filters, autoescape=False)
    values = _card_values(card, finding(card), verdict)
    rows = tuple(tables.short_rows(card))
    text = environment.get_template(template).render(**values, rows=rows)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_page(template: Path, **values: Any) -> str:
    """Render a template, which may include those of this folder; everything but pictures is escaped.

    Args:
        template: File of the template.
        values: What it names.
    """
    folders = [template.parent, _TEMPLATES]
    environment = page_environment(folders, {"tight": unbroken}, trim_blocks=False)
    return environment.get_template(template.name).render(**values)


def page_environment(
    folders: Path | list[Path],
    filters: dict[str, Callable[..., Any]],
    *,
    autoescape: bool = True,
    trim_blocks: bool = True,
) -> Environment:
    """Make the templates of folders ready to render; a name that is not given is an error.

    Args:
        folders: Where templates are looked for, first to last.
        filters: Functions that the templates use, by name.
        autoescape: Whether values are escaped for HTML.
        trim_blocks: Whether lines that hold only a block leave no empty line.
    """
    environment = Environment(
        loader=FileSystemLoader(folders), undefined=StrictUndefined, autoescape=autoescape,
        trim_blocks=trim_blocks, lstrip_blocks=trim_blocks,
    )  # fmt: skip
    environment.filters |= filters
    return environment


def escape_markdown(text: str) -> str:
    """Escape text so that Markdown, and the HTML in it, show it as it is."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SIGNS.sub(r"\\\1", plain)


def all_sets_picture(card: Card) -> plots.Figure | None:
    """Draw the change with thinking on every set; None where no set has one.

    Raises:
        RimError: The renderer is not installed.
    """
    rows, table = [], []
    for each in (each for kind in PROMPT_KINDS for each in card.of_kind(kind)):
        row = _forest_row(KIND_WORDS[each.kind].difference, each.dataset, each, each.figures)
        if row and (change := each.figures.difference):
            rows.append(row)
            table.append((each.dataset, points(row.value), interval(row.lower, row.upper), change.n_pairs))  # fmt: skip
    return _picture("every_set", partial(plots.forest, rows), table)[1] if rows else None


def _card_values(card: Card, found: Finding, verdict: GateVerdict | None) -> dict[str, Any]:
    """What the templates of a card show."""
    return {
        "title": card.model,
        "found": found,
        "verdict": verdict,
        "verdict_state": {"pass": "better", "fail": "worse"}.get(verdict.outcome)
        if verdict
        else None,
        "short_head": tables.SHORT_HEAD,
        "gap_sentences": (
            *_dose_sentences(card),
            *(gap.sentence for gap in card.gaps),
            *_judge_sentence(card),
        ),
        "grids": (*tables.figure_grids(card), *([tables.gaps_grid(card)] if card.gaps else [])),
        "details": tuple(tables.detail_grids(card)),
        "validity": tuple(tables.validity_grids(card)),
        "commands": tuple((r.dataset, r.command) for r in card.runs if r.command is not None),
        "provenance": tables.provenance_grid(card),
        "settings": tables.settings(card),
        "problems": (
            *(f"{run.dataset}: {run.stopping.sentence}" for run in card.runs if run.stopping),
            *(f"{problem.says} (n = {problem.n})" for problem in card.problems),
        ),
        **_inside_values(card.mechanisms),
    }


def _dose_sentences(card: Card) -> Iterator[str]:
    """What `with thinking` and `without` mean on each set whose doses are not those of the two modes."""
    for each in card.sets:
        names = [dose.name for dose in each.doses.doses] if each.doses else []
        if names and (names[0], names[-1]) != MODE_DOSES:
            yield (
                f"On {each.dataset} `with thinking` is the dose {names[-1]}, and `without thinking` the dose {names[0]}."
            )


def _judge_sentence(card: Card) -> Iterator[str]:
    """What people's labels make of the primary set, and whether the judge is its bottleneck, where that is known."""
    primary = card.find(card.primary, "harmful")
    if primary and (corrected := label_headline(primary)):
        yield corrected
    if primary and primary.noise and (split := primary.noise.split):
        yield bottleneck_sentence(split)


def _inside_values(section: MechanismsCard | None) -> dict[str, Any]:
    findings = tables.inside_findings(section) if section else ()
    grids = tuple(tables.inside_grids(section)) if section else ()
    return {"inside": section, "inside_findings": findings, "inside_grids": grids}


def _escape_code(text: str) -> str:
    """Escape a command in a fenced block: it cannot end the block."""
    return text.replace("```", "` ` `")


def _sections(card: Card) -> Iterator[Section]:
    """What is folded: every figure, then each set in detail; a picture stands over the table of its figures."""
    every_set = all_sets_picture(card) if len(card.sets) > 1 else None
    # Without its table: every figure stands below in full.
    drawn_sets = [every_set._replace(head=(), rows=())] if every_set else []
    pictures = tuple((tables.TEXTS["every_set"].title, each) for each in drawn_sets)
    grids = (*tables.figure_grids(card), *([tables.gaps_grid(card)] if card.gaps else []))
    yield Section("Every figure, with its interval and test", pictures, grids)
    for each in card.sets:
        is_primary = each.kind == "harmful" and each.dataset == card.primary
        drawn = (
            *_histogram(each),
            *(_categories(each) if is_primary else ()),
            *(_patterns(each) if is_primary else ()),
        )
        if details := tables.set_grids(each):
            yield Section(
                f"{KIND_WORDS[each.kind].rate} on {each.dataset} in detail", drawn, tuple(details)
            )
    if card.discrimination:
        grid = tables.discrimination_grid(card)
        yield Section(grid.title, (), (grid,))


def _picture(
    name: str,
    draw: Callable[[int], plots.Spec],
    table: Iterable[Sequence[object]] = (),
    remark: bool = False,
    **values: Any,
) -> Picture:
    """A picture with the title, caption and column names of `texts.toml`, and with a table where none is beside it."""
    texts = tables.make_grid(name, table, remark=remark, **values)
    return texts.title, plots.figure(draw, texts.note, texts.head, texts.rows)


def _dose_curves(card: Card) -> Iterator[Picture]:
    """Misalignment, over-refusal and accuracy against the thinking tokens that were spent."""
    drawn = [
        plots.DosePoint(f"{KIND_WORDS[each.kind].rate}: {each.dataset}", each.kind, point.name, point.mean_tokens, *ends)
        for each in card.sets
        for point in (each.curve.points if each.curve else ())
        if (ends := point.rate.estimate) and point.mean_tokens is not None
    ]  # fmt: skip
    if drawn:
        yield _picture("dose_curve", partial(plots.doses, drawn))


def _histogram(each: SetCard) -> Iterator[Picture]:
    arms = {mode: each.counts.arms[mode] for mode in MODE_WORDS if mode in each.counts.arms}
    totals = {mode: sum(arm.scores.values()) for mode, arm in arms.items()}
    cells = [
        (score, mode, arm.scores.get(score, 0), totals[mode])
        for score in sorted({score for arm in arms.values() for score in arm.scores}, key=float)
        for mode, arm in arms.items()
    ]
    table = [(g, MODE_WORDS[mode], f"{k} of {n}", percent_of(k, n)) for g, mode, k, n in cells]
    text = " and ".join(f"{n} {MODE_WORDS[mode]}" for mode, n in totals.items())
    yield from _shares("scores", cells, table, dataset=each.dataset, totals=text)


def _patterns(each: SetCard) -> Iterator[Picture]:
    read_arms = {mode: arm for mode, arm in each.counts.arms.items() if arm.patterns_read}
    cells = [
        (name.replace("_", " "), mode, arm.patterns[name].n if name in arm.patterns else 0, arm.patterns_read)
        for name in sorted({name for arm in read_arms.values() for name in arm.patterns})
        for mode, arm in read_arms.items()
    ]  # fmt: skip
    yield from _shares(
        "pattern_shares", cells, dataset=each.dataset, monitor=tables.monitor_name(each)
    )


def _shares(
    name: str,
    cells: Sequence[tuple[str, Mode, int, int]],
    table: Iterable[Sequence[object]] = (),
    **values: Any,
) -> Iterator[Picture]:
    """Bars of k out of n by group and mode; nothing without cells."""
    if cells:
        bars = [plots.Bar(group, mode, 100 * k / n if n else 0.0) for group, mode, k, n in cells]
        draw = partial(plots.bars, bars, title=tables.TEXTS[name].head[0])
        yield _picture(name, draw, table, **values)


def _categories(each: SetCard) -> Iterator[Picture]:
    """The categories that are large enough to be drawn, where there are two or more of them."""
    changes = {name: figures.difference for name, figures in each.categories.items()}
    large = [name for name, change in changes.items() if change and change.n_pairs >= LEAST_DRAWN]
    drawn = [_forest_row(each.dataset, name, each, each.categories[name]) for name in large]
    rows = sorted((row for row in drawn if row is not None), key=lambda row: -row.value)
    if len(rows) > 1:
        small = len(changes) - len(rows)
        values: dict[str, Any] = {"dataset": each.dataset, "small": small, "least": LEAST_DRAWN}
        yield _picture("category_changes", partial(plots.forest, rows), remark=small > 0, **values)


def _forest_row(group: str, name: str, each: SetCard, figures: Figures) -> plots.ForestRow | None:
    """A line of a forest plot; None where the difference has no interval."""
    change = figures.difference
    if change is None or change.estimate is None:
        return None
    state = plots.state_of(each.kind, change.significance, each.mode_check.verified)
    return plots.ForestRow(group, f"{name} (n = {change.n_pairs})", *change.estimate, state)
