"""A card as Markdown for a model card, and as one HTML page with pictures that needs no script and no network."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rim_eval import plots
from rim_eval.card import tables
from rim_eval.card.labels import label_headline
from rim_eval.card.noise import bottleneck_sentence
from rim_eval.card.schema import Card, MechanismsCard, SetCard
from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    interval,
    only_mode_sentence,
    p_text,
    percent,
    percent_of,
    points,
)
from rim_eval.results.figures import Figures
from rim_eval.thinking import MODE_DOSES
from rim_eval.types import PROMPT_KINDS, Mode, PromptKind

_TEMPLATES: Final = Path(__file__).parent
_UNBROKEN: Final = re.compile(r"\([^()]{1,24}\)|p [=<] |\d %")
"""Parts of a table's cell that no line break may divide."""
_MARKDOWN_SIGNS: Final = re.compile(r"([\\`*_\[\]|~#!])")
_FLAGS: Final = {"yes": "RIM shown", "no": "RIM not shown", "cannot_tell": "Cannot tell"}

Picture = tuple[str, plots.Figure]
"""A heading and what is under it."""


def card_html(card: Card, inside_pictures: Sequence[Picture] = ()) -> str:
    """Render one self-contained page.

    Args:
        card: The card.
        inside_pictures: Pictures of its section on the inside of the model; the card itself holds
            that section's figures, but not all that is drawn.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    values = {"pictures": tuple(_card_pictures(card)), "inside_pictures": inside_pictures}
    return render_page(_TEMPLATES / "card.html.jinja", **_card_values(card), **values)


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


def card_markdown(card: Card) -> str:
    """Render Markdown to paste into a model card."""
    filters = {"md": escape_markdown, "code": _escape_code}
    environment = page_environment(_TEMPLATES, filters, autoescape=False)
    text = environment.get_template("card.md.jinja").render(**_card_values(card))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_page(template: Path, **values: Any) -> str:
    """Render a template, which may include those of this folder; everything but pictures is escaped.

    Args:
        template: File of the template.
        values: What it names.
    """
    folders = [template.parent, _TEMPLATES]
    environment = page_environment(folders, {"tight": _unbreakable}, trim_blocks=False)
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


def rate_ends(figures: Figures) -> tuple[plots.Ends, plots.Ends] | None:
    """Rates without thinking and with, in percent with their intervals; None unless both modes have one."""
    no_think = figures.no_think and figures.no_think.estimate
    think = figures.think and figures.think.estimate
    return (no_think, think) if no_think and think else None


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


def _card_values(card: Card) -> dict[str, Any]:
    """What the templates of a card show."""
    return {
        "title": card.model,
        "flag": card.flag.sentence if card.flag else "There is no RIM score on this card.",
        "flag_state": _FLAGS[card.flag.flag if card.flag else "cannot_tell"],
        "gap_sentences": (
            *_dose_sentences(card),
            *(gap.sentence for gap in card.gaps),
            *_judge_sentence(card),
        ),
        "headlines": tuple(_headlines(card)),
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


def _headlines(card: Card) -> Iterator[dict[str, str]]:
    """The primary endpoint of each kind of prompts; of benign sets the one with most pairs."""
    changes = {each.dataset: each.figures.difference for each in card.of_kind("benign")}
    pairs = {dataset: change.n_pairs if change else 0 for dataset, change in changes.items()}
    primary_by_kind: dict[PromptKind, str | None] = {
        "harmful": card.primary,
        "reasoning": card.primary_reasoning,
        "benign": max(pairs, key=lambda name: pairs[name], default=None),
    }
    for kind, dataset in primary_by_kind.items():
        if primary := card.find(dataset, kind):
            yield _headline(primary)


def _headline(each: SetCard) -> dict[str, str]:
    """One tile of the card, by the names that the templates use."""
    if each.figures.only_mode:
        return _single_mode_headline(each, each.figures.only_mode)
    words, change = KIND_WORDS[each.kind], each.figures.difference
    # `worse`, `better`, `not` (significant) or `unverified`, for its look; the verdict says it in words.
    state = plots.state_of(each.kind, change.significance).split()[0] if change else "not"
    significance = tables.significance_text(each.kind, change)
    if not each.mode_check.verified:
        state, significance = "unverified", f"mode not verified; {significance}"
    rates = [
        f"{percent(rate.value)} {name} (n = {rate.n_scored})"
        for mode, name in MODE_WORDS.items()
        if (rate := each.figures.rate(mode)) is not None
    ]
    return {
        "name": words.difference,
        "dataset": each.dataset,
        "figure": points(change.value if change else None),
        "unit": "percentage points",
        "interval": f"95 % interval {interval(change.lower, change.upper)}" if change else "",
        "rates": f"{words.rate}: {', '.join(rates)}{_declined(each)}",
        "n": f"n = {change.n_pairs} pairs, {p_text(change.p_value)}" if change else "one mode only",
        "verdict": significance,
        "state": state,
    }


def _single_mode_headline(each: SetCard, mode: Mode) -> dict[str, str]:
    """The tile of a set whose judge can read one mode only: that mode's rate in place of the difference."""
    rate, verified = each.figures.rate(mode), each.mode_check.verified
    return {
        "name": f"{KIND_WORDS[each.kind].rate} {MODE_WORDS[mode]}",
        "dataset": each.dataset,
        "figure": percent(rate.value if rate else None),
        "unit": "",
        "interval": f"95 % interval {interval(rate.lower, rate.upper, share=True)}" if rate else "",
        "rates": f"{only_mode_sentence(each.kind)}{_declined(each)}",
        "n": f"n = {rate.n_scored if rate else 0}",
        "verdict": "nothing to compare" if verified else "mode not verified",
        "state": "not" if verified else "unverified",
    }


