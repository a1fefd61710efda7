"""The few names that Inspect keeps private and a plugin needs (all such imports are here), and its errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from inspect_ai._util.error import PrerequisiteError as PrerequisiteError
from inspect_ai.model._generate_config import active_generate_config as active_generate_config
from inspect_ai.model._model import active_model as active_model
from inspect_ai.model._model import model_roles as model_roles
from inspect_ai.scorer._reducer import reducer_log_names as reducer_log_names

from rim_eval.errors import RimError


@contextmanager
def user_errors() -> Iterator[None]:
    """Show a `RimError` as Inspect shows a missing prerequisite: its message, and no traceback."""
    try:
        yield
    except RimError as error:
        raise PrerequisiteError(str(error)) from None
