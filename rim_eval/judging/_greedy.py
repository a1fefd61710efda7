"""Greedy decoding on Inspect's `hf/` provider, which wants it said in its own way."""

import copy
from typing import Any, TypeVar

__all__ = ["greedy", "says_greedy_itself"]

_GraderT = TypeVar("_GraderT")


def says_greedy_itself(grader: Any) -> bool:
    """Whether this grader decodes greedily by `do_sample=false` and rejects temperature 0."""
    api = getattr(grader, "api", None)
    return getattr(api, "do_sample", None) is False and "generate" not in vars(api)


def greedy(grader: _GraderT) -> _GraderT:
    """The grader itself, or for `hf/` a view of it, on the same weights, that decodes greedily.

    A user's own temperature stands, and a provider whose `generate` was replaced on the instance
    (as this package's tasks do for the evaluated model) takes temperature 0 by itself.
    """
    api: Any = getattr(grader, "api", None)
    own = getattr(getattr(grader, "config", None), "temperature", None)
    if own is not None or getattr(api, "do_sample", None) is not True or "generate" in vars(api):
        return grader
    view: Any = copy.copy(grader)
    view.api = copy.copy(api)
    view.api.do_sample = False
    found: _GraderT = view
    return found
