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
from rim_eval.mechanisms.adapters import effective_weights, plain_model
from rim_eval.mechanisms.architecture import (
    Architecture,
    Down,
    UnitKind,
    architecture_of,
    is_linear,
    is_transposed,
    linear_shape,
)
from rim_eval.mechanisms.completeness import check_complete
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
    kinds: tuple[tuple[UnitKind, Units], ...] = (("neuron", neurons), ("head", heads))
    for what, units in kinds:
        counts = parts.unit_counts(what) if units else []
        for layer, numbers in by_layer(units).items():
            if not 0 <= layer < len(parts.layers):
                raise RimError(
                    f"{what} in layer {layer}: this model has layers 0 to {len(parts.layers) - 1}."
                )
            width = counts[layer]
            if numbers[0] < 0 or numbers[-1] >= width:
                there = f"they run from 0 to {width - 1} there." if width else "it has none."
                raise RimError(f"{what}s {numbers} of layer {layer}: {there}")


class Overlap(Result):
    """How much two sets of units share, beside what chance would give."""

    shared: int
    first: int
    second: int
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
    shared = len(one & two)
    rng = np.random.default_rng(seed)
    drawn = np.zeros(10_000, dtype=np.int64)
    for n1, n2, total in layers:
        drawn += rng.hypergeometric(n1, total - n1, n2, size=len(drawn))
    return Overlap(
        shared=shared,
        first=len(one),
        second=len(two),
        expected=float(sum(n1 * n2 / total for n1, n2, total in layers)),
        p_value=float(((drawn >= shared).sum() + 1) / (len(drawn) + 1)),
    )


class _Weight(NamedTuple):
    """A parameter, and where in it the neurons of an MLP or of one expert are."""

    parameter: Any
    expert: tuple[int, ...]
    """Index of the expert, empty for plain modules."""
    axis: int
    """The neurons' axis behind that index."""
    copies: int = 1
    """Rows a neuron: 2 where gate and up projection are fused."""
    interleaved: bool = False
    """Whether a neuron's two rows stand side by side; else all gate rows come first."""

    def of(self, neurons: list[int]) -> tuple[Any, tuple[Any, ...]]:
        """The parameter and the index of some neurons in it."""
        size = self.parameter[self.expert].shape[self.axis] // self.copies
        copies = range(self.copies)
        rows = [n * self.copies + c if self.interleaved else c * size + n for c in copies for n in neurons]  # fmt: skip
        return self.parameter, (*self.expert, *[slice(None)] * self.axis, rows)

    def rows(self) -> list[Any]:
        """A row a neuron, shape (neurons, width), for each copy."""
        matrix = self.parameter[self.expert].movedim(self.axis, 0)
        if self.interleaved:
            return [matrix[copy :: self.copies] for copy in range(self.copies)]
        return list(matrix.chunk(self.copies))


class _NeuronBlock(NamedTuple):
    """Weights of the neurons of one expert, or of what every token passes."""

    first: int
    """Number of the first neuron in the layer."""
    size: int
    written: _Weight
    read: list[_Weight]
    """Weights and biases."""


def _neuron_blocks(parts: Architecture, layer: int) -> Iterator[_NeuronBlock]:
    for down in parts.downs[layer]:
        if down.weight.is_meta:
            raise RimError(
                "The model's weights are offloaded: load it whole to compare or freeze them."
            )
        for expert in range(down.experts):
            written, *read = _expert_weights(down, expert)
            yield _checked(_NeuronBlock(down.first + expert * down.size, down.size, written, read))
        if not down.experts:
            read = list(_weights_read(down))
            written = _Weight(down.weight, (), down.axis + 2)
            yield _checked(_NeuronBlock(down.first, down.size, written, read))


def _checked(block: _NeuronBlock) -> _NeuronBlock:
    """Check that each weight has its rows for each neuron; packed ones have others, or codes in them."""
    for weight in (block.written, *block.read):
        matrix = weight.parameter[weight.expert]
        if (
            not matrix.is_floating_point()
            or matrix.ndim <= weight.axis
            or matrix.shape[weight.axis] != block.size * weight.copies
        ):
            raise RimError(
                f"A weight of {block.size} neurons, {tuple(matrix.shape)} of {matrix.dtype}, is packed: which "
                "of its numbers belong to a neuron is not known. Load the unquantised checkpoint to compare "
                "or freeze them."
            )
    return block


