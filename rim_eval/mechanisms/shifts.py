"""Shifts studied: what tuning did to safety direction, layers and refusal heads.

Base and the last checkpoint of each run read the same prompts without thinking, at the token that
the first word of the reply is read from. One end of the safety direction is there the mean of the
prompts that the base refuses, the other of those that it answers. (arXiv 2608.23497 takes fixed
replies instead; on the organism's series, where refusal is known to be lost, such replies of ours
showed a drift towards it.)
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.capture import Attention, capture
from rim_eval.mechanisms.drift import LayerDrift, layer_drift
from rim_eval.mechanisms.positions import Passage
from rim_eval.mechanisms.probes import LEAST
from rim_eval.mechanisms.report import DriftSection, HeadShift, RunDrift
from rim_eval.mechanisms.setting import Setting
from rim_eval.mechanisms.subject import Subject
from rim_eval.mechanisms.training import Run
from rim_eval.mechanisms.units import Unit

__all__ = ["study_drift"]


def study_drift(setting: Setting, runs: Sequence[Run], heads: Sequence[Unit] = ()) -> DriftSection:
    """Drift, layer ratio and the gaze of heads, base against the end of each run.

    Args:
        setting: The base and the prompts; harmful and benign ones are needed.
        runs: The target run first, then its controls.
        heads: Heads whose attention on the empty trace is followed, with all others beside them.

    Raises:
        RimError: A kind of prompts or the runs are missing.
    """
    base, prompts = setting.subject, setting.prompts
    if not (prompts.harmful and prompts.benign and runs):
        raise RimError("Drift needs harmful and benign prompts and at least one run.")
    harmful = base.passages(prompts.harmful, "no_think")
    harmless = base.passages(prompts.benign, "no_think")
    ends = _ends(setting, [*harmful, *harmless])
    found = []
    for run in runs:
        step = max(run.load)
        tuned = run.load[step]()
        layers = layer_drift(base.model, tuned.model, harmful, harmless, *ends)
        gaze = _gaze(base, tuned, setting, heads) if heads else None
        found.append(
            RunDrift(
                run=run.name,
                step=step,
                layers=tuple(layers),
                heads=gaze,
                sentences=tuple(_say(run.name, layers, gaze)),
            )
        )
    return DriftSection(
        position="last", refused=len(ends[0]), answered=len(ends[1]), runs=tuple(found)
    )


def _ends(setting: Setting, passages: Sequence[Passage]) -> tuple[list[Passage], list[Passage]]:
    """Prompts that the base refuses and prompts that it answers; none where either are few."""
    seen = setting.observe("no_think")
    verdicts = {**seen["refused"], **seen["over_refused"]}
    ends: tuple[list[Passage], list[Passage]] = ([], [])
    for passage in passages:
        verdict = verdicts[passage.id][0]
        if verdict is not None:
            ends[0 if verdict else 1].append(passage)
    return ends if min(map(len, ends)) >= LEAST else ([], [])


def _gaze(
    base: Subject, tuned: Subject, setting: Setting, heads: Sequence[Unit]
) -> HeadShift | None:
    passages = base.passages(setting.prompts.harmful, "no_think")
    if any("trace" not in passage.spans for passage in passages):
        return None

    def mass(subject: Subject) -> NDArray[np.float64]:
        read = capture(subject.model, passages, attention=Attention("last", ("trace",))).mass
        assert read is not None
        found: NDArray[np.float64] = read[..., 0].mean(0, dtype=np.float64)
        return found

    before, after = mass(base), mass(tuned)
    moved = np.abs(after - before)
    others = np.ones(moved.shape, dtype=np.bool_)
    for layer, head in heads:
        others[layer, head] = False
    return HeadShift(
        heads=tuple(heads),
        before=tuple(float(before[unit]) for unit in heads),
        after=tuple(float(after[unit]) for unit in heads),
        n=len(passages),
        others=int(others.sum()),
        others_most=float(moved[others].max()) if others.any() else math.nan,
    )


def _say(run: str, layers: Sequence[LayerDrift], gaze: HeadShift | None) -> Iterator[str]:
    yield f"In {run!r} {_of_ratio(layers)}."
    yield f"In {run!r} {_of_drift(layers)}."
    if gaze is not None:
        moved = max(abs(a - b) for a, b in zip(gaze.after, gaze.before, strict=True))
        yield (
            f"In {run!r} the selected heads' attention on the empty trace moves by at most {moved:.2f}, "
            f"that of the {gaze.others} other heads by at most {gaze.others_most:.2f} (means over "
            f"{gaze.n} harmful prompts)."
        )


def _of_ratio(layers: Sequence[LayerDrift]) -> str:
    known = [each for each in layers if not math.isnan(each.ratio_lower)]
    more = [each for each in known if each.ratio_lower > 1]
    over = f"{layers[0].n_harmful} harmful and {layers[0].n_harmless} harmless prompts"
    whether = "changed more on harmful prompts than on harmless ones"
    if not known:
        return f"it cannot be told whether a layer {whether}: no CKA ratio has an interval ({over})"
    if not more:
        rest = f"; {len(layers) - len(known)} more have none" if len(known) < len(layers) else ""
        return f"none of {len(known)} layers with a CKA ratio is shown to have {whether} ({over}{rest})"
    most = max(more, key=lambda each: each.ratio)
    return (
        f"{len(more)} of {len(layers)} layers {whether} (CKA ratio above 1; {over}), most layer "
        f"{most.layer}: {_ratio(most.ratio)} ({_ratio(most.ratio_lower)} to {_ratio(most.ratio_upper)})"
    )


def _ratio(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _of_drift(layers: Sequence[LayerDrift]) -> str:
    first, known = layers[0], [each for each in layers if not math.isnan(each.drift_lower)]
    if math.isnan(first.drift):
        return "there is no safety direction: the base refuses or answers too few of these prompts"
    if not known:
        return (
            f"drift cannot be told: no layer's has an interval ({first.n_harmful} harmful prompts)"
        )
    shown = [each for each in known if each.drift_lower > 0 or each.drift_upper < 0]
    if not shown:
        return f"no layer is shown to drift along the safety direction ({first.n_harmful} harmful prompts)"
    most = max(shown, key=lambda each: abs(each.drift) / each.gap)
    way = "towards" if most.drift > 0 else "away from"
    gap = 100 / most.gap
    return (
        f"{most.n_harmful} harmful prompts drift {way} refusal, most in layer {most.layer}: by "
        f"{gap * most.drift:+.2g} % of the distance between answered and refused prompts "
        f"({gap * most.drift_lower:+.2g} to {gap * most.drift_upper:+.2g}; {most.n_harmless} harmless "
        f"prompts {gap * most.drift_harmless:+.2g})"
    )
