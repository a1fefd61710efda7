"""The grader models that `--grader` names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.model import Model


def load_graders(title: str, needs_grader: bool, names: Sequence[str]) -> "list[Model]":
    """Load the grader models of a judge or monitor.

    Args:
        title: What messages call the judge or monitor.
        needs_grader: Whether it asks a grader model.
        names: What `--grader` gave.

    Raises:
        RimError: A grader is missing, or given for an offline judge or monitor.
    """
    if names and not needs_grader:
        raise RimError(f"{title} asks no grader: leave out --grader.")
    if needs_grader and not names:
        raise RimError(
            f"{title} asks a grader model: pass --grader MODEL, such as "
            "openai/gpt-4.1 (hosted) or vllm/Qwen/Qwen3-32B (local)."
        )
    return [_load_grader(name) for name in names]


def _load_grader(name: str) -> "Model":
    """Load the model that `--grader NAME` names.

    Raises:
        RimError: Inspect cannot load it: an unknown provider, a missing key or package.
    """
    from inspect_ai.model import get_model
    from rich.text import Text

    from rim_eval.inspect_tasks.compat import PrerequisiteError

    try:
        return get_model(name)
    except PrerequisiteError as error:  # written with rich's markup
        message = Text.from_markup(str(error.message)).plain
        raise RimError(f"--grader {name}: {message}") from error
    except Exception as error:
        raise RimError(f"--grader {name}: {error}") from error
