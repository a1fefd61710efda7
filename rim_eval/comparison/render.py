"""A comparison for readers: text tables for the terminal, Markdown, and one HTML page with pictures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rim_eval import plots
from rim_eval.card import Picture, escape_markdown, page_environment, render_page
from rim_eval.comparison.comparison import Comparison
from rim_eval.comparison.family_render import (
    FAMILY_HEAD,
    family_forest,
    family_notes,
    family_rows,
    over_sets_forest,
    over_sets_rows,
    over_sets_title,
)
from rim_eval.comparison.pictures import (
    forest_picture,
    picture_order,
    rates_picture,
    training_pictures,
)
from rim_eval.comparison.schema import SetComparison
from rim_eval.comparison.tables import (
    AGAINST_HEAD,
    HEAD,
    Row,
    against_rows,
    aligned,
    own_rows,
    set_title,
)
from rim_eval.formatting import KIND_WORDS


class Grid(NamedTuple):
    """A table."""

    title: str
    head: Row
    rows: list[Row]


class SetSection(NamedTuple):
    """One set on the page: its picture, and its figures as tables."""

    title: str
    picture: plots.Figure | None
    grids: list[Grid]


def comparison_text(comparison: Comparison) -> str:
    """Write the finding and tables for a terminal: each set's rates and changes, then the differences from the reference."""
    alone = len(comparison.models) == 1
    lines = [comparison.finding.sentence, *comparison.finding.details, ""]
    lines += [f"Reference: {'the no-think arm' if alone else comparison.reference}"]
    for each in comparison.sets:
        judge = f", judged by {each.judge}" if each.judge else ""
        lines += ["", f"{set_title(each)}{judge}"]
        lines += aligned([(*HEAD[:-1], ""), *own_rows(each, comparison.reference)])
        if means := list(family_rows(each)):
            lines += ["  families:", *aligned([FAMILY_HEAD, *means])]
        if differences := list(against_rows(each, comparison.reference)):
            lines += [f"  {_minus(comparison)}:", *aligned([AGAINST_HEAD, *differences])]
    for found in comparison.families:
        lines += [
            "",
            over_sets_title(found),
            *aligned([FAMILY_HEAD, *over_sets_rows(found, comparison)]),
        ]
    notes = (*comparison.remarks, *family_notes(comparison))
    lines += ["", *(f"note: {note}" for note in notes)]
    return "\n".join(lines).rstrip()


def comparison_markdown(comparison: Comparison) -> str:
    """Render Markdown, as for a pull request: the finding, its table, and everything else folded."""
    environment = page_environment(Path(__file__).parent, {"md": escape_markdown}, autoescape=False)
    sections = [
        SetSection(set_title(each), None, _grids(each, comparison)) for each in _ordered(comparison)
    ]
    values = _values(comparison) | {"sections": sections}
    text = environment.get_template("compare.md.jinja").render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def comparison_html(comparison: Comparison) -> str:
    """Render one self-contained page.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    sections = [
        SetSection(set_title(each), _picture(each, comparison), _grids(each, comparison))
        for each in _ordered(comparison)
    ]
    values = _values(comparison) | {"sections": sections}
    values["family_pictures"] = list(_family_pictures(comparison))
    return render_page(Path(__file__).with_name("compare.html.jinja"), **values)


def _values(comparison: Comparison) -> dict[str, Any]:
    return {
        "comparison": comparison,
        "families": list(_family_grids(comparison)),
        "notes": list(family_notes(comparison)),
    }


def _ordered(comparison: Comparison) -> list[SetComparison]:
    """The set of the finding first."""
    return sorted(comparison.sets, key=lambda each: each is not comparison.headline)


def _picture(each: SetComparison, comparison: Comparison) -> plots.Figure | None:
    """A set's picture: rates over training for checkpoints, else a line a model."""
    if comparison.series:
        return next((figure for _, figure in training_pictures([each])), None)
    first, order = each is comparison.headline, picture_order(comparison.headline, comparison.reference)  # fmt: skip
    return rates_picture(each, comparison.reference, order=order, first=first)


def _grids(each: SetComparison, comparison: Comparison) -> list[Grid]:
    """A set's tables: own figures, and differences from the reference where there are any."""
    grids = [Grid(set_title(each), HEAD, list(own_rows(each, comparison.reference)))]
    if differences := list(against_rows(each, comparison.reference)):
        grids.append(Grid(f"{each.dataset}: {_minus(comparison)}", AGAINST_HEAD, differences))
    return grids


def _minus(comparison: Comparison) -> str:
    how = "" if comparison.paired else ", not paired"
    return f"minus {comparison.reference}, in percentage points{how}"


def _family_grids(comparison: Comparison) -> Iterator[Grid]:
    for each in comparison.sets:
        if rows := list(family_rows(each)):
            yield Grid(f"{set_title(each)}, families", FAMILY_HEAD, rows)
    for found in comparison.families:
        yield Grid(over_sets_title(found), FAMILY_HEAD, list(over_sets_rows(found, comparison)))


def _family_pictures(comparison: Comparison) -> Iterator[Picture]:
    """Each model's change with thinking beside the means of its families, set by set; nothing without families."""
    rows: list[plots.ForestRow] = []
    for each in comparison.sets:
        group = f"{KIND_WORDS[each.kind].difference}, {each.dataset}"
        for row in each.rows if each.families else ():
            change = row.figures.difference
            if change and change.estimate:
                state = plots.state_of(each.kind, change.significance, row.verified)
                label = f"{row.model} (n = {change.n_pairs})"
                rows.append(plots.ForestRow(group, label, *change.estimate, state))
        rows += family_forest(each, group)
    for found in comparison.families:
        rows += over_sets_forest(found, comparison)
    caption = (
        "Change with thinking of each model, with its 95 % interval; of a family: the mean of these models for other "
        "prompts, the mean of other models, and where the next model is expected (dashed: prediction interval)."
    )
    title = "change, percentage points"
    yield from forest_picture("Families", rows, caption, "with thinking", title)
