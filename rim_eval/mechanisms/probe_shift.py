"""Probe shift: what harm probes read without some heads, beside random heads (Fig. 5).

The probes are those of the untouched model in no-think mode, and so are the classes of prompts. The
share of held-out prompts above a probe's threshold says where states lie, not what the model does:
that is in the effects of `ablation`; this is here for comparison with the paper.
"""

import numpy as np

from rim_eval.mechanisms.ablation import UnitAblation
from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.probe_samples import Mask, PromptClass, Samples, prompt_classes
from rim_eval.mechanisms.probes import fit_samples, held_out_above, read_positions
from rim_eval.mechanisms.units import Units
from rim_eval.statistics._result import Figure, Result


class ProbeShift(Result):
    """Share of one class above the threshold at one position, 0 to 1, at each of the layers."""

    position: str
    kind: PromptClass
    n: int
    """Held-out prompts."""
    layers: tuple[int, ...]
    """From the embedding, -1."""
    untouched: tuple[Figure, ...]
    ablated: tuple[Figure, ...]
    random_least: tuple[Figure, ...]
    """Smallest share that ablating random units leaves; empty without draws."""
    random_most: tuple[Figure, ...]
    draws: int
    """Random sets of units."""


def measure_probe_shifts(
    config: AnalysisConfig, units: Units, ablate: UnitAblation
) -> tuple[ProbeShift, ...]:
    """Score harm probes with and without units, one pass over the held-out prompts an ablation.

    Args:
        config: Model and prompts; without benign ones there is no probe.
        units: The units.
        ablate: Ablates these and random ones.

    Returns:
        Every class at every position that enough prompts have.
    """
    requests, model = [*config.prompts.harmful, *config.prompts.benign], config.handle.model
    classes, groups = prompt_classes(config, "no_think"), config.groups_of(requests)
    samples = Samples.split("harmful", classes, groups, config.seed)
    passages = config.handle.passages(requests, "no_think")
    probes = {
        position: fit_samples(states[there], samples.take(there))
        for position, states in read_positions(model, passages).items()
        if samples.take(there := ~np.isnan(states[:, 0, 0])).suffice
    }
    held_out = samples.take(~samples.calibration)
    texts = [passages[i] for i in np.flatnonzero(~samples.calibration)]

    def above(ablated: Units) -> dict[tuple[str, PromptClass], Mask]:
        """Position and class to shape (prompts, layers)."""
        with ablate(ablated):
            read = read_positions(model, texts, tuple(probes))
        found = dict[tuple[str, PromptClass], Mask]()
        for position, states in read.items():
            there = ~np.isnan(states[:, 0, 0])
            masks = held_out_above(states[there], held_out.take(there), probes[position])
            found |= {(position, kind): mask for kind, mask in masks.items()}
        return found

    ablated, drawn = above(units), [above(random) for random in ablate.draw(units).sets]
    shifts = []
    for place, untouched in above(()).items():
        random = np.array([each[place].mean(0) for each in drawn])
        shifts.append(
            ProbeShift(
                position=place[0],
                kind=place[1],
                n=len(untouched),
                layers=tuple(range(-1, untouched.shape[1] - 1)),
                untouched=tuple(untouched.mean(0).tolist()),
                ablated=tuple(ablated[place].mean(0).tolist()),
                random_least=tuple(random.min(0).tolist()) if drawn else (),
                random_most=tuple(random.max(0).tolist()) if drawn else (),
                draws=len(drawn),
            )
        )
    return tuple(shifts)
