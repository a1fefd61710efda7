"""The rows of the leaderboard: one flat record an entry, the same on the page, in JSON and in CSV."""

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from rim_eval.card import ArmRate, SetCard
from rim_eval.leaderboard.schema import Entry, PublishedModel, Reference, slug
from rim_eval.statistics import Significance
from rim_eval.types import PROMPT_KINDS, PromptKind

Shows = Literal["more", "less", "not_shown", "unknown"]
"""What a difference shows (`rim_eval.statistics.significance`): the event is more or less frequent with
thinking, or neither; `unknown` without an interval."""

_SHOWS: Final[dict[Significance, Shows]] = {
    "more": "more",
    "less": "less",
    "includes_zero": "not_shown",
    "not_confirmed": "not_shown",
    "unknown": "unknown",
}

RateFigures = tuple[float | None, float | None, float | None, int | None]
"""Rate, lower and upper end in percent, n scored."""


class SetFigures(BaseModel):
    """One set: rates in percent, difference in percentage points (think minus no-think)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    kind: PromptKind
    no_think: RateFigures
    think: RateFigures
    difference: tuple[float | None, float | None, float | None]
    p_value: float | None = None
    pairs: int | None = None
    unscored: int | None = None
    shows: Shows
    judge: str | None = None
    grader: str | None = None
    sees: str | None = None


class Row(BaseModel):
    """One line of the leaderboard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    page: str | None
    """The model's page, relative to the site."""
    source: Literal["model", "organism", "published"]
    model: str
    developer: str
    family: str
    parameters: int | None
    arm: str
    measured: str | None = None
    harmful: str | None
    """Name of the set that comes first; likewise `benign` and `reasoning`."""
    benign: str | None = None
    reasoning: str | None
    sets: tuple[SetFigures, ...]


def entry_row(entry: Entry) -> Row:
    """Make the row of an entry."""
    card = entry.card
    sets = tuple(_figures(each) for kind in PROMPT_KINDS for each in card.of_kind(kind))
    benign = [each for each in sets if each.kind == "benign"]
    largest = max(benign, key=lambda each: each.pairs or 0, default=None)
    return Row(
        id=entry.id,
        page=f"models/{entry.folder}.html",
        source=entry.model.kind,
        arm=card.sets[0].counts.arm_kind,
        measured=card.created,
        harmful=card.primary,
        benign=largest.dataset if largest else None,
        reasoning=card.primary_reasoning,
        sets=sets,
        **entry.model.model_dump(include=_ABOUT),
    )


def published_rows(reference: Reference) -> tuple[Row, ...]:
    """Make the rows of a published table."""
    return tuple(
        Row(
            id=f"{reference.id}--{slug(model.model)}",
            page=f"models/{reference.id}.html",
            source="published",
            arm=reference.arm_kind,
            harmful=reference.harmful_set,
            reasoning=reference.reasoning_set,
            sets=_published_figures(reference, model),
            **model.model_dump(include=_ABOUT),
        )
        for model in reference.models
    )


_ABOUT: Final = {"model", "developer", "family", "parameters"}

CSV_COLUMNS: Final = (
    "id", "source", "model", "developer", "family", "parameters", "arm", "measured", "dataset", "kind",
    "no_think_percent", "no_think_lower", "no_think_upper", "no_think_n",
    "think_percent", "think_lower", "think_upper", "think_n",
    "difference_points", "difference_lower", "difference_upper", "p_value", "pairs", "unscored",
    "shows", "judge", "grader", "sees",
)  # fmt: skip


def csv_rows(row: Row) -> Iterator[tuple[Any, ...]]:
    """Make one line a set, with the columns of `CSV_COLUMNS`."""
    about = (row.id, row.source, row.model, row.developer, row.family, row.parameters, row.arm, row.measured)  # fmt: skip
    for each in row.sets:
        figures = (*each.no_think, *each.think, *each.difference, each.p_value, each.pairs)
        judge = (each.judge, each.grader, each.sees)
        yield (*about, each.dataset, each.kind, *figures, each.unscored, each.shows, *judge)


def _figures(each: SetCard) -> SetFigures:
    figures, judge, change = each.figures, each.judge, each.figures.difference
    return SetFigures(
        dataset=each.dataset,
        kind=each.kind,
        no_think=_rate(figures.no_think),
        think=_rate(figures.think),
        difference=(_round(change.value), _round(change.lower), _round(change.upper)) if change else (None,) * 3,
        p_value=change.p_value if change else None,
        pairs=change.n_pairs if change else None,
        unscored=sum(rate.n_unscored for rate in (figures.think, figures.no_think) if rate),
        shows=_SHOWS[change.significance] if change else "unknown",
        judge=judge.name if judge else None,
        grader=judge.model if judge else None,
        sees=judge.sees if judge else None,
    )  # fmt: skip


def _rate(rate: ArmRate | None) -> RateFigures:
    if rate is None:
        return None, None, None, 0
    value, lower, upper = (_round(end, 100) for end in (rate.value, rate.lower, rate.upper))
    return value, lower, upper, rate.n_scored


def _round(value: float | None, factor: int = 1) -> float | None:
    return None if value is None else round(factor * value, 4)


def _published_figures(table: Reference, model: PublishedModel) -> tuple[SetFigures, ...]:
    sets: list[tuple[str, PromptKind, float, float, str | None, str | None]] = [
        (table.harmful_set, "harmful", model.misalignment_no_think, model.misalignment_think, table.judge, table.grader),
        (table.reasoning_set, "reasoning", model.accuracy_no_think, model.accuracy_think, None, None),
    ]  # fmt: skip
    return tuple(
        SetFigures(
            dataset=dataset,
            kind=kind,
            no_think=(no_think, None, None, None),
            think=(think, None, None, None),
            difference=(round(think - no_think, 4), None, None),
            shows="unknown",
            judge=judge,
            grader=grader,
        )
        for dataset, kind, no_think, think, judge, grader in sets
    )
