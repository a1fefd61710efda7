"""The static site: pages, data and one script, that work from a folder without any server.

Plots are drawn when the site is built, as SVG inside the pages; the script sorts and filters rows and hides marks.
A Vega runtime in the page would need `unsafe-eval` in the security policy and 0.9 MB, and the page needs neither.
"""

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rim_eval import card, formatting
from rim_eval.card import all_sets_picture, card_html, card_json, card_pictures, page_environment
from rim_eval.errors import RimError
from rim_eval.files import is_partial, whole_file, write_whole
from rim_eval.leaderboard.schema import Entry, Reference
from rim_eval.leaderboard.table import (
    Row,
    badge,
    csv_lines,
    embed_line,
    entry_row,
    headline,
    published_rows,
    significance_words,
)
from rim_eval.paths import leaderboard_dir
from rim_eval.plots import ChangePoint, changes, svg
from rim_eval.progress import Progress
from rim_eval.types import PromptKind

if TYPE_CHECKING:
    from jinja2 import Environment

_MARKER: Final = ".rim-leaderboard"
_WIDE, _NARROW = 960, 340
"""Width of the overview in pixels, on a screen and on a phone."""


def write_site(
    entries: Sequence[Entry],
    references: Sequence[Reference],
    out: Path,
    *,
    card_pages: bool = True,
    progress: Progress | None = None,
    url: str = "",
) -> list[Path]:
    """Write the site; a folder that holds an earlier site is replaced, once all of the new one is written.

    Args:
        entries: Checked entries.
        references: Published tables.
        out: Folder of the site.
        card_pages: Also write each entry's whole RIM card as a page, and draw the changes on the model's page
            (about a second each); without, the overview is the only picture.
        progress: Where pages are counted.
        url: Address that the site will have: pages then show the lines that embed a badge, and links to cards their
            picture.

    Returns:
        The pages.

    Raises:
        RimError: The folder holds something that is no site, it cannot be written (an earlier site stays as it
            was), or the renderer of the pictures is missing.
    """
    rows = [entry_row(entry) for entry in entries]
    published = {reference.id: list(published_rows(reference)) for reference in references}
    every_row = [*rows, *(row for of_table in published.values() for row in of_table)]
    _claim(out)
    written: list[Path] = []
    counter = Progress() if progress is None else progress
    counter.begin("writing", _pages(entries, references, card_pages=card_pages), "pages")
    environment = _environment(card_pages=card_pages)
    with ExitStack() as files:  # every file is written before the first takes an older one's place

        def write(name: str, content: str | bytes) -> None:
            written.append(out / name)
            data = content.encode() if isinstance(content, str) else content
            files.enter_context(whole_file(written[-1])).write_bytes(data)
            counter.add(name.endswith(".html"))

        def render(name: str, template: str, **values: Any) -> None:
            write(name, environment.get_template(template).render(**values))

        for name, text in _assets_and_data(every_row, entries).items():
            write(name, text)
        kinds = {entry.model.kind for entry in entries}
        overviews = _overviews(every_row)
        render("index.html", "index.html.jinja", kinds=kinds, rows=every_row, headline=headline(every_row), references=references, overviews=overviews)  # fmt: skip
        pairs = zip(entries, rows, strict=True)
        for folder, group in groupby(pairs, key=lambda pair: pair[0].folder):
            cards = [
                (
                    entry,
                    row,
                    card.finding(entry.card),
                    all_sets_picture(entry.card) if card_pages else None,
                    embed_line(row, url) if url else None,
                )
                for entry, row in group
            ]
            render(f"models/{folder}.html", "model.html.jinja", model=cards[0][0].model, cards=cards)  # fmt: skip
        for reference in references:
            values = {"reference": reference, "rows": published[reference.id]}
            render(f"models/{reference.id}.html", "reference.html.jinja", **values)
        for entry in entries if card_pages else ():
            preview = f"{url.rstrip('/')}/cards/{entry.id}.png" if url else None
            write(f"cards/{entry.id}.html", card_html(entry.card, preview=preview))
            if preview:
                write(f"cards/{entry.id}.png", card_pictures(entry.card)[1])
    counter.end()
    _remove_others(out, {out / _MARKER, *written})
    return [path for path in written if path.suffix == ".html"]


