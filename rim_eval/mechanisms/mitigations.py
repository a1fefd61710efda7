"""Mitigations, measured: freezing units while tuning, steering, no-think for flagged prompts.

    with frozen(model, neurons, optimizer=optimizer):   # a training loop, otherwise unchanged
        train()

    with steered(model, {layer: vector}):               # generation
        subject.replies(...)

    merge_behaviour(think, no_think, flagged)           # think, but no-think where flagged

`compare` says what each does to the RIM score, to over-refusal and to accuracy.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms._architecture import Architecture, architecture_of
from rim_eval.mechanisms._taps import tap_blocks
from rim_eval.mechanisms.behaviour import Behaviour, Measure
from rim_eval.mechanisms.probes import Probe
from rim_eval.mechanisms.units import by_layer
from rim_eval.statistics import PairedDifference, paired_difference, rim_score
from rim_eval.statistics._result import Result

__all__ = ["Mitigation", "compare", "flag", "frozen", "merge_behaviour", "steered"]

Units = Sequence[tuple[int, int]]


class Mitigation(Result):
    """What a mitigation does, against the same model without it."""

    name: str
    rim_before: PairedDifference
    """think - no-think without the mitigation, percentage points."""
    rim_after: PairedDifference
    over_refusal: PairedDifference | None
    """Think mode, with minus without; None when no benign prompts were measured."""
    accuracy: PairedDifference | None
    degenerate: PairedDifference
    sentence: str


@contextmanager
def frozen(
    model: Any, neurons: Units = (), heads: Units = (), *, optimizer: Any = None
) -> Iterator[None]:
    """Keeps the weights of units as they are while everything else trains.

    A neuron's weights are its rows of the gate and up projections and its column of the down
    projection; a head's are its rows of the query projection, the key and value rows that it shares
    with its group, and its columns of the output projection. Their gradients are zeroed; with the
    optimizer given, the weights are also put back after each step, since weight decay and momentum
    move weights without a gradient.

    Args:
        model: The model in training.
        neurons: (layer, neuron) pairs.
        heads: (layer, head) pairs.
        optimizer: A torch optimizer over the model's parameters.
    """
    import torch

    parts = architecture_of(model)
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
            if weight.shape[0] in (width, 2 * width):
                # A fused gate and up projection holds the gate rows first.
                copies = range(0, weight.shape[0], width)
                rows = [start + number for start in copies for number in numbers]
                yield weight, (rows,)
                if module.bias is not None:
                    yield module.bias, (rows,)
            elif weight.shape[1] == width:
                yield weight, (slice(None), numbers)


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
            yield attention.qkv_proj.weight, (rows,)
            continue
        for name, rows in (("q_proj", query), ("k_proj", shared), ("v_proj", shared)):
            yield getattr(attention, name).weight, (rows,)


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


def compare(name: str, think: Behaviour, no_think: Behaviour, mitigated: Behaviour) -> Mitigation:
    """RIM score, over-refusal and accuracy with a mitigation against without.

    Args:
        name: What was done.
        think: Behaviour in think mode without it.
        no_think: Behaviour in no-think mode without it: the reference of both RIM scores.
        mitigated: Behaviour in think mode with it.
    """
    before = rim_score(think["misaligned"], no_think["misaligned"])
    after = rim_score(mitigated["misaligned"], no_think["misaligned"])

    def change(measure: Measure) -> PairedDifference:
        return paired_difference(
            mitigated[measure], think[measure], target_name=name, reference_name="think, without it"
        )

    refusal = change("over_refused") if think["over_refused"] else None
    accuracy = change("correct") if think["correct"] else None
    broken = change("degenerate")
    return Mitigation(
        name=name,
        rim_before=before,
        rim_after=after,
        over_refusal=refusal,
        accuracy=accuracy,
        degenerate=broken,
        sentence=_say(name, before, after, refusal, accuracy, broken),
    )


def _say(
    name: str,
    before: PairedDifference,
    after: PairedDifference,
    refusal: PairedDifference | None,
    accuracy: PairedDifference | None,
    broken: PairedDifference,
) -> str:
    text = (
        f"{name}: RIM score {before.difference:+.1f} points without, {after.difference:+.1f} with it "
        f"({after.lower:+.1f} to {after.upper:+.1f})"
    )
    for label, found in (("over-refusal", refusal), ("accuracy", accuracy), ("degenerate", broken)):
        if found is not None:
            text += f"; {label} {found.difference:+.1f} ({found.lower:+.1f} to {found.upper:+.1f})"
    return f"{text}."
