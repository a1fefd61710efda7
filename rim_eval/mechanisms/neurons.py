"""Safety-critical neurons: those whose activation rises most when a request's bad intent is made plain.

For each request k and its counterpart with the intent spelt out (paper section 4.1.1):

    f[k, j]     largest activation of neuron j over the tokens of request and response
    top[k]      the m neurons that rose most, f[k, j; with intent] - f[k, j; plain], of those that rose
    A_safe      neurons in top[k] for every k; when that is empty, for a stated share of them

A neuron that rises need not carry refusal, nor the other way round: `ablation` measures what it does.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.ablation import UnitAblation
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.capture import capture_neurons
from rim_eval.mechanisms.effects import Effects
from rim_eval.mechanisms.model import Request
from rim_eval.mechanisms.spans import SPAN_NAMES
from rim_eval.mechanisms.units import Unit, units_at
from rim_eval.statistics._result import Result
from rim_eval.types import MODES, Mode

Floats = NDArray[np.float32]

TOP_SHARE: Final = 0.02
"""m unless told otherwise, as a share of all MLP neurons; the paper states no m."""

SHARES: Final = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of pairs tried in turn until a set is not empty; 1 is the paper's intersection."""

ROUNDING: Final = 1e-3
"""Share of a pair's largest rise up to which a neuron did not rise: batches of other lengths round
otherwise, so what the intent cannot reach still moves a little."""


class NeuronSet(Result):
    """The neurons found, and how."""

    neurons: tuple[Unit, ...]
    """Ranked by the share of pairs in whose top m they are, then by mean rise."""
    shares: tuple[float, ...]
    """That share for each of them."""
    m: int
    total: int
    """MLP neurons of the model."""
    pairs: int
    fewest: int
    """Fewest neurons that rose in a pair; below m its top is smaller than m."""
    share: float
    """Share of pairs that was asked for: 1 is the strict intersection, less is the fallback."""
    strict: int
    """Size of the strict intersection."""
    sentence: str


class NeuronsSection(Result):
    """Safety-critical neurons and the effect of ablating them, by the mode in which they were found."""

    over: str
    sets: dict[Mode, NeuronSet]
    effects: dict[Mode, Effects]
    """No entry for a mode whose set is empty."""


class Rises(NamedTuple):
    """How much every neuron rises when the intent is made plain."""

    values: Floats
    """Shape (pairs, neurons of all layers, one layer after the other)."""
    sizes: tuple[int, ...]
    """Neurons of each layer."""


def measure_rises(config: AnalysisConfig, mode: Mode, *, over: str = "text") -> Rises:
    """f[k, j; with intent] - f[k, j; plain] for every harmful prompt and neuron.

    Args:
        config: Model and prompts; the model replies to both forms, and the replies are read with them.
        mode: Mode in which replies are written and read.
        over: Token span that is max-pooled: `text` is request, template and response. A pair that lacks it
            is left out.

    Raises:
        RimError: There is no such token span, or in no pair.
    """
    if over not in SPAN_NAMES:
        raise RimError(
            f"--over {over}: there is no such token span; give one of {', '.join(SPAN_NAMES)}."
        )
    plain = config.prompts.harmful
    explicit = [Request(each.id, f"{each.text} {config.intent(each)}") for each in plain]
    forms = [
        config.handle.passages(requests, mode, config.replies(requests, mode))
        for requests in (explicit, plain)
    ]
    pairs = [pair for pair in zip(*forms, strict=True) if all(over in each.spans for each in pair)]
    if not pairs:
        raise RimError(f"--over {over}: no request has this token span in both of its forms.")
    largest = [
        capture_neurons(config.handle.model, passages, "max", over)
        for passages in zip(*pairs, strict=True)
    ]
    sizes, rises = (
        architecture_of(config.handle.model).unit_counts("neuron"),
        largest[0] - largest[1],
    )
    ids = [passage.id for _, passage in pairs]
    config.arrays.add(f"neurons/{mode}/rises", rises, ("pair", "neuron"), pair=ids)
    config.arrays.add("neurons/sizes", np.array(sizes), ("layer",))
    return Rises(rises, tuple(sizes))


