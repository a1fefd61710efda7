"""The few names that Inspect keeps private and a plugin needs (all such imports are here), and its errors."""

import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import click
import httpx
from inspect_ai._eval.loader import load_tasks as load_tasks
from inspect_ai._eval.loader import resolve_task_sandbox as resolve_task_sandbox
from inspect_ai._eval.task.generate import task_generate as task_generate
from inspect_ai._eval.task.run import resolve_plan as resolve_plan
from inspect_ai._eval.task.sandbox import read_sandboxenv_file as read_sandboxenv_file
from inspect_ai._eval.task.sandbox import resolve_sample_files as resolve_sample_files
from inspect_ai._eval.task.sandbox import resolve_sandbox as resolve_sandbox
from inspect_ai._eval.task.util import task_run_dir as task_run_dir
from inspect_ai._util._async import unwrap_exception_group
from inspect_ai._util.config import parse_cli_args as parse_cli_args
from inspect_ai._util.entrypoints import ensure_entry_points
from inspect_ai._util.error import PrerequisiteError as PrerequisiteError
from inspect_ai._util.error import exception_message
from inspect_ai._util.exception import TerminateSampleError as TerminateSampleError
from inspect_ai._util.notgiven import NOT_GIVEN as NOT_GIVEN
from inspect_ai._util.notgiven import NotGiven as NotGiven
from inspect_ai._util.registry import is_registry_object as is_registry_object
from inspect_ai._util.registry import registry_find, registry_unqualified_name
from inspect_ai._util.registry import registry_info as registry_info
from inspect_ai._util.registry import registry_log_name as registry_log_name
from inspect_ai._util.registry import registry_params as registry_params
from inspect_ai.model._generate_config import active_generate_config as active_generate_config
from inspect_ai.model._model import active_model as active_model
from inspect_ai.model._model import init_active_model as init_active_model
from inspect_ai.model._model import model_roles as model_roles
from inspect_ai.scorer._reducer import reducer_log_names as reducer_log_names
from inspect_ai.scorer._score import init_scoring_context as init_scoring_context
from inspect_ai.scorer._scorer import unique_scorer_name as unique_scorer_name
from inspect_ai.solver import TaskState
from inspect_ai.solver._fork import set_task_generate as set_task_generate
from inspect_ai.solver._task_state import sample_state as sample_state
from inspect_ai.solver._task_state import set_sample_state as set_sample_state
from inspect_ai.util import Limit
from inspect_ai.util._sandbox.context import (
    cleanup_sandbox_environments_sample as cleanup_sandbox_environments_sample,
)
from inspect_ai.util._sandbox.context import (
    init_sandbox_environments_sample as init_sandbox_environments_sample,
)
from inspect_ai.util._sandbox.context import sandbox_environments_context_var, unproxy_environments
from inspect_ai.util._sandbox.registry import registry_find_sandboxenv as registry_find_sandboxenv
from inspect_ai.util._store import init_subtask_store as init_subtask_store
from inspect_ai.util._store import suspend_store_events as suspend_store_events

from rim_eval.errors import RimError, SettingError

Result = TypeVar("Result")


async def gather(*tasks: Awaitable[Result]) -> list[Result]:
    """Await all at once; results in their order, and the first error as it was raised.

    Inspect's `collect` does the same and opens a span for each, whose events cost more than reading and
    judging a reply. Open one by hand where people look for it.

    Args:
        *tasks: What to await.
    """
    results: dict[int, Result] = {}

    async def run(number: int, task: Awaitable[Result]) -> None:
        results[number] = await task

    async with unwrap_exception_group(), anyio.create_task_group() as group:
        for number, task in enumerate(tasks):
            group.start_soon(run, number, task)
    return [results[number] for number in range(len(tasks))]


@contextmanager
def user_errors() -> Iterator[None]:
    """Show a `RimError` as Inspect shows a missing prerequisite: its message, and no traceback."""
    try:
        yield
    except SettingError as error:
        words = " ".join(f"-T {name}={value}" for name, value in error.settings.items())
        raise PrerequisiteError(error.message_with(words)) from None
    except RimError as error:
        raise PrerequisiteError(str(error)) from None


def concerns_all_requests(error: BaseException) -> bool:
    """Whether no other request would fare better: a missing prerequisite, key or model, or no server."""
    cause: BaseException | None = error
    while cause is not None:
        is_refused = getattr(cause, "status_code", None) in (401, 404)
        if is_refused or isinstance(cause, PrerequisiteError | httpx.ConnectError):
            return True
        cause = cause.__cause__
    return False


def fail_command(error: Exception) -> None:
    """Let the running `inspect` command end with an error's message and exit code 1; Python's callers read the log."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(
            lambda: sys.exit(f"\nThe run ended without a reply: {exception_message(error)}")
        )


def limits_of(state: TaskState) -> list[Limit]:
    """The limits that a state holds, not yet in force: on tokens, cost and messages."""
    return [state._token_limit, state._cost_limit, state._message_limit]


def sandbox_types() -> set[type]:
    """The classes of the sandboxes that Inspect started for the current sample."""
    environments = sandbox_environments_context_var.get({})
    return set(map(type, unproxy_environments(environments).values()))


def model_providers() -> frozenset[str]:
    """Names of the providers of models that Inspect knows, those of installed packages too; none is loaded."""
    import inspect_ai.model  # noqa: F401 - registers Inspect's own

    ensure_entry_points()
    return frozenset(
        map(registry_unqualified_name, registry_find(lambda it: it.type == "modelapi"))
    )
