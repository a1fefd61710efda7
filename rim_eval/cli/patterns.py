"""`rim-eval patterns`: reasoning patterns in traces, read, shown, compared, validated and filtered by."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rim_eval import patterns
from rim_eval.cli.graders import load_graders
from rim_eval.cli.progress_option import progress_option
from rim_eval.errors import RimError
from rim_eval.files import whole_file, write_whole
from rim_eval.observations import LOGS, PATTERN_COLUMNS, log_files, to_rows
from rim_eval.patterns import filter as data_filter
from rim_eval.patterns import validation
from rim_eval.patterns.held_out import held_out_sets
from rim_eval.patterns.injection import injection_table, read_injection_runs
from rim_eval.patterns.logs import read_runs, read_sample_file
from rim_eval.patterns.prevalence import conditional_table, prevalence_table
from rim_eval.patterns.registry import rows_of_monitor
from rim_eval.patterns.rows import PatternRow
from rim_eval.progress import Progress

if TYPE_CHECKING:
    from inspect_ai.model import Model
    from pydantic import BaseModel

_PATH: Final = click.Path(path_type=Path)

# Texts, not paths: each may be NAME=PATH.
_logs: Final = click.argument("logs", nargs=-1, required=True)
_grader: Final = click.option("--grader", help="Grader model, such as openai/gpt-4.1.")
_monitor: Final = click.option(
    "--monitor",
    default="rubric",
    show_default=True,
    help="rubric (asks a grader), cues (keyword baseline), a rubric file, or module:object.",
)
_judge: Final = click.option("--judge", help="Whose verdicts, where several judges gave some.")
_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, with all figures.")


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
@progress_option
def run(
    logs: tuple[Path, ...],
    monitor: str,
    grader: str | None,
    part: str,
    out: Path | None,
    progress: Progress,
) -> None:
    """Let a monitor read finished LOGS; the evaluated model is not loaded.

    LOGS are Inspect logs (.eval, .json), lm-eval sample files of rim tasks (samples_rim_*.jsonl), or folders.
    """
    from inspect_ai.log import write_eval_log

    from rim_eval.inspect_tasks.patterns import read_finished_log

    loaded, model = _load(monitor, grader)
    identity = loaded.identity(model)
    parts = tuple(one for one in patterns.PARTS if part in (one, "both"))
    paths = [Path(file) for _, file in log_files(logs, LOGS)]
    if out is not None:
        _refuse_equal_names(paths)
    for number, path in enumerate(paths, 1):
        part = f"reading log {number} of {len(paths)}"
        target = path if out is None else _make_folder(out) / path.name
        if path.suffix == ".jsonl":
            with progress:
                progress.begin(part)
                rows = read_sample_file(path, loaded, parts, model, target, progress)
        else:
            with progress:
                progress.begin(part)
                log = read_finished_log(path, monitor, parts, model, progress)
            with whole_file(target) as partial:
                kind: Any = "json" if target.suffix == ".json" else "eval"
                write_eval_log(log, str(partial), format=kind)
            # The log holds the rows of earlier monitors too.
            every = patterns.rows_of_log(log, PatternRow)
            rows = [row for row in every if row.monitor == identity and row.part in parts]
        read = [row for row in rows if row.read]
        counts = f"{len(read)} of {len(rows)} parts read, {sum(bool(row.patterns) for row in read)}"
        click.echo(f"{target}: {counts} with a pattern, by {identity}")


def _refuse_equal_names(paths: Sequence[Path]) -> None:
    first: dict[str, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.name, path)) is not path:
            raise RimError(
                f"{other} and {path} have one name, and --out would keep only the last. "
                "Give each a name of its own, or run them one by one."
            )


@command.command("show")
@_logs
@_judge
@_json
def show(logs: tuple[str, ...], judge: str | None, as_json: bool) -> None:
    """Prevalence in LOGS by model, set, mode and part, and the judged outcome with and without each label.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    rows, table = read_runs(logs)
    for problem in sorted({problem.says for problem in table.problems}):
        click.echo(f"{problem}.", err=True)
    groups = patterns.prevalence(rows)
    # The columns of patterns differ where copies of a log hold the labels of several monitors.
    judged = patterns.of_one_judge(to_rows(table.frame), judge)
    unread = dict.fromkeys(PATTERN_COLUMNS)
    verdicts = dict.fromkeys(row.model_copy(update=unread) for row in judged)
    rates = patterns.conditional_rates(rows, verdicts)
    if as_json:
        figures = {"prevalence": _plain(groups), "conditional": _plain(rates)}
        click.echo(json.dumps(figures, indent=1))
    else:
        click.echo(f"{prevalence_table(groups)}\n\n{conditional_table(rates)}")


