"""`rim-eval patterns`: reasoning patterns in traces, read, shown, compared, validated and filtered by."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from rim_eval import patterns
from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.model import Model
    from pydantic import BaseModel

__all__ = ["command"]

_PATH: Final = click.Path(path_type=Path)

# Texts, not paths: each may be NAME=PATH.
_named_logs: Final = click.argument("logs", nargs=-1, required=True)
_monitor: Final = click.option(
    "--monitor",
    default="rubric",
    show_default=True,
    help="rubric (asks a grader), cues (offline baseline), a rubric file, or module:object.",
)
_grader: Final = click.option("--grader", help="Grader model, such as openai/gpt-4.1.")
_judge: Final = click.option("--judge", help="Whose verdicts, where several judges gave some.")
_as_json: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with every figure."
)


@click.group()
def command() -> None:
    """Read traces for reasoning patterns, and show, compare and filter by what was found."""


@command.command("run")
@click.argument("logs", nargs=-1, required=True, type=_PATH)
@_monitor
@_grader
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
    from rim_eval.inspect_tasks.pattern_scorer import read_parts

    model, parts = _grader_model(monitor, grader), read_parts(part)
    for path, target in _targets([path for _, path in patterns.log_files(logs)], out):
        rows = _read_log(path, target, monitor, model, parts)
        read = [row for row in rows if row.read]
        with_pattern = sum(bool(row.patterns) for row in read)
        click.echo(
            f"{target}: {len(read)} of {len(rows)} parts read, {with_pattern} with a pattern"
        )


def _targets(paths: Sequence[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Pair each log with the file to write; two logs never share one."""
    if out is None:
        return [(path, path) for path in paths]
    first: dict[str, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.name, path)) is not path:
            raise RimError(
                f"{other} and {path} have one name, and --out {out} would keep only the last. "
                "Read each into a folder of its own."
            )
    return [(path, _make_folder(out) / path.name) for path in paths]


def _read_log(
    path: Path,
    target: Path,
    monitor: str,
    grader: "Model | None",
    parts: tuple[patterns.Part, ...],
) -> list[patterns.PatternRow]:
    """Let a monitor read one log, write it, and return the new rows."""
    loaded = patterns.load_monitor(monitor)
    if path.suffix == ".jsonl":
        return patterns.read_sample_file(path, loaded, parts, grader, target)
    from inspect_ai.log import write_eval_log

    from rim_eval.inspect_tasks.patterns import read_finished_log

    log = read_finished_log(path, monitor, parts, grader)
    write_eval_log(log, str(target))
    identity = loaded.identity(grader)
    return [
        row
        for row in patterns.pattern_rows(log)  # holds the rows of earlier monitors too
        if row.monitor == identity and row.part in parts
    ]


@command.command("show")
@_named_logs
@_judge
@_as_json
def show(logs: tuple[str, ...], judge: str | None, as_json: bool) -> None:
    """Prevalence in LOGS by model, set, mode and part, and the judged outcome with and without each label.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    rows, table = patterns.read_runs(logs)
    for problem in sorted({problem.says for problem in table.problems}):
        click.echo(f"{problem}.", err=True)
    groups = patterns.prevalence(rows)
    rates = patterns.conditional_rates(rows, patterns.verdicts_of_one_judge(table, judge))
    if as_json:
        figures = {"prevalence": _plain(groups), "conditional": _plain(rates)}
        click.echo(json.dumps(figures, indent=1))
        return
    click.echo(patterns.prevalence_table(groups))
    click.echo()
    click.echo(patterns.conditional_table(rates))


@command.command("agree")
@_named_logs
@click.option(
    "--monitor",
    required=True,
    help="The monitor in question, named as for `run`; of several graders, NAME@GRADER.",
)
@click.option("--reference", required=True, help="The monitor it is compared with.")
def agree(logs: tuple[str, ...], monitor: str, reference: str) -> None:
    """Agreement of two monitors that have read the same LOGS, by model and label.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    rows = patterns.read_runs(logs).rows
    agreements = patterns.compare_monitors(
        patterns.rows_of_monitor(rows, monitor),
        patterns.rows_of_monitor(rows, reference),
        patterns.shared_labels(monitor, reference),
    )
    click.echo(patterns.agreement_table(agreements))


class _Validation(NamedTuple):
    """Figures of a monitor on one set of known labels."""

    name: str
    """Key of the figures in the file of --out."""
    table: str
    figures: Any


