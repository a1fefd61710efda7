"""Which weights answered, kept with every sample: a folder's name does not say it."""

from inspect_ai.model import Model
from inspect_ai.solver import TaskState

from rim_eval.fingerprint import fingerprint_or_none
from rim_eval.inspect_tasks._hf import is_hf

__all__ = ["read_weights", "remember_weights"]

_STORE_KEY = "rim_eval:weights"
_READ = "_rim_eval_weights"


def read_weights(model: Model) -> None:
    """Take the fingerprint of a model that is in this process, once; a served one shows no weights."""
    if is_hf(model.api) and not hasattr(model.api, _READ):
        setattr(model.api, _READ, fingerprint_or_none(model.api.model))  # type: ignore[attr-defined]


def remember_weights(state: TaskState, model: Model) -> None:
    """Put the fingerprint where the reader of logs finds it."""
    weights = getattr(model.api, _READ, None)
    if weights is not None:
        state.store.set(_STORE_KEY, weights)
