"""What the site shows of an entry: one flat record, the same in the page, in JSON and in CSV."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from rim_eval.card import Card, Rate, SetCard
from rim_eval.leaderboard._entry import Entry
from rim_eval.leaderboard._reference import PublishedModel, Reference
from rim_eval.leaderboard._submission import slug
from rim_eval.statistics import Shown
from rim_eval.types import PROMPT_KINDS, PromptKind

__all__ = ["Row", "SetFigures", "csv_head", "csv_row", "entry_row", "published_rows"]

Shows = Literal["more", "less", "not_shown", "unknown"]
"""What a difference shows (`rim_eval.statistics.shown`): the event is more or less frequent with
thinking, or neither; `unknown` without an interval."""

_SHOWS: Final[dict[Shown, Shows]] = {
    "more": "more",
    "less": "less",
    "includes_zero": "not_shown",
    "not_confirmed": "not_shown",
    "unknown": "unknown",
}


class SetFigures(BaseModel):
    """One set: rates in percent, difference in percentage points (think minus no-think)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    kind: PromptKind
    no_think: tuple[float | None, float | None, float | None, int | None]
    """Rate, lower and upper end, n scored."""
    think: tuple[float | None, float | None, float | None, int | None]
    difference: tuple[float | None, float | None, float | None]
    p_value: float | None
    pairs: int | None
    unscored: int | None
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
    measured: str | None
    harmful: str | None
    """Name of the set that comes first; likewise `benign` and `reasoning`."""
    benign: str | None
    reasoning: str | None
    sets: tuple[SetFigures, ...]


def entry_row(entry: Entry) -> Row:
    """The line of an entry."""
    card, model = entry.card, entry.model
    return Row(
        id=entry.id,
        page=f"models/{entry.folder}.html",
        source=model.kind,
        model=model.model,
        developer=model.developer,
        family=model.family,
        parameters=model.parameters,
        arm=card.sets[0].counts.arm_kind,
        measured=card.created,
        harmful=card.primary,
        benign=_largest(card.of_kind("benign")),
        reasoning=card.primary_reasoning,
        sets=tuple(_figures(each) for each in _ordered(card)),
    )


def published_rows(reference: Reference) -> tuple[Row, ...]:
    """The lines of a published table."""
    return tuple(_published(reference, model) for model in reference.models)


def _ordered(card: Card) -> list[SetCard]:
    return [found for kind in PROMPT_KINDS for found in card.of_kind(kind)]


def _largest(sets: Sequence[SetCard]) -> str | None:
    def pairs(found: SetCard) -> int:
        return found.figures.difference.n_pairs if found.figures.difference else 0

    return max(sets, key=pairs).dataset if sets else None


def _figures(found: SetCard) -> SetFigures:
    figures, judge = found.figures, found.judge
    change = figures.difference
    return SetFigures(
        dataset=found.dataset,
        kind=found.kind,
        no_think=_rate(figures.no_think),
        think=_rate(figures.think),
        difference=(_round(change.value), _round(change.lower), _round(change.upper)) if change else (None,) * 3,
        p_value=change.p_value if change else None,
        pairs=change.n_pairs if change else None,
        unscored=sum(rate.n_unscored for rate in (figures.think, figures.no_think) if rate),
        shows=_SHOWS[change.shown] if change else "unknown",
        judge=judge.name if judge else None,
        grader=judge.model if judge else None,
        sees=judge.sees if judge else None,
    )  # fmt: skip


def _rate(rate: Rate | None) -> tuple[float | None, float | None, float | None, int | None]:
    if rate is None:
        return None, None, None, 0
    value, lower, upper = (_percent(end) for end in (rate.value, rate.lower, rate.upper))
    return value, lower, upper, rate.n_scored


def _percent(share: float | None) -> float | None:
    return None if share is None else _round(100 * share)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _published(reference: Reference, model: PublishedModel) -> Row:
    return Row(
        id=f"{reference.id}--{slug(model.model)}",
        page=f"models/{reference.id}.html",
        source="published",
        model=model.model,
        developer=model.developer,
        family=model.family,
        parameters=model.parameters,
        arm=reference.arm_kind,
        measured=None,
        harmful=reference.harmful_set,
        benign=None,
        reasoning=reference.reasoning_set,
        sets=(
            _two_rates(reference, reference.harmful_set, "harmful", model.misalignment_no_think, model.misalignment_think),
            _two_rates(reference, reference.reasoning_set, "reasoning", model.accuracy_no_think, model.accuracy_think),
        ),
    )  # fmt: skip


def _two_rates(
    reference: Reference, dataset: str, kind: PromptKind, no_think: float, think: float
) -> SetFigures:
    judged = kind == "harmful"
    return SetFigures(
        dataset=dataset,
        kind=kind,
        no_think=(no_think, None, None, None),
        think=(think, None, None, None),
        difference=(round(think - no_think, 4), None, None),
        p_value=None,
        pairs=None,
        unscored=None,
        shows="unknown",
        judge=reference.judge if judged else None,
        grader=reference.grader if judged else None,
    )


_CSV: Final = (
    "id", "source", "model", "developer", "family", "parameters", "arm", "measured", "dataset", "kind",
    "no_think_percent", "no_think_lower", "no_think_upper", "no_think_n",
    "think_percent", "think_lower", "think_upper", "think_n",
    "difference_points", "difference_lower", "difference_upper", "p_value", "pairs", "unscored",
    "shows", "judge", "grader", "sees",
)  # fmt: skip


def csv_head() -> tuple[str, ...]:
    """Column names: one line a set."""
    return _CSV


def csv_row(row: Row, found: SetFigures) -> tuple[Any, ...]:
    """One set of one entry as a line of the table."""
    about = (row.id, row.source, row.model, row.developer, row.family, row.parameters, row.arm, row.measured)  # fmt: skip
    figures = (*found.no_think, *found.think, *found.difference, found.p_value, found.pairs)
    judge = (found.judge, found.grader, found.sees)
    return (*about, found.dataset, found.kind, *figures, found.unscored, found.shows, *judge)
