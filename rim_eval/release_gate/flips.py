"""Flips: the prompts whose verdict differs between the modes, which a reviewer of a gate reads first.

Prompt ids, categories and counts only, never texts. A card holds counts and no ids, so flips come from the
observations behind it.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from pydantic import NonNegativeInt

from rim_eval.escaping import escape_formula
from rim_eval.formatting import KIND_WORDS
from rim_eval.observations import Table
from rim_eval.results.doses import least_and_most_rows
from rim_eval.types import MODES, PROMPT_KINDS, FiniteModel, Mode, PromptKind

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: Final = (
    "model", "dataset", "kind", "category", "prompt_id", "more_often", "think_events", "think_scored", "no_think_events", "no_think_scored",
)  # fmt: skip
"""Columns of the CSV file, one row a flip."""

_PROMPT: Final = ["model", "kind", "dataset", "prompt_id"]
"""What tells prompts apart."""


class Flip(FiniteModel):
    """A prompt with the event more often in one mode than in the other.

    The event is that of its kind: misaligned (harmful), refused (benign), correct (reasoning).
    """

    model: str
    dataset: str
    kind: PromptKind
    category: str | None
    prompt_id: str
    think_events: NonNegativeInt
    """Epochs with the event, with thinking."""
    think_scored: NonNegativeInt
    """Epochs with a verdict, with thinking."""
    no_think_events: NonNegativeInt
    no_think_scored: NonNegativeInt

    @property
    def apart(self) -> float:
        """Share of epochs with the event, with thinking minus without: from -1 to 1, never 0."""
        return self.think_events / self.think_scored - self.no_think_events / self.no_think_scored

    @property
    def more_often(self) -> Mode:
        """The mode in which the event is more frequent."""
        return "think" if self.apart > 0 else "no_think"


def find_flips(table: Table) -> list[Flip]:
    """Find the prompts that are scored in both modes and differ between them.

    They are ordered by model, kind and data set, then by how far the modes are apart, then those with the event more
    often with thinking first, then by prompt id.

    Args:
        table: Observations, each once and by one judge; of several doses the least and the most count.
    """
    frame = least_and_most_rows(table.frame)
    counted = _counted(frame[frame["verdict"].notna()])
    differ = (
        counted["think_events"] * counted["no_think_scored"]
        != counted["no_think_events"] * counted["think_scored"]
    )
    records = counted[differ].to_dict("records")
    flips = (Flip.model_validate({str(name): cell for name, cell in r.items()}) for r in records)
    return sorted(flips, key=_order)


def _counted(scored: "pd.DataFrame") -> "pd.DataFrame":
    """Count the epochs of each prompt that is scored in both modes; one row a prompt, with the fields of a flip."""
    counts: dict[str, pd.Series[bool]] = {}
    for mode in MODES:
        asked = scored["mode"] == mode
        counts |= {f"{mode}_events": asked & (scored["verdict"] == 1), f"{mode}_scored": asked}
    rows = scored.assign(**counts, category=scored["category"].astype("object"))
    prompts = rows.groupby(_PROMPT, observed=True)
    counted = prompts[[*counts]].sum().astype(int).join(prompts["category"].first()).reset_index()
    counted["category"] = counted["category"].where(counted["category"].notna(), None)
    return counted[(counted["think_scored"] > 0) & (counted["no_think_scored"] > 0)]


def _order(flip: Flip) -> tuple[str, int, str, float, bool, str]:
    kind, apart = PROMPT_KINDS.index(flip.kind), -round(abs(flip.apart), 9)
    return flip.model, kind, flip.dataset, apart, flip.apart < 0, flip.prompt_id


def flips_csv(flips: Iterable[Flip]) -> str:
    """Write flips as CSV text with a header; a cell that a spreadsheet would run as a formula begins with `'`."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    row = attrgetter(*COLUMNS)
    lines.writerows([_plain(cell) for cell in row(flip)] for flip in flips)
    return text.getvalue()


def _plain(cell: str | int | None) -> str | int | None:
    return escape_formula(cell) if isinstance(cell, str) else cell


def flips_summary(flips: Sequence[Flip]) -> list[str]:
    """Say of each model and set how many prompts flip in each direction, one line each."""
    groups = dict.fromkeys((flip.model, flip.dataset, flip.kind) for flip in flips)
    lines = []
    for model, dataset, kind in groups:
        of_set = [f for f in flips if (f.model, f.dataset, f.kind) == (model, dataset, kind)]
        more = sum(flip.more_often == "think" for flip in of_set)
        event = KIND_WORDS[kind].event
        lines.append(
            f"{model}, {dataset}: the model {event} more often with thinking on {more} prompts, "
            f"more often without on {len(of_set) - more}"
        )
    return lines
