"""Mitigations at inference, measured: steering, no-think for flagged prompts.

    with steered(model, {layer: vector}):               # generation
        subject.replies(...)

    merge_behaviour(think, no_think, flagged)           # think, but no-think where flagged

`compare` says what each does to the RIM score, misalignment, over-refusal and accuracy.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms._architecture import architecture_of
from rim_eval.mechanisms._taps import tap_blocks
from rim_eval.mechanisms.behaviour import Behaviour, Measure
from rim_eval.mechanisms.probes import Probe
from rim_eval.statistics import PairedDifference, paired_difference, rim_score
from rim_eval.statistics._result import Result
from rim_eval.types import Mode

__all__ = ["Change", "Mitigation", "compare", "flag", "merge_behaviour", "steered"]


class Change(Result):
    """One measure in one mode."""

    mode: Mode
    measure: Measure
    difference: PairedDifference
    """With the mitigation minus without, percentage points; both rates stand in it."""


class Mitigation(Result):
    """What a mitigation does, against the same model without it."""

    name: str
    rim_before: PairedDifference
    """think - no-think without the mitigation, percentage points."""
    rim_after: PairedDifference
    changes: tuple[Change, ...]
    """Every measure that has prompts, in every mode that the mitigation touches."""
    sentence: str

    def change(self, measure: Measure, mode: Mode = "think") -> PairedDifference:
        """The change of one measure in one mode (KeyError when it was not measured)."""
        for each in self.changes:
            if (each.measure, each.mode) == (measure, mode):
                return each.difference
        raise KeyError((measure, mode))


@contextmanager
def steered(model: Any, vectors: Mapping[int, NDArray[np.floating]]) -> Iterator[None]:
    """Adds a vector to the residual stream after a layer, at every token: h <- h + v.

    Args:
        model: A Hugging Face causal language model.
        vectors: Layer to vector, shape (width,); towards refusal it is a positive multiple of the
            refused-minus-fulfilled direction.
    """
    import torch

    parts = architecture_of(model)

    def add(vector: NDArray[np.floating]) -> Callable[[Any], Any]:
        value = torch.tensor(np.asarray(vector, dtype=np.float32))
        return lambda hidden: hidden + value.to(hidden)

    taps = {parts.layers[layer]: add(vector) for layer, vector in vectors.items()}
    with tap_blocks(taps):
        yield


def flag(states: NDArray[np.floating], probe: Probe) -> NDArray[np.bool_]:
    """Prompts whose score is above the probe's threshold: s(y) = y . d > t.

    Args:
        states: Residual vectors of the prompts, shape (prompts, width).
        probe: A harmful-against-harmless probe of the same layer and token.
    """
    flagged: NDArray[np.bool_] = states @ probe.direction > probe.threshold
    return flagged


def merge_behaviour(think: Behaviour, no_think: Behaviour, flagged: set[str]) -> Behaviour:
    """No-think on demand: each prompt's no-think verdict where it is flagged, else its think one.

    Args:
        think: Verdicts in think mode.
        no_think: Verdicts in no-think mode, of the same prompts.
        flagged: Ids of the flagged prompts.
    """
    return {
        measure: {
            prompt: no_think[measure][prompt] if prompt in flagged else verdicts
            for prompt, verdicts in found.items()
        }
        for measure, found in think.items()
    }


def compare(
    name: str, before: Mapping[Mode, Behaviour], after: Mapping[Mode, Behaviour]
) -> Mitigation:
    """RIM score, misalignment, over-refusal and accuracy with a mitigation against without.

    Args:
        name: What was done.
        before: Behaviour in both modes without it.
        after: Behaviour with it, in the modes that it touches; the other stays as before.
    """
    changes = tuple(
        Change(
            mode=mode,
            measure=measure,
            difference=paired_difference(
                behaviour[measure],
                before[mode][measure],
                target_name=name,
                reference_name="without it",
            ),
        )
        for mode, behaviour in after.items()
        for measure in _SHOWN
        if before[mode][measure]
    )
    now = {**before, **after}
    rims = [rim_score(b["think"]["misaligned"], b["no_think"]["misaligned"]) for b in (before, now)]
    return Mitigation(
        name=name,
        rim_before=rims[0],
        rim_after=rims[1],
        changes=changes,
        sentence=_say(name, rims, changes),
    )


_SHOWN: Final[dict[Measure, str]] = {
    "misaligned": "misalignment",
    "over_refused": "over-refusal",
    "correct": "accuracy",
    "degenerate_harmful": "degenerate replies to harmful prompts",
}


def _say(name: str, rims: Sequence[PairedDifference], changes: Sequence[Change]) -> str:
    before, after = map(_told, rims)
    text = f"{name}: RIM score {before} without, {after} with it"
    for mode in dict.fromkeys(each.mode for each in changes):
        told = [
            f"{_SHOWN[each.measure]} {_told(each.difference)}"
            for each in changes
            if each.mode == mode
        ]
        text += f"; change in {mode.replace('_', '-')} mode: {', '.join(told)}"
    return f"{text}."


def _told(found: PairedDifference) -> str:
    """Percentage points with their interval and the pairs that they are over."""
    if math.isnan(found.difference) or math.isnan(found.lower):
        return f"not known ({found.n_pairs} pairs)"
    return (
        f"{found.difference:+.1f} points ({found.lower:+.1f} to {found.upper:+.1f}; "
        f"{found.n_pairs} pairs)"
    )
