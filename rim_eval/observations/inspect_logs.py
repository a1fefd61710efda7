"""Read observations from Inspect logs, where the scorers left them in each score's metadata."""

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rim_eval.errors import RimError, first_complaint
from rim_eval.files import parse_json, read_bounded
from rim_eval.formatting import counted
from rim_eval.generation import REPLIES_KEY, WEIGHTS_KEY
from rim_eval.observations.commands import inspect_command
from rim_eval.observations.missing import PlannedRun, judge_of, missing_rows
from rim_eval.observations.schema import (
    Observation,
    Problem,
    Run,
    Stopping,
    attack_checksums,
)
from rim_eval.observations.shards import SHARD
from rim_eval.observations.table import Table, from_rows
from rim_eval.paths import without_folders
from rim_eval.prompt_sets import Provenance
from rim_eval.thinking import read_doses
from rim_eval.types import MODES

if TYPE_CHECKING:
    from inspect_ai.log import EvalConfig, EvalLog, EvalSample, EvalSampleSummary
    from inspect_ai.util import EarlyStop


class NothingToReadError(RimError):
    """A file holds no observations: it is of another task or program, or was written without samples."""


_LARGEST_PART: Final = 512 * 2**20
"""Bytes of one unpacked part of a log, or of a `.json` log; summaries of 100,000 samples have 150 MB."""
BATCH_INVARIANCE: Final = "vllm_batch_invariant"
"""Key of the log's metadata: whether the server's replies do not depend on what it decodes beside them."""

STOPPING: Final = "stopping"
"""Key of the log's metadata: how the run could stop early."""

_DECODING: Final = {"temperature", "top_p", "top_k", "seed", "frequency_penalty"}


def from_inspect_log(log: "EvalLog") -> list[Observation]:
    """All observations of one Inspect log that is in memory.

    Args:
        log: A log with samples, as `inspect_ai.eval` returns it.
    """
    samples = log.samples or []
    by_scorer: dict[str, list[Observation]] = {}
    for sample in samples:
        for name, score in (sample.scores or {}).items():
            by_scorer.setdefault(name, []).extend(rows_of_score(score.metadata))
    return [row for rows in by_scorer.values() for row in complete_rows(log, samples, rows)]


def complete_rows(
    header: "EvalLog",
    samples: "Sequence[EvalSample] | Sequence[EvalSampleSummary]",
    rows: Sequence[Observation],
) -> list[Observation]:
    """The rows of one scorer, and one for each reply of the run that has none.

    A reply that was never judged (empty, cut off) gets its scorer's judge. Of a run that stopped early only the
    prompts before the first that it left unasked count.

    Args:
        header: The log; its own samples are not needed.
        samples: Its samples, or their summaries.
        rows: What the scorer left.

    Raises:
        RimError: The header is of no run of rim_eval.
    """
    if not rows:  # the log may be of another program
        return []
    judge = judge_of(rows)
    left_out, only_first = _left_unasked(header), bool(_early_stops(header))
    judged = [
        row if row.judge else row.model_copy(update=judge)
        for row in rows
        if row.prompt_id not in left_out and not (only_first and row.epoch > 1)
    ]
    with _as_run(header.location):
        return [*judged, *missing_rows(judged, _planned_run(header, samples))]


def _planned_run(
    header: "EvalLog", samples: "Iterable[EvalSample] | Iterable[EvalSampleSummary]"
) -> PlannedRun:
    params = _solver_params(header)
    doses = read_doses(params["doses"]) if params.get("doses") else ()
    left_out = _left_unasked(header)
    return PlannedRun.model_validate(
        {
            "prompt_ids": [
                name
                for name in dict.fromkeys(map(str, header.eval.dataset.sample_ids or ()))
                if name not in left_out
            ],
            "modes": params.get("modes", ()),
            "doses": [(dose.mode, dose.name) for dose in doses],
            "attacks": list(dict.fromkeys([None, params.get("attack")])),
            "epochs": _epochs(header),
            "kinds": (header.eval.metadata or {}).get("kinds", {}),
            "facts": {str(s.id): s.metadata for s in samples if "kind" in s.metadata},
        }
    )


