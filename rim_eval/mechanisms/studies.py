"""Studies: heads and neurons found, taken out, and what the report says of them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from rim_eval.mechanisms._architecture import architecture_of
from rim_eval.mechanisms.ablation import ablate_heads, ablate_neurons, mean_heads, mean_neurons
from rim_eval.mechanisms.behaviour import Behaviour
from rim_eval.mechanisms.capture import capture
from rim_eval.mechanisms.draws import RandomSets, draw_sets
from rim_eval.mechanisms.effect import Effects, Intervention, measure_effects
from rim_eval.mechanisms.heads import score_heads, select_heads
from rim_eval.mechanisms.neurons import NeuronSet, find_neurons, measure_rises
from rim_eval.mechanisms.positions import Passage
from rim_eval.mechanisms.probes import fit_probe, share_above
from rim_eval.mechanisms.report import HeadsSection, NeuronsSection, ProbeShift
from rim_eval.mechanisms.setting import Setting
from rim_eval.mechanisms.splits import split_groups
from rim_eval.mechanisms.units import Unit, overlap
from rim_eval.types import MODES, Mode

__all__ = ["safety_neurons", "study_heads", "study_neurons"]


def study_heads(
    setting: Setting,
    *,
    query: str = "last",
    span: str = "trace",
    cutoff: float = 0.5,
    modes: Sequence[Mode] = ("no_think",),
    untouched: dict[Mode, Behaviour] | None = None,
) -> HeadsSection:
    """Finds refusal heads, takes them out, and says what that does to behaviour and to a probe.

    Args:
        setting: Model and prompts.
        query: See `score_heads`.
        span: See `score_heads`.
        cutoff: See `select_heads`.
        modes: Modes in which behaviour is measured; the verdict is about the first.
        untouched: The untouched model's behaviour, where it is known.
    """
    subject, parts = setting.subject, architecture_of(setting.subject.model)
    ranked = score_heads(subject, setting.prompts.harmful, query=query, span=span)
    chosen, how = select_heads(ranked, cutoff=cutoff)
    widths = [parts.heads] * len(parts.layers)
    draws = draw_sets(chosen, widths, draws=setting.draws, seed=setting.seed)
    means = mean_heads(subject.model, _reference(setting)) if setting.fill == "mean" else None

    def ablate(units: Sequence[tuple[int, int]]) -> AbstractContextManager[None]:
        return ablate_heads(subject.model, units, means)

    effects = _effects(setting, "head", chosen, draws, ablate, modes, untouched)
    shift = _probe_shift(setting, chosen, draws.sets, ablate) if setting.prompts.benign else None
    return HeadsSection(
        query=query,
        span=span,
        scores=tuple(ranked),
        selected=chosen,
        how=how,
        effects=effects,
        probe_shift=shift,
    )


def safety_neurons(
    setting: Setting, mode: Mode, *, m: int | None = None, over: str = "text"
) -> NeuronSet:
    """The safety-critical neurons of one mode.

    Args:
        setting: Model and prompts.
        mode: Mode in which replies are written and read.
        m: See `find_neurons`.
        over: See `measure_rises`.
    """
    rises = measure_rises(
        setting.subject,
        setting.prompts.harmful,
        setting.intent,
        mode,
        over=over,
        max_new_tokens=setting.max_new_tokens,
    )
    return find_neurons(rises, m)


def study_neurons(
    setting: Setting,
    *,
    m: int | None = None,
    over: str = "text",
    modes: Sequence[Mode] = MODES[::-1],
    untouched: dict[Mode, Behaviour] | None = None,
) -> NeuronsSection:
    """Finds safety-critical neurons in each mode and takes the sets out, each in its own mode.

    Args:
        setting: Model and prompts.
        m: See `find_neurons`.
        over: See `measure_rises`.
        modes: Modes in which replies are written, read and measured.
        untouched: The untouched model's behaviour, where it is known.
    """
    subject, parts = setting.subject, architecture_of(setting.subject.model)
    means = mean_neurons(subject.model, _reference(setting)) if setting.fill == "mean" else None

    def ablate(units: Sequence[tuple[int, int]]) -> AbstractContextManager[None]:
        return ablate_neurons(subject.model, units, means)

    widths = [parts.neurons(layer) for layer in range(len(parts.layers))]
    sets, effects = {}, {}
    for mode in modes:
        found = sets[mode] = safety_neurons(setting, mode, m=m, over=over)
        if not found.neurons:
            continue
        drawn = draw_sets(found.neurons, widths, draws=setting.draws, seed=setting.seed)
        effects[mode] = _effects(
            setting, "neuron", found.neurons, drawn, ablate, (mode,), untouched
        )
    both = [found.neurons for found in sets.values()]
    shared = overlap(both[0], both[1], parts.neurons) if len(both) == 2 else None
    return NeuronsSection(over=over, sets=sets, effects=effects, modes_overlap=shared)


def _effects(
    setting: Setting,
    what: str,
    units: tuple[Unit, ...],
    draws: RandomSets,
    ablate: Callable[[Sequence[tuple[int, int]]], AbstractContextManager[None]],
    modes: Sequence[Mode],
    untouched: dict[Mode, Behaviour] | None,
) -> Effects:
    verb = "zeroing" if setting.fill == "zero" else "fixing at their mean"
    name = f"{verb} {len(units)} {what}{'s' if len(units) > 1 else ''}"
    known = {mode: untouched[mode] for mode in modes} if untouched else None
    return measure_effects(
        Intervention(name, units, draws, ablate), setting.observe, modes, untouched=known
    )


def _reference(setting: Setting) -> list[Passage]:
    """Texts over which means are taken: every prompt with its reply, in both modes."""
    asked = [request for _, request in setting.prompts.all()]
    return [
        passage
        for mode in MODES
        for passage in setting.subject.passages(asked, mode, setting.replies(asked, mode))
    ]


def _probe_shift(
    setting: Setting,
    units: Sequence[tuple[int, int]],
    draws: Sequence[Sequence[tuple[int, int]]],
    ablate: Callable[[Sequence[tuple[int, int]]], AbstractContextManager[None]],
) -> ProbeShift:
    """The paper's own read-out (Fig. 5): a harm probe's scores with and without the heads."""
    subject = setting.subject
    asked = [*setting.prompts.harmful, *setting.prompts.benign]
    labels = np.arange(len(asked)) < len(setting.prompts.harmful)
    groups = [setting.groups.get(request.id, request.id) for request in asked]
    calibration = split_groups(labels.tolist(), groups, seed=setting.seed)
    passages = subject.passages(asked, "no_think")
    last = len(architecture_of(subject.model).layers) - 1

    def states() -> Any:
        found = capture(subject.model, passages, residual=("last",), layers=[last]).residual
        assert found is not None
        return found[:, 0, 0]

    before = states()
    probe = fit_probe(before[labels & calibration], before[~labels & calibration])

    def above(read: Any) -> Any:
        return share_above(read[labels & ~calibration] @ probe.direction, probe.threshold)

    with ablate(units):
        after = above(states())
    drawn = []
    for draw in draws:
        with ablate(draw):
            drawn.append(above(states()))
    return ProbeShift(
        layer=last, position="last", untouched=above(before), ablated=after, random=tuple(drawn)
    )
