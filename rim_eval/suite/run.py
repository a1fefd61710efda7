"""Run models over sets: child processes one after another, each resuming from its own logs, under a lock on the folder.

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
from typing import IO, Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.suite.jobs import (
    ChildJob,
    ChildMessage,
    Failure,
    RunModel,
    RunPlan,
    RunSet,
    set_of,
)

_CHILD: Final = "rim_eval.suite.child"
_END_SECONDS: Final = 60.0
"""For a child to write its logs and to end its server, once it is told to stop."""

Tell = Callable[[RunModel, ChildMessage], None]
"""Called with a model and how far one of its sets is."""

Logs = Mapping[str, Mapping[str, Path]]
"""The finished log of each set, by the labels of model and set."""


def run_plan(
    folder: Path, plan: RunPlan, tell: Tell, warn: Callable[[str], None]
) -> tuple[Failure, ...]:
    """Run what is not finished of a plan; a model that fails does not stop the others.

    Args:
        folder: Folder of the run.
        plan: What to run.
        tell: Called as samples end, and for each set that was finished before.
        warn: Called with each warning of each child process.

    Returns:
        The models whose logs are not complete, in their order.

    Raises:
        RimError: Another process is running in this folder.
    """
    reasons: dict[str, str] = {}
    with _locked(folder, plan.what) as lock:
        logs = finished_logs(folder, plan)
        for group in plan.groups():
            for each in group:
                _tell_finished(each, logs[each.label], tell)
            rest = _unfinished(plan, group, logs)
            if rest.models:
                job = ChildJob(log_dir=str(_logs_of(folder, group)), plan=rest)
                reasons |= _run_child(job, lock, tell, warn)
    logs = finished_logs(folder, plan)
    return tuple(
        Failure(label, reasons.get(label, "its run ended early"))
        for label in plan.labels
        if unfinished_sets(plan, logs[label])
    )


def unfinished_sets(plan: RunPlan, logs: Mapping[str, Path]) -> tuple[RunSet, ...]:
    """The sets with prompts that have no finished log.

    Args:
        plan: What is run.
        logs: The finished logs of one model by set.
    """
    return tuple(each for each in plan.sets if each.label not in logs and not each.is_empty)


def _unfinished(plan: RunPlan, group: Sequence[RunModel], logs: Logs) -> RunPlan:
    """The models of a group that have unfinished sets, with all sets that any of them lacks."""
    lacking = {each.label: unfinished_sets(plan, logs[each.label]) for each in group}
    return plan.model_copy(
        update={
            "models": tuple(each for each in group if lacking[each.label]),
            "sets": tuple(each for each in plan.sets if any(each in s for s in lacking.values())),
        }
    )


def finished_logs(folder: Path, plan: RunPlan) -> Logs:
    """Find the log of each set that ended well.

    Args:
        folder: Folder of the run.
        plan: What was to run.
    """
    found: dict[str, dict[str, Path]] = {label: {} for label in plan.labels}
    for group in plan.groups():
        labels = {each.model: each.label for each in group}
        for log in _successful(_logs_of(folder, group)):
            label = labels.get(log.model, group[0].label if len(group) == 1 else None)
            of_set = set_of(plan.sets, log.task, log.args)
            if label and of_set:
                found[label][of_set.label] = log.path
    return found


def _logs_of(folder: Path, group: Sequence[RunModel]) -> Path:
    return folder / "logs" / group[0].label


class _Log(NamedTuple):
    model: str
    task: str
    args: Mapping[str, Any]
    path: Path


def _successful(log_dir: Path) -> Iterator[_Log]:
    """Each log that ended well; one that a kill left unreadable did not."""
    from inspect_ai.log import read_eval_log

    for path in sorted(log_dir.glob("*.eval")):
        try:
            header = read_eval_log(str(path), header_only=True)
        except Exception:  # whatever zip, JSON and pydantic raise on half a log
            continue
        if header.status == "success":
            spec = header.eval
            task = spec.task_registry_name or spec.task
            yield _Log(spec.model, task, spec.task_args_passed, path)


def _tell_finished(model: RunModel, logs: Mapping[str, Path], tell: Tell) -> None:
    from inspect_ai.log import read_eval_log

    for label, path in logs.items():
        results = read_eval_log(str(path), header_only=True).results
        n = results.total_samples if results else 0
        tell(model, ChildMessage(model=model.model, task=label, done=n, total=n))


def _run_child(
    job: ChildJob, lock: int | None, tell: Tell, warn: Callable[[str], None]
) -> dict[str, str]:
    """Run one child to its end; what it and its models' logs say of failures, by label."""
    models = {each.model: each for each in job.plan.models}
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
            concerned = [models[message.model]] if message.model in models else job.plan.models
            if message.error:
                for each in concerned:
                    reasons.setdefault(each.label, message.error)
            elif len(concerned) == 1:
                tell(concerned[0], message)
        code = process.wait()
    if code:
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        for each in job.plan.models:
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
def _locked(folder: Path, what: str) -> Iterator[int | None]:
    """Hold the folder, so that no second command asks what this one is asking; None where the system has no such lock.

    Raises:
        RimError: Another process holds it.
    """
    if find_spec("fcntl") is None:
        yield None
        return
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    except BlockingIOError:
        raise RimError(
            f"{folder}: another process is running this {what}. Wait for its end, or stop it first."
        ) from None
    finally:
        os.close(lock)