@command.command("agree")
@_logs
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
    rows, _ = read_runs(logs)
    read, referred = rows_of_monitor(rows, monitor), rows_of_monitor(rows, reference)
    names = (name.partition("@")[0] for name in (monitor, reference))
    first, second = (set(patterns.load_monitor(name).labels) for name in names)
    agreements = validation.compare_monitors(read, referred, (first & second) | set(patterns.MARKS))
    click.echo(validation.agreement_table(agreements))


@command.command("validate")
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
    for name, table, figures in _validations(set_name, monitor, data, grader):
        click.echo(table)
        if out is not None:
            others = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
            text = json.dumps(others | {name: figures}, indent=1)
            write_whole({out: text + "\n"})
            click.echo(f"Written to {out}", err=True)


def _validations(
    set_name: str, monitor: str, data: Sequence[str], grader: str | None
) -> Iterator[tuple[str, str, Any]]:
    """Yield the key of the figures in the file of --out, their table, and the figures."""
    if set_name == "planted":
        agreements = _with_planted_labels(rows_of_monitor(read_runs(data)[0], monitor))
        yield set_name, validation.agreement_table(agreements), _plain(agreements)
        return
    loaded, model = _load(monitor, grader)
    paths = [Path(name) for name in data]
    _refuse_equal_names(paths)
    if set_name == "texts":
        agreements = []
        for path in paths or [validation.PARAPHRASES]:
            texts = validation.load_labelled_texts(path)
            agreements += asyncio.run(validation.measure_texts(loaded, texts, path.name, model))
        yield set_name, validation.agreement_table(agreements), _plain(agreements)
        return
    for path in paths:
        traces, skipped = validation.load_self_jailbreaking(path)
        measured = asyncio.run(validation.measure_sentences(loaded, traces, model))
        monitor = str(loaded.identity(model))
        head = f"AGREEMENT  {monitor} with {path.name}: {len(traces)} labelled traces, {skipped} without labels left out"
        by_trace, by_sentence = _plain(measured)
        figures = {"monitor": monitor, "not_labelled": skipped}
        figures |= {"traces": by_trace, "sentences": by_sentence}
        yield path.name, f"{head}\n{validation.sentence_table(measured)}", figures


def _with_planted_labels(rows: Sequence[PatternRow]) -> list[validation.LabelAgreement]:
    """Compare traces with the `pattern` labels of the prompts of shipped sets."""
    from rim_eval.prompt_sets import entries, load_prompts

    agreements: list[validation.LabelAgreement] = []
    datasets = sorted({row.dataset for row in rows})
    for dataset in datasets:
        entry = entries().get(dataset)
        shipped = entry is not None and entry.source.type == "shipped"
        prompts = load_prompts(dataset).prompts if shipped else ()
        truth = {one.id: one.labels["pattern"] for one in prompts if "pattern" in one.labels}
        thinking = [row for row in rows if row.dataset == dataset and row.mode == "think"]
        source = f"planted labels of {dataset}"
        agreements += validation.compare_with_labels(thinking, truth, source)
    if not agreements:
        raise RimError(
            f"No prompt of {', '.join(datasets)} has a `pattern` label and replies with thinking. Give "
            "logs of a shipped set whose prompts have one."
        )
    return agreements


