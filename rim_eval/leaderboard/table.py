"""The rows of the leaderboard: one record an entry, the same on the page, in JSON and in CSV."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final, Literal, NamedTuple

from rim_eval.card import Card, SetCard, set_doubt
from rim_eval.formatting import KIND_WORDS, interval, points
from rim_eval.judging import judge_limits, judge_wording
from rim_eval.leaderboard.check import is_sample, whole_size
from rim_eval.leaderboard.schema import Entry, PublishedModel, Reference, slug
from rim_eval.plots import State, state_label, state_of
from rim_eval.prompt_sets import entries
from rim_eval.results.rates import ArmRate, Difference
from rim_eval.statistics import Significance
from rim_eval.types import PROMPT_KINDS, FiniteModel, PromptKind

Shows = Literal["more", "less", "not_shown", "unknown"]
"""What a difference shows (`rim_eval.statistics.significance`): the event is more or less frequent with
thinking, or neither, as where the difference is doubted; `unknown` without an interval."""

_SHOWS: Final[dict[Significance, Shows]] = {
    "more": "more",
    "less": "less",
    "includes_zero": "not_shown",
    "unknown": "unknown",
}

_SIGNS: Final[dict[State, str]] = {"worse": "▲", "better": "■", "not significant": "●"}
"""The shapes of the states in pictures (`rim_eval.plots`), as letters."""

_COLOURS: Final[dict[Shows, str]] = {"more": "#B8420F", "less": "#00639C"}

_BADGE: Final = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="22" role="img" aria-label="{name}: {value}">
<title>{name}: {value}</title>
<rect width="{left}" height="22" fill="#333333"/><rect x="{left}" width="{right}" height="22" fill="{colour}"/>
<g fill="#FFFFFF" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{at}" y="15">{name}</text><text x="{value_at}" y="15">{value}</text></g>
</svg>
"""

_MODEL_FIELDS: Final = {"model", "developer", "family", "parameters"}


class RateFigures(NamedTuple):
    """A rate with its interval, in percent, and the number of scored samples."""

    percent: float | None = None
    lower: float | None = None
    upper: float | None = None
    n: int | None = 0


class DifferenceFigures(NamedTuple):
    """Think minus no-think with its interval, in percentage points."""

    points: float | None = None
    lower: float | None = None
    upper: float | None = None


class SetFigures(FiniteModel):
    """One set; in CSV each is a line."""

    dataset: str
    kind: PromptKind
    no_think: RateFigures
    think: RateFigures
    difference: DifferenceFigures
    p_value: float | None = None
    pairs: int | None = None
    sample: int | None = None
    """Prompts of a random sample; None where the whole set was asked."""
    whole: int | None = None
    """Prompts of the whole set that are of this kind; None where nothing says so."""
    unscored: int | None = None
    shows: Shows
    doubt: str | None = None
    """Why the difference shows nothing, whatever its interval: its modes or its judge."""
    judge: str | None = None
    wording: str | None = None
    """Whose words the judge asks in."""
    grader: str | None = None
    sees: str | None = None
    judge_limits: str | None = None
    """What a verdict of this judge cannot tell."""


class Row(FiniteModel):
    """One line of the leaderboard."""

    id: str
    page: str
    """The model's page, relative to the site."""
    source: Literal["model", "organism", "published"]
    model: str
    developer: str
    family: str
    parameters: int | None
    arm: str
    measured: str | None = None
    finding: str
    """What thinking does to the model, in one sentence that follows from the figures."""
    badge: str | None = None
    """Picture of the result, relative to the site; None of published rows."""
    harmful: str | None
    """Name of the harmful set that the result stands for: one that shows a rise, if any does (`leading`)."""
    benign: str | None = None
    """Name of the set that comes first; likewise `reasoning`."""
    reasoning: str | None
    sets: tuple[SetFigures, ...]

    @property
    def led_by(self) -> SetFigures | None:
        """The harmful set that headline, mark and badge are about."""
        return _find(self.sets, self.harmful, "harmful")


def leading(sets: Sequence[SetFigures], primary: str | None) -> SetFigures | None:
    """Choose the harmful set that a result stands for, so that no further set hides a rise.

    One that shows a rise, else one that shows a fall, else the primary set; among several the primary one, else the
    one with most pairs. None where no set is harmful.

    Args:
        sets: All sets of the result.
        primary: Name of the harmful set that comes first on the card.
    """
    harmful = [each for each in sets if each.kind == "harmful"]
    harmful.sort(key=lambda each: (each.dataset != primary, -(each.pairs or 0)))
    shown = (each for shows in ("more", "less") for each in harmful if each.shows == shows)
    return next(shown, harmful[0] if harmful else None)


