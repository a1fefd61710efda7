"""Fused experts, whose neurons go through no module that could be hooked.

Their forward pass is replaced by the same computation, one expert at a time, in every layout that
transformers describes (gated or not, transposed, interleaved, with biases or a norm), and in Llama 4's,
whose experts compute all tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from rim_eval.mechanisms.architecture import is_transposed

ExpertHook = Callable[[Any, Any, int], Any]


@contextmanager
def hook_experts(experts: Any, use: ExpertHook) -> Iterator[None]:
    """Call a function with the activations of each expert, and use what it returns instead.

    Nested calls chain as hooks do: the later one receives what the earlier one returned.

    Args:
        experts: Module with fused weights.
        use: Called once an expert with the activations of the tokens routed to it, shape (tokens,
            neurons), the flat index of these tokens, and the number of the expert's first neuron.
    """
    active: list[ExpertHook] = vars(experts).setdefault("_rim_eval_unit_hooks", [])
    # accelerate wraps `forward`, to load offloaded weights around it, and keeps the model's own.
    name = "_old_forward" if hasattr(experts, "_old_forward") else "forward"
    before = vars(experts).get(name)
    if not active:
        vars(experts)[name] = partial(forward_experts, experts, active)
    active.append(use)
    try:
        yield
    finally:
        active.remove(use)
        if not active and before is None:
            del vars(experts)[name]
        elif not active:
            vars(experts)[name] = before


def forward_experts(
    experts: Any, active: Sequence[ExpertHook], hidden: Any, chosen: Any = None, weights: Any = None
) -> Any:
    """What transformers' experts compute, one expert at a time, in every layout that it describes.

    Args:
        experts: Module with fused weights.
        active: Hooks on its neurons.
        hidden: Shape (tokens, width); all tokens for each expert in turn where nothing is chosen.
        chosen: Experts of each token, shape (tokens, experts a token).
        weights: Their weights, of the same shape.
    """
    import torch

    count, width = len(experts.down_proj), hidden.shape[-1]
    total = torch.zeros_like(hidden) if chosen is not None else hidden.new_empty(hidden.shape)
    for expert in range(count) if chosen is None else chosen.unique().tolist():
        if expert >= count:
            continue  # where transformers spreads experts over devices, this one is elsewhere
        if chosen is None:
            own = hidden.view(count, -1, width)[expert]
            tokens = torch.arange(len(own), device=hidden.device)
        else:
            tokens, slot = torch.where(chosen == expert)
            own = hidden[tokens]
        acts = _activate(experts, expert, own)
        for use in active:
            changed = use(acts, tokens, expert * acts.shape[1])
            acts = acts if changed is None else changed
        out = _project(experts, "down_proj", expert, acts)
        if getattr(experts, "has_post_expert_norm", False):
            out = experts.post_expert_norm(out)
        if chosen is None:
            total.view(count, -1, width)[expert] = out
        else:
            total.index_add_(0, tokens, (out * weights[tokens, slot, None]).to(total.dtype))
    return total


def _activate(experts: Any, expert: int, states: Any) -> Any:
    """Activations of an expert's neurons, shape (tokens, neurons)."""
    if not hasattr(experts, "gate_up_proj"):
        return experts.act_fn(_project(experts, "up_proj", expert, states))
    both = _project(experts, "gate_up_proj", expert, states)
    if hasattr(experts, "_apply_gate"):
        return experts._apply_gate(both)
    gate, up = both.chunk(2, dim=-1)
    return experts.act_fn(gate) * up


def _project(experts: Any, name: str, expert: int, states: Any) -> Any:
    import torch

    weight, bias = getattr(experts, name)[expert], getattr(experts, f"{name}_bias", None)
    weight = weight.T if is_transposed(experts) else weight
    return torch.nn.functional.linear(states, weight, None if bias is None else bias[expert])
