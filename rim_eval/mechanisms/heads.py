"""Refusal attention heads: heads whose gaze moves from the role name to the empty trace.

For every head look at the attention row from which the first token is generated. With thinking it
may rest on `assistant`; without, on the empty span `<think></think>`. The share of samples in which
its maximum moves so is the head's score (paper section 3.2, Fig. 4). A head that looks so need not
carry refusal: `effect` measures that.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.capture import Attention, capture
from rim_eval.mechanisms.positions import Passage
from rim_eval.mechanisms.subject import Request, Subject
from rim_eval.mechanisms.units import Unit
from rim_eval.statistics import Rate, rate
from rim_eval.statistics._result import Figure, Result

__all__ = ["CUTOFF", "HeadScore", "gaze_moves", "rank_heads", "score_heads", "select_heads"]

CUTOFF: Final = 0.5
"""Share of samples from which a head is selected; the paper states no cutoff."""


class HeadScore(Result):
    """One head."""

    layer: int
    head: int
    share: Rate
    """Share of samples in which the attention maximum moves from `assistant` to the empty span."""
    mass_on_span: Figure
    """Mean attention on the empty span in no-think mode, 0 to 1."""
    mass_on_role: Figure
    """Mean attention on `assistant` in think mode, 0 to 1."""
    mass_on_role_no_think: Figure
    """Mean attention on `assistant` in no-think mode: high in both modes means it does not move."""

    @property
    def unit(self) -> Unit:
        """The head as (layer, index)."""
        return Unit(self.layer, self.head)


def gaze_moves(
    think: NDArray[np.int64],
    no_think: NDArray[np.int64],
    role: NDArray[np.int64],
    span: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Where a head's attention maximum moves from the role name to the empty span.

        moves[p, l, h] = think[p, l, h] in role[p]  and  no_think[p, l, h] in span[p]

    Args:
        think: Attention argmax in think mode, shape (prompts, layers, heads).
        no_think: The same in no-think mode.
        role: Start and stop of `assistant` in the think passage, shape (prompts, 2).
        span: Start and stop of the empty span in the no-think passage, shape (prompts, 2).

    Returns:
        Shape (prompts, layers, heads).
    """
    start, stop = (edge[:, None, None] for edge in role.T)
    first, last = (edge[:, None, None] for edge in span.T)
    moves: NDArray[np.bool_] = (
        (think >= start) & (think < stop) & (no_think >= first) & (no_think < last)
    )
    return moves


def score_heads(
    subject: Subject,
    requests: Sequence[Request],
    *,
    query: str = "last",
    span: str = "trace",
) -> list[HeadScore]:
    """Scores every head on harmful requests, one forward pass a request and mode, ranked.

    Args:
        subject: A model whose no-think prompt holds an empty trace.
        requests: Harmful requests.
        query: The attention row's token; `last` is the one from which the first token is generated.
        span: `trace` counts the markers as part of the empty span, `inside` does not.

    Raises:
        RimError: The no-think prompt of this model holds no empty trace.
    """
    on = subject.passages(requests, "think")
    off = subject.passages(requests, "no_think")
    _check(off, span)
    asked = Attention(query, ("assistant", span))
    read_on = capture(subject.model, on, attention=asked)
    read_off = capture(subject.model, off, attention=asked)
    assert read_on.argmax is not None and read_off.argmax is not None  # noqa: PT018
    assert read_on.mass is not None and read_off.mass is not None  # noqa: PT018
    moves = gaze_moves(read_on.argmax, read_off.argmax, _edges(on, "assistant"), _edges(off, span))
    mass = (read_off.mass[..., 1], read_on.mass[..., 0], read_off.mass[..., 0])
    return rank_heads(moves, *(part.mean(0) for part in mass))


def rank_heads(
    moves: NDArray[np.bool_],
    on_span: NDArray[np.float32],
    on_role: NDArray[np.float32],
    on_role_no_think: NDArray[np.float32],
) -> list[HeadScore]:
    """All heads, by share of moving samples and then by mass on the empty span, highest first.

    Args:
        moves: From `gaze_moves`, shape (prompts, layers, heads).
        on_span: Mean attention on the empty span, no-think, shape (layers, heads).
        on_role: Mean attention on `assistant`, think, shape (layers, heads).
        on_role_no_think: The same in no-think.
    """
    prompts, layers, heads = moves.shape
    scores = [
        HeadScore(
            layer=layer,
            head=head,
            share=rate(int(moves[:, layer, head].sum()), prompts),
            mass_on_span=float(on_span[layer, head]),
            mass_on_role=float(on_role[layer, head]),
            mass_on_role_no_think=float(on_role_no_think[layer, head]),
        )
        for layer in range(layers)
        for head in range(heads)
    ]
    return sorted(scores, key=lambda score: (-score.share.value, -score.mass_on_span))


def select_heads(
    ranked: Sequence[HeadScore], *, cutoff: float = CUTOFF, most: int = 10, fallback: int = 2
) -> tuple[tuple[Unit, ...], str]:
    """The heads to take out, and in words how they were chosen.

    Args:
        ranked: From `score_heads`.
        cutoff: Least share of samples.
        most: At most so many.
        fallback: So many of the first by attention mass on the empty span when none reaches the
            cutoff: their removal then only checks that nothing was missed.
    """
    chosen = tuple(score.unit for score in ranked if score.share.value >= cutoff)[:most]
    if chosen:
        return chosen, f"heads whose gaze moves in {cutoff:.0%} of samples or more, at most {most}"
    by_mass = sorted(ranked, key=lambda score: -score.mass_on_span)[:fallback]
    how = (
        f"no head's gaze moves in {cutoff:.0%} of samples; to check that nothing was missed, the "
        f"first {len(by_mass)} by attention on the empty span"
    )
    return tuple(score.unit for score in by_mass), how


def _check(passages: Sequence[Passage], span: str) -> None:
    if any(span not in passage.spans for passage in passages):
        raise RimError(
            f"The no-think prompt of this model holds no empty trace ({span!r} is missing), so no gaze "
            "can move to it. This analysis needs a template like Qwen3's, whose no-think prompt ends "
            "in <think></think>, or the `forced_empty` switch."
        )


def _edges(passages: Sequence[Passage], name: str) -> NDArray[np.int64]:
    return np.array([passage.span(name) for passage in passages], dtype=np.int64)
