"""Run a series through the runner of suites: every task on every model, with the arguments that they share."""

from collections.abc import Callable
from pathlib import Path

from rim_eval.series.schema import SeriesSettings
from rim_eval.suite.jobs import Failure, RunModel, RunPlan, RunSet
from rim_eval.suite.run import Logs, Tell, run_plan
from rim_eval.suite.run import finished_logs as logs_of_plan


def series_plan(settings: SeriesSettings, max_connections: int | None = None) -> RunPlan:
    """What is run of a series.

    Args:
        settings: The series.
        max_connections: Requests at a time, and the batch size of `hf/`.
    """
    return RunPlan(
        models=tuple(
            RunModel(
                label=each.label,
                model=each.model,
                args=settings.model_args,
                base_url=settings.model_base_url,
            )
            for each in settings.models
        ),
        sets=tuple(
            RunSet(
                label=task,
                task=task,
                args=settings.task_args,
                limit=settings.limit,
                epochs=settings.epochs,
            )
            for task in settings.tasks
        ),
        roles=settings.model_roles,
        max_connections=max_connections,
        what="series",
    )


def run_series(
    folder: Path,
    settings: SeriesSettings,
    tell: Tell,
    warn: Callable[[str], None],
    *,
    max_connections: int | None = None,
) -> tuple[Failure, ...]:
    """Run what is not finished of a series; a model that fails does not stop the others.

    Args:
        folder: Folder of the series, opened by `open_series`.
        settings: What to run.
        tell: Called as samples end, and for each task that was finished before.
        warn: Called with each warning of each child process.
        max_connections: Requests at a time, and the batch size of `hf/`.

    Returns:
        The models whose logs are not complete, in their order.

    Raises:
        RimError: Another process is running this series.
    """
    return run_plan(folder, series_plan(settings, max_connections), tell, warn)


def finished_logs(folder: Path, settings: SeriesSettings) -> Logs:
    """Find the log of each task that ended well, by label and task.

    Args:
        folder: Folder of the series.
        settings: Its settings.
    """
    return logs_of_plan(folder, series_plan(settings))