def _pages(entries: Sequence[Entry], references: Sequence[Reference], *, card_pages: bool) -> int:
    """Pages of the site: the overview, one a model and published table, and the cards."""
    models = {entry.folder for entry in entries}
    return 1 + len(models) + len(references) + (len(entries) if card_pages else 0)


def _claim(out: Path) -> None:
    """Mark a folder as one that holds a site.

    Raises:
        RimError: It holds something else.
    """
    present = [path for path in out.iterdir() if not is_partial(path)] if out.exists() else []
    if present and out / _MARKER not in present:
        raise RimError(f"{out} is not empty and holds no leaderboard site; give another --out.")
    write_whole(
        {out / _MARKER: "Made by `rim-eval leaderboard build`; replaced by the next one.\n"}
    )


def _remove_others(folder: Path, kept: Collection[Path]) -> None:
    """Remove all files of an earlier site that the new one does not have, and folders that are empty then."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()


def _environment(*, card_pages: bool) -> "Environment":
    filters = {
        name: getattr(formatting, name) for name in ("interval", "p_text", "percent", "points")
    }
    filters |= {"tight": formatting.unbroken, "significance_words": significance_words}
    folders = [leaderboard_dir() / "site", Path(card.__file__).parent]
    environment = page_environment(folders, filters)
    environment.add_extension("jinja2.ext.do")
    environment.globals |= {
        "kind_words": formatting.KIND_WORDS,
        "arm_words": formatting.ARM_WORDS,
        "mode_words": formatting.MODE_WORDS,
        "card_pages": card_pages,
    }
    return environment


def _assets_and_data(rows: Sequence[Row], entries: Sequence[Entry]) -> Mapping[str, str]:
    """Everything that is no page, by its name in the folder."""
    data = {"schema_version": 1, "rows": [row.model_dump(mode="json") for row in rows]}
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    lines = [line for row in rows for line in csv_lines(row)]
    table = io.StringIO()
    writer = csv.DictWriter(table, lines[0] if lines else (), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    look, site = Path(card.__file__).with_name("page.css"), leaderboard_dir() / "site"
    styles = [source.read_text(encoding="utf-8") for source in (look, site / "style.css")]
    return {
        "app.js": (site / "app.js").read_text(encoding="utf-8"),
        "style.css": "".join(styles),
        "data/leaderboard.json": text + "\n",
        # A script and not a fetched file: a page opened from a folder may not fetch.
        "data.js": f"window.RIM_LEADERBOARD = {text};\n",
        "data/leaderboard.csv": table.getvalue(),
        **{f"data/cards/{entry.id}.json": card_json(entry.card) for entry in entries},
        **{row.badge: badge(row) for row in rows if row.badge},
    }


def _overviews(rows: Sequence[Row]) -> Mapping[str, list[str]]:
    """The overview without organisms, whose axes fit the real models, and with them: by what the page's switch says."""
    real = [row for row in rows if row.source != "organism"]
    drawn = {"off": real, "on": rows if len(real) < len(rows) else ()}
    return {switch: _overview(chosen) for switch, chosen in drawn.items() if chosen}


def _overview(rows: Sequence[Row]) -> list[str]:
    """Draw the changes of all rows, for a screen and for a phone."""

    def reach(kind: PromptKind) -> float:
        """The end of a symmetric axis, a multiple of ten that all ends of intervals are within."""
        ends = [end for row in rows for s in row.sets if s.kind == kind for end in s.difference]
        return max([10.0, *(10.0 * ceil(abs(end or 0) / 10) for end in ends)])

    dots = [dot for row in rows for dot in _dots(row)]
    ends = (reach("reasoning"), reach("harmful"))
    return [svg(changes(dots, ends, width=width), hidden=False) for width in (_WIDE, _NARROW)]


def _dots(row: Row) -> Iterator[ChangePoint]:
    """A mark for each harmful set of a row; `app.js` counts them in the same order."""
    accuracy = (s.difference for s in row.sets if (s.dataset, s.kind) == (row.reasoning, "reasoning"))  # fmt: skip
    across = next(accuracy, None)
    for each in row.sets:
        up = each.difference
        if each.kind != "harmful" or across is None or across.points is None or up.points is None:
            continue
        yield ChangePoint(each.shows, (across.points, *across[1:]), (up.points, *up[1:]))
