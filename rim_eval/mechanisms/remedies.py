"""Mitigations studied on one model: fitted on one part of the prompts, measured on the other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms._architecture import architecture_of
from rim_eval.mechanisms.behaviour import Behaviour
from rim_eval.mechanisms.capture import capture
from rim_eval.mechanisms.mitigations import Mitigation, compare, flag, merge_behaviour, steered
from rim_eval.mechanisms.probes import LEAST, direction, fit_probe
from rim_eval.mechanisms.setting import Setting
from rim_eval.mechanisms.splits import split_groups
from rim_eval.mechanisms.subject import Request
from rim_eval.types import MODES, Mode

__all__ = ["study_mitigations"]


def study_mitigations(
    setting: Setting, *, untouched: dict[Mode, Behaviour] | None = None
) -> tuple[Mitigation, ...]:
    """No-think on demand, and steering towards refusal, on prompts that neither was fitted on.

    Flags come from a probe for harmful (+) against harmless prompts and problems (-), at the last
    prompt token after the last layer in think mode. The steering vector, added after the middle
    layer at every token, is the difference of means of refused and fulfilled harmful prompts there.

    Args:
        setting: Model and prompts; harmful and benign ones are needed.
        untouched: The untouched model's behaviour in both modes, where it is known.

    Returns:
        One or two mitigations: steering is left out when too few prompts were refused or fulfilled.

    Raises:
        RimError: A kind of prompts is missing.
    """
    prompts = setting.prompts
    if not prompts.harmful or not prompts.benign:
        raise RimError("Mitigations need harmful and benign prompts: give a set of each.")
    before = untouched or {mode: setting.observe(mode) for mode in MODES}
    asked = [request for _, request in prompts.all()]
    harmful = np.arange(len(asked)) < len(prompts.harmful)
    groups = [setting.groups.get(request.id, request.id) for request in asked]
    fitted = split_groups(harmful.tolist(), groups, seed=setting.seed)
    held_out = {request.id for request, used in zip(asked, fitted, strict=True) if not used}
    without = {mode: _only(before[mode], held_out) for mode in MODES}
    flagged = _flagged(setting, asked, harmful, fitted)
    merged = merge_behaviour(without["think"], without["no_think"], flagged)
    found = [compare("No-think on demand", without, {"think": merged})]
    steering = _steering(setting, before["think"], fitted[: len(prompts.harmful)])
    if steering is not None:
        layer, vector = steering
        with steered(setting.subject.model, {layer: vector}):
            after = _only(setting.observe("think"), held_out)
        name = f"Steering towards refusal after layer {layer}"
        found.append(compare(name, without, {"think": after}))
    return tuple(found)


def _flagged(
    setting: Setting,
    asked: Sequence[Request],
    harmful: NDArray[np.bool_],
    fitted: NDArray[np.bool_],
) -> set[str]:
    """Ids of the prompts that the harm probe flags."""
    last = len(architecture_of(setting.subject.model).layers) - 1
    states = _states(setting, asked, last)
    hits = flag(states, fit_probe(states[harmful & fitted], states[~harmful & fitted]))
    return {request.id for request, hit in zip(asked, hits, strict=True) if hit}


def _steering(
    setting: Setting, seen: Behaviour, fitted: NDArray[np.bool_]
) -> tuple[int, NDArray[np.float32]] | None:
    requests = setting.prompts.harmful
    verdicts = [seen["refused"][request.id][0] for request in requests]
    refused, fulfilled = (
        np.array([verdict == value for verdict in verdicts]) & fitted for value in (1, 0)
    )
    if min(refused.sum(), fulfilled.sum()) < LEAST:
        return None
    middle = len(architecture_of(setting.subject.model).layers) // 2
    states = _states(setting, requests, middle)
    return middle, direction(states[refused], states[fulfilled])


def _states(setting: Setting, asked: Sequence[Request], layer: int) -> NDArray[np.float32]:
    passages = setting.subject.passages(asked, "think")
    found = capture(setting.subject.model, passages, residual=("last",), layers=[layer]).residual
    assert found is not None
    return found[:, 0, 0]


def _only(seen: Behaviour, prompts: set[str]) -> Behaviour:
    return {
        measure: {prompt: value for prompt, value in found.items() if prompt in prompts}
        for measure, found in seen.items()
    }
