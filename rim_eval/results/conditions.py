"""One prompt set under two conditions: bare and attacked, or decoded in two ways.

Each condition has figures of its own. Their gap, prompt by prompt, says how much the difference between the modes
depends on the condition: a rise that is there under one sampling only is not one of thinking alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field, NonNegativeInt

from rim_eval.formatting import KIND_WORDS, estimate
from rim_eval.observations import Observation, condition_name
from rim_eval.results.columns import Bools, Columns, columns_of_rows
from rim_eval.results.counts import ArmsCell, count_arms, tally_of_arms
from rim_eval.results.doses import least_and_most
from rim_eval.results.rates import Interval, Share
from rim_eval.statistics import PairedDifference, Significance, significance, tallied_gap
from rim_eval.types import MODES, FiniteModel, Name, PromptKind, SamplingProtocol

Factor = Literal["attack", "sampling"]
"""What two conditions differ in."""

_SAMPLING_WORDS: Final[dict[str, str]] = {
    "equal": "with both modes decoded alike",
    "recommended": "with each mode decoded as its maker advises",
    "own": "with each mode decoded as the user says",
}


class Condition(NamedTuple):
    """What a prompt set was asked under."""

    attack: str | None
    sampling: SamplingProtocol

    def words(self, factor: Factor) -> str:
        """The condition in words, as far as one factor goes."""
        if factor == "sampling":
            return _SAMPLING_WORDS[self.sampling]
        return f"under the attack {self.attack}" if self.attack else "on bare prompts"


class GapCounts(FiniteModel):
    """Prompts of one set by their outcomes in both modes under two conditions."""

    dataset: Name
    """The set's own name, without a condition."""
    kind: PromptKind
    factor: Factor
    target: tuple[Name | None, SamplingProtocol]
    """Attack and sampling of the condition that is asked about."""
    reference: tuple[Name | None, SamplingProtocol]
    cells: tuple[ArmsCell, ...]
    """With thinking and without under the target condition, then under the reference."""


class Change(Interval):
    """The difference between the modes under one condition, over the prompts of the gap; points."""

    p_value: Share = Field(ge=0, le=1)

    @property
    def significance(self) -> Significance:
        """What the interval shows."""
        return significance(self.lower, self.upper)


class ConditionGap(Interval):
    """How much the difference between the modes changes from one condition to another, in points."""

    counts: GapCounts
    target_change: Change
    reference_change: Change
    p_value: Share = Field(ge=0, le=1)
    """Two-sided, for no gap."""
    sign_flips: bool
    """Whether both differences are shown, in opposite directions."""
    n_prompts_scored: NonNegativeInt
    """Prompts that are scored in both modes under both conditions."""
    sentence: str

    @property
    def significance(self) -> Significance:
        """What the interval shows."""
        return significance(self.lower, self.upper)

    @property
    def names(self) -> tuple[str, str]:
        """Names under which the figures of the target and of the reference condition stand."""
        dataset, target, reference = self.counts.dataset, self.counts.target, self.counts.reference
        return condition_name(dataset, *target), condition_name(dataset, *reference)


def count_gaps(dataset: str, kind: PromptKind, rows: Columns) -> Iterator[GapCounts]:
    """Count each two conditions of a set that differ in one factor.

    Args:
        dataset: The set's own name.
        kind: Kind of the prompts.
        rows: Columns of its observations under all conditions, of one model and judge.
    """
    rows = least_and_most(rows)
    for reference, target in combinations(_conditions(rows), 2):
        differing: list[Factor] = []
        differing += ["attack"] if reference.attack != target.attack else []
        differing += ["sampling"] if reference.sampling != target.sampling else []
        if len(differing) == 1:
            arms = [
                _arm(rows, condition, mode)
                for condition, mode in product((target, reference), MODES)
            ]
            if all(arm.any() for arm in arms):
                yield GapCounts(
                    dataset=dataset,
                    kind=kind,
                    factor=differing[0],
                    target=target,
                    reference=reference,
                    cells=count_arms(rows, arms),
                )


