"""Units are complete, or it is an error.

Heads and neurons are found by structure (`architecture`). If some other module writes into the
residual stream, then an ablation of all units leaves something of the layer, and "no effect" means
nothing. Two forward passes of eight tokens tell: in both, all output and down projections write 0,
and so does whatever mixes tokens without heads; in the second, so does every other module with
weights. What only feeds units changes nothing by that, so a layer whose output differs holds a module
that writes past them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import (
    Architecture,
    UnitKind,
    is_linear,
    linear_shape,
    modules_outside,
)
from rim_eval.mechanisms.attention import is_replaceable, seen_attention
from rim_eval.mechanisms.experts import hook_experts

_TOKENS: Final = 8

_PADDED: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""Of each decoder that was checked: whether padding changes what it computes."""

_FAULTS: WeakKeyDictionary[Any, dict[UnitKind, str | None]] = WeakKeyDictionary()
"""Of each decoder that was checked: what is wrong with the units of a kind, None for nothing."""


def check_complete(parts: Architecture, kind: UnitKind) -> None:
    """Check, once a model, that attention adds nothing but by its heads, or the rest but by neurons.

    Constants, such as the bias of a down projection, are left out of account.

    Args:
        parts: The model's parts.
        kind: Kind of the units.

    Raises:
        RimError: Units cannot be found, or a module writes past them; the message names it.
    """
    parts.unit_counts(kind)
    found = _FAULTS.setdefault(parts.base, {})
    if kind not in found:
        with _evaluating(parts.base):
            found[kind] = _find_fault(parts, kind)
    if found[kind]:
        raise parts.refusal(kind, f"{found[kind]}.")


@contextmanager
def _evaluating(base: Any) -> Iterator[None]:
    """Dropout off, no gradients, and everything as it was afterwards."""
    import torch

    training = [module for module in base.modules() if module.training]
    try:
        with torch.no_grad():
            for module in training:
                module.training = False
            yield
    finally:
        for module in training:
            module.training = True


def _find_fault(parts: Architecture, kind: UnitKind) -> str | None:
    outputs = [each for each in parts.outputs if each is not None]
    downs = [down for each in parts.downs for down in each]
    writing = outputs if kind == "head" else [down.module for down in downs]
    shared = [each for each, count in Counter(writing).items() if count > 1]
    if shared:
        return (
            f"Layers share a {type(shared[0]).__name__}, so a unit of one is a unit of the others"
        )
    with_heads = [a for a, o in zip(parts.attention, parts.outputs, strict=True) if o is not None]
    others = [mixer for each in parts.mixers for mixer in each if not _among(mixer, with_heads)]
    silent = [*outputs, *(down.module for down in downs), *others]
    before, seen = _run(parts, silent)
    parts.check_stream(before[0])
    for down in downs if kind == "neuron" else ():
        if not down.experts and seen[down.module] != [_TOKENS]:
            return (
                f"A {type(down.parent).__name__} is not run on every token once ({seen[down.module]} "
                f"of {_TOKENS} tokens)"
            )
    if kind == "neuron" and (strange := _strange_experts(parts)):
        return f"{strange} computes its experts in a way that is not known"
    if kind == "head" and (mixing := _mixing_heads(parts, silent)):
        return f"{mixing} mixes its heads before its output projection"
    after, _ = _run(
        parts,
        [*silent, *(m for x in range(len(before)) for _, m in _feeding(parts, kind, x, silent))],
    )
    for number, states in enumerate(before):
        if not _same(states, after[number]):
            width = states.shape[-1]
            past = {
                f"{name} ({type(module).__name__})": is_linear(module)
                and linear_shape(module)[1] != width
                for name, module in _feeding(parts, kind, number, silent)
                if not _same(states, _run(parts, [*silent, module])[0][number])
            }
            # A router moves the layer too where the experts behind it are not found.
            past = {name: narrow for name, narrow in past.items() if not narrow} or past
            return f"{', '.join(past)} of layer {number} writes past the {kind}s"
    return None


def _mixing_heads(parts: Architecture, silent: list[Any]) -> str | None:
    """A class of attention whose heads are not what its output projection reads, side by side.

    The last head's output of the attention function is set to 0: then its place in the projection's
    input is 0, and all others are what they were and not 0. Where there is no such function, this is
    not known. With all mixers and units silent, each layer reads the same in both passes.
    """
    import torch

    if not is_replaceable(parts.base):
        return None

    def without_last(_module: Any, output: Any) -> Any:
        return torch.cat([output[:, :, :-1], torch.zeros_like(output[:, :, -1:])], 2)

    def read(change: Any) -> dict[Any, Any]:
        inputs: dict[Any, Any] = {}
        with ExitStack() as stack:
            for output in parts.outputs:
                if output is not None:
                    hook = output.register_forward_pre_hook(lambda m, x: inputs.update({m: x[0]}))
                    stack.callback(hook.remove)
            stack.enter_context(seen_attention(parts.base, lambda *_: None, change))
            _run(parts, silent)
        return inputs

    before, after = read(None), read(without_last)
    for layer, output in enumerate(parts.outputs):
        if output is None:
            continue
        shape = _TOKENS, parts.heads[layer], parts.head_dims[layer]
        whole, states = (each[output].reshape(shape) for each in (before, after))
        is_zero = (states == 0).all(0).all(-1).tolist()
        is_side_by_side = is_zero == [False] * (parts.heads[layer] - 1) + [True]
        if not is_side_by_side or not _same(states[:, :-1], whole[:, :-1]):
            return type(parts.attention[layer]).__name__
    return None


