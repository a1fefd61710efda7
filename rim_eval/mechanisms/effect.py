"""Effect: what taking units out does to behaviour, beside random units of the same layers.

A probe score is not a behaviour: the read-out here is what the model replies. What follows from it
is in `effect_verdict`, and what random draws support in `draws`. Only a rise is a claim about them:
all draws are observed where there is one, and `FIRST` of them, for show, where there is none.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from statistics import median
from typing import Final, NamedTuple

from rim_eval.mechanisms.behaviour import MEASURES, Behaviour, Measure
from rim_eval.mechanisms.draws import RandomSets, count_as_far, rank_p
from rim_eval.mechanisms.effect_verdict import (
    MARGIN,
    Effect,
    EffectVerdict,
    about,
    judge,
    reads_a_rise,
    word,
)
from rim_eval.statistics import PairedDifference, paired_difference
from rim_eval.statistics._result import Result
from rim_eval.types import Mode

__all__ = ["Effects", "Intervention", "measure_effects"]

FIRST: Final = 5
"""Random draws that are observed whatever the effect is."""

_MEASURES: Final = tuple(measure for measure in MEASURES if measure != "degenerate")
"""Degenerate replies are told apart by the kind of their prompts."""


class Effects(Result):
    """All measures of one intervention, and what follows."""

    what: str
    """What was done, such as `zeroing 2 heads`."""
    units: tuple[tuple[int, int], ...]
    random_units: tuple[tuple[tuple[int, int], ...], ...]
    """The draws that were observed."""
    matched: int
    """So many of them, the first, lie in the same layers; the others anywhere."""
    effects: tuple[Effect, ...]
    margin: float
    verdict: EffectVerdict
    sentence: str

    def effect(self, measure: Measure, mode: Mode) -> Effect:
        """The effect on one measure in one mode (KeyError when it was not measured)."""
        for each in self.effects:
            if (each.measure, each.mode) == (measure, mode):
                return each
        raise KeyError((measure, mode))


class Intervention(NamedTuple):
    """A set of units with its random draws, and how to take units out."""

    what: str
    units: tuple[tuple[int, int], ...]
    draws: RandomSets
    ablate: Callable[[Sequence[tuple[int, int]]], AbstractContextManager[None]]


def measure_effects(
    intervention: Intervention,
    observe: Callable[[Mode], Behaviour],
    modes: Sequence[Mode] = ("no_think",),
    *,
    untouched: dict[Mode, Behaviour] | None = None,
    margin: float = MARGIN,
    level: float = 0.95,
) -> Effects:
    """Observes the untouched model, the ablated one, and one ablated at random per draw.

    Args:
        intervention: Units and draws; a rise is attributed to the units with 19 draws or more.
        observe: Generates and judges in a mode; it is called inside the ablation.
        modes: Modes to observe; the verdict is about the first.
        untouched: The untouched model's behaviour, where it is known already.
        margin: Percentage points, see `MARGIN`.
        level: Confidence level.
    """
    before = untouched or {mode: observe(mode) for mode in modes}

    def under(units: tuple[tuple[int, int], ...]) -> dict[Mode, Behaviour]:
        with intervention.ablate(units):
            return {mode: observe(mode) for mode in modes}

    def effects_with(drawn: Sequence[dict[Mode, Behaviour]]) -> tuple[Effect, ...]:
        return tuple(
            _effect(mode, measure, before[mode], after[mode], [each[mode] for each in drawn], level)
            for mode in modes
            for measure in _MEASURES
            if before[mode][measure]
        )

    after = under(intervention.units)
    rises = reads_a_rise(about(effects_with([]), modes[0]), margin)
    chosen = intervention.draws.sets[: None if rises else FIRST]
    effects = effects_with([under(units) for units in chosen])
    found = about(effects, modes[0])
    verdict = judge(found, margin)
    matched = min(intervention.draws.matched, len(chosen))
    return Effects(
        what=intervention.what,
        units=intervention.units,
        random_units=chosen,
        matched=matched,
        effects=effects,
        margin=margin,
        verdict=verdict,
        sentence=word(intervention.what, found, modes[0], verdict, margin, matched),
    )


def _effect(
    mode: Mode,
    measure: Measure,
    before: Behaviour,
    after: Behaviour,
    drawn: Sequence[Behaviour],
    level: float,
) -> Effect:
    def against(changed: Behaviour) -> PairedDifference:
        return paired_difference(
            changed[measure],
            before[measure],
            target_name="ablated",
            reference_name="untouched",
            level=level,
        )

    difference = against(after)
    random = tuple(against(each).difference for each in drawn)
    sign = math.copysign(1.0, difference.difference)
    as_far = count_as_far(sign * difference.difference, [sign * each for each in random])
    return Effect(
        mode=mode,
        measure=measure,
        difference=difference,
        random=random,
        random_median=median(random) if random else math.nan,
        p_value=rank_p(as_far, len(random)),
    )