def gaps_of_rows(rows: Sequence[Observation]) -> list[GapCounts]:
    """Count the gaps of one set from observations in memory; needs no pandas.

    Args:
        rows: Observations of one model on one prompt set by one judge, under all conditions.
    """
    by_kind: dict[PromptKind, list[Observation]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    return [
        counts
        for kind, of_kind in by_kind.items()
        for counts in count_gaps(of_kind[0].bare_dataset, kind, columns_of_rows(of_kind))
    ]


def _conditions(rows: Columns) -> list[Condition]:
    """Conditions that occur; bare prompts and equal sampling first."""
    attacks: Sequence[str | None] = (None, *rows.text["attack"].texts)
    samplings: Any = [name for name in _SAMPLING_WORDS if name in rows.text["sampling"].texts]
    possible = (Condition(attack, sampling) for sampling in samplings for attack in attacks)
    return [each for each in possible if _of_condition(rows, each).any()]


def _of_condition(rows: Columns, condition: Condition) -> Bools:
    attack = rows.text["attack"]
    attacked = attack.codes < 0 if condition.attack is None else attack.equals(condition.attack)
    chosen: Bools = attacked & rows.text["sampling"].equals(condition.sampling)
    return chosen


def _arm(rows: Columns, condition: Condition, mode: str) -> Bools:
    chosen: Bools = _of_condition(rows, condition) & rows.text["mode"].equals(mode)
    return chosen


def gap_of(counts: GapCounts, level: float = 0.95) -> ConditionGap:
    """Everything of a gap that follows from its counts.

    Args:
        counts: The counts.
        level: Confidence of the intervals, a fraction.
    """
    target, reference = Condition(*counts.target), Condition(*counts.reference)
    found = tallied_gap(
        tally_of_arms(counts.cells),
        target_name=target.words(counts.factor),
        reference_name=reference.words(counts.factor),
        level=level,
    )
    fields = found.to_dict()
    changes = [_change(each) for each in (found.target_difference, found.reference_difference)]
    gap = ConditionGap(
        counts=counts,
        value=fields["gap"],
        **{name: fields[name] for name in ("lower", "upper", "level", "p_value", "sign_flips")},
        target_change=changes[0],
        reference_change=changes[1],
        n_prompts_scored=found.n_blocks,
        sentence="",
    )
    return gap.model_copy(update={"sentence": _sentence(gap)})


def _change(difference: PairedDifference) -> Change:
    fields = difference.to_dict()
    return Change.from_result(fields | {"value": fields["difference"]})


def _sentence(gap: ConditionGap) -> str:
    counts = gap.counts
    words = [Condition(*c).words(counts.factor) for c in (counts.target, counts.reference)]
    name = KIND_WORDS[counts.kind].difference
    name = name if name.startswith("RIM") else f"{name[0].lower()}{name[1:]}"
    figures = [
        estimate(each.value, each.lower, each.upper)
        for each in (gap.target_change, gap.reference_change, gap)
    ]
    return (
        f"On {counts.dataset} the {name} is {figures[1]} {words[1]} and {figures[0]} {words[0]}, a gap of {figures[2]} "
        f"points over {gap.n_prompts_scored} prompts: {_conclusion(gap, words)}."
    )


def _conclusion(gap: ConditionGap, words: Sequence[str]) -> str:
    shown = gap.reference_change.significance in ("more", "less")
    if gap.sign_flips:
        return "the sign flips"
    if gap.significance not in ("more", "less"):
        return "no gap is shown"
    if shown and gap.target_change.significance not in ("more", "less"):
        cause = (
            "one of the decoding, not of thinking alone"
            if gap.counts.factor == "sampling"
            else f"not shown {words[0]}"
        )
        return f"the change {words[1]} is {cause}"
    return f"the change is {'higher' if gap.significance == 'more' else 'lower'} {words[0]}"
