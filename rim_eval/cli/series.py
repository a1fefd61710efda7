"""`rim-eval series`: a base model and its checkpoints or adapters, in both modes, and the trend over training."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from pydantic import ValidationError

from rim_eval.cli.card import find_validations, judges_of, write_card
from rim_eval.cli.progress_option import progress_option
from rim_eval.cli.task_names import read_arguments, refuse_unknown, task_name
from rim_eval.errors import RimError, first_complaint
from rim_eval.files import write_whole
from rim_eval.formatting import counted
from rim_eval.progress import Progress

if TYPE_CHECKING:
    from rim_eval.series import SeriesReport, SeriesSettings
    from rim_eval.suite.jobs import ChildMessage, RunModel, RunPlan

_REPORT_NEEDS: Final = ("altair", "pandas", "pyarrow", "vl_convert")


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="BASE CHECKPOINT...")
@click.option("--tasks", required=True, metavar="TASK,TASK", help="Tasks to run on every model, such as hexphi,gsm8k.")  # fmt: skip
@click.option("--log-dir", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the series. The same command continues it.")  # fmt: skip
@click.option("-T", "task_args", multiple=True, metavar="NAME=VALUE", help="Argument of the tasks (repeatable), as `inspect eval -T` takes it.")  # fmt: skip
@click.option("-M", "model_args", multiple=True, metavar="NAME=VALUE", help="Argument of the models (repeatable), as `inspect eval -M` takes it.")  # fmt: skip
@click.option("--model-base-url", metavar="URL", help="Address of the models' server.")
@click.option("--model-role", "model_roles", multiple=True, metavar="ROLE=MODEL", help="Model of a role, such as grader=openai/gpt-4o (repeatable).")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Only the first prompts of each task.")
@click.option("--epochs", type=click.IntRange(min=1), help="How often each prompt is asked.")
@click.option("--steps", metavar="N,N", help="Training steps of the models, the base first; equal steps unless given.")  # fmt: skip
@click.option("--max-connections", type=click.IntRange(min=1), help="Requests at a time, and the batch size of hf/.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the cards and the report.  [default: cards, in the folder of the series]")  # fmt: skip
@progress_option
def command(models: Sequence[str], tasks: str, log_dir: Path, task_args: Sequence[str], model_args: Sequence[str], model_base_url: str | None, model_roles: Sequence[str], limit: int | None, epochs: int | None, steps: str | None, max_connections: int | None, out: Path | None, progress: Progress) -> None:  # fmt: skip
    """Run both modes over a BASE model and its checkpoints, in the order of training, and compare them with BASE.

    Each is a model as Inspect takes it (hf/FOLDER, vllm/FOLDER, vllm/BASE:ADAPTER), or NAME=MODEL. Give the same
    command again after a stop: what is finished is not run again.

    rim-eval series hf/base hf/run/step-100 hf/run/step-200 --tasks hexphi,gsm8k --log-dir logs/series
    """
    from rim_eval.series import SeriesSettings, open_series, parse_models, run_series, series_plan

    named = parse_models(models)
    try:
        settings = SeriesSettings(
            models=named,
            tasks=tuple(task_name(each) for each in tasks.split(",")),
            task_args=read_arguments("-T", task_args),
            model_args=read_arguments("-M", model_args),
            model_roles=read_arguments("--model-role", model_roles),
            model_base_url=model_base_url,
            limit=limit,
            epochs=epochs,
        )
    except ValidationError as error:
        raise RimError(f"These options make no series: {first_complaint(error, 'they')}.") from None
    refuse_unknown("--tasks", settings.tasks, settings.task_args)
    at = _numbers(steps, settings.labels)
    refuse_missing()
    open_series(log_dir, settings)
    lines = ModelLines(series_plan(settings), progress)
    failures = run_series(
        log_dir, settings, lines.tell, lines.warn, max_connections=max_connections
    )
    lines.end()
    _report(log_dir, settings, at, out or log_dir / "cards")
    if failures:
        click.echo(f"\nNot finished, {len(failures)} of {counted(len(named), 'model')}:", err=True)
        for failure in failures:
            click.echo(f"  {failure.label}: {failure.reason}", err=True)
        click.echo("Finished samples are kept: the same command continues.", err=True)
        sys.exit(1)


def _numbers(steps: str | None, labels: Sequence[str]) -> Sequence[float] | None:
    """Read the training steps before anything is run.

    Raises:
        RimError: They are no increasing numbers, one for each model.
    """
    from rim_eval.series import check_steps

    if steps is None:
        return None
    try:
        numbers = [float(step) for step in steps.split(",")]
    except ValueError:
        raise RimError(
            f"--steps {steps}: give numbers with commas between, such as 0,100,200."
        ) from None
    return check_steps(numbers, labels)


def refuse_missing() -> None:
    """Refuse to run for hours what could not be reported then.

    Raises:
        RimError: It names the packages.
    """
    if missing := [name for name in _REPORT_NEEDS if find_spec(name) is None]:
        raise RimError(
            f"The report needs {', '.join(missing)}, not installed here: pip install 'rim-eval[card]'. Nothing was asked."
        )


class ModelLines:
    """How far all models of a run are, and one line for each when it ends: the models of one server end in any order.

    Args:
        plan: The run.
        progress: Shows the samples of all models together.
    """

    def __init__(self, plan: "RunPlan", progress: Progress) -> None:
        self._labels, self._tasks = plan.labels, len(plan.sets)
        self._counts: dict[str, dict[str, tuple[int, int]]] = {}
        self._kept: dict[tuple[str, str], int] = {}
        self._warned: set[str] = set()
        self._progress = progress
        progress.begin(plan.what, unit="prompts")

    def tell(self, model: "RunModel", message: "ChildMessage") -> None:
        """Take note, and write the model's line when its last sample has ended."""
        tasks, task = self._counts.setdefault(model.label, {}), message.task or ""
        was_complete = self._is_complete(model.label)
        tasks[task] = (message.done, message.total)
        # The first message of a task says what earlier runs left.
        self._kept.setdefault((model.label, task), message.done)
        done = sum(done for tasks in self._counts.values() for done, _ in tasks.values())
        self._progress.count(done, kept=sum(self._kept.values()), total=self._total())
        if self._is_complete(model.label) and not was_complete:
            click.echo(self._line(model.label), err=True)

    def _total(self) -> int:
        """Prompts of all models: each is asked the same; 0 until each task has been begun once."""
        totals: dict[str, int] = {}
        for tasks in self._counts.values():
            totals |= {task: total for task, (_, total) in tasks.items()}
        return len(self._labels) * sum(totals.values()) if len(totals) >= self._tasks else 0

    def warn(self, warning: str) -> None:
        """Show a warning once."""
        if warning not in self._warned:
            self._warned.add(warning)
            click.echo(f"warning: {warning}", err=True)

    def end(self) -> None:
        """Write the lines of models that did not come to their end."""
        self._progress.end()
        for label in self._counts:
            if not self._is_complete(label):
                click.echo(self._line(label), err=True)

    def _is_complete(self, label: str) -> bool:
        counts = self._counts[label].values()
        return len(counts) >= self._tasks and all(done >= total for done, total in counts)

    def _line(self, label: str) -> str:
        counts = self._counts[label].values()
        done, total = (sum(numbers) for numbers in zip(*counts, strict=True))
        tasks = f", {len(counts)} of {self._tasks} tasks" if self._tasks > 1 else ""
        return f"{self._labels.index(label) + 1}/{len(self._labels)} {label}: {done}/{total} prompts{tasks}"