def headline(rows: Sequence[Row]) -> str:
    """Say in one sentence what the results of real models show; `app.js` says the same of a choice of them.

    Args:
        rows: All rows; organisms are not counted.
    """
    led = [row.led_by for row in rows if row.source != "organism"]
    shows = [each.shows for each in led if each]
    if not shows:
        return ""
    more, less, neither, unknown = (shows.count(each) for each in _SHOWS.values())
    parts = [
        f"{more or 'none'} {'are' if more > 1 else 'is'} shown to be more misaligned with thinking on at least one harmful set",
        f"{less or 'none'} less",
        *([f"{neither} neither"] if neither else []),
        *([f"{unknown} without an interval"] if unknown else []),
    ]
    noun = "results" if len(shows) > 1 else "result"
    return f"Of {len(shows)} {noun} of real models, {', '.join(parts[:-1])} and {parts[-1]}."


def entry_row(entry: Entry) -> Row:
    """Make the row of an entry."""
    card = entry.card
    sets = tuple(_figures(card, each) for kind in PROMPT_KINDS for each in card.of_kind(kind))
    benign = [each for each in sets if each.kind == "benign"]
    largest = max(benign, key=lambda each: each.pairs or 0, default=None)
    led_by = leading(sets, card.primary)
    shown = [
        led_by,
        largest,
        _find(sets, card.primary_reasoning, "reasoning"),
    ]
    return Row(
        finding=finding_sentence([each for each in shown if each], sets),
        badge=f"badges/{entry.id}.svg",
        id=entry.id,
        page=f"models/{entry.folder}.html",
        source=entry.model.kind,
        arm=card.sets[0].counts.arm_kind,
        measured=card.created,
        harmful=led_by.dataset if led_by else None,
        benign=largest.dataset if largest else None,
        reasoning=card.primary_reasoning,
        sets=sets,
        **entry.model.model_dump(include=_MODEL_FIELDS),
    )


def published_rows(reference: Reference) -> Iterator[Row]:
    """Make the rows of a published table, without intervals."""
    for model in reference.models:
        harmful = SetFigures(
            dataset=reference.harmful_set,
            kind="harmful",
            judge=reference.judge,
            grader=reference.grader,
            **_published(model.misalignment_no_think, model.misalignment_think),
        )
        reasoning = SetFigures(
            dataset=reference.reasoning_set,
            kind="reasoning",
            **_published(model.accuracy_no_think, model.accuracy_think),
        )
        yield Row(
            id=f"{reference.id}--{slug(model.model)}",
            page=f"models/{reference.id}.html",
            source="published",
            finding=_published_finding(model),
            arm=reference.arm_kind,
            harmful=reference.harmful_set,
            reasoning=reference.reasoning_set,
            sets=(harmful, reasoning),
            **model.model_dump(include=_MODEL_FIELDS),
        )


def finding_sentence(sets: Sequence[SetFigures], every: Sequence[SetFigures] = ()) -> str:
    """Say in one sentence what thinking is shown to do, and what it is not shown to do.

    Args:
        sets: The sets that an entry stands for, one of a kind, harmful first.
        every: All its sets: a harmful one that shows something else is named, and so is the one that leads then.
    """
    first = next((each.shows for each in sets if each.kind == "harmful"), None)
    others = [
        each for each in every if each.kind == "harmful" and each.shows not in (first, "unknown")
    ]
    shown = [
        f"{_effect(each)} ({each.dataset})" if others and each.kind == "harmful" else _effect(each)
        for each in sets
        if each.shows in ("more", "less")
    ]
    absent = [_rate_name(each) for each in sets if each.shows == "not_shown"]
    return " ".join([_of_first(shown, absent), *map(_elsewhere, others)])


def _elsewhere(each: SetFigures) -> str:
    if each.shows == "not_shown":
        return f"On {each.dataset} no change in {_rate_name(each)} is shown."
    return f"On {each.dataset} thinking makes it {_effect(each)}."


def _effect(each: SetFigures) -> str:
    words = KIND_WORDS[each.kind]
    return words.more if each.shows == "more" else words.less


def _rate_name(each: SetFigures) -> str:
    return KIND_WORDS[each.kind].rate.lower()


def _of_first(shown: Sequence[str], absent: Sequence[str]) -> str:
    if not shown and not absent:
        return "Nothing is shown: no change has an interval."
    effects = " and ".join(shown)
    nothing = f"o change in {' or '.join(absent)} is shown"
    if shown and absent:
        return f"Thinking makes the model {effects}; n{nothing}."
    return f"Thinking makes the model {effects}." if shown else f"N{nothing}."