def _on_planted(monitor: str, data: Sequence[str], grader: str | None) -> Iterator[_Validation]:  # noqa: ARG001 - the logs hold what was read
    """Compare the traces' patterns with the prompts' `pattern` labels."""
    rows = patterns.rows_of_monitor(patterns.read_runs(data).rows, monitor)
    datasets = sorted({row.dataset for row in rows})
    truths = {dataset: truth for dataset in datasets if (truth := _planted_labels(dataset))}
    if not truths:
        raise RimError(
            f"No prompt of {', '.join(datasets)} has a `pattern` label. Give logs of a shipped set "
            "whose prompts have one."
        )
    agreements: list[patterns.LabelAgreement] = []
    for dataset, truth in truths.items():
        thinking = [row for row in rows if row.dataset == dataset and row.mode == "think"]
        agreements += patterns.compare_with_labels(thinking, truth, f"planted labels of {dataset}")
    yield _Validation("planted", patterns.agreement_table(agreements), _plain(agreements))


def _planted_labels(dataset: str) -> dict[str, str]:
    """Prompt id to `pattern` label, of a shipped set; empty for every other set."""
    from rim_eval.prompt_sets import entries, load_prompts

    entry = entries().get(dataset)
    if entry is None or entry.source.type != "shipped":
        return {}
    prompts = load_prompts(dataset).prompts
    return {one.id: one.labels["pattern"] for one in prompts if "pattern" in one.labels}


def _on_texts(monitor: str, data: Sequence[str], grader: str | None) -> Iterator[_Validation]:
    loaded, model = patterns.load_monitor(monitor), _grader_model(monitor, grader)
    agreements: list[patterns.LabelAgreement] = []
    for path in _distinct_files(data) or [patterns.PARAPHRASES]:
        texts = patterns.load_labelled_texts(path)
        agreements += asyncio.run(patterns.measure_texts(loaded, texts, path.name, model))
    yield _Validation("texts", patterns.agreement_table(agreements), _plain(agreements))


def _on_sentences(monitor: str, data: Sequence[str], grader: str | None) -> Iterator[_Validation]:
    loaded, model = patterns.load_monitor(monitor), _grader_model(monitor, grader)
    for path in _distinct_files(data):
        traces, skipped = patterns.load_self_jailbreaking(path)
        measured = asyncio.run(patterns.measure_sentences(loaded, traces, model))
        head = f"{path.name}: {len(traces)} labelled traces, {skipped} without labels left out"
        by_trace, by_sentence = _plain([measured.traces, measured.sentences])
        figures = {"traces": by_trace, "sentences": by_sentence, "not_labelled": skipped}
        yield _Validation(path.name, f"{head}\n{patterns.sentence_table(measured)}", figures)


def _distinct_files(data: Sequence[str]) -> list[Path]:
    """Return the files; figures are kept by file name, so no two files may share one."""
    paths = [Path(name) for name in data]
    names = [path.name for path in paths]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise RimError(
            f"--data names several files {repeated[0]}, and figures go by that name: give each file "
            "once, under a name of its own."
        )
    return paths


_VALIDATIONS: Final[
    dict[str, Callable[[str, Sequence[str], str | None], Iterator[_Validation]]]
] = {
    "planted": _on_planted,
    "texts": _on_texts,
    "self_jailbreaking": _on_sentences,
}


@command.command("validate")
@click.argument("monitor")
@click.option(
    "--set",
    "set_name",
    type=click.Choice(list(_VALIDATIONS)),
    required=True,
    help="Where the labels come from.",
)
@click.option(
    "--data",
    multiple=True,
    help="planted: logs that MONITOR has read, of a shipped set with `pattern` labels. texts: "
    "JSONL of text and pattern; the shipped paraphrases without it. self_jailbreaking: the authors' JSONL.",
)
@_grader
@click.option("--out", type=_PATH, help="Keep the figures in this JSON file, by set.")
def validate(
    monitor: str, set_name: str, data: tuple[str, ...], grader: str | None, out: Path | None
) -> None:
    """Measure MONITOR against known labels: planted ones, labelled texts, or labelled sentences."""
    if out is not None:
        _make_folder(out.parent)
    if set_name != "texts" and not data:
        raise RimError(f"--set {set_name} needs files that hold its labels or traces: --data PATH.")
    for validation in _VALIDATIONS[set_name](monitor, data, grader):
        click.echo(validation.table)
        if out is not None:
            _add_figures(out, validation.name, validation.figures)


