"""Read the labels that people filled a sheet with, and hold them against the draw."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from rim_eval.errors import RimError
from rim_eval.files import read_bounded
from rim_eval.labelling.draw import Draw
from rim_eval.prompt_sets.formats import DataFile, read_rows
from rim_eval.prompt_sets.registry import Columns

YES, NO, SKIP, NONE = "yes", "no", "skip", "none"
WORDS: Final[Mapping[str, bool | None]] = {YES: True, NO: False, SKIP: None, "": None}
"""What may stand in the column `label`; None where the item has no label."""

_COLUMNS: Final = ("sheet", "item", "label")
_COMPARED: Final = 400
"""Signs of a reply that tell it from others; spreadsheet programs cut long cells."""
_LISTED: Final = 5
Label = TypeVar("Label")


class LabelFile(NamedTuple):
    """One annotator's labels."""

    name: str
    """Name of the file, without its folder."""
    sheet: str
    cells: dict[str, str]
    """The column `label` by item id, lower case, without blanks around it."""
    texts: dict[str, str]
    """The column `reply` by item id, where the file has it."""

    def labels(self, draw: Draw) -> dict[str, bool]:
        """Labels of a sheet of verdicts by item id; items that are empty or skipped are left out.

        Raises:
            RimError: There are items that were not drawn, words that are no label, or no label at all.
        """
        self._check(draw, WORDS.__contains__, f"{YES}, {NO} or {SKIP}")
        given = {item: WORDS[word] for item, word in self.cells.items()}
        return self._some_label({item: each for item, each in given.items() if each is not None})

    def marks(self, draw: Draw, allowed: Collection[str]) -> dict[str, frozenset[str]]:
        """Labels of a sheet of traces by item id: what is there, empty for `none`.

        Args:
            draw: The draw.
            allowed: Names that may stand in a cell, separated by blanks.

        Raises:
            RimError: As `labels` raises it.
        """
        whole = {SKIP, NONE, ""}
        words = f"{NONE}, {SKIP}, or some of {', '.join(allowed)}"
        self._check(draw, lambda cell: cell in whole or set(cell.split()) <= set(allowed), words)
        return self._some_label(
            {
                item: frozenset(cell.split()) - {NONE}
                for item, cell in self.cells.items()
                if cell not in (SKIP, "")
            }
        )

    def _check(self, draw: Draw, is_label: Callable[[str], bool], words: str) -> None:
        """Refuse items that were not drawn, and words that are no label."""
        self.refuse_strangers([item.id for item in draw.items])
        self._refuse_moved_rows(draw)
        if unknown := [item for item, cell in self.cells.items() if not is_label(cell)]:
            given = sorted({self.cells[item][:20] for item in unknown})
            raise RimError(
                f"{self.name}: the label of {_some(unknown)} is {', '.join(map(repr, given[:_LISTED]))}. Write {words}, or "
                "leave it empty."
            )

    def _refuse_moved_rows(self, draw: Draw) -> None:
        """Refuse a table whose columns were sorted apart: the labels would be of other replies."""
        drawn = {item.id: _start(item.text) for item in draw.items}
        moved = [item for item, text in self.texts.items() if _start(text) != drawn[item]]
        if moved:
            raise RimError(
                f"{self.name}: beside {_some(moved)} stands the text of another reply, so the rows were moved apart. Sort whole "
                "rows only, or fill the sheet's page."
            )

    def _some_label(self, labels: dict[str, Label]) -> dict[str, Label]:
        if not labels:
            raise RimError(
                f"{self.name}: no item has a label. Fill the column `label` of the sheet."
            )
        return labels

    def refuse_strangers(self, drawn: Collection[str]) -> None:
        """Refuse items that a draw does not hold.

        Raises:
            RimError: There are some.
        """
        if strangers := sorted(self.cells.keys() - set(drawn)):
            raise RimError(
                f"{self.name}: {_some(strangers)} of sheet {self.sheet} were never drawn. Labels of replies that somebody "
                "chose would bias the figures: remove these rows."
            )


def read_label_file(path: Path) -> LabelFile:
    """Read a filled sheet, as the page exports it or a spreadsheet program saves it.

    Args:
        path: A CSV file with the columns `sheet`, `item` and `label`; others are ignored.

    Raises:
        RimError: It cannot be read, lacks a column, mixes sheets, or holds an item twice.
    """
    try:
        file = DataFile("labels", path.name, read_bounded(path))
    except OSError as error:
        raise RimError(
            f"{path} cannot be read ({error.strerror}). Give the file that the page exported, or the filled labels.csv."
        ) from None
    rows = read_rows(file, Columns(format="csv", prompt="item", labels=_COLUMNS))
    if not rows:
        raise RimError(f"{path} holds no rows. Give a filled sheet of `rim-eval judge sample`.")
    if missing := [name for name in _COLUMNS if name not in rows[0]]:
        raise RimError(
            f"{path} has no column {', '.join(missing)}; there are {', '.join(map(repr, list(rows[0])[:8]))}. Keep "
            "the columns sheet, item and label of the sheet."
        )
    cells = [(row["item"].strip(), row["label"].strip().casefold()) for row in rows]
    if twice := [item for item, n in Counter(item for item, _ in cells).items() if n > 1]:
        raise RimError(f"{path}: {_some(twice)} occur more than once. Keep one row for each item.")
    sheets = sorted({row["sheet"].strip() for row in rows})
    if len(sheets) > 1:
        raise RimError(
            f"{path} mixes the sheets {', '.join(sheets[:_LISTED])}. Give one sheet a file."
        )
    texts = {row["item"].strip(): row["reply"] for row in rows if row.get("reply")}
    return LabelFile(path.name, sheets[0], dict(cells), texts)


def _start(text: str) -> str:
    """The beginning of a text, without what spreadsheet programs change."""
    return "".join(text.split()).lstrip("'")[:_COMPARED]


def one_sheet(files: Sequence[LabelFile]) -> str:
    """The sheet that all annotators filled.

    Raises:
        RimError: They filled several.
    """
    if len({file.sheet for file in files}) > 1:
        listed = ", ".join(f"{file.name} ({file.sheet})" for file in files)
        raise RimError(
            f"The annotators filled different sheets: {listed}. Give labels of one sheet."
        )
    return files[0].sheet


def _some(items: Sequence[str]) -> str:
    """A few items by id, with how many there are."""
    rest = len(items) - _LISTED
    more = f" and {rest} more" if rest > 0 else ""
    return f"item{'s' * (len(items) > 1)} {', '.join(items[:_LISTED])}{more}"
