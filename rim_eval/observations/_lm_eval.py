"""Observations out of lm-eval's sample files (`--log_samples`), where the rim tasks left them."""

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, Final

from pydantic import ValidationError

from rim_eval.catalogue import Provenance
from rim_eval.errors import RimError, first_complaint
from rim_eval.observations._columns import from_rows
from rim_eval.observations._row import Observation
from rim_eval.observations._run import Problem, Run
from rim_eval.observations._table import Table

__all__ = ["from_lm_eval_samples", "read_lm_eval_samples", "sample_lines"]

_NAME: Final = re.compile(
    r"samples_(?P<task>.+?)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+)(?P<judge>\..+)?\.jsonl"
)


def from_lm_eval_samples(samples: Iterable[Mapping[str, Any]]) -> list[Observation]:
    """All observations of samples in memory.

    Args:
        samples: The lines of a sample file, or `simple_evaluate(...)["samples"][task]`.

    Raises:
        RimError: A sample is not of a rim task, or of another version of rim_eval.
    """
    return [_observation(sample) for sample in samples]


def read_lm_eval_samples(path: str) -> Table:
    """Rows and run of one sample file. What the run was, the results file beside it says.

    Raises:
        RimError: It is no sample file of a rim task.
    """
    samples = list(sample_lines(Path(path)))
    try:
        rows = from_lm_eval_samples(samples)
    except RimError as error:
        raise RimError(f"{path}: {error}") from None
    if not rows:
        raise RimError(f"{path} holds no samples.")
    run = _run(Path(path), rows, samples)
    return Table(from_rows(rows, run.id), (run,), tuple(_problems(run, rows)))


def sample_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of a file, one at a time.

    Raises:
        RimError: The file cannot be read, or a line of it is no JSON object.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield _object(path, number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise RimError(f"{path} cannot be read ({error}).") from None


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise RimError(f"{path}, line {number}: not JSON ({error}).") from None
    if not isinstance(found, dict):
        raise RimError(f"{path}, line {number}: not a sample of lm-eval.")
    return found


def _observation(sample: Mapping[str, Any]) -> Observation:
    try:
        return Observation.model_validate(sample["record"]["observation"])
    except (KeyError, TypeError):
        raise RimError(
            "these samples are not of a rim task. Give sample files of `rim_...` tasks "
            "(samples_rim_*.jsonl)."
        ) from None
    except ValidationError as error:
        raise RimError(
            f"a sample holds no observation that this version reads: {first_complaint(error, 'the row')}. "
            "Read it with the version of rim_eval that wrote it."
        ) from None


def _run(path: Path, rows: list[Observation], samples: list[dict[str, Any]]) -> Run:
    named = _NAME.fullmatch(path.name)
    task = named["task"] if named else None
    results = _results(path, named["date"]) if named else {}
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    settings = results.get("configs", {}).get(task, {})
    about = settings.get("metadata", {}).get("rim_eval_run", {})
    config = results.get("config", {})
    counts = results.get("n-samples", {}).get(task, {})
    return Run(
        id=f"{path.stem}-{sha256[:8]}",
        # The same for a file and its judged copies.
        group=f"{task}_{named['date']}" if named else None,
        harness="lm_eval",
        log=path.name,
        log_sha256=sha256,
        created=_iso(named["date"]) if named else None,
        status="success" if results else "unknown",
        model=rows[0].model,
        dataset=rows[0].dataset,
        task=task,
        task_version=str(results["versions"][task])
        if task in results.get("versions", {})
        else None,
        command=_command(task, config, about) if task and config else None,
        engine=config.get("model"),
        switch=_switch(samples),
        n_prompts=counts.get("original"),
        modes=tuple(dict.fromkeys(row.mode for row in rows)),
        limited=config.get("limit") is not None,
        answer_tokens=about.get("answer_tokens"),
        thinking_tokens=about.get("thinking_tokens"),
        decoding=_decoding(settings.get("generation_kwargs", {})),
        versions={
            name: str(results[f"{name}_version"])
            for name in ("lm_eval", "transformers")
            if results.get(f"{name}_version")
        },
        provenance=Provenance.model_validate(about["provenance"]) if about else None,
    )


def _results(path: Path, date: str) -> dict[str, Any]:
    """The results file of the same run; empty where it does not lie beside the samples."""
    beside = path.with_name(f"results_{date}.json")
    if not beside.is_file():
        return {}
    found: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    return found


def _iso(date: str) -> str:
    day, clock = date.split("T")
    return f"{day}T{clock.replace('-', ':')}"


def _switch(samples: list[dict[str, Any]]) -> str | None:
    name = samples[0]["record"]["generation"].get("requested", {}).get("switch")
    return str(name) if name else None


def _decoding(settings: Mapping[str, Any]) -> dict[str, float | int | str | bool]:
    wanted = ("do_sample", "temperature", "top_p", "top_k", "seed", "reasoning_effort")
    return {name: settings[name] for name in wanted if settings.get(name) is not None}


def _command(task: str, config: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """What repeats the run. Of the model's arguments only its name is told; folders are left out."""
    arguments = config.get("model_args") or {}
    model = (
        arguments.get("pretrained") or arguments.get("model")
        if isinstance(arguments, dict)
        else None
    )
    words = ["lm_eval", "run", "--model", str(config.get("model"))]
    if model:
        pure = PurePath(str(model))
        words += [
            "--model_args",
            f"pretrained={f'.../{pure.name}' if pure.is_absolute() else model}",
        ]
    words += ["--tasks", task, "--apply_chat_template", "--log_samples"]
    if config.get("limit") is not None:
        words += ["--limit", str(config["limit"])]
    budgets = {name: about[name] for name in ("answer_tokens", "thinking_tokens") if name in about}
    return shlex.join([*words, "--metadata", json.dumps({"rim_eval": budgets})])


def _problems(run: Run, rows: list[Observation]) -> Iterator[Problem]:
    missing = (run.n_prompts or 0) - len({row.prompt_id for row in rows})
    if missing > 0 and not run.limited:
        says = f"{missing} prompts of {run.dataset} ({run.model}) have no outcome in {run.log}"
        yield Problem(kind="missing", says=says, runs=(run.id,))