def _early_stops(header: "EvalLog") -> "Sequence[EarlyStop]":
    """What a run left out because it stopped early: prompts of its first epoch, and all of further ones."""
    summary = header.results.early_stopping if header.results else None
    return summary.early_stops if summary and STOPPING in (header.eval.metadata or {}) else ()


def _left_unasked(header: "EvalLog") -> frozenset[str]:
    """Prompts from the first on, in the run's order, that a run left unasked because it stopped early.

    A retry may find later ones that an earlier attempt finished: those that happen to be finished are no fair sample.
    """
    stopped = {str(each.id) for each in _early_stops(header) if each.epoch == 1}
    order = list(dict.fromkeys(map(str, header.eval.dataset.sample_ids or ())))
    first = next((place for place, name in enumerate(order) if name in stopped), len(order))
    return frozenset(order[first:])


def _epochs(header: "EvalLog") -> int:
    """Epochs that the run came to: one where it stopped early, which it does in the first or not at all."""
    return 1 if _early_stops(header) else header.eval.config.epochs or 1


def _stopping(header: "EvalLog") -> Stopping | None:
    stated = (header.eval.metadata or {}).get(STOPPING)
    if stated is None:
        return None
    summary = header.results.early_stopping if header.results else None
    prompts = len(set(header.eval.dataset.sample_ids or ()))
    ended = {"decided": summary.metadata.get("decided")} if summary else {}
    if summary:
        ended["asked"] = prompts - len(_left_unasked(header))
    return Stopping.model_validate({**stated, "prompts": prompts, **ended})


@contextmanager
def _as_run(path: str) -> Iterator[None]:
    """Say which log it is: Inspect's header takes values that no run of ours has."""
    try:
        yield
    except ValidationError as error:
        raise RimError(
            f"{path} cannot be read as the log of a rim_eval run ({first_complaint(error, 'the run')}). "
            "Move the log away and run its command again."
        ) from None


def _solver_params(header: "EvalLog") -> dict[str, Any]:
    """The arguments of the solver that asked the modes."""
    steps = (step.params for step in header.plan.steps)
    return next((params for params in steps if "answer_tokens" in params), {})


def rows_of_score(metadata: Mapping[str, Any] | None) -> Iterator[Observation]:
    """The observations in one score's metadata: one an arm that ran.

    Raises:
        RimError: What stands there is no observation, or one of another version of rim_eval.
    """
    about = metadata or {}
    return _observations(about, arms_of_score(about))


def _observations(about: Mapping[str, Any], arms: Iterable[str]) -> Iterator[Observation]:
    try:
        for arm in arms:
            yield Observation.model_validate(about[arm])
    except ValidationError as error:
        raise RimError(
            "A score in the log holds no observation that this version reads: "
            f"{first_complaint(error, 'the row')}. "
            "Read the log with the version of rim_eval that wrote it, or judge it again: "
            "`rim-eval judge run LOG --judge NAME`."
        ) from None


def arms_of_score(metadata: Mapping[str, Any]) -> list[str]:
    """Names of the arms whose observations stand in a score's metadata: the modes, or those that it lists."""
    return [arm for arm in metadata.get("arms", MODES) if arm in metadata]


def load_inspect_log(path: str | Path, *store_keys: str) -> "EvalLog":
    """Load a log of a rim_eval task into memory, with its samples and replies.

    Args:
        path: A `.eval` or `.json` log.
        store_keys: Where a sample's store may hold the replies; by default `REPLIES_KEY`.

    Raises:
        RimError: It is no Inspect log, or none of its samples holds such replies.
    """
    from inspect_ai.log import read_eval_log

    with _reading(path):
        log = read_eval_log(str(path))
    if not any({*(store_keys or (REPLIES_KEY,))} & s.store.keys() for s in log.samples or []):
        raise RimError(f"{path}: no replies of a rim_eval task in it (task {log.eval.task}).")
    return log


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    try:
        _refuse_bombs(str(path))
        yield
    except RimError:
        raise
    except Exception as error:  # zip, JSON, pydantic and file-system errors, by the log's format
        reason = " ".join(str(error).split())[:200]
        raise RimError(
            f"{path} cannot be read as an Inspect log ({type(error).__name__}: {reason})."
        ) from None


