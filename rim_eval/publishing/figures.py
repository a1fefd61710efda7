"""The figures of a card that may be published: of sets whose modes were verified, each with interval and n."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from rim_eval.card import Card, SetCard
from rim_eval.formatting import ARM_WORDS, KIND_WORDS, MODE_WORDS, interval
from rim_eval.judging import judge_limits
from rim_eval.leaderboard.export import METRIC_NAMES
from rim_eval.prompt_sets import PromptSet, entries
from rim_eval.results.rates import ArmRate, Difference
from rim_eval.types import MODES, Mode

_DECIMALS: Final = 2


class PublishedFigure(NamedTuple):
    """One figure in percent or percentage points, with what a reader must know of it."""

    dataset: str
    """Name of the prompt set, with the condition that it was asked under."""
    metric: str
    """`misalignment_rate`, `over_refusal_rate` or `accuracy`."""
    mode: Mode | None
    """None for the difference, with thinking minus without."""
    value: float
    lower: float
    upper: float
    level: float
    """Confidence of the interval, a fraction."""
    n: int
    """Replies with a verdict; of the difference, pairs of prompts."""
    title: str
    """What is measured, in which unit, and which direction is better."""
    details: dict[str, str]
    """Judge, kind of the arms, what is missing, and versions."""

    @property
    def name(self) -> str:
        """Unique on a card, letters, digits and underscores: `hexphi_misalignment_rate_think`."""
        name = f"{self.dataset}_{self.metric}_{self.mode or 'difference'}"
        return "".join(each if each.isalnum() else "_" for each in name)

    @property
    def prompt_set(self) -> PromptSet | None:
        """The registered set; None for prompts of a user's own."""
        return entries().get(self.dataset.split("+")[0])

    @property
    def sentence(self) -> str:
        """The figure's title with interval, n and details in one line."""
        if self.mode:
            ends = interval(self.lower / 100, self.upper / 100, share=True)
            n = f"{self.n} replies scored"
        else:
            ends, n = f"{interval(self.lower, self.upper)} points", f"{self.n} prompts in pairs"
        details = [f"{name}: {value}" for name, value in self.details.items()]
        return "; ".join([self.title, f"{100 * self.level:g} % interval {ends}", n, *details])


def published_figures(card: Card) -> Iterator[PublishedFigure]:
    """Both rates and their difference for every set whose modes were verified.

    Args:
        card: A card whose figures follow from its counts (`check_card`).
    """
    for each in card.sets:
        if each.mode_check.verified:
            yield from _of_set(card, each)


def unverified_sets(card: Card) -> list[str]:
    """Names of the sets that are not published, because a mode was not shown to be on or off."""
    return [each.dataset for each in card.sets if not each.mode_check.verified]


def _of_set(card: Card, each: SetCard) -> Iterator[PublishedFigure]:
    words = KIND_WORDS[each.kind]
    share, _, better = words.means.removeprefix("share of ").partition("; ")
    details = _details(card, each)
    for mode in MODES:
        if (rate := each.figures.rate(mode)) is not None and rate.estimate:
            title = f"{words.rate} {MODE_WORDS[mode]}, % of {share}; {better}"
            missing = {"unscored": str(rate.n_unscored)}
            yield _figure(each, mode, rate, rate.n_scored, title, missing | details)
    change = each.figures.difference
    if change is not None and change.estimate:
        title = f"{words.difference}: {words.rate.lower()} with thinking minus without, percentage points, paired prompt by prompt; {better}"
        missing = {"unpaired": str(change.n_unpaired)}
        yield _figure(each, None, change, change.n_pairs, title, missing | details)


def _figure(
    each: SetCard, mode: Mode | None, figure: ArmRate | Difference, n: int, title: str, details: Any
) -> PublishedFigure:
    assert figure.estimate is not None
    value, lower, upper = (round(end, _DECIMALS) for end in figure.estimate)
    metric = METRIC_NAMES[each.kind]
    return PublishedFigure(
        each.dataset, metric, mode, value, lower, upper, figure.level, n, title, details
    )


def _details(card: Card, each: SetCard) -> dict[str, str]:
    details = {}
    if each.judge:
        grader = f" with {each.judge.model}" if each.judge.model else ""
        details["judge"] = f"{each.judge.name}{grader}"
        if limits := judge_limits(each.judge.name, each.kind):
            details["limits of the judge"] = limits
    kind = each.counts.arm_kind
    details["modes"] = ARM_WORDS.get(kind, kind)
    if each.sampling != "equal":
        details["sampling"] = each.sampling
    return details | {"rim_eval": card.rim_eval}
