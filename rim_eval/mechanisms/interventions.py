"""What is done to a model at the moment: the ablations and steering that are active on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_ATTRIBUTE: Final = "_rim_eval_interventions"
_OURS: Final = "rim_eval.mechanisms.hooks"


@contextmanager
def intervening(model: Any, key: str) -> Iterator[None]:
    """Say what is done to a model inside a `with` block.

    Args:
        model: A Hugging Face causal language model.
        key: The same for the same intervention only, such as a digest of the units that are ablated.
    """
    active: list[str] = vars(model).setdefault(_ATTRIBUTE, [])
    active.append(key)
    try:
        yield
    finally:
        active.pop()


def active_interventions(model: Any) -> tuple[str, ...] | None:
    """Return the keys of what is done to a model, in order; None where somebody else's hooks act on it.

    What the model then replies belongs to no key, and must not be taken for the reply of another time.
    """
    keys = tuple(vars(model).get(_ATTRIBUTE, ()))
    hooks = [
        getattr(hook, "func", hook).__module__
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]
    is_known = all(module == _OURS for module in hooks) and (keys or not hooks)
    return keys if is_known else None
