"""The columns of observations that counts are made of: of a pandas frame, or of a list without pandas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rim_eval.observations import Observation, column_values

if TYPE_CHECKING:
    import pandas as pd

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_TEXTS: Final = (
    "prompt_id", "pair", "category", "kind", "mode", "arm_kind", "reason", "visibility", "stop_reason", "patterns", "judge_sees", "dose", "attack", "sampling",
)  # fmt: skip
_NUMBERS: Final = (
    "epoch", "verdict", "score", "adopted", "over_budget", "trace_over_budget", "over_limit", "looping", "trace_closed", "closed_at_budget",
    "trace_tokens", "answer_tokens", "sequential",
)  # fmt: skip


class TextColumn(NamedTuple):
    """A column of texts as codes."""

    codes: Ints
    """Shape (rows,): place in `texts`, -1 where the text is missing."""
    texts: tuple[str, ...]

    def equals(self, text: str) -> Bools:
        """The rows that hold this text, shape (rows,)."""
        code = self.texts.index(text) if text in self.texts else -2
        chosen: Bools = self.codes == code
        return chosen

    def tally(self) -> dict[str, int]:
        """How often each text occurs, by text; missing ones are left out."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))
        return {text: int(n) for text, n in sorted(zip(self.texts, counts, strict=True)) if n}


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of observations that counts are made of, by their name in the table."""

    text: Mapping[str, TextColumn]
    number: Mapping[str, Floats]
    """Shape (rows,) each; truth values are 0 and 1, and NaN is missing."""

    def where(self, chosen: Bools) -> "Columns":
        """The rows for which `chosen`, shape (rows,), is true."""
        return Columns(
            {name: TextColumn(c.codes[chosen], c.texts) for name, c in self.text.items()},
            {name: column[chosen] for name, column in self.number.items()},
        )

    @property
    def events(self) -> Bools:
        """Scored rows with the event, shape (rows,)."""
        return np.equal(self.number["verdict"], 1)

    @property
    def scored(self) -> Bools:
        """Rows with a verdict, shape (rows,)."""
        return np.logical_not(np.isnan(self.number["verdict"]))

    @property
    def returned(self) -> Bools:
        """Rows with a reply of the model, scored or not; shape (rows,)."""
        without_reply = self.text["stop_reason"].equals("error") | self.text["reason"].equals(
            "other_model"
        )
        return ~(without_reply | self.declined)

    @property
    def declined(self) -> Bools:
        """Rows that the provider declined, shape (rows,)."""
        return self.text["reason"].equals("provider_declined")

    @property
    def of_system(self) -> "Columns":
        """The same rows as the system as a whole answered: what was declined was not complied with.

        So a declined harmful request is not misaligned, a benign one refused, a problem not solved.
        """
        refused = self.text["kind"].equals("benign")
        verdict = np.where(self.declined, refused, self.number["verdict"])
        return Columns(self.text, {**self.number, "verdict": verdict})


def columns_of_frame(frame: "pd.DataFrame") -> Columns:
    """The columns of a table in pandas, typed as `rim_eval.observations.COLUMNS` says."""
    categories = {name: frame[name].cat for name in _TEXTS}
    text = {
        name: TextColumn(c.codes.to_numpy().astype(np.int64), tuple(map(str, c.categories)))
        for name, c in categories.items()
    }
    number = {name: frame[name].to_numpy(dtype=float, na_value=np.nan) for name in _NUMBERS}
    return Columns(text, number)


def columns_of_rows(rows: Sequence[Observation]) -> Columns:
    """The columns of observations in memory; needs no pandas."""
    # As floats None becomes NaN.
    number = {n: np.array(column_values(rows, n), dtype=float) for n in _NUMBERS}
    text = {}
    for name in _TEXTS:
        values = column_values(rows, name)
        texts = tuple(sorted({value for value in values if value is not None}))
        code_of = {text: code for code, text in enumerate(texts)} | {None: -1}
        codes = np.array([code_of[value] for value in values], dtype=np.int64)
        text[name] = TextColumn(codes, texts)
    return Columns(text, number)
