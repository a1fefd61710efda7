"""Which weights answer: lm-eval names a model by its folder, and every run has a `checkpoint-500`."""

from typing import Any
from weakref import WeakKeyDictionary

from rim_eval.fingerprint import fingerprint_or_none

__all__ = ["weights_of"]

_READ: WeakKeyDictionary[Any, str | None] = WeakKeyDictionary()
"""Of each model instance once: a run of many tasks has one."""


def weights_of(lm: Any) -> str | None:
    """The fingerprint of the weights that a model instance of lm-eval holds in this process.

    Args:
        lm: lm-eval's model; its `hf` engine holds the weights, servers and vLLM do not.

    Returns:
        None where there are no weights at hand, or some that cannot be read (parts on disk, say): a
        run without a fingerprint is better than none.
    """
    if lm not in _READ:
        _READ[lm] = _read(getattr(lm, "model", None))
    return _READ[lm]


def _read(model: Any) -> str | None:
    if not _holds_weights(model):
        return None
    return fingerprint_or_none(model)


def _holds_weights(model: Any) -> bool:
    """Whether it is a model of torch, which need not be installed where a server answers."""
    return any(base.__module__.startswith("torch.nn") for base in type(model).__mro__)
