"""The static site: pages, data and one script, that work from a folder without any server.

Plots are drawn when the site is built, as SVG inside the pages; the script sorts and filters rows and hides marks.
A Vega runtime in the page would need `unsafe-eval` in the security policy and 0.9 MB, and the page needs neither.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment

from rim_eval.card import SetCard, all_sets_picture, card_html, card_json, page_environment
from rim_eval.errors import RimError
from rim_eval.formatting import ARM_WORDS, KIND_WORDS, MODE_WORDS, interval, p_text, percent, points
from rim_eval.leaderboard.schema import Entry, Reference
from rim_eval.leaderboard.table import (
    CSV_COLUMNS,
    RateFigures,
    Row,
    SetFigures,
    csv_rows,
    entry_row,
    published_rows,
)
from rim_eval.paths import leaderboard_dir
from rim_eval.plots import ChangePoint, changes, svg
from rim_eval.types import PromptKind

__all__ = ["write_site"]

_MARKER: Final = ".rim-leaderboard"
_WIDE, _NARROW = 960, 340
"""Width of the overview in pixels, on a screen and on a phone."""

_SHOWS_WORDS: Final = {
    "more": "▲ more with thinking",
    "less": "▼ less with thinking",
    "not_shown": "● n.s.",
    "unknown": "◇ no interval",
}


def write_site(
    entries: Sequence[Entry],
    references: Sequence[Reference],
    out: Path,
    *,
    card_pages: bool = True,
) -> list[Path]:
    """Write the site; a folder that holds an earlier site is replaced.

    Args:
        entries: Checked entries.
        references: Published tables.
        out: Folder of the site.
        card_pages: Also write each entry's whole RIM card as a page (about a second each).

    Returns:
        The pages.

    Raises:
        RimError: The folder holds something that is no site, or the renderer of the pictures is missing.
    """
    _prepare(out)
    rows = [entry_row(entry) for entry in entries]
    rows += [row for reference in references for row in published_rows(reference)]
    for name in ("app.js", "style.css"):
        shutil.copyfile(leaderboard_dir() / "site" / name, out / name)
    _write_data(rows, entries, out)
    pages = [_index(rows, entries, references, out)]
    for folder, group in groupby(entries, key=lambda entry: entry.folder):
        pages.append(_model_page(list(group), out / "models" / f"{folder}.html", card_pages))
    for reference in references:
        values = {"reference": reference, "rows": published_rows(reference)}
        path = out / "models" / f"{reference.id}.html"
        pages.append(_render("reference.html.jinja", path, **values))
    for entry in entries if card_pages else ():
        pages.append(out / "cards" / f"{entry.id}.html")
        pages[-1].write_text(card_html(entry.card), encoding="utf-8")
    return pages


def _prepare(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / _MARKER).exists():
            raise RimError(f"{out} is not empty and holds no leaderboard site; give another --out.")
        shutil.rmtree(out)
    for folder in ("models", "cards", "data/cards"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    (out / _MARKER).write_text("Made by `rim-eval leaderboard build`; replaced by the next one.\n")


def _write_data(rows: Sequence[Row], entries: Sequence[Entry], out: Path) -> None:
    data = {"schema_version": 1, "rows": [row.model_dump(mode="json") for row in rows]}
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    (out / "data" / "leaderboard.json").write_text(text + "\n", encoding="utf-8")
    # A script and not a fetched file: a page opened from a folder may not fetch.
    (out / "data.js").write_text(f"window.RIM_LEADERBOARD = {text};\n", encoding="utf-8")
    with (out / "data" / "leaderboard.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        writer.writerows(line for row in rows for line in csv_rows(row))
    for entry in entries:
        path = out / "data" / "cards" / f"{entry.id}.json"
        path.write_text(card_json(entry.card), encoding="utf-8")


@cache
def _environment() -> Environment:
    filters: dict[str, Callable[..., str | dict[str, str]]] = {
        "p_text": p_text,
        "shown": _cells,
        "unbroken": _unbroken,
    }
    return page_environment(leaderboard_dir() / "site", filters)


def _render(template: str, path: Path, **values: Any) -> Path:
    text = _environment().get_template(template).render(**values)
    path.write_text(text, encoding="utf-8")
    return path


def _index(
    rows: Sequence[Row], entries: Sequence[Entry], references: Sequence[Reference], out: Path
) -> Path:
    kinds = [entry.model.kind for entry in entries]
    dots = [dot for row in rows for dot in _dots(row)]
    reach = (_reach(rows, "reasoning"), _reach(rows, "harmful"))
    plots = [svg(changes(dots, reach, width=w), hidden=False) for w in (_WIDE, _NARROW)]
    return _render(
        "index.html.jinja",
        out / "index.html",
        rows=rows,
        plots=plots,
        references=references,
        organisms="organism" in kinds,
        models="model" in kinds,
    )


def _dots(row: Row) -> Iterator[ChangePoint]:
    """A mark for each harmful set of a row; `app.js` counts them in the same order."""
    accuracy = next((s for s in row.sets if s.dataset == row.reasoning and s.kind == "reasoning"), None)  # fmt: skip
    for each in row.sets if accuracy else ():
        across, up = accuracy.difference, each.difference  # type: ignore[union-attr]
        if each.kind == "harmful" and across[0] is not None and up[0] is not None:
            yield ChangePoint(each.shows, (across[0], *across[1:]), (up[0], *up[1:]))


def _reach(rows: Sequence[Row], kind: PromptKind) -> float:
    """The end of a symmetric axis, a multiple of ten that all ends of intervals are within."""
    ends = [end for row in rows for s in row.sets if s.kind == kind for end in s.difference]
    return max(10.0, *(10.0 * ceil(abs(end or 0) / 10) for end in ends), 10.0)


def _model_page(entries: Sequence[Entry], path: Path, card_pages: bool) -> Path:
    return _render(
        "model.html.jinja",
        path,
        model=entries[0].model,
        cards=[_card_values(entry) for entry in entries],
        card_pages=card_pages,
        kind_words=KIND_WORDS,
        arm_words=ARM_WORDS,
    )


def _card_values(entry: Entry) -> dict[str, Any]:
    row = entry_row(entry)
    return {
        "id": entry.id,
        "name": entry.name,
        "card": entry.card,
        "arm": row.arm,
        "sets": row.sets,
        "forest": all_sets_picture(entry.card),
        "arms": [arm for each in entry.card.sets for arm in _arms(each)],
    }


def _arms(each: SetCard) -> Iterator[tuple[str, ...]]:
    """One line a mode: what happened to its samples."""
    for mode, arm in each.counts.arms.items():
        reasons = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in arm.unscored.items())
        share = percent(arm.adopted / arm.returned if arm.returned else None)
        thought = f"{_unbroken(share)} of {arm.returned}"
        counts = (str(arm.truncated), str(arm.looping), str(arm.asked))
        yield (each.dataset, MODE_WORDS[mode], thought, reasons or "none", *counts)


def _cells(figures: SetFigures) -> dict[str, str]:
    """A set's figures as a reader sees them."""
    change, lower, upper = figures.difference
    return {
        "no_think": _rate(figures.no_think),
        "think": _rate(figures.think),
        "difference": points(change),
        "interval": interval(lower, upper),
        "says": _SHOWS_WORDS[figures.shows],
    }


def _rate(rate: RateFigures) -> str:
    value, lower, upper, n = rate
    if value is None:
        return "n/a"
    ends = f" ({lower:.1f} to {upper:.1f})" if lower is not None and upper is not None else ""
    return f"{value:.1f} %{ends}" + ("" if n is None else f", {_unbroken(f'n = {n}')}")


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")
