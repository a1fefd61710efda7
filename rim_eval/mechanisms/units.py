"""Units: heads and neurons as (layer, number), their weights, and what two sets of them share.

Weight change tells how far training rewrote what each neuron writes, its column of the down
projection, and what it reads, its rows of the gate and up projections. Activations are read before
the down projection, so a training that rewrites outgoing weights alone is seen only here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.model import Architecture, architecture_of
from rim_eval.statistics._result import Figure, Result

Array = NDArray[np.float64]


class Unit(NamedTuple):
    """One head or one neuron; both counted from 0."""

    layer: int
    number: int


Units = Sequence[tuple[int, int]]
"""A set of heads or of neurons."""


def by_layer(units: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Group units: layer to the numbers in it, both sorted."""
    ordered = groupby(sorted(set(units)), key=itemgetter(0))
    return {layer: [number for _, number in group] for layer, group in ordered}


def columns_of(units: Units, widths: Sequence[int]) -> list[int]:
    """Index of each unit in a vector of all units, layers one after the other.

    Args:
        units: The units.
        widths: Units that each layer has.
    """
    edges = np.cumsum([0, *widths])
    return [int(edges[layer]) + number for layer, number in units]


def units_at(columns: Iterable[int], widths: Sequence[int]) -> tuple[Unit, ...]:
    """The inverse of `columns_of`."""
    edges = np.cumsum([0, *widths])
    layers = ((int(np.searchsorted(edges, c, side="right")) - 1, int(c)) for c in columns)
    return tuple(Unit(layer, column - int(edges[layer])) for layer, column in layers)


def check_units(parts: Architecture, neurons: Units = (), heads: Units = ()) -> None:
    """Check that the model has these units.

    Raises:
        RimError: The message names the unit and what the model has.
    """
    for what, units in (("neuron", neurons), ("head", heads)):
        for layer, numbers in by_layer(units).items():
            if not 0 <= layer < len(parts.layers):
                raise RimError(
                    f"{what} in layer {layer}: this model has layers 0 to {len(parts.layers) - 1}."
                )
            width = parts.neurons(layer) if what == "neuron" else parts.heads
            if numbers[0] < 0 or numbers[-1] >= width:
                raise RimError(
                    f"{what}s {numbers} of layer {layer}: they run from 0 to {width - 1} there."
                )


class Overlap(Result):
    """How much two sets of units share, beside what chance would give."""

    shared: int
    first: int
    second: int
    jaccard: Figure
    """Shared over all, 0 to 1; NaN when both are empty."""
    expected: Figure
    """Shared units of two random sets with these numbers per layer."""
    p_value: Figure
    """Chance of at least so many shared units, one-sided (Monte Carlo, 10,000 draws)."""


def overlap(first: Units, second: Units, widths: Sequence[int], *, seed: int = 0) -> Overlap:
    """Compare two sets: does one set explain two effects?

    expected = sum over layers of n1 n2 / width; the p value draws hypergeometric counts per layer.

    Args:
        first: One set.
        second: The other.
        widths: Units that each layer has.
        seed: Seed of the draws.
    """
    one, two = set(map(tuple, first)), set(map(tuple, second))
    counts = [Counter(layer for layer, _ in units) for units in (one, two)]
    # Of each layer that both have units in: how many, and how many units there are.
    layers = [(counts[0][x], counts[1][x], widths[x]) for x in sorted(counts[0].keys() & counts[1])]
    shared, union = len(one & two), len(one | two)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(10_000, dtype=np.int64)
    for n1, n2, total in layers:
        drawn += rng.hypergeometric(n1, total - n1, n2, size=len(drawn))
    return Overlap(
        shared=shared,
        first=len(one),
        second=len(two),
        jaccard=shared / union if union else float("nan"),
        expected=float(sum(n1 * n2 / total for n1, n2, total in layers)),
        p_value=float(((drawn >= shared).sum() + 1) / (len(drawn) + 1)),
    )


class _NeuronBlock(NamedTuple):
    """Weights of the neurons of one expert, or of the MLP or shared expert that all tokens pass."""

    first: int
    """Number of the first neuron in the layer."""
    size: int
    expert: tuple[int, ...]
    """Index of the expert in its parameters, empty for plain modules."""
    down: Any
    """What the neurons write, a column a neuron."""
    reads: list[tuple[Any, int]]
    """What they read: weights and biases with the rows of each neuron in them, 1, or 2 where gate and
    up projection are fused (all gate rows come first)."""


def _neuron_blocks(parts: Architecture, layer: int) -> Iterator[_NeuronBlock]:
    routed, experts = parts.routed(layer), parts.experts[layer]
    if experts is not None:
        count, _, size = experts.down_proj.shape
        reads = [(experts.gate_up_proj, 2)]
        for expert in range(count):
            yield _NeuronBlock(expert * size, size, (expert,), experts.down_proj, reads)
    dense, down = parts.denses[layer], parts.downs[layer]
    if dense is None or down is None:
        return
    if type(down).__name__ == "Conv1D":
        raise RimError(
            f"{type(dense).__name__} stores its weights transposed (Conv1D): which of them belong to "
            "a neuron is not known. Freeze the whole layer instead."
        )
    size, reads = down.weight.shape[1], []
    for module in dense.modules():
        weight = getattr(module, "weight", None)
        # The down projection is known by what it is: its shape may be square.
        if weight is None or weight.dim() != 2 or module is down:
            continue
        copies, rest = divmod(weight.shape[0], size)
        if copies in (1, 2) and not rest:
            reads += [(part, copies) for part in (weight, module.bias) if part is not None]
    yield _NeuronBlock(routed, size, (), down.weight, reads)