@command.command("injection")
@_logs
@_judge
@_json
def injection(logs: tuple[str, ...], judge: str | None, as_json: bool) -> None:
    """Control, target and un-injected arms of injection LOGS, paired prompt by prompt.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    effects = patterns.injection_effects(patterns.of_one_judge(read_injection_runs(logs), judge))
    click.echo(json.dumps(_plain(effects), indent=1) if as_json else injection_table(effects))


@command.command("filter")
@click.argument("source")
@_monitor
@_grader
@click.option(
    "--out",
    type=_PATH,
    required=True,
    help="Folder for kept.jsonl, dropped.jsonl, undecided.jsonl.",
)
@click.option(
    "--drop",
    multiple=True,
    default=patterns.PATTERNS,
    show_default=True,
    help="Drop rows that show this (repeatable): a pattern, category, behaviour or mark.",
)
@click.option("--require", multiple=True, help="Drop rows that show none of these (repeatable).")
@click.option("--least-severity", type=click.IntRange(1, 3), default=1, show_default=True)
@click.option("--prompt-column", default="prompt", show_default=True)
@click.option("--response-column", default="response", show_default=True)
@click.option(
    "--trace-column",
    help="Column of the trace alone; without it the trace is split off the response.",
)
@click.option(
    "--messages-column",
    help="Column of a chat, in place of prompt and response: its last reply is read.",
)
@click.option("--gold-column", help="Column of the gold answer; rows that lost it are dropped.")
@click.option(
    "--held-out",
    multiple=True,
    help="Evaluation set of which no row may hold an item (repeatable), as in `rim-eval data list`.",
)
@click.option("--data", type=_PATH, help="Local folder of these sets, as RIM_EVAL_DATA.")
@click.option("--split", default="train", show_default=True, help="Split of a hub set.")
@click.option("--revision", help="Revision of a hub set.")
@progress_option
def filter_data(source: str, monitor: str, grader: str | None, out: Path, progress: Progress, drop: tuple[str, ...], require: tuple[str, ...], held_out: tuple[str, ...], data: Path | None, least_severity: int, split: str, revision: str | None, **columns: Any) -> None:  # fmt: skip
    """Label the training data SOURCE (a .jsonl file, or hf:owner/name) and set rows with a pattern apart.

    A stopped run resumes when the same command is given again.
    """
    loaded, model = _load(monitor, grader)
    possible = {*loaded.labels, *loaded.grouping.values(), *patterns.MARKS}
    if unknown := sorted({*drop, *require} - possible):
        raise RimError(
            f"--drop or --require {', '.join(unknown)}: this monitor never finds that; it can find "
            f"{', '.join(sorted(possible))}."
        )
    settings = data_filter.FilterSettings(
        source=source if not source.startswith("hf:") else f"{source}@{revision or 'main'}:{split}",
        monitor=loaded.identity(model),
        drop=tuple(sorted(set(drop) - set(require))),
        require=tuple(sorted(set(require))),
        held_out=tuple(sorted(set(held_out))),
        least_severity=least_severity,
        **columns,
    )
    rows = data_filter.training_rows(source, split, revision)
    items = held_out_sets(held_out, data) if held_out else None
    reading = data_filter.filter_rows(
        rows, settings, loaded, _make_folder(out), model, items, progress
    )
    with progress:
        counts = asyncio.run(reading)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in data_filter.OUTCOMES)
    click.echo(f"{listed}, by {settings.monitor}")
    if reasons := data_filter.drop_reasons(out):
        listed = ", ".join(f"{name}: {n}" for name, n in reasons.most_common())
        click.echo(f"dropped for {listed}")


def _load(monitor: str, grader: str | None) -> "tuple[patterns.Monitor, Model | None]":
    """Load a monitor and the grader that it needs; None for an offline monitor."""
    loaded = patterns.load_monitor(monitor)
    names = [grader] if grader else []
    models = load_graders(f"Monitor {monitor!r}", loaded.needs_grader, names)
    return loaded, next(iter(models), None)


def _make_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RimError(
            f"{path} cannot be a folder: {error.strerror}. Name another --out."
        ) from None
    return path


def _plain(models: "Iterable[BaseModel]") -> list[Any]:
    """Convert figures to JSON types; NaN becomes null."""
    return [json.loads(one.model_dump_json()) for one in models]