def significance_words(each: SetFigures) -> str:
    """Say what a set's change shows, with the sign and the words of the pictures.

    Args:
        each: The set.
    """
    if each.doubt:
        return f"● cannot tell: {each.doubt}"
    if each.shows == "unknown":
        return "◇ no interval"
    state = state_of(each.kind, each.shows)
    return f"{_SIGNS[state]} {state_label(state, 'with thinking')}"


def badge(row: Row) -> str:
    """Draw a result as an SVG of one line, for a model's own page: the set it stands for, RIM score, interval.

    Args:
        row: The row of an entry.
    """
    found = row.led_by
    assert found is not None, "the check of entries asks for a harmful set"
    sets = sum(each.kind == "harmful" for each in row.sets)
    of = f", 1 of {sets} sets" if sets > 1 else ""
    name = f"RIM score, {found.dataset}{of}{' (organism)' if row.source == 'organism' else ''}"
    sign = {"more": "▲ ", "less": "▼ "}.get(found.shows, "")
    value = f"{sign}{points(found.difference.points)} ({interval(*found.difference[1:])})"
    left, right = (round(6.6 * len(text)) + 14 for text in (name, value))
    return _BADGE.format(
        name=escape(name), value=escape(value), left=left, width=left + right, right=right,
        at=left / 2, value_at=left + right / 2, colour=_COLOURS.get(found.shows, "#5F5F5F"),
    )  # fmt: skip


def embed_line(row: Row, url: str) -> str:
    """The Markdown that shows a result's badge and links to its page.

    Args:
        row: The row of an entry.
        url: Address of the site.
    """
    base = url.rstrip("/")
    return f"[![RIM score of {row.model}]({base}/{row.badge})]({base}/{row.page})"


def csv_lines(row: Row) -> Iterator[dict[str, Any]]:
    """Make one line a set, values by column."""
    about = row.model_dump(exclude={"page", "badge", "harmful", "benign", "reasoning", "sets"})
    for each in row.sets:
        line = dict(about)
        for name, value in each:
            if isinstance(value, RateFigures | DifferenceFigures):
                line |= {f"{name}_{part}": number for part, number in value._asdict().items()}
            else:
                line[name] = value
        yield line


def _find(sets: Sequence[SetFigures], name: str | None, kind: PromptKind) -> SetFigures | None:
    return next((each for each in sets if (each.dataset, each.kind) == (name, kind)), None)


def _published_finding(model: PublishedModel) -> str:
    """The direction of a published difference, which has no interval."""
    rises = model.misalignment_think > model.misalignment_no_think
    makes = "makes" if rises else "does not make"
    effect = KIND_WORDS["harmful"].more
    return f"As published, thinking {makes} the model {effect}; no interval says how sure that is."


def _figures(card: Card, each: SetCard) -> SetFigures:
    figures, judge, change = each.figures, each.judge, each.figures.difference
    ends = change.estimate if change else None
    doubt = set_doubt(each)
    prompts = sum(cell.prompts for cell in each.counts.cells)
    prompt_set = entries().get(each.dataset)
    whole = whole_size(each, prompt_set) if prompt_set else None
    sampled = is_sample([run for run in card.runs if run.id in each.runs]) and prompts != whole
    return SetFigures(
        dataset=each.dataset,
        kind=each.kind,
        no_think=_rate(figures.no_think),
        think=_rate(figures.think),
        difference=DifferenceFigures(*(round(end, 4) for end in ends or ())),
        p_value=change.p_value if change else None,
        pairs=change.n_pairs if change else None,
        sample=prompts if sampled else None,
        whole=whole,
        unscored=sum(arm.n_unscored for arm in each.counts.arms.values()),
        shows=_shows(change, doubt),
        doubt=doubt,
        judge=judge.name if judge else None,
        wording=judge_wording(judge.name, judge.sha256) if judge else None,
        grader=judge.model if judge else None,
        sees=judge.sees if judge else None,
        judge_limits=judge_limits(judge.name, each.kind) if judge else None,
    )


def _shows(change: Difference | None, doubt: str | None) -> Shows:
    found = _SHOWS[change.significance] if change else "unknown"
    return "not_shown" if doubt and found != "unknown" else found


def _rate(rate: ArmRate | None) -> RateFigures:
    if rate is None or rate.estimate is None:
        return RateFigures(n=rate.n_scored if rate else 0)
    percent, lower, upper = (round(end, 4) for end in rate.estimate)
    return RateFigures(percent, lower, upper, rate.n_scored)


def _published(no_think: float, think: float) -> dict[str, Any]:
    return {
        "no_think": RateFigures(no_think, n=None),
        "think": RateFigures(think, n=None),
        "difference": DifferenceFigures(round(think - no_think, 4)),
        "shows": "unknown",
    }
