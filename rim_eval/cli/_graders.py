"""Grader models, as the command line names them."""

from typing import TYPE_CHECKING

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.model import Model

__all__ = ["named_grader"]


def named_grader(name: str) -> "Model":
    """The model that `--grader NAME` names.

    Raises:
        RimError: Inspect does not get it: an unknown provider, a missing key or package.
    """
    from inspect_ai.model import get_model

    try:
        return get_model(name)
    except Exception as error:
        raise RimError(f"--grader {name}: {error}") from error