def top_neurons(rises: Floats, m: int) -> NDArray[np.bool_]:
    """The m largest rises of each pair, or all where fewer neurons rose.

    Args:
        rises: Shape (pairs, neurons), and so is the result, true for the top.
        m: How many; ties at the edge go to the lower index.

    Raises:
        RimError: m is not between 1 and the number of neurons.
    """
    if not 1 <= m <= rises.shape[1]:
        raise RimError(f"m={m}: it is between 1 and the model's {rises.shape[1]} MLP neurons.")
    order = np.argsort(-rises, axis=1, kind="stable")[:, :m]
    top = np.zeros(rises.shape, dtype=np.bool_)
    np.put_along_axis(top, order, True, axis=1)
    top &= _risen(rises)
    return top


def _risen(rises: Floats) -> NDArray[np.bool_]:
    """Neurons that rose in each pair, by more than rounding; shape (pairs, neurons)."""
    rose: NDArray[np.bool_] = rises > np.maximum(ROUNDING * rises.max(1, keepdims=True), 0)
    return rose


def common_neurons(
    top: NDArray[np.bool_], shares: Sequence[float] = SHARES
) -> tuple[NDArray[np.int64], float]:
    """Neurons in the top m of every pair, or of the largest of these shares that leaves any.

    Args:
        top: From `top_neurons`, shape (pairs, neurons).
        shares: Shares of pairs, tried in turn.

    Returns:
        Columns, and the share that was used (the last one if none is left).
    """
    common = top.mean(0)
    share = next((each for each in shares if (common >= each - 1e-12).any()), shares[-1])
    return np.flatnonzero(common >= share - 1e-12), share


def find_neurons(
    rises: Rises, m: int | None = None, *, shares: Sequence[float] = SHARES
) -> NeuronSet:
    """A_safe, with everything that its size depends on.

    Args:
        rises: From `measure_rises`.
        m: Top neurons of each pair, over all layers together; default 2 % of all neurons.
        shares: Shares of pairs, tried in turn; `(1.0,)` allows no fallback.
    """
    pairs, total = rises.values.shape
    size = max(1, round(TOP_SHARE * total)) if m is None else m
    top = top_neurons(rises.values, size)
    common, mean = top.mean(0), rises.values.mean(0)
    columns, share = common_neurons(top, shares)
    columns = columns[np.lexsort((-mean[columns], -common[columns]))]
    strict, rose = int(top.all(0).sum()), _risen(rises.values).sum(1)
    short = int((rose < size).sum())
    sentence = (
        f"Top {size} of {total} neurons in each of {pairs} pairs (chance share {size / total:.1%}"
    )
    if short:
        sentence += f"; in {short} of them fewer rose, as few as {rose.min()}, and only those count"
    if strict:
        sentence += f"): {strict} are in the top of every pair."
    elif len(columns):
        sentence += f"): none is in the top of every pair; {len(columns)} are in that of {share:.0%} of them."
    else:
        sentence += f"): no neuron is in the top of even {share:.0%} of them: no set."
    return NeuronSet(
        neurons=units_at(columns, rises.sizes),
        shares=tuple(common[columns].tolist()),
        m=size,
        total=total,
        pairs=pairs,
        fewest=int(rose.min()),
        share=share,
        strict=strict,
        sentence=sentence,
    )


def study_neurons(
    config: AnalysisConfig,
    *,
    m: int | None = None,
    over: str = "text",
    modes: Sequence[Mode] = MODES[::-1],
) -> NeuronsSection:
    """Find safety-critical neurons in each mode, and measure what ablating each set does in its mode.

    Args:
        config: Model and prompts.
        m: See `find_neurons`.
        over: See `measure_rises`.
        modes: Modes in which replies are written, read and measured.
    """
    ablate = UnitAblation(config, "neuron")
    sets = {mode: find_neurons(measure_rises(config, mode, over=over), m) for mode in modes}
    effects = {
        mode: ablate.effects(each.neurons, mode) for mode, each in sets.items() if each.neurons
    }
    return NeuronsSection(over=over, sets=sets, effects=effects)
