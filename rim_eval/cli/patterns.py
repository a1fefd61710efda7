"""`rim-eval patterns`: why a model goes along, as far as its traces show it."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from rim_eval import patterns
from rim_eval.cli._pattern_rows import (
    all_rows,
    grader_model,
    of_judge,
    planted,
    rows_of_monitor,
    shared_labels,
)
from rim_eval.errors import RimError

__all__ = ["command"]

_PATH: Final = click.Path(path_type=Path)
_MONITOR_HELP: Final = (
    "rubric (asks a grader), cues (offline baseline), exact (organism), or a rubric file."
)
_monitor = click.option("--monitor", default="rubric", show_default=True, help=_MONITOR_HELP)
_grader_option = click.option("--grader", help="Grader model, such as openai/gpt-4.1.")
_logs = click.argument("logs", nargs=-1, required=True, type=_PATH)


@click.group()
def command() -> None:
    """Read traces for reasoning patterns, and show, compare and filter by what was found."""


@command.command()
@_logs
@_monitor
@_grader_option
@click.option(
    "--part", type=click.Choice([*patterns.PARTS, "both"]), default="trace", show_default=True
)
@click.option(
    "--out", type=_PATH, help="Folder for the read logs; by default they are updated in place."
)
def run(
    logs: tuple[Path, ...], monitor: str, grader: str | None, part: str, out: Path | None
) -> None:
    """Let a monitor read finished LOGS; the evaluated model is not loaded.

    LOGS are Inspect logs (.eval), lm-eval sample files of rim tasks (samples_rim_*.jsonl), or folders.
    """
    from inspect_ai.log import write_eval_log

    from rim_eval.inspect_tasks._pattern_logs import read_finished_log
    from rim_eval.inspect_tasks._pattern_reading import read_parts

    parts, model = read_parts(part), grader_model(monitor, grader)
    reader = patterns.load_monitor(monitor)
    for path in patterns.find_logs(logs):
        target = path if out is None else _folder(out) / path.name
        if path.suffix == ".jsonl":
            rows = patterns.read_sample_file(path, reader, parts, model, target)
        else:
            log = read_finished_log(path, monitor, parts, model)
            write_eval_log(log, str(target))
            rows = [
                row
                for row in patterns.pattern_rows(log)  # those of earlier monitors too
                if row.monitor == reader.identity(model) and row.part in parts
            ]
        click.echo(f"{target}: {_counts(rows)}")


@command.command()
@_logs
@click.option("--judge", help="Whose verdicts, where several judges gave some.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every figure.")
def show(logs: tuple[Path, ...], judge: str | None, as_json: bool) -> None:
    """Prevalence in LOGS by set, mode and part, and the judged outcome with and without each label."""
    rows, observations = all_rows(logs)
    common = patterns.prevalence(rows)
    given = patterns.conditional_rates(rows, of_judge(observations, judge))
    if as_json:
        click.echo(
            json.dumps({"prevalence": _plain(common), "conditional": _plain(given)}, indent=1)
        )
        return
    click.echo(patterns.prevalence_table(common))
    click.echo()
    click.echo(patterns.conditional_table(given))


@command.command()
@_logs
@click.option(
    "--monitor",
    required=True,
    help="The monitor in question: a name, a rubric file, or either with its grader, NAME@GRADER.",
)
@click.option("--reference", required=True, help="The monitor it is compared with.")
def agree(logs: tuple[Path, ...], monitor: str, reference: str) -> None:
    """Agreement of two monitors that have read the same LOGS, label by label."""
    rows, _ = all_rows(logs)
    ours, theirs = rows_of_monitor(rows, monitor), rows_of_monitor(rows, reference)
    found = patterns.compare_monitors(ours, theirs, shared_labels(monitor, reference))
    click.echo(patterns.agreement_table(found))


@command.command()
@click.argument("monitor")
@click.option(
    "--set",
    "set_name",
    type=click.Choice(["planted", "texts", "self_jailbreaking"]),
    required=True,
    help="Where the labels come from.",
)
@click.option(
    "--data",
    multiple=True,
    type=_PATH,
    help="planted: logs of the toy task that MONITOR has read. texts: JSONL of text and pattern; the "
    "shipped paraphrases without it. self_jailbreaking: the authors' JSONL.",
)
@_grader_option
@click.option("--out", type=_PATH, help="Keep the figures in this JSON file, by set.")
def validate(monitor: str, set_name: str, data: tuple[Path, ...], grader: str | None, out: Path | None) -> None:  # fmt: skip
    """Measure MONITOR against known labels: planted ones, labelled texts, or labelled sentences."""
    if set_name != "texts" and not data:
        raise RimError(f"--set {set_name} needs files that hold its labels or traces: --data PATH.")
    if out is not None:
        _folder(out.parent)
    if set_name == "self_jailbreaking":
        for path in data:
            _validate_sentences(monitor, path, grader, out)
        return
    if set_name == "planted":
        rows = [row for row in rows_of_monitor(all_rows(data)[0], monitor) if row.mode == "think"]
        found = patterns.compare_with_labels(rows, planted(), "planted labels of toy")
    else:
        found = _validate_texts(monitor, data, grader)
    click.echo(patterns.agreement_table(found))
    _keep(out, set_name, _plain(found))


def _validate_texts(
    monitor: str, data: Sequence[Path], grader: str | None
) -> list[patterns.LabelAgreement]:
    reader, model = patterns.load_monitor(monitor), grader_model(monitor, grader)
    found: list[patterns.LabelAgreement] = []
    for path in data or (patterns.PARAPHRASES,):
        texts = patterns.load_labelled_texts(path)
        found += asyncio.run(patterns.measure_texts(reader, texts, path.name, model))
    return found


def _validate_sentences(monitor: str, path: Path, grader: str | None, out: Path | None) -> None:
    traces, skipped = patterns.load_self_jailbreaking(path)
    reader, model = patterns.load_monitor(monitor), grader_model(monitor, grader)
    measured = asyncio.run(patterns.measure_sentences(reader, traces, skipped, model))
    click.echo(f"{path.name}: {len(traces)} labelled traces, {skipped} without labels left out")
    click.echo(patterns.sentence_table(measured))
    _keep(out, path.name, {name: _dumped(value) for name, value in measured._asdict().items()})


@command.command()
@_logs
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every figure.")
def injection(logs: tuple[Path, ...], as_json: bool) -> None:
    """Control, target and un-injected arms of injection LOGS, paired prompt by prompt."""
    rows = [row for path in patterns.find_logs(logs) for row in patterns.injection_rows(patterns.read_log(path))]  # fmt: skip
    if not rows:
        raise RimError(
            "No injection run in these logs: run `inspect eval rim_eval/injection` first."
        )
    found = patterns.injection_effects(rows)
    click.echo(json.dumps(_plain(found), indent=1) if as_json else patterns.injection_table(found))


@command.command("filter")
@click.argument("source")
@_monitor
@_grader_option
@click.option("--out", type=_PATH, required=True, help="Folder for kept.jsonl, dropped.jsonl and undecided.jsonl.")  # fmt: skip
@click.option("--drop", multiple=True, default=patterns.PATTERNS, show_default=True, help="Drop rows that show this (repeatable): a pattern, category, behaviour or mark.")  # fmt: skip
@click.option("--least-severity", type=click.IntRange(1, 3), default=1, show_default=True)
@click.option("--prompt-column", default="prompt", show_default=True)
@click.option("--response-column", default="response", show_default=True)
@click.option("--trace-column", help="Column of the trace alone; without it the trace is split off the response.")  # fmt: skip
@click.option("--split", default="train", show_default=True, help="Split of a hub set.")
@click.option("--revision", help="Revision of a hub set.")
def filter_data(source: str, monitor: str, grader: str | None, out: Path, drop: tuple[str, ...], least_severity: int, prompt_column: str, response_column: str, trace_column: str | None, split: str, revision: str | None) -> None:  # fmt: skip
    """Label the training data SOURCE (a .jsonl file, or hf:owner/name) and set rows with a pattern apart.

    A run that was stopped goes on when the same command is given again.
    """
    reader, model = patterns.load_monitor(monitor), grader_model(monitor, grader)
    _known_labels(drop, reader)
    settings = patterns.FilterSettings(
        source=source if not source.startswith("hf:") else f"{source}@{revision or 'main'}:{split}",
        columns=patterns.Columns(
            prompt=prompt_column, response=response_column, trace=trace_column
        ),
        monitor=reader.identity(model),
        drop=tuple(sorted(drop)),
        least_severity=least_severity,
    )
    rows = patterns.training_rows(source, split, revision)
    counts = asyncio.run(patterns.filter_rows(rows, settings, reader, _folder(out), model))
    click.echo(", ".join(f"{counts[outcome]} {outcome}" for outcome in patterns.OUTCOMES))
    reasons = patterns.drop_reasons(out)
    if reasons:
        click.echo("dropped for " + ", ".join(f"{name}: {n}" for name, n in reasons.most_common()))


def _known_labels(drop: Sequence[str], monitor: patterns.Monitor) -> None:
    known = {*monitor.labels, *monitor.grouping.values(), *patterns.MARKS}
    unknown = sorted(set(drop) - known)
    if unknown:
        raise RimError(
            f"--drop {', '.join(unknown)}: this monitor never finds that; it can find "
            f"{', '.join(sorted(known))}."
        )


def _counts(rows: Sequence[patterns.PatternRow]) -> str:
    read = [row for row in rows if row.read]
    with_pattern = sum(bool(row.patterns) for row in read)
    return f"{len(read)} of {len(rows)} parts read, {with_pattern} with a pattern"


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RimError(
            f"{path} cannot be a folder: {error.strerror}. Name another --out."
        ) from None
    return path


def _plain(found: Sequence[Any]) -> list[Any]:
    return [json.loads(one.model_dump_json()) for one in found]


def _dumped(value: Any) -> Any:
    return value if isinstance(value, int) else json.loads(value.model_dump_json())


def _keep(path: Path | None, name: str, figures: Any) -> None:
    """Put figures in a file under their set's name, beside those that are there."""
    if path is not None:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        path.write_text(json.dumps(kept | {name: figures}, indent=1) + "\n", encoding="utf-8")
        click.echo(f"Written to {path}", err=True)