def _strange_experts(parts: Architecture) -> str | None:
    """A class of fused experts for which `forward_experts` does not compute what they do."""
    kinds = {
        type(down.module): down.module for each in parts.downs for down in each if down.experts
    }
    read: list[tuple[Any, Any, Any]] = []
    with ExitStack() as stack:
        for experts in kinds.values():
            handle = experts.register_forward_hook(lambda *call: read.append(call))
            stack.callback(handle.remove)
        _run(parts, ())
    for experts, args, output in read:
        mine = _replayed(experts, args)
        error = math.inf if mine is None else float((mine - output).abs().max())
        if not error <= 0.02 * float(output.abs().max()):
            return type(experts).__name__
    return None


def _replayed(experts: Any, args: Any) -> Any | None:
    try:
        with hook_experts(experts, lambda *_: None):
            return experts(*args)
    except (AttributeError, TypeError, IndexError, RuntimeError):
        return None  # other weights, or another signature


def check_padding(parts: Architecture) -> None:
    """Check, once a model, that padding changes nothing: texts of different lengths share a batch.

    Most attention leaves padding out. A recurrence or a convolution may read it, and attention that is
    not causal may be masked otherwise beside it (PaliGemma).

    Raises:
        RimError: It does, or the residual stream is no single vector a token.
    """
    import torch

    if parts.base not in _PADDED:
        with _evaluating(parts.base):
            alone, _ = _run(parts, ())
            parts.check_stream(alone[-1])
            padded, _ = _run(parts, (), padding=_TOKENS)
        moved = (padded[-1][:, _TOKENS:] - alone[-1]).float().abs().mean()
        rounding = max(1e-3, 8 * torch.finfo(alone[-1].dtype).eps)
        _PADDED[parts.base] = bool(moved > rounding * alone[-1].float().abs().mean())
    if _PADDED[parts.base]:
        raise RimError(
            f"{type(parts.base).__name__} computes something else where a text is padded, so texts of "
            "different lengths cannot be read together, nor their replies generated. This model is not supported."
        )


def _feeding(
    parts: Architecture, kind: UnitKind, number: int, silent: list[Any]
) -> Iterator[tuple[str, Any]]:
    """Modules with weights of a layer's attention, or outside all mixers, that should only feed units."""
    layer = parts.layers[number]
    scope = modules_outside(layer, parts.mixers[number])
    if kind == "head":
        attention = parts.attention[number]
        scope = attention.modules() if attention is not None else iter(())
    inside = list(scope)
    for name, module in layer.named_modules():
        weights = module.parameters(recurse=False)
        if (
            _among(module, inside)
            and not _among(module, silent)
            and (is_linear(module) or any(weight.ndim > 1 for weight in weights))
        ):
            yield name or "the layer itself", module


def _run(
    parts: Architecture, silent: Iterable[Any], *, padding: int = 0
) -> tuple[list[Any], dict[Any, list[int]]]:
    """Outputs of all layers while some modules write 0, and how many tokens these were called with."""
    import torch

    seen: dict[Any, list[int]] = {module: [] for module in silent}
    states: dict[Any, Any] = {}

    def silence(module: Any, args: Any, output: Any) -> Any:
        if args:
            seen[module].append(args[0].numel() // args[0].shape[-1])
        return _zeros(output)

    def store(layer: Any, _args: Any, output: Any) -> None:
        states[layer] = output if isinstance(output, torch.Tensor) else output[0]

    with ExitStack() as stack:
        for module in seen:
            stack.callback(module.register_forward_hook(silence).remove)
        for layer in parts.layers:
            stack.callback(layer.register_forward_hook(store).remove)
        ids = torch.arange(3 - padding, 3 + _TOKENS, device=parts.device)[None].clamp(min=0)
        parts.run(ids, (torch.arange(len(ids[0]), device=ids.device) >= padding).long()[None])
    return [states[layer] for layer in parts.layers], seen


def _zeros(output: Any) -> Any:
    import torch

    if isinstance(output, tuple):
        return tuple(_zeros(each) for each in output)
    is_number = isinstance(output, torch.Tensor) and output.is_floating_point()
    return torch.zeros_like(output) if is_number else output


def _same(first: Any, second: Any) -> bool:
    import torch

    return bool(torch.allclose(first, second, rtol=0, atol=0, equal_nan=True))


def _among(module: Any, modules: Iterable[Any]) -> bool:
    return any(module is each for each in modules)
