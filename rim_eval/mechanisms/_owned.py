"""Which weights belong to a neuron or a head: the ones that it reads and the ones that it writes."""

from collections.abc import Iterator, Sequence
from typing import Any

from rim_eval.errors import RimError
from rim_eval.mechanisms._architecture import Architecture
from rim_eval.mechanisms.units import by_layer

__all__ = ["down_weight", "gate_projections", "head_weights", "neuron_weights"]

Units = Sequence[tuple[int, int]]


def neuron_weights(parts: Architecture, neurons: Units) -> Iterator[tuple[Any, Any]]:
    """Each neuron's weights as (parameter, index)."""
    for layer, numbers in by_layer(neurons).items():
        routed = parts.routed(layer)
        for number in (each for each in numbers if each < routed):
            yield from _of_expert(parts.experts[layer], number)
        rest = [number - routed for number in numbers if number >= routed]
        if rest:
            yield from _of_dense(parts, layer, rest)


def _of_expert(experts: Any, number: int) -> Iterator[tuple[Any, Any]]:
    inner = experts.down_proj.shape[2]
    expert, row = divmod(number, inner)
    yield experts.gate_up_proj, (expert, [row, inner + row])
    yield experts.down_proj, (expert, slice(None), row)


def _of_dense(parts: Architecture, layer: int, numbers: list[int]) -> Iterator[tuple[Any, Any]]:
    down = down_weight(parts, layer)
    yield down, (slice(None), numbers)
    for module, copies in gate_projections(parts, layer):
        rows = [start * down.shape[1] + number for start in range(copies) for number in numbers]
        yield from _rows_of(module, rows)


def down_weight(parts: Architecture, layer: int) -> Any:
    """What the neurons of a layer's `denses` write, shape (width of the model, neurons).

    Raises:
        RimError: The weight is stored the other way round.
    """
    module = parts.downs[layer]
    if type(module).__name__ == "Conv1D":
        raise RimError(
            f"{type(parts.denses[layer]).__name__} keeps its weights the other way round (Conv1D): which of "
            "them belong to a neuron is not known. Freeze the whole layer instead."
        )
    assert module is not None
    return module.weight


def gate_projections(parts: Architecture, layer: int) -> Iterator[tuple[Any, int]]:
    """What the neurons of a layer's `denses` read: projections whose rows belong to neurons.

    Yields:
        The module, and how many rows each neuron has in it, a stretch of all neurons after the
        other: 1, or 2 where gate and up projection are fused (the gate's come first).
    """
    down, dense = parts.downs[layer], parts.denses[layer]
    for module in () if dense is None else dense.modules():
        weight = getattr(module, "weight", None)
        # The down projection is known by what it is: its shape may be square.
        if weight is None or weight.dim() != 2 or module is down:
            continue
        copies, rest = divmod(weight.shape[0], down_weight(parts, layer).shape[1])
        if copies in (1, 2) and not rest:
            yield module, copies


def head_weights(model: Any, parts: Architecture, heads: Units) -> Iterator[tuple[Any, Any]]:
    """Each head's weights as (parameter, index).

    Raises:
        RimError: The attention is of a kind that is not known.
    """
    config = model.config.get_text_config()
    groups = getattr(config, "num_key_value_heads", None) or parts.heads
    per_group = parts.heads // groups
    for layer, numbers in by_layer(heads).items():
        query = _channels(numbers, parts.head_dim)
        shared = _channels(sorted({n // per_group for n in numbers}), parts.head_dim)
        yield parts.outputs[layer].weight, (slice(None), query)
        attention = parts.attention[layer]
        if hasattr(attention, "qkv_proj"):
            edges = parts.heads * parts.head_dim, (parts.heads + groups) * parts.head_dim
            rows = query + [edge + channel for edge in edges for channel in shared]
            yield from _rows_of(attention.qkv_proj, rows)
            continue
        for name, rows in (("q", query), ("k", shared), ("v", shared)):
            projection = getattr(attention, f"{name}_proj", None)
            if projection is None:
                raise RimError(
                    f"{type(attention).__name__} has no {name}_proj: which of its weights belong to "
                    "a head is not known. Freeze neurons instead, or the whole layer."
                )
            yield from _rows_of(projection, rows)
            norm = getattr(getattr(attention, f"{name}_norm", None), "weight", None)
            if norm is not None and len(norm) == projection.weight.shape[0]:
                yield norm, (rows,)


def _rows_of(projection: Any, rows: list[int]) -> Iterator[tuple[Any, Any]]:
    yield projection.weight, (rows,)
    if projection.bias is not None:
        yield projection.bias, (rows,)


def _channels(numbers: Sequence[int], width: int) -> list[int]:
    return [number * width + i for number in numbers for i in range(width)]
