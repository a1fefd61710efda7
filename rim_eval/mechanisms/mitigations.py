"""Mitigations, measured: steering, and no-think for flagged prompts.

    merge_behaviour(think, no_think, flagged)           # think, but no-think where flagged

`measure_mitigation` says what each does to the RIM score, misalignment, over-refusal and accuracy.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.behaviour import AnalysisConfig, Behaviour, Measure, only_of
from rim_eval.mechanisms.capture import capture_residual
from rim_eval.mechanisms.model import Request
from rim_eval.mechanisms.probes import Probe, fit_probe
from rim_eval.mechanisms.steering import Steering, fitting_prompts, study_steering
from rim_eval.statistics import PairedDifference, paired_difference, rim_score
from rim_eval.statistics._result import Result
from rim_eval.types import MODES, Mode

_MEASURES: Final[tuple[Measure, ...]] = (
    "misaligned",
    "over_refused",
    "correct",
    "degenerate_harmful",
)


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
    """Every measure that has prompts, in every mode that the mitigation changes; none where nothing was done."""
    sentence: str
    steering: Steering | None = None
    """How the steering was chosen and what is concluded of it, if it is steering."""

    def change(self, measure: Measure, mode: Mode = "think") -> PairedDifference:
        """The change of one measure in one mode (KeyError when it was not measured)."""
        return {(each.measure, each.mode): each.difference for each in self.changes}[measure, mode]


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
    after_text = f"{rims[1].text} with it" if after else "and not tried"
    sentence = f"{name}: RIM score {rims[0].text} without, {after_text}."
    return Mitigation(
        name=name, rim_before=rims[0], rim_after=rims[1], changes=changes, sentence=sentence
    )


def study_mitigations(config: AnalysisConfig) -> tuple[Mitigation, ...]:
    """Measure no-think on demand and steering towards refusal on prompts that neither was fitted on.

    Flags come from a probe for harmful (+) against harmless prompts and problems (-), at the last
    prompt token after the last layer in think mode. Steering is what `study_steering` chooses for think mode.

    Raises:
        RimError: Harmful or benign prompts are missing.
    """
    prompts = config.prompts
    if not prompts.harmful or not prompts.benign:
        raise RimError("Mitigations need harmful and benign prompts: give a set of each.")
    requests = [request for _, request in prompts.all()]
    harmful = np.arange(len(requests)) < len(prompts.harmful)
    fitting = fitting_prompts(config)
    fitted = np.array([request.id in fitting for request in requests])
    held_out = {request.id for request in requests} - fitting
    without = {mode: only_of(config.untouched(mode), held_out) for mode in MODES}
    states = _states(config, requests, len(architecture_of(config.handle.model).layers) - 1)
    flags = flag_prompts(states, fit_probe(states[harmful & fitted], states[~harmful & fitted]))
    flagged = {request.id for request, flag in zip(requests, flags, strict=True) if flag}
    merged = merge_behaviour(without["think"], without["no_think"], flagged)
    study, behaviour = study_steering(config, "think")
    after: dict[Mode, Behaviour] = {} if behaviour is None else {"think": behaviour}
    steering = measure_mitigation("Steering towards refusal", without, after)
    return (
        measure_mitigation("No-think on demand", without, {"think": merged}),
        steering.model_copy(update={"steering": study}),
    )


def _states(config: AnalysisConfig, requests: Sequence[Request], layer: int) -> NDArray[np.float32]:
    passages = config.handle.passages(requests, "think")
    return capture_residual(config.handle.model, passages, "last", [layer])[:, 0]