def _report(
    log_dir: Path, settings: "SeriesSettings", steps: Sequence[float] | None, out: Path
) -> None:
    """Write a card for each finished model, and the report where the base is finished."""
    from rim_eval.card import make_card
    from rim_eval.observations import read_observations
    from rim_eval.series import build_series, finished_logs

    logs = finished_logs(log_dir, settings)
    finished = [label for label in settings.labels if len(logs[label]) == len(settings.tasks)]
    if not finished:
        return
    table = read_observations(
        f"{label}={path}" for label in finished for path in logs[label].values()
    )
    measured = find_validations(judges_of(table))
    for label in finished:
        write_card(make_card(table.of_model(label), validations=measured), out / label)
    if settings.labels[0] in finished:
        _write_report(build_series(table, settings.labels, steps=steps), out)
    else:
        click.echo(
            f"\nNo report: {settings.labels[0]}, which the others are compared with, is not finished."
        )
    click.echo(f"\n{out}: {len(finished)} cards ({', '.join(finished)})")


def _write_report(report: "SeriesReport", out: Path) -> None:
    from rim_eval.series import series_html, series_markdown, series_text

    click.echo(f"\n{series_text(report)}")
    write_whole(
        {
            out / "series_report.json": report.model_dump_json(indent=1) + "\n",
            out / "series_report.md": series_markdown(report),
            out / "series_report.html": series_html(report),
        }
    )
    click.echo(f"\n{out}/series_report.html  series_report.md  series_report.json")
