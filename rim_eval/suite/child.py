"""The child process of a run: one server's models, or one model, through Inspect's `eval_set`.

It reads its job from the first line of standard input and stops when that is closed, writes a JSON line for each thing
that its parent should know, and sends whatever else is printed to standard error.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from rim_eval.errors import RimError, failure_text
from rim_eval.observations.shards import SHARD
from rim_eval.suite.jobs import ChildJob, ChildMessage, RunSet, set_of, sets_in_calls
from rim_eval.suite.server import serving

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

Send = Callable[[ChildMessage], None]

_RETRIES: Final = 2
"""Attempts at a task, each with the finished samples of those before it."""
_STOP_SECONDS: Final = 45.0
"""For Inspect to write its logs and to end its server after an interrupt."""


def main() -> int:
    """Run the job and return the exit code."""
    job = ChildJob.model_validate_json(sys.stdin.readline())
    send = _sender()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    logging.getLogger("rim_eval").addHandler(_Warnings(send))
    _report_progress(job, send)
    model = job.plan.models[0]
    try:
        with serving(model.serve, model.base_url):
            return max([_run_call(job, sets, send) for sets in sets_in_calls(job.plan.sets)])
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        send(ChildMessage(error=_message(error)))
        return 1


def _run_call(job: ChildJob, sets: Sequence[RunSet], send: Send) -> int:
    """Run sets that are asked alike and return an exit code; what stops them stops no other ones."""
    try:
        logs = _run(job, sets)
    except Exception as error:
        send(ChildMessage(error=_message(error)))
        return 1
    for log in logs:
        if log.status != "success":
            reason = log.error.message if log.error else f"ended as {log.status}"
            send(ChildMessage(model=log.eval.model, error=f"{log.eval.task}: {reason[:300]}"))
    return 0


def _sender() -> Send:
    """Keep the pipe to the parent for messages alone: what a library prints goes to standard error."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: ChildMessage) -> None:
        print(message.model_dump_json(exclude_defaults=True), file=pipe, flush=True)

    return send


def _stop_with_parent() -> None:
    """Interrupt the run when the parent is gone: nobody would read its logs, and a new command may begin."""
    # The buffered reader's lock would be held when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_STOP_SECONDS)
    os._exit(130)


class _Warnings(logging.Handler):
    """Send warnings of rim_eval to the parent, who has the terminal."""

    def __init__(self, send: Send) -> None:
        super().__init__(logging.WARNING)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send(ChildMessage(warning=record.getMessage()))


def _message(error: Exception) -> str:
    """An error as the user should read it; Inspect's own, of what is missing, hold their text too."""
    if isinstance(error, RimError):
        return str(error)
    message = getattr(error, "message", None)
    return str(message) if isinstance(message, str) and message else failure_text(error)


def _run(job: ChildJob, sets: Sequence[RunSet]) -> "Sequence[EvalLog]":
    from inspect_ai import eval_set

    plan = job.plan
    options: dict[str, Any] = {"max_connections": plan.max_connections, **sets[0].asked_alike}
    if shard := options.pop("shard", None):
        options["metadata"] = {SHARD: shard.model_dump(mode="json")}
    _, logs = eval_set(
        tasks=[each.task for each in sets],
        model=[each.model for each in plan.models],
        log_dir=job.log_dir,
        # Finished models and sets of the group are not asked for again.
        log_dir_allow_dirty=True,
        model_base_url=plan.models[0].base_url,
        model_args=plan.models[0].args,
        model_roles={role: _role(value) for role, value in plan.roles.items()},
        retry_attempts=_RETRIES,
        display="none",
        ctl_server=False,
        log_format="eval",
        **{name: value for name, value in options.items() if value is not None},
    )
    return logs


def _role(value: Any) -> Any:
    """A model of a role as Inspect takes it: a name, a list, or a model with settings of its own."""
    if isinstance(value, list):
        return [_role(each) for each in value]
    if not isinstance(value, dict):
        return value
    from inspect_ai.model import GenerateConfig, get_model

    settings = dict(value)
    name, arguments = settings.pop("model", None), settings.pop("model_args", {})
    return get_model(name, config=GenerateConfig(**settings), memoize=False, **arguments)


def _report_progress(job: ChildJob, send: Send) -> None:
    """Tell the parent of each sample that ends, with those of earlier attempts counted from the start."""
    from inspect_ai.hooks import Hooks, SampleEnd, TaskEnd, TaskStart, hooks

    done = Counter[str]()
    tasks: dict[str, Any] = {}

    def tell(eval_id: str) -> None:
        spec = tasks[eval_id]
        samples = len(spec.dataset.sample_ids or ()) or spec.dataset.samples or 0
        total = samples * (spec.config.epochs or 1)
        name = spec.task_registry_name or spec.task
        of_set = set_of(job.plan.sets, name, spec.task_args_passed)
        label, count = of_set.label if of_set else name, min(done[eval_id], total)
        send(ChildMessage(model=spec.model, task=label, done=count, total=total))

    @hooks(name="rim_eval_run", description="Progress of rim-eval run and series.")
    class _Progress(Hooks):
        async def on_task_start(self, data: TaskStart) -> None:
            tasks[data.eval_id] = data.spec
            done[data.eval_id] = _finished_before(job.log_dir, data.spec.task_id)
            tell(data.eval_id)

        async def on_sample_end(self, data: SampleEnd) -> None:
            done[data.eval_id] += data.sample.error is None
            tell(data.eval_id)

        async def on_task_end(self, data: TaskEnd) -> None:
            if data.log.results is not None:
                done[data.eval_id] = data.log.results.completed_samples
            tell(data.eval_id)


def _finished_before(log_dir: str, task_id: str) -> int:
    """Samples that an earlier attempt at a task finished."""
    from inspect_ai.log import list_eval_logs, read_eval_log_sample_summaries

    finished = [0]
    for log in list_eval_logs(log_dir):
        if log.task_id == task_id:
            try:
                summaries = read_eval_log_sample_summaries(log)
            except Exception:  # half a log: the recovered one counts
                continue
            finished.append(sum(each.completed and not each.error for each in summaries))
    return max(finished)


if __name__ == "__main__":
    sys.exit(main())
