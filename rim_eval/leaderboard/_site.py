"""The static site: pages, data and one script, that work from a folder without any server."""

import csv
import json
import shutil
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rim_eval.card import SetCard, card_html, card_json
from rim_eval.errors import RimError
from rim_eval.formatting import ARM_WORDS, KIND_WORDS, MODE_WORDS, interval, p_text, points
from rim_eval.leaderboard._entry import Entry
from rim_eval.leaderboard._plot import forest
from rim_eval.leaderboard._reference import Reference
from rim_eval.leaderboard._rows import (
    Row,
    SetFigures,
    csv_head,
    csv_row,
    entry_row,
    published_rows,
)
from rim_eval.paths import leaderboard_dir

__all__ = ["write_site"]

_MARKER = ".rim-leaderboard"


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
        RimError: The folder holds something that is no site, or the renderer of the cards' pictures is missing.
    """
    _prepare(out)
    rows = [entry_row(entry) for entry in entries]
    rows += [row for reference in references for row in published_rows(reference)]
    for name in ("app.js", "style.css"):
        shutil.copyfile(leaderboard_dir() / "site" / name, out / name)
    _write_data(rows, entries, out)
    pages = [_index(rows, entries, references, out)]
    for folder, group in groupby(entries, key=lambda entry: entry.folder):
        pages.append(_model(list(group), folder, out, card_pages))
    pages += [_published(reference, out) for reference in references]
    if card_pages:
        pages += [_card(entry, out) for entry in entries]
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
        writer.writerow(csv_head())
        writer.writerows(csv_row(row, found) for row in rows for found in row.sets)
    for entry in entries:
        (out / "data" / "cards" / f"{entry.id}.json").write_text(
            card_json(entry.card), encoding="utf-8"
        )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(leaderboard_dir() / "site"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "points": points,
        "p_text": p_text,
        "shown": _shown,
        "tick": _tick,
        "unbroken": _unbroken,
    }
    return environment


def _render(template: str, path: Path, **values: Any) -> Path:
    text = _environment().get_template(template).render(**values)
    path.write_text(text, encoding="utf-8")
    return path


def _index(
    rows: Sequence[Row], entries: Sequence[Entry], references: Sequence[Reference], out: Path
) -> Path:
    kinds = [entry.model.kind for entry in entries]
    return _render(
        "index.html.jinja",
        out / "index.html",
        rows=rows,
        references=references,
        organisms="organism" in kinds,
        models="model" in kinds,
    )


def _model(entries: Sequence[Entry], folder: str, out: Path, card_pages: bool) -> Path:
    return _render(
        "model.html.jinja",
        out / "models" / f"{folder}.html",
        model=entries[0].model,
        cards=[_shown_card(entry) for entry in entries],
        card_pages=card_pages,
        kind_words=KIND_WORDS,
        arm_words=ARM_WORDS,
    )


def _shown_card(entry: Entry) -> dict[str, Any]:
    row = entry_row(entry)
    return {
        "id": entry.id,
        "name": entry.name,
        "card": entry.card,
        "arm": row.arm,
        "sets": row.sets,
        "forest": forest(row.sets),
        "arms": [arm for found in entry.card.sets for arm in _arms(found)],
    }


def _arms(found: SetCard) -> list[tuple[str, ...]]:
    """One line a mode: what happened to its samples."""
    lines: list[tuple[str, ...]] = []
    for mode, arm in found.counts.arms.items():
        reasons = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in arm.unscored.items())
        share = f"{100 * arm.adopted / arm.returned:.1f} %" if arm.returned else "n/a"
        thought = _unbroken(share) + f" of {arm.returned}"
        lines.append(
            (found.dataset, MODE_WORDS[mode], thought, reasons or "none", str(arm.truncated),
             str(arm.looping), str(arm.asked))
        )  # fmt: skip
    return lines


def _published(reference: Reference, out: Path) -> Path:
    return _render(
        "reference.html.jinja",
        out / "models" / f"{reference.id}.html",
        reference=reference,
        rows=published_rows(reference),
    )


def _card(entry: Entry, out: Path) -> Path:
    path = out / "cards" / f"{entry.id}.html"
    path.write_text(card_html(entry.card), encoding="utf-8")
    return path


def _shown(found: SetFigures) -> dict[str, str]:
    """A set's figures as a reader sees them."""
    return {
        "no_think": _rate(found.no_think),
        "think": _rate(found.think),
        "difference": points(found.difference[0]),
        "interval": interval(found.difference[1], found.difference[2]),
        "says": {
            "more": "▲ more with thinking",
            "less": "▼ less with thinking",
            "not_shown": "● n.s.",
            "unknown": "◇ no interval",
        }[found.shows],
    }


def _tick(value: int) -> str:
    return f"{value:+d}".replace("-", "\N{MINUS SIGN}") if value else "0"


def _unbroken(text: str) -> str:
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _rate(rate: tuple[float | None, float | None, float | None, int | None]) -> str:
    value, lower, upper, n = rate
    if value is None:
        return "n/a"
    ends = f" ({lower:.1f} to {upper:.1f})" if lower is not None and upper is not None else ""
    return f"{value:.1f} %{ends}" + (
        f", n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n}" if n is not None else ""
    )