def neuron_weights(parts: Architecture, neurons: Units) -> Iterator[tuple[Any, Any]]:
    """Yield each neuron's weights as (parameter, index)."""
    for layer, numbers in by_layer(neurons).items():
        for block in _neuron_blocks(parts, layer):
            rows = [n - block.first for n in numbers if 0 <= n - block.first < block.size]
            if rows:
                yield block.down, (*block.expert, slice(None), rows)
            for weight, copies in block.reads if rows else ():
                all_rows = [copy * block.size + row for copy in range(copies) for row in rows]
                yield weight, (*block.expert, all_rows)


def head_weights(model: Any, parts: Architecture, heads: Units) -> Iterator[tuple[Any, Any]]:
    """Yield each head's weights as (parameter, index).

    Raises:
        RimError: The attention's layout is not supported.
    """
    config = model.config.get_text_config()
    groups = getattr(config, "num_key_value_heads", None) or parts.heads
    per_group = parts.heads // groups
    for layer, numbers in by_layer(heads).items():
        query, shared = (
            [number * parts.head_dim + i for number in projected for i in range(parts.head_dim)]
            for projected in (numbers, sorted({number // per_group for number in numbers}))
        )
        yield parts.outputs[layer].weight, (slice(None), query)
        attention = parts.attention[layer]
        rows_of = {"q": query, "k": shared, "v": shared}
        if hasattr(attention, "qkv_proj"):
            edges = parts.heads * parts.head_dim, (parts.heads + groups) * parts.head_dim
            rows_of = {"qkv": query + [edge + channel for edge in edges for channel in shared]}
        for name, rows in rows_of.items():
            projection = getattr(attention, f"{name}_proj", None)
            if projection is None:
                raise RimError(
                    f"{type(attention).__name__} has no {name}_proj: which of its weights belong to "
                    "a head is not known. Freeze neurons instead, or the whole layer."
                )
            norm = getattr(getattr(attention, f"{name}_norm", None), "weight", None)
            if norm is not None and len(norm) != projection.weight.shape[0]:
                norm = None  # all heads share it
            weights = (projection.weight, projection.bias, norm)
            yield from ((weight, (rows,)) for weight in weights if weight is not None)


class WeightChange(NamedTuple):
    """Relative change of every neuron's weights, layers one after the other; 0 where unchanged."""

    outgoing: Array
    """Shape (neurons,)."""
    incoming: Array
    """Shape (neurons,)."""
    sizes: Array
    """Norms of the outgoing weights before, shape (neurons,)."""


def relative_change(base: Sequence[Any], tuned: Sequence[Any]) -> Array:
    """c[j] = |w[j] - v[j]| / |v[j]|, the norms taken over all of a neuron's weights.

    Args:
        base: Tensors of shape (neurons, width), one row a neuron in each of them.
        tuned: The same after training.

    Returns:
        Shape (neurons,), 0 or more; infinite where weights that were 0 are not any more.
    """
    moved = sum((w.float() - v.float()).square().sum(1) for v, w in zip(base, tuned, strict=True))
    before = sum(v.float().square().sum(1) for v in base)
    top, bottom = (side.sqrt().double().cpu().numpy() for side in (moved, before))
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Array = np.where(top == 0, 0.0, top / bottom)
    return change


def weight_change(base: Any, tuned: Any) -> WeightChange:
    """Measure the change of outgoing and incoming weights of every neuron.

    Args:
        base: The model before training.
        tuned: The same architecture after it.

    Raises:
        RimError: The models differ in shape, or which weights belong to a neuron is not known.
    """
    import torch

    changes = []
    with torch.inference_mode():
        for before, after in zip(_written_and_read(base), _written_and_read(tuned), strict=True):
            shapes = [[part.shape for side in each for part in side] for each in (before, after)]
            if shapes[0] != shapes[1]:
                raise RimError(
                    "Base and tuned model differ in the shape of their neurons' weights."
                )
            changes.append([relative_change(v, w) for v, w in zip(before, after, strict=True)])
    outgoing, incoming = map(np.concatenate, zip(*changes, strict=True))
    return WeightChange(outgoing, incoming, outgoing_sizes(base))


def outgoing_sizes(model: Any) -> Array:
    """Norm of what each neuron writes at activation 1, layers one after the other, shape (neurons,).

    Raises:
        RimError: Which weights belong to a neuron is not known.
    """
    import torch

    with torch.inference_mode():
        norms = [written.float().norm(dim=1) for (written,), _ in _written_and_read(model)]
        sizes: Array = torch.cat(norms).double().cpu().numpy()
    return sizes


def _written_and_read(model: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """What neurons write and what they read, a row a neuron, block by block."""
    parts = architecture_of(model)
    for layer in range(len(parts.layers)):
        for block in _neuron_blocks(parts, layer):
            matrices = [(w[block.expert], copies) for w, copies in block.reads if w.dim() > 1]
            reads = [part for matrix, copies in matrices for part in matrix.chunk(copies)]
            yield [block.down[block.expert].T], reads
