"""Read observations from lm-eval's sample files (`--log_samples`), where the rim tasks left them."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from rim_eval.errors import RimError, first_complaint
from rim_eval.files import LARGEST_TEXT, parse_json, read_bounded
from rim_eval.formatting import counted
from rim_eval.observations.commands import lm_eval_command
from rim_eval.observations.missing import PlannedRun, missing_rows
from rim_eval.observations.schema import Observation, Problem, Run, attack_checksums
from rim_eval.observations.table import Table, from_rows
from rim_eval.prompt_sets import Provenance
from rim_eval.thinking import SamplingValues
from rim_eval.types import Mode

_OF_RUN: Final = ("answer_tokens", "thinking_tokens", "prompt_style", "weights")
"""What a task says of its run under the names that `Run` has."""

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
    try:
        return [Observation.model_validate(each["record"]["observation"]) for each in samples]
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
    try:
        results = _results(Path(path))
        run = _run(Path(path), rows, samples, results)
        missing = missing_rows(rows, _planned_run(results, run))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RimError(
            f"{path}: the results file beside it is not as lm-eval writes it ({str(error)[:200]}). "
            "Move it away, or run the command again."
        ) from None
    problems: tuple[Problem, ...] = ()
    ids = tuple(sorted(row.prompt_id for row in missing))
    # Earlier versions did not write down what was asked.
    unlisted = 0 if run.limited else (run.n_prompts or 0) - len({row.prompt_id for row in rows})
    if n := len(ids) or max(unlisted, 0):
        prompts = counted(n, "prompt")
        says = f"{run.log} has no outcome for {prompts} of {run.dataset} ({run.model})"
        problems = (Problem(kind="missing", says=says, runs=(run.id,), ids=ids),)
    return Table(from_rows([*rows, *missing], run.id), (run,), problems)


def sample_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL file, as `numbered_lines` reads them."""
    yield from (row for _, row in numbered_lines(path))


def numbered_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a JSONL file with the numbers of their lines, one at a time; blank lines are passed over.

    Raises:
        RimError: The file cannot be read, or a line of it is no JSON object.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LARGEST_TEXT + 1), b""), 1):
                if len(line) > LARGEST_TEXT:
                    raise ValueError(f"longer than {LARGEST_TEXT / 2**20:g} MiB")
                row = parse_json(line) if line.strip() else None
                if isinstance(row, dict):
                    yield number, row
                elif line.strip():
                    given = type(row).__name__
                    raise RimError(f"{path}, line {number}: a row is a JSON object, not {given}.")
    except OSError as error:
        raise RimError(f"{path} cannot be read ({error}). Give a JSONL file.") from None
    except ValueError as error:
        raise RimError(f"{path}, line {number}: not JSON ({error}).") from None


def _results(path: Path) -> dict[str, Any]:
    """What the results file beside a sample file says; nothing where there is none."""
    beside = results_file(path)
    return {**parse_json(read_bounded(beside))} if beside else {}


def _about(task: str | None, results: Mapping[str, Any]) -> dict[str, Any]:
    """What a rim task said of its run."""
    settings = results.get("configs", {}).get(task, {})
    return dict(settings.get("metadata", {}).get("rim_eval_run", {}))


def _planned_run(results: Mapping[str, Any], run: Run) -> PlannedRun:
    kinds = _about(run.task, results).get("prompts", {})
    return PlannedRun.model_validate(
        {
            "prompt_ids": list(kinds),
            "modes": run.modes,
            "attacks": [run.attack],
            "kinds": kinds,
        }
    )


def _run(
    path: Path,
    rows: list[Observation],
    samples: list[dict[str, Any]],
    results: Mapping[str, Any],
) -> Run:
    named = _NAME.fullmatch(path.name)
    task, date = (named["task"], named["date"]) if named else (None, "")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    settings = results.get("configs", {}).get(task, {})
    metadata, config = settings.get("metadata", {}), results.get("config", {})
    about = _about(task, results)
    versions = results.get("versions", {})
    day, _, clock = date.partition("T")
    requested = samples[0]["record"]["generation"].get("requested", {})
    switch, attack = requested.get("switch"), about.get("attack") or {}
    command = None
    if task and config:
        command = lm_eval_command(task, config, metadata.get("rim_eval") or {}, about)
    return Run(
        id=f"{path.stem}-{sha256[:8]}",
        # The same for a file and its judged copies.
        group=f"{task}_{date}" if named else None,
        harness="lm_eval",
        log=path.name,
        log_sha256=sha256,
        created=f"{day}T{clock.replace('-', ':')}" if named else None,
        status="success" if results else "unknown",
        model=rows[0].model,
        dataset=rows[0].dataset,
        task=task,
        task_version=str(versions[task]) if task in versions else None,
        command=command,
        engine=config.get("model"),
        switch=str(switch) if switch else None,
        n_prompts=results.get("n-samples", {}).get(task, {}).get("original"),
        modes=tuple(dict.fromkeys(row.mode for row in rows)),
        limited=config.get("limit") is not None or about.get("samples") is not None,
        **{name: about[name] for name in _OF_RUN if name in about},
        attack=attack.get("name"),
        attack_sha256=attack_checksums(attack),
        decoding=_decoding(
            settings.get("generation_kwargs", {}), rows[0].mode, requested.get("sampling")
        ),
        versions={
            name: str(results[f"{name}_version"])
            for name in ("lm_eval", "transformers")
            if results.get(f"{name}_version")
        },
        provenance=Provenance.model_validate(about["provenance"]) if about else None,
    )


def _decoding(
    generation_kwargs: Mapping[str, Any], mode: Mode, sampling: Mapping[str, Any] | None
) -> dict[str, Any]:
    """All that steers sampling: the token limit is told as budgets, and there are no stop strings.

    Args:
        generation_kwargs: The task's, as lm-eval keeps them.
        mode: The task's mode.
        sampling: The mode's own sampling; None where both modes are decoded alike.
    """
    told_apart = set() if sampling is None else {"do_sample", *SamplingValues.model_fields}
    shared = {
        name: value
        for name, value in generation_kwargs.items()
        if name not in {"until", "max_gen_toks"} | told_apart
        and isinstance(value, float | int | str | bool)
    }
    return shared | {f"{mode}.{name}": value for name, value in (sampling or {}).items()}


def results_file(samples: Path) -> Path | None:
    """The file in which lm-eval says what the run of a sample file was; None where it does not lie beside."""
    named = _NAME.fullmatch(samples.name)
    beside = samples.with_name(f"results_{named['date']}.json") if named else samples
    return beside if named and beside.is_file() else None
