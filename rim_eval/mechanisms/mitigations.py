"""Mitigations, measured: freezing units while tuning, steering, no-think for flagged prompts.

    with frozen(model, neurons, optimizer=optimizer):   # a training loop, otherwise unchanged
        train()

    with steered(model, {layer: vector}):               # generation
        subject.replies(...)

    merge_behaviour(think, no_think, flagged)           # think, but no-think where flagged

`compare` says what each does to the RIM score, misalignment, over-refusal and accuracy.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms._architecture import Architecture, architecture_of
from rim_eval.mechanisms._taps import tap_blocks
from rim_eval.mechanisms.ablation import check_units
from rim_eval.mechanisms.behaviour import Behaviour, Measure
from rim_eval.mechanisms.probes import Probe
from rim_eval.mechanisms.units import by_layer
from rim_eval.outcomes import Mode
from rim_eval.statistics import PairedDifference, paired_difference, rim_score
from rim_eval.statistics._result import Result

__all__ = ["Change", "Mitigation", "compare", "flag", "frozen", "merge_behaviour", "steered"]

Units = Sequence[tuple[int, int]]


class Change(Result):
    """One measure in one mode."""

    mode: Mode
    measure: Measure
    difference: PairedDifference
    """With the mitigation minus without, percentage points; both rates stand in it."""


class Mitigation(Result):
    """What a mitigation does, against the same model without it."""

    name: str
    rim_before: PairedDifference
    """think - no-think without the mitigation, percentage points."""
    rim_after: PairedDifference
    changes: tuple[Change, ...]
    """Every measure that has prompts, in every mode that the mitigation touches."""
    sentence: str

    def change(self, measure: Measure, mode: Mode = "think") -> PairedDifference:
        """The change of one measure in one mode (KeyError when it was not measured)."""
        for each in self.changes:
            if (each.measure, each.mode) == (measure, mode):
                return each.difference
        raise KeyError((measure, mode))


@contextmanager
def frozen(
    model: Any, neurons: Units = (), heads: Units = (), *, optimizer: Any = None
) -> Iterator[None]:
    """Keeps the weights of units as they are while everything else trains.

    A neuron's weights are its rows of the gate and up projections with their biases, and its column
    of the down projection. A head's are its rows of the query projection and the key and value rows
    that it shares with its group, with their biases and with norms over whole projections (OLMo),
    and its columns of the output projection. What a layer has in common stays free: a bias after
    the down or output projection, a norm that all heads share (Qwen3).

    Gradients are zeroed; with the optimizer given, the weights are also put back after each step,
    since weight decay and momentum move weights without a gradient.

    Args:
        model: The model in training.
        neurons: (layer, neuron) pairs.
        heads: (layer, head) pairs.
        optimizer: A torch optimizer over the model's parameters.

    Raises:
        RimError: The model has no such unit, or its attention is of a kind that is not known.
    """
    import torch

    parts = architecture_of(model)
    check_units(parts, neurons, heads)
    pieces = [*_neuron_weights(parts, neurons), *_head_weights(model, parts, heads)]
    masks: dict[int, tuple[Any, Any]] = {}
    for weight, index in pieces:
        _, mask = masks.setdefault(id(weight), (weight, torch.zeros_like(weight, dtype=torch.bool)))
        mask[index] = True
    saved = [(weight, mask, weight.detach()[mask].clone()) for weight, mask in masks.values()]

    def put_back(*_args: Any) -> None:
        with torch.no_grad():
            for weight, mask, values in saved:
                weight[mask] = values

    with ExitStack() as stack:
        for weight, mask, _ in saved:
            if not weight.requires_grad:
                continue  # it does not train at all
            hook = weight.register_hook(lambda grad, mask=mask: grad.masked_fill(mask, 0))
            stack.callback(hook.remove)
        if optimizer is not None:
            stack.callback(optimizer.register_step_post_hook(put_back).remove)
        yield


def _neuron_weights(parts: Architecture, neurons: Units) -> Iterator[tuple[Any, Any]]:
    """Each neuron's weights as (parameter, index)."""
    for layer, numbers in by_layer(neurons).items():
        experts, width = parts.experts[layer], parts.neurons(layer)
        if experts is not None:
            inner = experts.down_proj.shape[2]
            for number in numbers:
                expert, row = divmod(number, inner)
                yield experts.gate_up_proj, (expert, [row, inner + row])
                yield experts.down_proj, (expert, slice(None), row)
            continue
        for module in parts.mlps[layer].modules():
            weight = getattr(module, "weight", None)
            if weight is None or weight.dim() != 2:
                continue
            if type(module).__name__ == "Conv1D":
                raise RimError(
                    f"{type(parts.mlps[layer]).__name__} keeps its weights the other way round (Conv1D): which of "
                    "them belong to a neuron is not known. Freeze the whole layer instead."
                )
            if module is parts.downs[layer]:  # known by what it is: its shape may be square
                yield weight, (slice(None), numbers)
            elif weight.shape[0] in (width, 2 * width):
                # A fused gate and up projection holds the gate rows first.
                copies = range(0, weight.shape[0], width)
                rows = [start + number for start in copies for number in numbers]
                yield from _rows_of(module, rows)


