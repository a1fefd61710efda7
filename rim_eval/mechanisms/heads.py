"""Refusal heads: heads that shift attention from the role name to the empty trace.

Take the attention row from which the first token is generated. With thinking a head may attend most
to `assistant`; without, to the empty span `<think></think>`. The share of samples in which its
maximum shifts so is its score (paper section 3.2, Fig. 4). A head that shows the pattern need not
carry refusal: `ablation` measures what ablating it does. Where no-think prompts hold no empty span,
heads are ranked by the attention that leaves the role name instead.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.ablation import UnitAblation
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.capture import capture_attention
from rim_eval.mechanisms.effects import Effects
from rim_eval.mechanisms.model import ModelHandle, Request
from rim_eval.mechanisms.probe_shift import ProbeShift, measure_probe_shifts
from rim_eval.mechanisms.units import Unit
from rim_eval.statistics import Rate, rate
from rim_eval.statistics._result import Figure, Result

CUTOFF: Final = 0.5
"""Share of samples from which a head is selected; the paper states no cutoff."""


class HeadScore(Result):
    """One head."""

    layer: int
    head: int
    share: Rate
    """Share of samples in which the attention maximum shifts from `assistant` to the empty span; NaN
    where no sample has both."""
    mass_on_span: Figure
    """Mean attention on the empty span in no-think mode, 0 to 1; NaN where there is none."""
    mass_on_role: Figure
    """Mean attention on `assistant` in think mode, 0 to 1."""
    mass_on_role_no_think: Figure
    """Mean attention on `assistant` in no-think mode: high in both modes means that it does not shift."""

    @property
    def unit(self) -> Unit:
        """The head as (layer, number)."""
        return Unit(self.layer, self.head)

    @property
    def leaves_role(self) -> float:
        """Mean attention on `assistant` in think mode, less that in no-think mode."""
        return self.mass_on_role - self.mass_on_role_no_think


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
    probe_shifts: tuple[ProbeShift, ...]
    """Every position and class; empty without benign prompts."""


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

    Requests whose passages lack a span count only where it is not needed; each head's `share.n` says
    how many have both.

    Args:
        handle: The model.
        requests: Harmful requests.
        query: The attention row's token; `last` is the one from which the first token is generated.
        span: `trace` counts the markers as part of the empty span, `inside` does not.

    Raises:
        RimError: No request has the query token in both modes, or the model's prompts hold neither a
            role name nor an empty trace.
    """
    pairs = zip(*(handle.passages(requests, mode) for mode in ("think", "no_think")), strict=True)
    kept = [pair for pair in pairs if all(query in passage.spans for passage in pair)]
    if not any("assistant" in on.spans or span in off.spans for on, off in kept):
        raise RimError(
            f"Heads cannot be scored: of {len(requests)} prompts {len(kept)} have the query token "
            f"{query!r} in both modes, and none of these the role name or an empty trace ({span!r}). "
            "Give another query, or a model whose chat template names the role."
        )
    think, no_think = (
        capture_attention(handle.model, passages, query, ("assistant", span))
        for passages in zip(*kept, strict=True)
    )
    both = [i for i, (on, off) in enumerate(kept) if "assistant" in on.spans and span in off.spans]
    role = np.array([kept[i][0].span("assistant") for i in both]).reshape(-1, 2)
    empty = np.array([kept[i][1].span(span) for i in both]).reshape(-1, 2)
    shifts = attention_shifts(think[0][both], no_think[0][both], role, empty)
    masses = (no_think[1][..., 1], think[1][..., 0], no_think[1][..., 0])
    ranked = rank_heads(shifts, *map(_mean_where_known, masses))
    heads = architecture_of(handle.model).unit_counts("head")
    return [score for score in ranked if score.head < heads[score.layer]]


def _mean_where_known(mass: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over prompts without NaN, shape (layers, heads); NaN where no prompt is left."""
    known = mass[~np.isnan(mass).all((1, 2))]
    return known.mean(0) if len(known) else np.full(mass.shape[1:], np.nan, np.float32)


def rank_heads(
    shifts: NDArray[np.bool_],
    on_span: NDArray[np.float32],
    on_role: NDArray[np.float32],
    on_role_no_think: NDArray[np.float32],
) -> list[HeadScore]:
    """Rank all heads by share of samples that shift, then by mass on the empty span, highest first.

    Without either they are ranked by the mass that leaves the role name in no-think mode.

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

    def rank(score: HeadScore) -> tuple[float, ...]:
        keys = score.share.value, score.mass_on_span, score.leaves_role
        return tuple((-np.nan_to_num(keys)).tolist())

    return sorted(scores, key=rank)


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
    if not ranked[0].share.n:
        how = (
            "no prompt holds both a role name and, in no-think mode, an empty trace, so no attention can "
            "shift between them (the `forced_empty` switch writes an empty trace); the first "
            f"{fallback} heads by attention that leaves the role name without thinking, or that is on "
            "the empty trace, are taken instead"
        )
        return tuple(score.unit for score in ranked[:fallback]), how
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
    asked, scored = len(config.prompts.harmful), ranked[0].share.n
    if 0 < scored < asked:
        how += f" ({scored} of {asked} prompts; the others hold no role name or no empty trace)"
    ablate = UnitAblation(config, "head")
    return HeadsSection(
        query=query,
        span=span,
        scores=tuple(ranked),
        selected=selected,
        how=how,
        effects=ablate.effects(selected, "no_think"),
        probe_shifts=measure_probe_shifts(config, selected, ablate)
        if config.prompts.benign
        else (),
    )
