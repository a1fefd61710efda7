"""`rim-eval leaderboard`: check submissions, add a card, build the site, export."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rim_eval.cli.model_options import model_of_options, model_options
from rim_eval.cli.progress_option import progress_option
from rim_eval.errors import RimError
from rim_eval.paths import leaderboard_dir
from rim_eval.progress import Progress

if TYPE_CHECKING:
    from rim_eval.leaderboard import Checked


def _default_results() -> Path:
    folder = leaderboard_dir() / "results"
    if not folder.is_dir():
        raise RimError("An installed copy holds no results; name a folder, or run in a checkout of the project.")  # fmt: skip
    return folder


_EXISTING: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_NEW: Final = click.Path(file_okay=False, path_type=Path)
_RESULTS: Final[dict[str, Any]] = {"default": _default_results, "show_default": "leaderboard/results", "help": "Folder of models."}  # fmt: skip


@click.group()
def command() -> None:
    """Check submissions of RIM cards and build the leaderboard's static site from them."""


@command.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
def check(paths: Sequence[Path]) -> None:
    """Derive every figure of PATHS again from its counts and refuse what does not follow.

    PATHS are cards, folders of one model, or folders of models; by default leaderboard/results.
    """
    checked = _check(paths or (_default_results(),))
    click.echo(f"{checked.cards} cards checked, nothing to object to.")


@command.command()
@click.option("--results", type=_EXISTING, **_RESULTS)
@click.option("--reference", type=_EXISTING, default=lambda: leaderboard_dir() / "reference", show_default="leaderboard/reference", help="Folder of published tables.")  # fmt: skip
@click.option("--out", type=_NEW, default=Path("site"), show_default=True, help="Folder for the site.")  # fmt: skip
@click.option("--card-pages/--no-card-pages", default=True, show_default=True, help="Write each entry's whole card as a page too, with pictures (about a second each).")  # fmt: skip
@click.option("--url", default="", help="Address that the site will have, for the lines that embed a badge, and the pictures of links to cards.")  # fmt: skip
@progress_option
def build(
    results: Path, reference: Path, out: Path, card_pages: bool, url: str, progress: Progress
) -> None:
    """Check all entries and write the static site; it opens from the folder, without a server."""
    from rim_eval.leaderboard import read_references, write_site

    entries = _check((results,)).entries
    references = read_references(reference)
    pages = write_site(entries, references, out, card_pages=card_pages, url=url, progress=progress)
    click.echo(f"{len(entries)} entries, {len(pages)} pages. Open {pages[0]}")


@command.command()
@click.option("--results", type=_EXISTING, **_RESULTS)
@click.option("--organisms", is_flag=True, help="Export the model organisms too.")
@click.option("--out", type=_NEW, required=True, help="Folder to write data/rim_eval/... to.")  # fmt: skip
def export(results: Path, organisms: bool, out: Path) -> None:
    """Write checked entries as Every Eval Ever records (schema 0.3.0).

    Organisms are left out unless asked for: they are no findings about real models.
    """
    from rim_eval.leaderboard import export as write

    entries = _check((results,)).entries
    chosen = [entry for entry in entries if organisms or entry.model.kind == "model"]
    written = write(chosen, out)
    left = len(entries) - len(chosen)
    click.echo(f"{len(written)} records in {out}" + (f"; {left} organisms left out" if left else ""))  # fmt: skip


@command.command()
@click.argument("card", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@model_options(required=True)
@click.option("--name", default="card", show_default=True, help="File name of the card without ending.")  # fmt: skip
@click.option("--results", type=_NEW, **_RESULTS)
def add(card: Path, results: Path, name: str, **about: Any) -> None:
    """Make a submission from CARD (card.json): a folder for its model, without sentences, checked; nothing is left of a refused one."""
    from rim_eval.card import read_card
    from rim_eval.leaderboard import add_card
    from rim_eval.leaderboard.schema import slug

    model = model_of_options(**about)
    folder = results / slug(model.model)
    new = [path for path in (*reversed(folder.parents), folder) if not path.exists()]
    earlier = set(folder.glob("*"))
    file = add_card(read_card(card), model, results, name)
    try:
        _check((folder,))
    except BaseException:
        # Only what this call has made: others' cards may stand in the folder.
        if new:
            shutil.rmtree(new[0])
        elif file not in earlier:
            file.unlink()
        raise
    click.echo(f"wrote {file}")
    click.echo("checked, nothing to object to; commit the folder and open a pull request.")


def _check(paths: Sequence[Path]) -> "Checked":
    """Check, print what is wrong, and fail unless all is sound."""
    from rim_eval.leaderboard import check_paths

    checked = check_paths(paths)
    for problem in checked.problems:
        # Without control characters for the terminal: a reason may repeat a stranger's text.
        click.echo(re.sub(r"[^\x20-\x7e]", "?", problem))
    if checked.problems:
        raise RimError(f"{len(checked.problems)} objections to {checked.cards} cards; see above.")
    return checked