def _head_weights(model: Any, parts: Architecture, heads: Units) -> Iterator[tuple[Any, Any]]:
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


@contextmanager
def steered(model: Any, vectors: Mapping[int, NDArray[np.floating]]) -> Iterator[None]:
    """Adds a vector to the residual stream after a layer, at every token: h <- h + v.

    Args:
        model: A Hugging Face causal language model.
        vectors: Layer to vector, shape (width,); towards refusal it is a positive multiple of the
            refused-minus-fulfilled direction.
    """
    import torch

    parts = architecture_of(model)

    def add(vector: NDArray[np.floating]) -> Callable[[Any], Any]:
        value = torch.tensor(np.asarray(vector, dtype=np.float32))
        return lambda hidden: hidden + value.to(hidden)

    taps = {parts.layers[layer]: add(vector) for layer, vector in vectors.items()}
    with tap_blocks(taps):
        yield


def flag(states: NDArray[np.floating], probe: Probe) -> NDArray[np.bool_]:
    """Prompts whose score is above the probe's threshold: s(y) = y . d > t.

    Args:
        states: Residual vectors of the prompts, shape (prompts, width).
        probe: A harmful-against-harmless probe of the same layer and token.
    """
    flagged: NDArray[np.bool_] = states @ probe.direction > probe.threshold
    return flagged


def merge_behaviour(think: Behaviour, no_think: Behaviour, flagged: set[str]) -> Behaviour:
    """No-think on demand: each prompt's no-think verdict where it is flagged, else its think one.

    Args:
        think: Verdicts in think mode.
        no_think: Verdicts in no-think mode, of the same prompts.
        flagged: Ids of the flagged prompts.
    """
    return {
        measure: {
            prompt: no_think[measure][prompt] if prompt in flagged else verdicts
            for prompt, verdicts in found.items()
        }
        for measure, found in think.items()
    }


def compare(
    name: str, before: Mapping[Mode, Behaviour], after: Mapping[Mode, Behaviour]
) -> Mitigation:
    """RIM score, misalignment, over-refusal and accuracy with a mitigation against without.

    Args:
        name: What was done.
        before: Behaviour in both modes without it.
        after: Behaviour with it, in the modes that it touches; the other stays as before.
    """
    changes = tuple(
        Change(
            mode=mode,
            measure=measure,
            difference=paired_difference(
                behaviour[measure],
                before[mode][measure],
                target_name=name,
                reference_name="without it",
            ),
        )
        for mode, behaviour in after.items()
        for measure in _SHOWN
        if before[mode][measure]
    )
    now = {**before, **after}
    rims = [rim_score(b["think"]["misaligned"], b["no_think"]["misaligned"]) for b in (before, now)]
    return Mitigation(
        name=name,
        rim_before=rims[0],
        rim_after=rims[1],
        changes=changes,
        sentence=_say(name, rims, changes),
    )


_SHOWN: Final[dict[Measure, str]] = {
    "misaligned": "misalignment",
    "over_refused": "over-refusal",
    "correct": "accuracy",
    "degenerate_harmful": "degenerate replies to harmful prompts",
}


def _say(name: str, rims: Sequence[PairedDifference], changes: Sequence[Change]) -> str:
    before, after = rims
    text = (
        f"{name}: RIM score {before.difference:+.1f} points ({before.lower:+.1f} to {before.upper:+.1f}) "
        f"without, {after.difference:+.1f} ({after.lower:+.1f} to {after.upper:+.1f}) with it"
    )
    for mode in dict.fromkeys(each.mode for each in changes):
        told = [
            f"{_SHOWN[each.measure]} {each.difference.difference:+.1f} ({each.difference.lower:+.1f} "
            f"to {each.difference.upper:+.1f})"
            for each in changes
            if each.mode == mode
        ]
        text += f"; {mode.replace('_', '-')} mode: {', '.join(told)}"
    return f"{text}."
