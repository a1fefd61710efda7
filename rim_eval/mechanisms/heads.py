"""Refusal heads: heads that shift attention from the role name to the empty trace.

Take the attention row from which the first token is generated. With thinking a head may attend most
to `assistant`; without, to the empty span `<think></think>`. The share of samples in which its
maximum shifts so is its score (paper section 3.2, Fig. 4). A head that shows the pattern need not
carry refusal: `ablation` measures what ablating it does.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.ablation import UnitAblation
from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.capture import capture_attention, capture_residual
from rim_eval.mechanisms.effects import Effects
from rim_eval.mechanisms.model import ModelHandle, Request
from rim_eval.mechanisms.probes import fit_probe, share_above, split_groups
from rim_eval.mechanisms.units import Unit, Units
from rim_eval.statistics import Rate, rate
from rim_eval.statistics._result import Figure, Result

CUTOFF: Final = 0.5
"""Share of samples from which a head is selected; the paper states no cutoff."""


class HeadScore(Result):
    """One head."""

    layer: int
    head: int
    share: Rate
    """Share of samples in which the attention maximum shifts from `assistant` to the empty span."""
    mass_on_span: Figure
    """Mean attention on the empty span in no-think mode, 0 to 1."""
    mass_on_role: Figure
    """Mean attention on `assistant` in think mode, 0 to 1."""
    mass_on_role_no_think: Figure
    """Mean attention on `assistant` in no-think mode: high in both modes means that it does not shift."""

    @property
    def unit(self) -> Unit:
        """The head as (layer, number)."""
        return Unit(self.layer, self.head)


class ProbeShift(Result):
    """Share of held-out harmful prompts above a harm probe's threshold (Fig. 5's read-out).

    What the model *does* is in the effects; this is here for comparison with the paper.
    """

    layer: int
    position: str
    untouched: Rate
    ablated: Rate
    random: tuple[Rate, ...]


class HeadsSection(Result):
    """Refusal heads (Fig. 4) and the effect of ablating them."""

    query: str
    span: str
    scores: tuple[HeadScore, ...]
    """All heads, highest rank first."""
    selected: tuple[Unit, ...]
    how: str
    """How they were selected, in words."""
    effects: Effects
    probe_shift: ProbeShift | None


def attention_shifts(
    think: NDArray[np.int64],
    no_think: NDArray[np.int64],
    role: NDArray[np.int64],
    span: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Where a head's attention maximum shifts, shape (prompts, layers, heads).

        shifts[p, l, h] = think[p, l, h] in role[p]  and  no_think[p, l, h] in span[p]

    Args:
        think: Attention argmax in think mode, shape (prompts, layers, heads).
        no_think: The same in no-think mode.
        role: Start and stop of `assistant` in the think passage, shape (prompts, 2).
        span: Start and stop of the empty span in the no-think passage, shape (prompts, 2).
    """

    def within(argmax: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.bool_]:
        start, stop = edges.T[:, :, None, None]
        inside: NDArray[np.bool_] = (start <= argmax) & (argmax < stop)
        return inside

    return within(think, role) & within(no_think, span)


def score_heads(
    handle: ModelHandle, requests: Sequence[Request], *, query: str = "last", span: str = "trace"
) -> list[HeadScore]:
    """Score every head on harmful requests, one forward pass a request and mode, and rank them.

    Args:
        handle: A model whose no-think prompt holds an empty trace.
        requests: Harmful requests.
        query: The attention row's token; `last` is the one from which the first token is generated.
        span: `trace` counts the markers as part of the empty span, `inside` does not.

    Raises:
        RimError: The no-think prompt of this model holds no empty trace.
    """
    on = handle.passages(requests, "think")
    off = handle.passages(requests, "no_think")
    if any(span not in passage.spans for passage in off):
        raise RimError(
            f"The no-think prompt of this model holds no empty trace ({span!r} is missing), so no "
            "attention can shift to it. This analysis needs a template like Qwen3's, whose no-think "
            "prompt ends in <think></think>, or the `forced_empty` switch."
        )
    think, no_think = (
        capture_attention(handle.model, passages, query, ("assistant", span))
        for passages in (on, off)
    )
    role = np.array([passage.span("assistant") for passage in on])
    empty = np.array([passage.span(span) for passage in off])
    shifts = attention_shifts(think[0], no_think[0], role, empty)
    masses = (no_think[1][..., 1], think[1][..., 0], no_think[1][..., 0])
    return rank_heads(shifts, *(mass.mean(0) for mass in masses))


