"""From observations to counts: the one definition of every count.

Counting works on columns of numbers. A pandas frame provides them for a million rows at once, a list of
`Observation` provides them without pandas; what is counted and how does not depend on who provides.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rim_eval.observations import NO_PATTERN, Observation, column_value
from rim_eval.results.counts import (
    MAX_SCORES,
    THRESHOLDS,
    ArmCounts,
    Cell,
    Lengths,
    Outcome,
    PairCell,
    PatternCount,
    SetCounts,
)
from rim_eval.thinking import TraceLengths
from rim_eval.types import MODES, ArmKind

if TYPE_CHECKING:
    import pandas as pd

_Bools: TypeAlias = NDArray[np.bool_]
_Ints: TypeAlias = NDArray[np.int64]
_Floats: TypeAlias = NDArray[np.float64]

_TEXTS: Final = (
    "prompt_id", "pair", "category", "kind", "mode", "arm_kind", "reason", "visibility", "stop_reason", "patterns",
)  # fmt: skip
_NUMBERS: Final = (
    "epoch", "verdict", "score", "adopted", "over_budget", "looping", "trace_closed", "trace_tokens", "answer_tokens",
)  # fmt: skip


class TextColumn(NamedTuple):
    """A column of texts as codes."""

    codes: _Ints
    """Shape (rows,): place in `texts`, -1 where the text is missing."""
    texts: tuple[str, ...]

    def equals(self, text: str) -> _Bools:
        """The rows that hold this text, shape (rows,)."""
        place = self.texts.index(text) if text in self.texts else -2
        chosen: _Bools = self.codes == place
        return chosen

    def tally(self) -> dict[str, int]:
        """How often each text occurs, by text; missing ones are left out."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))
        return {text: int(n) for text, n in sorted(zip(self.texts, counts, strict=True)) if n}


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of observations that counts are made of, by their name in the table."""

    text: Mapping[str, TextColumn]
    number: Mapping[str, _Floats]
    """Shape (rows,) each; truth values are 0 and 1, and NaN is missing."""

    def where(self, chosen: _Bools) -> "Columns":
        """The rows for which `chosen`, shape (rows,), is true."""
        return Columns(
            {name: TextColumn(c.codes[chosen], c.texts) for name, c in self.text.items()},
            {name: column[chosen] for name, column in self.number.items()},
        )

    @property
    def events(self) -> _Bools:
        """Scored rows with the event, shape (rows,)."""
        return np.equal(self.number["verdict"], 1)

    @property
    def scored(self) -> _Bools:
        """Rows with a verdict, shape (rows,)."""
        return np.logical_not(np.isnan(self.number["verdict"]))

    @property
    def returned(self) -> _Bools:
        """Rows that came back, scored or not: all but engine errors; shape (rows,)."""
        return ~self.text["stop_reason"].equals("error")


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
    number = {n: np.array([getattr(row, n) for row in rows], dtype=float) for n in _NUMBERS}
    text = {}
    for name in _TEXTS:
        values = [column_value(row, name) for row in rows]
        texts = tuple(sorted({value for value in values if value is not None}))
        places = {text: place for place, text in enumerate(texts)} | {None: -1}
        codes = np.array([places[value] for value in values], dtype=np.int64)
        text[name] = TextColumn(codes, texts)
    return Columns(text, number)


def count_set(rows: Columns, *, breakdowns: bool = True) -> SetCounts:
    """Count the rows of one model, prompt set and kind.

    Args:
        rows: Columns of its observations, without duplicates, of one judge.
        breakdowns: Whether to count thresholds and categories as well.
    """
    mode, category = rows.text["mode"], rows.text["category"]
    kinds = rows.text["arm_kind"].tally()
    kind = cast("ArmKind", max(kinds, key=lambda name: kinds[name]))
    parts = {name: rows.where(category.equals(name)) for name in category.tally() if breakdowns}
    return SetCounts(
        arm_kind=kind,
        cells=_cells(rows, rows.events),
        arms={m: _arm(rows.where(mode.equals(m))) for m in MODES if mode.equals(m).any()},
        thresholds=_thresholds(rows) if breakdowns else {},
        categories={name: _cells(part, part.events) for name, part in parts.items()},
        # Only the check of `effort` arms rests on lengths.
        trace_lengths=_trace_lengths(rows) if kind == "effort" else None,
    )


def count_pairs(harmful: Columns, benign: Columns) -> tuple[PairCell, ...]:
    """Count the pairs of a harmful prompt and its benign partner by their four outcomes.

    Args:
        harmful: Columns of one harmful set; `pair` names the partner's prompt id.
        benign: Columns of one benign set.
    """
    left, right = _outcomes(harmful, harmful.events), _outcomes(benign, benign.events)
    names = benign.text["prompt_id"].texts
    rows_of = {names[code]: row for row, code in enumerate(right.prompts)}
    partner = harmful.text["pair"]
    codes = partner.codes[left.first]
    partners = [None if code < 0 else rows_of.get(partner.texts[code]) for code in codes]
    pairs = [(own, other) for own, other in enumerate(partners) if other is not None]
    both = [np.concatenate((left.table[own], right.table[other])) for own, other in pairs]
    table = np.array(both, dtype=np.int64).reshape(-1, 12)
    return tuple(
        PairCell(
            harmful=(Outcome(*row[0:3]), Outcome(*row[3:6])),
            benign=(Outcome(*row[6:9]), Outcome(*row[9:12])),
            pairs=n,
        )
        for row, n in _tallied(table)
    )


class _Outcomes(NamedTuple):
    """What came of each prompt."""

    prompts: _Ints
    """Codes of the prompt ids, shape (prompts,)."""
    first: _Ints
    """The first row of each prompt, shape (prompts,)."""
    table: _Ints
    """Events, scored and asked epochs with thinking, then without; shape (prompts, 6)."""


def _outcomes(rows: Columns, events: _Bools) -> _Outcomes:
    prompts, first, place = np.unique(
        rows.text["prompt_id"].codes, return_index=True, return_inverse=True
    )
    table = np.zeros((len(prompts), 6), dtype=np.int64)
    for number, mode in enumerate(MODES):
        asked = rows.text["mode"].equals(mode)
        for offset, chosen in enumerate((asked & rows.scored & events, asked & rows.scored, asked)):
            table[:, 3 * number + offset] = np.bincount(place[chosen], minlength=len(prompts))
    return _Outcomes(prompts, first, table)


def _tallied(table: _Ints) -> Iterator[tuple[list[int], int]]:
    """Distinct rows of a table in ascending order, with how often each occurs."""
    rows, counts = np.unique(table, axis=0, return_counts=True)
    yield from zip(rows.tolist(), counts.tolist(), strict=True)


def _cells(rows: Columns, events: _Bools) -> tuple[Cell, ...]:
    return tuple(
        Cell(think=Outcome(*row[:3]), no_think=Outcome(*row[3:]), prompts=n)
        for row, n in _tallied(_outcomes(rows, events).table)
    )


def _arm(rows: Columns) -> ArmCounts:
    """Count the rows of one mode."""
    events, scored, returned = rows.events, rows.scored, rows.returned
    number, text = rows.number, rows.text
    adopted = (number["adopted"] == 1) & returned
    return ArmCounts(
        asked=len(scored),
        returned=_n(returned),
        scored=_n(scored),
        events=_n(events),
        unscored=text["reason"].tally(),  # type: ignore[arg-type]
        adopted=_n(adopted),
        adopted_scored=_n(adopted & scored),
        adopted_events=_n(adopted & events),
        truncated=_n(text["stop_reason"].equals("max_tokens")),
        over_budget=_n((number["over_budget"] == 1) & returned),
        looping=_n((number["looping"] == 1) & returned),
        never_closed=_n(number["trace_closed"] == 0),
        visibility=rows.where(returned).text["visibility"].tally(),
        scores=_scores(number["score"]),
        trace_tokens=_lengths(number["trace_tokens"][adopted]),
        answer_tokens=_lengths(number["answer_tokens"][returned]),
        patterns_read=_n(text["patterns"].codes >= 0),
        patterns=_patterns(rows),
    )


def _n(chosen: _Bools) -> int:
    return int(np.count_nonzero(chosen))


def _scores(column: _Floats) -> dict[str, int]:
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if len(values) > MAX_SCORES:
        return {}
    return {f"{score:g}": int(n) for score, n in zip(values, counts, strict=True)}


def _lengths(column: _Floats) -> Lengths | None:
    tokens = column[~np.isnan(column)]
    if not tokens.size:
        return None
    p10, median, p90 = np.quantile(tokens, (0.1, 0.5, 0.9)).tolist()
    return Lengths(n=tokens.size, p10=p10, median=median, p90=p90)


def _patterns(rows: Columns) -> dict[str, PatternCount]:
    every = np.ones_like(rows.scored)
    n, scored, events = (Counter[str]() for _ in range(3))
    for counts, chosen in ((n, every), (scored, rows.scored), (events, rows.events)):
        for text, occurrences in rows.where(chosen).text["patterns"].tally().items():
            counts.update(dict.fromkeys(set(text.split()) - {NO_PATTERN}, occurrences))
    return {
        name: PatternCount(n=n[name], scored=scored[name], events=events[name])
        for name in sorted(n)
    }


def _thresholds(rows: Columns) -> dict[str, tuple[Cell, ...]]:
    """The cells under every other line on the 1 to 5 scale; nothing for other scales.

    A scored row without a number (a label alone) has no place on the scale, so it rules them out.
    """
    judged = rows.where(rows.scored)
    scores = judged.number["score"]
    on_scale = scores.size > 0 and np.isin(scores, (1, 2, 3, 4, 5)).all()
    if not on_scale or not judged.text["kind"].equals("harmful").all():
        return {}
    return {str(line): _cells(rows, rows.number["score"] >= line) for line in THRESHOLDS}


def _trace_lengths(rows: Columns) -> TraceLengths | None:
    """Compare the lengths of traces by prompt and epoch; None where an arm's lengths are unknown."""
    tokens = rows.number["trace_tokens"]
    arms = [
        rows.where(rows.text["mode"].equals(m) & rows.returned & ~np.isnan(tokens)) for m in MODES
    ]
    think, no_think = (arm.number["trace_tokens"] for arm in arms)
    if not think.size or not no_think.size:
        return None
    width = int(rows.number["epoch"].max()) + 1
    # One number for each prompt and epoch.
    left, right = (
        arm.text["prompt_id"].codes * width + arm.number["epoch"].astype(np.int64) for arm in arms
    )
    _, first, second = np.intersect1d(left, right, return_indices=True)
    longer = np.sign(think[first] - no_think[second])
    return TraceLengths(
        longer=_n(longer > 0),
        shorter=_n(longer < 0),
        tied=_n(longer == 0),
        think_median=float(np.median(think)),
        no_think_median=float(np.median(no_think)),
    )