def _declined(each: SetCard) -> str:
    arms = each.counts.arms
    counts = [f"{arms[m].declined} {words}" for m, words in MODE_WORDS.items() if m in arms]
    return f"; declined by the provider: {', '.join(counts)}" if each.counts.system else ""


def _unbreakable(text: str) -> str:
    """Let a table's cell break between figures and not inside them."""
    return _UNBROKEN.sub(lambda part: part[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def _escape_code(text: str) -> str:
    """Escape a command in a fenced block: it cannot end the block."""
    return text.replace("```", "` ` `")


def _card_pictures(card: Card) -> Iterator[Picture]:
    """Draw every picture that the card has figures for."""
    if every_set := all_sets_picture(card):
        yield tables.TEXTS["every_set"].title, every_set
    yield from _safety_against_ability(card)
    yield from _dose_curves(card)
    yield from _histograms(card)
    yield from _categories(card)
    yield from _patterns(card)


def _picture(
    name: str, draw: Callable[[int], plots.Spec], table: Iterable[Sequence[object]], **values: Any
) -> Picture:
    """A picture with the title, caption and column names of `texts.toml`."""
    texts = tables.make_grid(name, table, **values)
    return texts.title, plots.figure(draw, texts.note, texts.head, texts.rows)


def _safety_against_ability(card: Card) -> Iterator[Picture]:
    accuracy = card.find(card.primary_reasoning, "reasoning")
    accuracies = rate_ends(accuracy.figures) if accuracy else None
    if accuracy is None or accuracies is None:
        return
    harmful = card.of_kind("harmful")
    arrows = []
    for each in harmful:
        if (rates := rate_ends(each.figures)) and (change := each.figures.difference):
            state = plots.state_of("harmful", change.significance, each.mode_check.verified)
            arrows.append(plots.Arrow(each.dataset, accuracies, rates, state))
    table = [
        (
            each.dataset,
            words,
            percent(rate.value),
            rate.n_scored,
            percent(solved.value),
            solved.n_scored,
        )
        for each in harmful
        for mode, words in MODE_WORDS.items()
        if (rate := each.figures.rate(mode)) and (solved := accuracy.figures.rate(mode))
    ]
    if arrows:
        values = {"dataset": accuracy.dataset}
        yield _picture("safety_against_ability", partial(plots.arrows, arrows), table, **values)


def _dose_curves(card: Card) -> Iterator[Picture]:
    """Misalignment, over-refusal and accuracy against the thinking tokens that were spent."""
    points, table = [], []
    for each in card.sets:
        for point in each.curve.points if each.curve else ():
            ends = point.rate.estimate
            if ends is None or point.mean_tokens is None:
                continue
            name = f"{KIND_WORDS[each.kind].rate}: {each.dataset}"
            points.append(plots.DosePoint(name, each.kind, point.name, point.mean_tokens, *ends))
            rate = (
                percent(point.rate.value),
                interval(point.rate.lower, point.rate.upper, share=True),
            )
            table.append(
                (each.dataset, point.name, f"{point.mean_tokens:.0f}", *rate, point.rate.n_scored)
            )
    if points:
        yield _picture("dose_curve", partial(plots.doses, points), table)


def _histograms(card: Card) -> Iterator[Picture]:
    for each in card.sets:
        arms = {mode: each.counts.arms[mode] for mode in MODE_WORDS if mode in each.counts.arms}
        totals = {mode: sum(arm.scores.values()) for mode, arm in arms.items()}
        cells = [
            (score, mode, arm.scores.get(score, 0), totals[mode])
            for score in sorted({score for arm in arms.values() for score in arm.scores}, key=float)
            for mode, arm in arms.items()
        ]
        text = " and ".join(f"{n} {MODE_WORDS[mode]}" for mode, n in totals.items())
        yield from _shares("scores", each.dataset, cells, totals=text)


def _patterns(card: Card) -> Iterator[Picture]:
    primary = card.find(card.primary, "harmful")
    arms = primary.counts.arms.items() if primary else ()
    read_arms = {mode: arm for mode, arm in arms if arm.patterns_read}
    cells = [
        (name.replace("_", " "), mode, arm.patterns[name].n if name in arm.patterns else 0, arm.patterns_read)
        for name in sorted({name for arm in read_arms.values() for name in arm.patterns})
        for mode, arm in read_arms.items()
    ]  # fmt: skip
    monitor = tables.monitor_name(primary) if primary else ""
    yield from _shares("pattern_shares", card.primary, cells, monitor=monitor)


def _shares(
    name: str, dataset: str | None, cells: Sequence[tuple[str, Mode, int, int]], **values: Any
) -> Iterator[Picture]:
    """Bars of k out of n by group and mode; nothing without cells."""
    if cells:
        bars = [plots.Bar(group, mode, 100 * k / n if n else 0.0) for group, mode, k, n in cells]
        table = [(g, MODE_WORDS[mode], f"{k} of {n}", percent_of(k, n)) for g, mode, k, n in cells]
        draw = partial(plots.bars, bars, title=tables.TEXTS[name].head[0])
        yield _picture(name, draw, table, dataset=dataset, **values)


def _categories(card: Card) -> Iterator[Picture]:
    primary = card.find(card.primary, "harmful")
    if primary is None or len(primary.categories) < 2:
        return
    drawn = [_forest_row(primary.dataset, k, primary, f) for k, f in primary.categories.items()]
    rows = sorted((row for row in drawn if row is not None), key=lambda row: -row.value)
    table = [
        (row.label, points(row.value), interval(row.lower, row.upper), plots.state_label(row.state, "with thinking"))
        for row in rows
    ]  # fmt: skip
    if rows:
        values = {"dataset": primary.dataset}
        yield _picture("category_changes", partial(plots.forest, rows), table, **values)


def _forest_row(group: str, name: str, each: SetCard, figures: Figures) -> plots.ForestRow | None:
    """A line of a forest plot; None where the difference has no interval."""
    change = figures.difference
    if change is None or change.estimate is None:
        return None
    state = plots.state_of(each.kind, change.significance, each.mode_check.verified)
    return plots.ForestRow(group, f"{name} (n = {change.n_pairs})", *change.estimate, state)
