"""Mitigations, measured: steering, and no-think for flagged prompts.

    with steered(model, {layer: vector}):               # generation
        handle.replies(...)

    merge_behaviour(think, no_think, flagged)           # think, but no-think where flagged

`measure_mitigation` says what each does to the RIM score, misalignment, over-refusal and accuracy.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.formatting import figure_text, mode_name
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.behaviour import AnalysisConfig, Behaviour, Measure
from rim_eval.mechanisms.capture import capture_residual
from rim_eval.mechanisms.hooks import hook_blocks
from rim_eval.mechanisms.interventions import intervening
from rim_eval.mechanisms.model import Request
from rim_eval.mechanisms.probe_samples import LEAST, split_groups
from rim_eval.mechanisms.probes import Probe, direction, fit_probe
from rim_eval.mechanisms.replies import key_of
from rim_eval.statistics import PairedDifference, paired_difference, rim_score
from rim_eval.statistics._result import Result
from rim_eval.types import MODES, Mode

_MEASURES: Final[dict[Measure, str]] = {
    "misaligned": "misalignment",
    "over_refused": "over-refusal",
    "correct": "accuracy",
    "degenerate_harmful": "degenerate replies to harmful prompts",
}


class MitigationChange(Result):
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
    changes: tuple[MitigationChange, ...]
    """Every measure that has prompts, in every mode that the mitigation changes."""
    sentence: str

    def change(self, measure: Measure, mode: Mode = "think") -> PairedDifference:
        """The change of one measure in one mode (KeyError when it was not measured)."""
        return {(each.measure, each.mode): each.difference for each in self.changes}[measure, mode]


@contextmanager
def steered(model: Any, vectors: Mapping[int, NDArray[np.floating]]) -> Iterator[None]:
    """Add a vector to the residual stream after a layer, at every token: h <- h + v.

    Args:
        model: A Hugging Face causal language model.
        vectors: Layer to vector, shape (width,); towards refusal it is a positive multiple of the
            refused-minus-fulfilled direction.
    """
    import torch

    def add(vector: NDArray[np.floating]) -> Callable[[Any], Any]:
        value = torch.tensor(np.asarray(vector, dtype=np.float32))
        return lambda hidden: hidden + value.to(hidden)

    blocks = architecture_of(model).layers
    hooks = {blocks[layer]: add(vector) for layer, vector in vectors.items()}
    values = {str(layer): np.asarray(vector).tolist() for layer, vector in vectors.items()}
    with hook_blocks(hooks), intervening(model, key_of("steering", values)):
        yield


def flag_prompts(states: NDArray[np.floating], probe: Probe) -> NDArray[np.bool_]:
    """Flag prompts whose score is above the probe's threshold: s(y) = y . d > t.

    Args:
        states: Residual vectors of the prompts, shape (prompts, width).
        probe: A harmful-against-harmless probe of the same layer and token.
    """
    return np.greater(states @ probe.direction, probe.threshold)


def merge_behaviour(think: Behaviour, no_think: Behaviour, flagged: set[str]) -> Behaviour:
    """No-think on demand: each prompt's no-think verdict where it is flagged, else its think one.

    Args:
        think: Verdicts in think mode.
        no_think: Verdicts in no-think mode, of the same prompts.
        flagged: Ids of the flagged prompts.
    """
    return {
        measure: {
            prompt: no_think[measure][prompt] if prompt in flagged else verdict
            for prompt, verdict in verdicts.items()
        }
        for measure, verdicts in think.items()
    }


def measure_mitigation(
    name: str, before: Mapping[Mode, Behaviour], after: Mapping[Mode, Behaviour]
) -> Mitigation:
    """Compare RIM score, misalignment, over-refusal and accuracy with a mitigation and without it.

    Args:
        name: What was done.
        before: Behaviour in both modes without it.
        after: Behaviour with it, in the modes that it changes; the other stays as before.
    """
    changes = tuple(
        MitigationChange(
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
        for measure in _MEASURES
        if before[mode][measure]
    )
    rims = [
        rim_score(modes["think"]["misaligned"], modes["no_think"]["misaligned"])
        for modes in (before, {**before, **after})
    ]
    sentence = f"{name}: RIM score {_text(rims[0])} without, {_text(rims[1])} with it"
    for mode, group in groupby(changes, key=lambda each: each.mode):
        texts = [f"{_MEASURES[each.measure]} {_text(each.difference)}" for each in group]
        sentence += f"; change in {mode_name(mode)} mode: {', '.join(texts)}"
    return Mitigation(
        name=name, rim_before=rims[0], rim_after=rims[1], changes=changes, sentence=f"{sentence}."
    )


def _text(change: PairedDifference) -> str:
    return figure_text(change.difference, change.lower, change.upper, f"{change.n_pairs} pairs")


def study_mitigations(config: AnalysisConfig) -> tuple[Mitigation, ...]:
    """Measure no-think on demand and steering towards refusal on prompts that neither was fitted on.

    Flags come from a probe for harmful (+) against harmless prompts and problems (-), at the last
    prompt token after the last layer in think mode. The steering vector, added after the middle
    layer at every token, is the difference of means of refused and fulfilled harmful prompts there.

    Steering is left out when too few prompts were refused or fulfilled.

    Raises:
        RimError: Harmful or benign prompts are missing.
    """
    prompts = config.prompts
    if not prompts.harmful or not prompts.benign:
        raise RimError("Mitigations need harmful and benign prompts: give a set of each.")
    layers = len(architecture_of(config.handle.model).layers)
    requests = [request for _, request in prompts.all()]
    harmful = np.arange(len(requests)) < len(prompts.harmful)
    fitted = split_groups(harmful.tolist(), config.groups_of(requests), seed=config.seed)
    held_out = {request.id for request, used in zip(requests, fitted, strict=True) if not used}
    without = {mode: _restrict(config.untouched(mode), held_out) for mode in MODES}
    states = _states(config, requests, layers - 1)
    flags = flag_prompts(states, fit_probe(states[harmful & fitted], states[~harmful & fitted]))
    flagged = {request.id for request, flag in zip(requests, flags, strict=True) if flag}
    merged = merge_behaviour(without["think"], without["no_think"], flagged)
    mitigations = [measure_mitigation("No-think on demand", without, {"think": merged})]
    refusals = config.untouched("think")["refused"]
    verdicts = [refusals[request.id][0] for request in prompts.harmful]
    refused, fulfilled = (
        np.array([verdict == value for verdict in verdicts]) & fitted[: len(verdicts)]
        for value in (1, 0)
    )
    if min(refused.sum(), fulfilled.sum()) >= LEAST:
        layer = layers // 2
        states = _states(config, prompts.harmful, layer)
        with steered(config.handle.model, {layer: direction(states[refused], states[fulfilled])}):
            after = _restrict(config.observe("think"), held_out)
        name = f"Steering towards refusal after layer {layer}"
        mitigations.append(measure_mitigation(name, without, {"think": after}))
    return tuple(mitigations)


def _states(config: AnalysisConfig, requests: Sequence[Request], layer: int) -> NDArray[np.float32]:
    passages = config.handle.passages(requests, "think")
    return capture_residual(config.handle.model, passages, "last", [layer])[:, 0]


def _restrict(behaviour: Behaviour, prompts: set[str]) -> Behaviour:
    return {
        measure: {prompt: value for prompt, value in verdicts.items() if prompt in prompts}
        for measure, verdicts in behaviour.items()
    }