def _refuse_bombs(path: str) -> None:
    """Refuse a local log that would fill the memory, or be read for ever.

    Inspect unpacks whatever stands in an `.eval` log, and its search for the header of a `.json` log takes
    the square of its depth.

    Raises:
        RimError: A part is larger than any that Inspect writes.
        ValueError: A `.json` log is no JSON, or nested too deep.
    """
    if "://" in path:
        return
    if not zipfile.is_zipfile(path):
        parse_json(read_bounded(Path(path), _LARGEST_PART))
        return
    with zipfile.ZipFile(path) as log:
        for part in log.infolist():
            if part.file_size > _LARGEST_PART:
                raise RimError(
                    f"{path}: {part.filename} has {part.file_size / 2**20:,.0f} MiB; at most "
                    f"{_LARGEST_PART // 2**20} are read, more than Inspect writes."
                )


def read_inspect_log(path: str) -> Table:
    """Rows and run of one log file, through Inspect's sample summaries: no reply is loaded.

    Args:
        path: A `.eval` or `.json` log, local or wherever Inspect can read.

    Raises:
        NothingToReadError: It is of a task that leaves no observations, or was written without samples.
        RimError: It is no Inspect log, or damaged.
    """
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    with _reading(path):
        header = read_eval_log(path, header_only=True)
        summaries = read_eval_log_sample_summaries(path)
    if not summaries and header.status == "success":
        raise NothingToReadError(
            f"{path} was written without its samples, so there is nothing to count. Run its command again without "
            "--no-log-samples."
        )
    try:
        by_scorer = _rows_by_scorer(path, summaries)
    except RimError as error:
        raise RimError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    # A run that was killed early may hold nothing but begun samples: that is no foreign log.
    is_rim_eval_task = str(header.eval.task_registry_name).startswith("rim_eval/")
    if not any(by_scorer.values()) and (header.status == "success" or not is_rim_eval_task):
        raise NothingToReadError(
            f"{path} is a log of {header.eval.task}, which leaves no observations. "
            "Give logs of rim_eval tasks (`inspect eval rim_eval/...`)."
        )
    rows = [row for each in by_scorer.values() for row in complete_rows(header, summaries, each)]
    with _as_run(path):
        run = _run(path, header, summaries, rows)
    return Table(from_rows(rows, run.id), (run,), tuple(_problems(header, run, summaries)))


def _rows_by_scorer(
    path: str, summaries: list["EvalSampleSummary"]
) -> dict[str, list[Observation]]:
    by_scorer: dict[str, list[Observation]] = {}
    for summary in summaries:
        for name, score in (summary.scores or {}).items():
            metadata = score.metadata or {}
            # The summary leaves out values longer than 1 kB.
            arms = arms_of_score(metadata)
            if not all(isinstance(metadata[arm], Mapping) for arm in arms):
                whole = (_sample(path, summary).scores or {}).get(name)
                metadata = (whole.metadata if whole else None) or {}
            by_scorer.setdefault(name, []).extend(_observations(metadata, arms))
    return by_scorer


def _sample(path: str, summary: "EvalSampleSummary") -> "EvalSample":
    from inspect_ai.log import read_eval_log_sample

    try:
        return read_eval_log_sample(path, id=summary.id, epoch=summary.epoch)
    except Exception as error:  # a summary can be whole where its sample is damaged
        raise RimError(
            f"{path}: sample {summary.id} (epoch {summary.epoch}) cannot be read "
            f"({type(error).__name__}: {str(error)[:200]}). Move the log away and run its command again."
        ) from None