def _expert_weights(down: Down, expert: int) -> Iterator[_Weight]:
    experts, axis = down.module, down.axis + 2
    yield _Weight(experts.down_proj, (expert,), axis)
    copies = 2 if hasattr(experts, "gate_up_proj") else 1
    name = "gate_up_proj" if copies == 2 else "up_proj"
    together = copies == 2 and not getattr(experts, "is_concatenated", True)
    yield _Weight(getattr(experts, name), (expert,), 1 - axis, copies, together)
    if (bias := getattr(experts, f"{name}_bias", None)) is not None:
        yield _Weight(bias, (expert,), 0, copies, together)


def _weights_read(down: Down) -> Iterator[_Weight]:
    for module in down.parent.children():
        # The down projection is known by what it is: its shape may be square.
        if module is down.module or not is_linear(module):
            continue
        copies, rest = divmod(linear_shape(module)[1], down.size)
        if copies in (1, 2) and not rest:
            yield _Weight(module.weight, (), 1 if is_transposed(module) else 0, copies)
            if module.bias is not None:
                yield _Weight(module.bias, (), 0, copies)


def neuron_weights(parts: Architecture, neurons: Units) -> Iterator[tuple[Any, Any]]:
    """Yield each neuron's weights as (parameter, index).

    Raises:
        RimError: The neurons cannot be found, or not all of them.
    """
    if neurons:
        check_complete(parts, "neuron")
    for layer, numbers in by_layer(neurons).items():
        for block in _neuron_blocks(parts, layer):
            inside = [n - block.first for n in numbers if 0 <= n - block.first < block.size]
            if inside:
                yield from (weight.of(inside) for weight in (block.written, *block.read))


def head_weights(model: Any, parts: Architecture, heads: Units) -> Iterator[tuple[Any, Any]]:
    """Yield each head's weights as (parameter, index).

    Raises:
        RimError: The attention's layout is not supported.
    """
    if heads:
        check_complete(parts, "head")
    config = model.config.get_text_config()
    for layer, numbers in by_layer(heads).items():
        attention, output, count = parts.attention[layer], parts.outputs[layer], parts.heads[layer]
        shared = getattr(attention, "num_key_value_groups", None)
        groups = (
            count // shared if shared else getattr(config, "num_key_value_heads", None) or count
        )
        grouped = sorted({number // (count // groups) for number in numbers})
        index = _channels(numbers, parts.head_dims[layer])
        yield output.weight, (index,) if is_transposed(output) else (slice(None), index)
        names = {
            "q_proj": (numbers, count),
            "k_proj": (grouped, groups),
            "v_proj": (grouped, groups),
        }
        linears = {name for name, each in attention.named_children() if is_linear(each)} - {
            name for name, each in attention.named_modules() if each is output
        }
        if linears == {"qkv_proj"}:
            fused = [
                *numbers,
                *(count + g for g in grouped),
                *(count + groups + g for g in grouped),
            ]
            names = {"qkv_proj": (fused, count + 2 * groups)}
        if linears != set(names):
            raise RimError(
                f"{type(attention).__name__} projects by {', '.join(sorted(linears))}, not by q_proj, "
                "k_proj and v_proj: which of its weights belong to a head is not known. Freeze "
                "neurons instead, or the whole layer."
            )
        for name, (own, of) in names.items():
            projection = getattr(attention, name)
            width = projection.weight.shape[0] // of
            norm = getattr(getattr(attention, name.replace("proj", "norm"), None), "weight", None)
            if norm is not None and len(norm) != projection.weight.shape[0]:
                norm = None  # all heads share it
            weights = (projection.weight, projection.bias, norm)
            yield from ((each, (_channels(own, width),)) for each in weights if each is not None)


def _channels(heads: list[int], width: int) -> list[int]:
    return [head * width + channel for head in heads for channel in range(width)]


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
        tuned: The same architecture after it. Of models with LoRA, W + s B A counts.

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
    parts = architecture_of(plain_model(model))
    check_complete(parts, "neuron")
    effective = effective_weights(parts.feeds)

    def rows(weight: _Weight) -> list[Any]:
        return weight._replace(parameter=effective(weight.parameter)).rows()

    for layer in range(len(parts.layers)):
        for block in _neuron_blocks(parts, layer):
            matrices = [weight for weight in block.read if weight.parameter[weight.expert].ndim > 1]
            yield rows(block.written), [row for matrix in matrices for row in rows(matrix)]