@command.command("injection")
@_named_logs
@_judge
@_as_json
def injection(logs: tuple[str, ...], judge: str | None, as_json: bool) -> None:
    """Control, target and un-injected arms of injection LOGS, paired prompt by prompt.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    rows = patterns.of_one_judge(patterns.read_injection_runs(logs), judge)
    effects = patterns.injection_effects(rows)
    if as_json:
        click.echo(json.dumps(_plain(effects), indent=1))
    else:
        click.echo(patterns.injection_table(effects))


@command.command("filter")
@click.argument("source")
@_monitor
@_grader
@click.option(
    "--out",
    type=_PATH,
    required=True,
    help="Folder for kept.jsonl, dropped.jsonl and undecided.jsonl.",
)
@click.option(
    "--drop",
    multiple=True,
    default=patterns.PATTERNS,
    show_default=True,
    help="Drop rows that show this (repeatable): a pattern, category, behaviour or mark.",
)
@click.option("--least-severity", type=click.IntRange(1, 3), default=1, show_default=True)
@click.option("--prompt-column", default="prompt", show_default=True)
@click.option("--response-column", default="response", show_default=True)
@click.option(
    "--trace-column",
    help="Column of the trace alone; without it the trace is split off the response.",
)
@click.option("--split", default="train", show_default=True, help="Split of a hub set.")
@click.option("--revision", help="Revision of a hub set.")
def filter_data(source: str, monitor: str, grader: str | None, out: Path, drop: tuple[str, ...], least_severity: int, prompt_column: str, response_column: str, trace_column: str | None, split: str, revision: str | None) -> None:  # fmt: skip
    """Label the training data SOURCE (a .jsonl file, or hf:owner/name) and set rows with a pattern apart.

    A stopped run resumes when the same command is given again.
    """
    loaded, model = patterns.load_monitor(monitor), _grader_model(monitor, grader)
    _refuse_unknown_labels(drop, loaded)
    settings = patterns.FilterSettings(
        source=source if not source.startswith("hf:") else f"{source}@{revision or 'main'}:{split}",
        columns=patterns.Columns(
            prompt=prompt_column, response=response_column, trace=trace_column
        ),
        monitor=loaded.identity(model),
        drop=tuple(sorted(set(drop))),
        least_severity=least_severity,
    )
    rows = patterns.training_rows(source, split, revision)
    counts = asyncio.run(patterns.filter_rows(rows, settings, loaded, _make_folder(out), model))
    click.echo(", ".join(f"{counts[outcome]} {outcome}" for outcome in patterns.OUTCOMES))
    if reasons := patterns.drop_reasons(out):
        listed = ", ".join(f"{name}: {n}" for name, n in reasons.most_common())
        click.echo(f"dropped for {listed}")


def _refuse_unknown_labels(drop: Sequence[str], monitor: patterns.Monitor) -> None:
    possible = {*monitor.labels, *monitor.grouping.values(), *patterns.MARKS}
    unknown = sorted(set(drop) - possible)
    if unknown:
        raise RimError(
            f"--drop {', '.join(unknown)}: this monitor never finds that; it can find "
            f"{', '.join(sorted(possible))}."
        )


def _grader_model(monitor: str, name: str | None) -> "Model | None":
    """Return the grader that a monitor needs; None for an offline monitor."""
    if not patterns.load_monitor(monitor).needs_grader:
        if name:
            raise RimError(
                f"Monitor {monitor!r} is offline and asks no model: leave out --grader {name}."
            )
        return None
    if name is None:
        raise RimError(
            f"Monitor {monitor!r} asks a grader model: pass --grader MODEL, or read with the offline "
            "baseline: --monitor cues."
        )
    from rim_eval.judging import load_grader

    return load_grader(name)


def _make_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RimError(
            f"{path} cannot be a folder: {error.strerror}. Name another --out."
        ) from None
    return path


def _plain(models: "Sequence[BaseModel]") -> list[Any]:
    """Convert figures to JSON types; NaN becomes null."""
    return [json.loads(one.model_dump_json()) for one in models]


def _add_figures(path: Path, name: str, figures: Any) -> None:
    """Write figures under a name, beside those that the file holds."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(held | {name: figures}, indent=1) + "\n", encoding="utf-8")
    click.echo(f"Written to {path}", err=True)