def _run(
    path: str, header: "EvalLog", summaries: list["EvalSampleSummary"], rows: list[Observation]
) -> Run:
    spec, plan = header.eval, header.plan
    # The rows were named where the model ran, and it was known what is a folder.
    model = rows[0].model if rows else without_folders(spec.model)
    params = _solver_params(header)
    provenance = (spec.metadata or {}).get("provenance")
    sha256 = None
    if "://" not in path:
        with Path(path).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    # One sample tells the switch and the weights: they are the same for all of a run.
    done = next((summary for summary in summaries if not summary.error), None)
    store = {} if done is None else _sample(path, done).store
    requests = [reply.get("requested", {}) for reply in store.get(REPLIES_KEY, {}).values()]
    switch = next(filter(None, (request.get("switch") for request in requests)), None)
    decoding: dict[str, Any] = plan.config.model_dump(exclude_none=True, include=_DECODING)
    if (batch := (spec.metadata or {}).get(BATCH_INVARIANCE)) is not None:
        decoding[BATCH_INVARIANCE] = str(batch)
    for reply in store.get(REPLIES_KEY, {}).values():
        values = reply.get("requested", {}).get("sampling", {})
        decoding |= {f"{reply['mode']}.{name}": value for name, value in values.items()}
    return Run(
        # A log that was scored again keeps its eval id, so the content tells them apart.
        id=f"{spec.eval_id}-{(sha256 or '')[:8]}".rstrip("-"),
        group=spec.task_id,
        harness="inspect_ai",
        log=Path(path).name,
        log_sha256=sha256,
        created=str(spec.created),
        status=header.status,
        model=model,
        dataset=rows[0].dataset if rows else (spec.dataset.name or spec.task),
        task=spec.task_registry_name or spec.task,
        task_version=str(spec.task_version),
        command=inspect_command(header, model),
        engine=spec.model.split("/", 1)[0],
        switch=None if switch is None else str(switch),
        weights=store.get(WEIGHTS_KEY),
        prompt_style=(spec.metadata or {}).get("prompt_style", spec.task_args.get("prompt_style")),
        protocol=(spec.metadata or {}).get("protocol"),
        n_prompts=len(set(spec.dataset.sample_ids or ())) or spec.dataset.samples,
        epochs=_epochs(header),
        modes=params.get("modes", ()),
        limited=any((spec.config.limit, spec.config.sample_id)),
        shard=(spec.metadata or {}).get(SHARD),
        sample_seed=_sample_seed(spec.config),
        stopping=_stopping(header),
        answer_tokens=params.get("answer_tokens"),
        thinking_tokens=params.get("thinking_tokens"),
        doses=tuple(name for name in (params.get("doses") or "").split(",") if name),
        attack=params.get("attack"),
        attack_sha256=attack_checksums((spec.metadata or {}).get("attack")),
        decoding=decoding,
        versions=dict(spec.packages),
        provenance=Provenance.model_validate(provenance) if provenance else None,
    )


def _sample_seed(config: "EvalConfig") -> int | None:
    """The seed of a random sample: of a range of the shuffled set (`--limit 10-20`) there is none."""
    seed = config.sample_shuffle
    if isinstance(config.limit, int) and not isinstance(seed, bool):
        return seed
    return None


def _problems(
    header: "EvalLog", run: Run, summaries: list["EvalSampleSummary"]
) -> Iterator[Problem]:
    about: dict[str, Any] = {"dataset": run.dataset, "runs": (run.id,)}
    if header.status != "success":
        says = f"{run.log} ended as `{header.status}`"
        yield Problem(kind="incomplete_run", says=says, ids=(run.log,), **about)
    scored = {(str(summary.id), summary.epoch) for summary in summaries if summary.scores}
    epochs = range(1, run.epochs + 1)
    expected = {*map(str, header.eval.dataset.sample_ids or ())} - _left_unasked(header)
    missing = {name for name in expected for epoch in epochs if (name, epoch) not in scored}
    if missing:
        prompts = counted(len(missing), "prompt")
        says = f"{run.log} has no outcome for {prompts} of {run.dataset} ({run.model})"
        yield Problem(kind="missing", says=says, ids=tuple(sorted(missing)), **about)
