"""What is done to a model at the moment: the ablations and steering that are active on it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

_ATTRIBUTE: Final = "_rim_eval_interventions"


@contextmanager
def intervening(model: Any, key: str, hooks: AbstractContextManager[Any]) -> Iterator[None]:
    """Act on a model inside a `with` block, and say so.

    Args:
        model: A Hugging Face causal language model.
        key: The same for the same intervention only, such as a digest of the units that are ablated.
        hooks: Registers the intervention's hooks, and removes them.
    """
    active: list[tuple[str, int]] = vars(model).setdefault(_ATTRIBUTE, [])
    before = _count_hooks(model)
    with hooks:
        active.append((key, _count_hooks(model) - before))
        try:
            yield
        finally:
            active.pop()


def active_interventions(model: Any) -> tuple[str, ...] | None:
    """Return the keys of what is done to a model, in order; None where something else acts on it, too.

    That is a hook or a patched `forward` that no intervention registered, or an adapter that can be switched on and
    off. What the model then replies belongs to no key, and must not be taken for the reply of another time.
    """
    from torch.nn.modules import module as torch_module

    active: list[tuple[str, int]] = vars(model).get(_ATTRIBUTE, [])
    is_global = torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks
    if is_global or _count_hooks(model) != sum(count for _, count in active):
        return None
    if any(_is_foreign(module) for module in model.modules()):
        return None
    return tuple(key for key, _ in active)


def _count_hooks(model: Any) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in model.modules())


def _is_foreign(module: Any) -> bool:
    """Whether a module's computation is changed from outside: not by accelerate, nor by hooks on experts."""
    ours = hasattr(module, "_hf_hook") or vars(module).get("_rim_eval_unit_hooks")
    return type(module).__module__.startswith("peft.") or ("forward" in vars(module) and not ours)
