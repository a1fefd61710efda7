"""Run a series: child processes one after another, each resuming from its own logs, under a lock on the folder.

A child runs Inspect's `eval_set`: finished logs are read only, and of a broken one the finished samples are kept. A
model whose logs are all finished starts no child, so its weights are not loaded again.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from rim_eval.errors import RimError
from rim_eval.series.plan import child_groups
from rim_eval.series.schema import ChildJob, ChildMessage, Failure, SeriesModel, SeriesSettings

_CHILD: Final = "rim_eval.series.child"
_END_SECONDS: Final = 60.0
"""For a child to write its logs and to end its server, once it is told to stop."""

Tell = Callable[[SeriesModel, ChildMessage], None]
"""Called with a model and how far one of its tasks is."""

Logs = Mapping[str, Mapping[str, Path]]
"""The finished log of each task, by label and by task."""


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
        tell: Called as samples end, and once for each finished model.
        warn: Called with each warning of rim_eval, once.
        max_connections: Requests at a time, and the batch size of `hf/`.

    Returns:
        The models whose logs are not complete, in their order.

    Raises:
        RimError: Another process is running this series.
    """
    reasons: dict[str, str] = {}
    with _locked(folder) as lock:
        for group in child_groups(settings.models):
            logs = finished_logs(folder, settings)
            waiting = tuple(each for each in group if len(logs[each.label]) < len(settings.tasks))
            job = ChildJob(
                log_dir=str(_logs_of(folder, group)),
                models=waiting,
                settings=settings,
                max_connections=max_connections,
            )
            if waiting:
                reasons |= _run_child(job, lock, tell, warn)
    logs = finished_logs(folder, settings)
    return tuple(
        Failure(label, reasons.get(label, "its run ended early"))
        for label in settings.labels
        if len(logs[label]) < len(settings.tasks)
    )


def finished_logs(folder: Path, settings: SeriesSettings) -> Logs:
    """Find the log of each task that ended well, by label and task.

    Args:
        folder: Folder of the series.
        settings: Its settings.
    """
    found: dict[str, dict[str, Path]] = {label: {} for label in settings.labels}
    for group in child_groups(settings.models):
        labels = {each.model: each.label for each in group}
        for model, task, path in _successful(_logs_of(folder, group)):
            if label := labels.get(model, group[0].label if len(group) == 1 else None):
                found[label][task] = path
    return found


def _logs_of(folder: Path, group: Sequence[SeriesModel]) -> Path:
    return folder / "logs" / group[0].label


def _successful(log_dir: Path) -> Iterator[tuple[str, str, Path]]:
    """Model, task and path of each log that ended well; one that a kill left unreadable did not."""
    from inspect_ai.log import read_eval_log

    for path in sorted(log_dir.glob("*.eval")):
        try:
            header = read_eval_log(str(path), header_only=True)
        except Exception:  # whatever zip, JSON and pydantic raise on half a log
            continue
        if header.status == "success":
            yield header.eval.model, header.eval.task_registry_name or header.eval.task, path


def _run_child(
    job: ChildJob, lock: int | None, tell: Tell, warn: Callable[[str], None]
) -> dict[str, str]:
    """Run one child to its end; what it and its models' logs say of failures, by label."""
    models = {each.model: each for each in job.models}
    log_dir = Path(job.log_dir)
    log_dir.mkdir(parents=True, exist_ok=True)
    output = log_dir / "output.txt"
    reasons: dict[str, str] = {}
    with output.open("ab") as errors, _child(job, lock, errors) as process:
        assert process.stdout
        for line in process.stdout:
            message = ChildMessage.model_validate_json(line)
            if message.warning:
                warn(message.warning)
                continue
            concerned = [models[message.model]] if message.model in models else job.models
            if message.error:
                reasons |= {each.label: message.error for each in concerned}
            elif len(concerned) == 1:
                tell(concerned[0], message)
        code = process.wait()
    if code:
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        for each in job.models:
            reasons.setdefault(each.label, f"its process ended with {ended}; see {output}")
    return reasons


@contextmanager
def _child(job: ChildJob, lock: int | None, errors: IO[bytes]) -> "Iterator[subprocess.Popen[str]]":
    """Start a child, which ends when its standard input does: with this process, however that ends."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path)},
        encoding="utf-8",
        # It holds the lock too, until it has ended.
        pass_fds=() if lock is None else (lock,),
    )
    assert process.stdin
    try:
        process.stdin.write(job.model_dump_json() + "\n")
        process.stdin.flush()
        yield process
    except KeyboardInterrupt:
        # The terminal has interrupted the child too, and a second interrupt would break the writing of its logs.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        raise
    finally:
        process.stdin.close()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


@contextmanager
def _locked(folder: Path) -> Iterator[int | None]:
    """Hold the folder, so that no second command asks what this one is asking; None where the system has no such lock.

    Raises:
        RimError: Another process holds it.
    """
    if find_spec("fcntl") is None:
        yield None
        return
    import fcntl

    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    except BlockingIOError:
        raise RimError(
            f"{folder}: another process is running this series. Wait for its end, or stop it first."
        ) from None
    finally:
        os.close(lock)