def rank_heads(
    shifts: NDArray[np.bool_],
    on_span: NDArray[np.float32],
    on_role: NDArray[np.float32],
    on_role_no_think: NDArray[np.float32],
) -> list[HeadScore]:
    """Rank all heads by share of samples that shift, then by mass on the empty span, highest first.

    Args:
        shifts: From `attention_shifts`, shape (prompts, layers, heads).
        on_span: Mean attention on the empty span, no-think, shape (layers, heads).
        on_role: Mean attention on `assistant`, think, shape (layers, heads).
        on_role_no_think: The same in no-think.
    """
    scores = [
        HeadScore(
            layer=layer,
            head=head,
            share=rate(int(shifts[:, layer, head].sum()), len(shifts)),
            mass_on_span=float(on_span[layer, head]),
            mass_on_role=float(on_role[layer, head]),
            mass_on_role_no_think=float(on_role_no_think[layer, head]),
        )
        for layer, head in np.ndindex(on_span.shape)
    ]
    return sorted(scores, key=lambda score: (-score.share.value, -score.mass_on_span))


def select_heads(
    ranked: Sequence[HeadScore], *, cutoff: float = CUTOFF, most: int = 10, fallback: int = 2
) -> tuple[tuple[Unit, ...], str]:
    """Select the heads to ablate, and say in words how they were selected.

    Args:
        ranked: From `score_heads`.
        cutoff: Least share of samples.
        most: At most so many.
        fallback: So many of the first by attention mass on the empty span when none reaches the
            cutoff: ablating them then only checks that nothing was missed.
    """
    selected = [score for score in ranked if score.share.value >= cutoff][:most]
    how = f"heads whose attention shifts in {cutoff:.0%} of samples or more, at most {most}"
    if not selected:
        selected = sorted(ranked, key=lambda score: -score.mass_on_span)[:fallback]
        how = (
            f"no head's attention shifts in {cutoff:.0%} of samples; to check that nothing was missed, "
            f"the first {len(selected)} by attention on the empty span"
        )
    return tuple(score.unit for score in selected), how


def study_heads(
    config: AnalysisConfig, *, query: str = "last", span: str = "trace", cutoff: float = CUTOFF
) -> HeadsSection:
    """Find refusal heads, and measure what ablating them does to no-think behaviour and to a probe.

    Args:
        config: Model and prompts.
        query: See `score_heads`.
        span: See `score_heads`.
        cutoff: See `select_heads`.
    """
    ranked = score_heads(config.handle, config.prompts.harmful, query=query, span=span)
    selected, how = select_heads(ranked, cutoff=cutoff)
    ablate = UnitAblation(config, "head")
    return HeadsSection(
        query=query,
        span=span,
        scores=tuple(ranked),
        selected=selected,
        how=how,
        effects=ablate.effects(selected, "no_think"),
        probe_shift=_probe_shift(config, selected, ablate) if config.prompts.benign else None,
    )


def _probe_shift(config: AnalysisConfig, units: Units, ablate: UnitAblation) -> ProbeShift:
    """Score a harm probe with and without the heads: the paper's own read-out (Fig. 5)."""
    requests = [*config.prompts.harmful, *config.prompts.benign]
    harmful = np.arange(len(requests)) < len(config.prompts.harmful)
    calibration = split_groups(harmful.tolist(), config.groups_of(requests), seed=config.seed)
    passages = config.handle.passages(requests, "no_think")
    last = len(ablate.widths) - 1

    def states(ablated: Units) -> NDArray[np.float32]:
        with ablate(ablated):
            return capture_residual(config.handle.model, passages, "last", [last])[:, 0]

    untouched = states(())
    probe = fit_probe(untouched[harmful & calibration], untouched[~harmful & calibration])

    def above(residual: NDArray[np.float32]) -> Rate:
        return share_above(residual[harmful & ~calibration] @ probe.direction, probe.threshold)

    return ProbeShift(
        layer=last,
        position="last",
        untouched=above(untouched),
        ablated=above(states(units)),
        random=tuple(above(states(drawn)) for drawn in ablate.draw(units).sets),
    )
