"""How an error of ours looks under Inspect."""

from collections.abc import Iterator
from contextlib import contextmanager

from rim_eval.errors import RimError
from rim_eval.inspect_tasks._compat import PrerequisiteError

__all__ = ["user_errors"]


@contextmanager
def user_errors() -> Iterator[None]:
    """Show a `RimError` as Inspect shows a missing prerequisite: its message, and no traceback."""
    try:
        yield
    except RimError as error:
        raise PrerequisiteError(str(error)) from None
