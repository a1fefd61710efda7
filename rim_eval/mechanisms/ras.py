"""RAS: how much activation a set of neurons lost on safety and gained on mathematics by training.

With a_base and a_tuned the mean activations of n neurons before and after (paper section 4.2):

    delta_safe = (1/n) sum over j with base > tuned  of (base - tuned) / tuned * base   (safety prompts)
    delta_math = (1/n) sum over j with tuned > base  of (tuned - base) / base * tuned   (mathematics)
    RAS        = 2 delta_safe delta_math / (delta_safe + delta_math)

1/n counts all neurons of the set, those outside the inequality as 0. The formula divides by the
smaller activation, so it jumps where that is near zero and changes sign where it is negative.
Beside the printed form there are two guarded ones; a report gives all three:

    printed    as above
    positive   only neurons whose two activations both exceed the floor
    floored    absolute values in place of activations, and no denominator below the floor

Nothing here has a scale: values compare within one base model, guard, floor and set size only.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms.capture import Pool, capture_neurons
from rim_eval.mechanisms.spans import Passage
from rim_eval.statistics._result import Figure, Result

Array = NDArray[np.float64]

Guard = Literal["printed", "positive", "floored"]

GUARDS: Final[tuple[Guard, ...]] = get_args(Guard)

FLOOR_SHARE: Final = 0.05
"""Floor unless told otherwise, as a share of the mean absolute base activation over all neurons."""


class Activations(NamedTuple):
    """Mean activations of every neuron of one checkpoint, layers one after the other.

    Signed and absolute means differ: the mean of absolute values is what `floored` uses.
    """

    safe: Array
    """Shape (neurons,), on safety prompts."""
    math: Array
    """Shape (neurons,), on mathematics."""
    safe_abs: Array
    math_abs: Array


class Ras(Result):
    """RAS of one set of neurons between two checkpoints. Compare within one model only."""

    guard: Guard
    floor: float
    n: int
    n_lost: int
    """Neurons that enter delta_safe."""
    n_gained: int
    """Neurons that enter delta_math."""
    n_fragile: int
    """Neurons that enter either sum with a denominator below the floor in size, or negative: with
    `printed` the result then hangs on them."""
    delta_safe: Figure
    delta_math: Figure
    value: Figure
    """Harmonic mean: RAS."""
    arithmetic: Figure
    geometric: Figure
    """NaN when one shift is negative."""
    lost: tuple[Figure, ...] = ()
    """Per-neuron terms of delta_safe (not divided by n), in the order of the set; empty for sets of
    more than 1,000."""
    gained: tuple[Figure, ...] = ()


def loss_terms(base: Array, tuned: Array, guard: Guard = "printed", floor: float = 0.0) -> Array:
    """(base - tuned) / tuned * base where base > tuned, else 0.

    Args:
        base: Mean activations before, shape (n,); absolute means for `floored`.
        tuned: Mean activations after, shape (n,).
        guard: See the module.
        floor: Activation units.

    Returns:
        Shape (n,).
    """
    if guard == "floored":
        base, tuned = np.abs(base), np.abs(tuned)
    enters = base > tuned
    if guard == "positive":
        enters &= tuned > floor
    below = np.maximum(tuned, floor) if guard == "floored" else tuned
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(enters, (base - tuned) / below * base, 0.0)


def gain_terms(base: Array, tuned: Array, guard: Guard = "printed", floor: float = 0.0) -> Array:
    """(tuned - base) / base * tuned where tuned > base, else 0: `loss_terms` with sides swapped."""
    return loss_terms(tuned, base, guard, floor)


def harmonic_mean(a: float, b: float) -> float:
    """2ab / (a + b); 0 when both are 0, NaN when they cancel."""
    if a == b == 0:
        return 0.0
    return 2 * a * b / (a + b) if a + b else math.nan


def default_floor(base: Activations) -> float:
    """5 % of the mean absolute activation of the base model over all neurons and both tasks."""
    return float(FLOOR_SHARE * (base.safe_abs.mean() + base.math_abs.mean()) / 2)


def ras(
    base: Activations,
    tuned: Activations,
    columns: Sequence[int] | None = None,
    *,
    guard: Guard = "printed",
    floor: float | None = None,
) -> Ras:
    """Compute RAS of a set of neurons.

    Args:
        base: Before training.
        tuned: After it, on the same texts.
        columns: Indices of the set in the activation vectors; None for all neurons.
        guard: See the module.
        floor: Activation units; default `default_floor(base)`.
    """
    limit = default_floor(base) if floor is None else floor
    chosen = slice(None) if columns is None else np.asarray(columns, dtype=np.int64)
    names = ("safe_abs", "math_abs") if guard == "floored" else ("safe", "math")
    before, after = ([getattr(each, name)[chosen] for name in names] for each in (base, tuned))
    lost = loss_terms(before[0], after[0], guard, limit)
    gained = gain_terms(before[1], after[1], guard, limit)
    n = len(lost)
    safe, maths = (float(terms.sum() / n) if n else math.nan for terms in (lost, gained))
    fragile = ((before[0] > after[0]) & (after[0] < limit)) | (
        (after[1] > before[1]) & (before[1] < limit)
    )
    is_listed = n <= 1000
    return Ras(
        guard=guard,
        floor=limit,
        n=n,
        n_lost=int((lost != 0).sum()),
        n_gained=int((gained != 0).sum()),
        n_fragile=int(fragile.sum()),
        delta_safe=safe,
        delta_math=maths,
        value=harmonic_mean(safe, maths),
        arithmetic=(safe + maths) / 2,
        geometric=math.sqrt(safe * maths) if safe >= 0 and maths >= 0 else math.nan,
        lost=tuple(map(float, lost)) if is_listed else (),
        gained=tuple(map(float, gained)) if is_listed else (),
    )


def read_activations(
    model: Any,
    safe: Sequence[Passage],
    maths: Sequence[Passage],
    *,
    safe_over: str = "last",
    math_over: str = "reply",
    safe_pool: Pool = "mean",
) -> Activations:
    """Average activations over passages; the paper does not state its pooling.

    Args:
        model: A Hugging Face causal language model.
        safe: Safety prompts, the same for every checkpoint.
        maths: Problems with worked solutions, the same for every checkpoint.
        safe_over: Token span that is averaged; `last` is the token that decides the first word.
        math_over: The same for mathematics; `reply` is the worked solution.
        safe_pool: How the safety span is pooled; `max` sees a neuron that fires at one token of
            a long span.
    """

    def means(passages: Sequence[Passage], over: str, pool: Pool) -> tuple[Array, Array]:
        """Signed and absolute means of every neuron."""
        signed = capture_neurons(model, passages, pool, over)
        single = all(stop - start == 1 for start, stop in (p.span(over) for p in passages))
        # |mean| is the mean of |.| over one token; a maximum has no mean of absolute values.
        sized = np.abs(signed)
        if pool == "mean" and not single:
            sized = capture_neurons(model, passages, "mean_abs", over)
        return signed.mean(0, dtype=np.float64), sized.mean(0, dtype=np.float64)

    safe_mean, safe_abs = means(safe, safe_over, safe_pool)
    math_mean, math_abs = means(maths, math_over, "mean")
    return Activations(safe_mean, math_mean, safe_abs, math_abs)


def mean_kl(base: Any, tuned: Any, passages: Sequence[Passage], *, over: str = "reply") -> float:
    """E_x[KL(base || tuned)] of the next token, x from the tuning task; nats a token, 0 or more.

    Args:
        base: The model before training.
        tuned: The model after it.
        passages: Texts of the tuning task.
        over: Token span whose tokens are predicted.
    """
    import torch

    total, count = 0.0, 0
    with torch.inference_mode():
        for passage in passages:
            start, stop = passage.span(over)
            ids = torch.tensor([passage.ids], device=base.device)
            rows = slice(max(start - 1, 0), stop - 1)
            logs = [
                torch.log_softmax(
                    model(input_ids=ids, use_cache=False).logits[0, rows].double(), -1
                )
                for model in (base, tuned)
            ]
            total += float((logs[0].exp() * (logs[0] - logs[1])).sum())
            count += len(logs[0])
    return max(total / count, 0.0) if count else math.nan
