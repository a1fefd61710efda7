"""`rim-eval judge`: list judges, measure them against people, and judge finished logs again."""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import click

from rim_eval import judging
from rim_eval.cli import labels
from rim_eval.cli.graders import load_graders
from rim_eval.cli.judge_repeat import repeat
from rim_eval.cli.progress_option import progress_option
from rim_eval.errors import RimError, refuse_existing
from rim_eval.files import whole_file
from rim_eval.judging import Judge, Sees
from rim_eval.progress import Progress
from rim_eval.statistics.agreement import krippendorff_alpha

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

    from rim_eval.observations import Observation
    from rim_eval.prompt_sets import FileRecord


_SEEN: Final[dict[Sees, str]] = {
    "answer": "answer",
    "reasoning": "trace alone",
    "both": "trace and the answer",
}
_PATH: Final = click.Path(path_type=Path)
_graders: Final = click.option(
    "--grader",
    "graders",
    multiple=True,
    help="Grader model, such as openai/gpt-4.1 or vllm/Qwen/Qwen3Guard-Gen-8B; several of them vote.",
)
_sees: Final = click.option(
    "--sees",
    type=click.Choice(get_args(Sees)),
    help="What the judge is shown; by default what its file says.",
)


@click.group()
def command() -> None:
    """List judges, measure them against people, judge finished logs again, and have its verdicts labelled or repeated."""


command.add_command(labels.sample)
command.add_command(labels.correct)
command.add_command(repeat)


@command.command("list")
def list_judges() -> None:
    """List the shipped judges: what they apply to, whether they ask a grader or run a classifier, and what they see.

    NAME:PART shows a judge another part of the reply, wherever a judge is named: -T judge=hexphi:both.
    """
    from rim_eval.card.schema import JudgeFigures
    from rim_eval.card.tables import measured_text

    for name in judging.judge_names():
        judge = judging.load_judge(name)
        kinds = ", ".join(judge.applies_to)
        asks = "asks a grader" if judge.needs_grader else "offline"
        asks = "classifier" if judge.spec.needs_model and not judge.needs_grader else asks
        wording = f"; {judge.spec.wording}" if judge.spec.wording else ""
        validation = judging.load_validation(judge)
        measured = [JudgeFigures.of(one) for one in validation.measurements] if validation else []
        click.echo(f"{name:<18} {kinds:<16} {asks:<14}".rstrip())
        click.echo(f"{'':<18} {judge.spec.title}{wording}")
        for left_out in sorted({one.left_out for one in measured}) or [False]:
            groups = [one for one in measured if one.left_out == left_out]
            click.echo(f"{'':<18} {measured_text(groups)}")
        others = ", ".join(f"{name}:{part}" for part in judge.spec.inputs if part != judge.sees)
        click.echo(
            f"{'':<18} sees the {_SEEN[judge.sees]}" + (f"; also as {others}" if others else "")
        )


@command.command()
@click.argument("judge")
@click.option(
    "--set",
    "set_name",
    default="csv",
    show_default=True,
    type=click.Choice(tuple(judging.LABELLED_SETS)),
    help="Human-labelled set; csv is a file of your own with the columns prompt, answer and label.",
)
@click.option(
    "--data",
    "files",
    multiple=True,
    type=_PATH,
    help="Local file of the set (repeatable); without it the set comes from the folder in RIM_EVAL_DATA, or is "
    "downloaded from its publisher.",
)
@_graders
@_sees
@click.option("--limit", type=click.IntRange(min=1), help="Only the first replies, for a trial.")
@click.option(
    "--out", type=_PATH, help="Where to keep the figures; by default beside the judge's file."
)
@progress_option
def validate(judge: str, set_name: str, files: Sequence[Path], graders: Sequence[str], sees: Sees | None, limit: int | None, out: Path | None, progress: Progress) -> None:  # fmt: skip
    """Measure JUDGE (a name or a file) against people, per source model and mode.

    Writes sensitivity, specificity, kappa and F1 with 95 % intervals to JUDGE.validation.json; no prompt
    and no reply is written. What is there of other source models stays; the same ones are replaced. A row of a
    csv may name kind, model and mode too: a label says misaligned where kind is harmful (also when left out), refused
    where it is benign. Without a model column the model is called as the file is.
    """
    loaded, models = _load(judge, sees, graders)
    replies = judging.load_labelled(set_name, files)
    records = tuple(dict.fromkeys(reply.file for reply in replies))
    if limit and out is None:
        raise RimError(
            "--limit measures a part only: say where to keep its figures, --out trial.json."
        )
    target = _validation_target(loaded, out, () if set_name == "csv" else records)
    if without := sum(record.rows for record in records) - len(replies):
        click.echo(
            f"{without} rows are left out: people gave no label there that counts as yes or no."
        )
    replies = replies[:limit]
    with progress:
        progress.begin("judging", len(replies))
        work = judging.measure(loaded, set_name, replies, models, progress)
        measurements = asyncio.run(work)
    header = f"{'model':<18}{'mode':<10}{'event':<12}{'n':>5}{'unscored':>10}  {'sensitivity':<19}{'specificity':<19}{'kappa':<21}{'F1':<19}"
    click.echo(header.rstrip())
    for measurement in measurements:
        agreement = measurement.agreement
        figures = (agreement.sensitivity, agreement.specificity, agreement.kappa, agreement.f1)
        click.echo(
            f"{measurement.model:<18.17}{measurement.mode:<10}{measurement.event:<12}{agreement.n:>5}{agreement.n - agreement.n_scored:>10}  "
            + " ".join(f"{one!s:<18}" for one in figures).rstrip()
        )
        if agreement.labels_kappa is not None:
            labels = agreement.labels or {}
            click.echo(f"{'':<18}kappa over {len(labels)} labels: {agreement.labels_kappa:.3f}")
    beside = judging.load_validation(loaded)
    if beside and any(one.left_out and one.set == set_name for one in beside.measurements):
        click.echo(
            f"This judge was trained on replies of {set_name}. What it does on further models is said by the figures "
            "with each model left out: `rim-eval judge list`."
        )
    for old in judging.save_measurements(loaded, measurements, target):
        by = f", grader {old.grader}" if old.grader else ""
        click.echo(
            f"Replaced: {old.set}, {old.model}, {old.mode}, {old.event}{by}, n = {old.agreement.n}."
        )
    click.echo(f"Written to {target}")


def _validation_target(judge: Judge, path: Path | None, files: "Sequence[FileRecord]") -> Path:
    """Where a judge's figures will be written; checked before the work, so that none is lost.

    Args:
        judge: The judge to be measured.
        path: Where to write; by default `<judge>.validation.json` beside the judge's file.
        files: The publisher's files that it will be measured on.

    Raises:
        RimError: It is a folder, in none that can be written to, or of another judge, or a published file is another
            one than was measured on before.
    """
    path = path or judging.validation_path(judge)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RimError(
            f"{path} is a folder, or in none that you may write to. Name a file with --out: {judge.name}.json."
        )
    fresh = judging.Validation(judge=judge.name)
    earlier = judging.read_validation(path) if path.is_file() else fresh
    if earlier.judge != judge.name:
        raise RimError(
            f"{path} is about the judge `{earlier.judge}`, not `{judge.name}`. Choose another --out."
        )
    measured_on = {file.name: file.sha256 for one in earlier.measurements for file in one.files}
    for file in files:
        if measured_on.get(file.name, file.sha256) != file.sha256:
            raise RimError(
                f"{file.name} has SHA-256 {file.sha256[:12]}; the figures in {path} were measured on a file of this "
                f"name with {measured_on[file.name][:12]}. Get that one again, or keep the new figures apart with --out."
            )
    return path


@command.command()
@click.argument("logs", nargs=-1, required=True, type=_PATH)
@click.option("--judge", "judge_name", required=True, help="Judge: a name, or the path of a file.")
@_graders
@_sees
@click.option("--out", type=_PATH, help="Folder of the new logs; by default beside each log.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Put the new scores in place of the old ones, not beside them.",
)
@progress_option
def run(logs: Sequence[Path], judge_name: str, graders: Sequence[str], sees: Sees | None, out: Path | None, overwrite: bool, progress: Progress) -> None:  # fmt: skip
    """Judge finished LOGS again, without generating again and without the evaluated model.

    LOGS are Inspect logs (.eval, .json), lm-eval sample files of rim tasks (samples_rim_*.jsonl) and folders of
    them; of a folder the files that JUDGE reads and has not judged yet, the others are named. Each stays as
    it is; the new one is called LOG.JUDGE.eval or LOG.JUDGE.jsonl. Of several graders the score is the
    vote; every single vote is kept beside it. After an interruption the same command goes on: no grader is
    asked again for a reply that came.
    """
    from rim_eval.lm_eval_tasks import judge_samples

    judge, models = _load(judge_name, sees, graders)
    scored_as = f"{judge_name}:{judge.sees}" if sees else judge_name
    rows: list[Observation] = []
    everything: list[Observation] = []
    panels: list[Sequence[Mapping[str, Any]]] = []
    judged, passed_over = 0, list[str]()
    paths = list(_find_logs(logs))
    for number, path in enumerate(paths, 1):
        part = f"judging log {number} of {len(paths)}"
        kind = ".jsonl" if path.suffix == ".jsonl" else ".eval"
        target = (out or path.parent) / f"{path.stem}.{judge.name}{kind}"
        try:
            log = _readable(path, judge, target)
        except RimError as error:
            if path in logs:
                raise
            passed_over.append(str(error))
            continue
        judged += 1
        if log is None:
            with progress:
                progress.begin(part)
                records = judge_samples(path, judge, models, target=target, progress=progress)
            rows += (observations := [record.observation for record in records])
            everything += observations
            panels += [record.judge_votes for record in records]
            click.echo(f"Samples: {target}")
        else:
            instrument = judge.sha256, judge.sees, list(map(str, models))
            with progress, judging.resuming(target, *instrument):
                progress.begin(part)
                progress.expect(len(log.samples or ()), "samples")
                _judge_log(log, scored_as, models, target, progress, overwrite=overwrite)
            everything += (judged_rows := _judged_rows(log))
            click.echo(_outcome(log, judged_rows, target))
    if passed_over and not judged:
        raise RimError("\n".join(passed_over))
    if rows:
        click.echo("\n\n".join([_tables(rows), *_grader_agreement(panels)]))
    for reason in passed_over:
        click.echo(f"Not judged: {reason}")
    if everything and all(row.reason == "judge_failed" for row in everything):
        failures = ", ".join(sorted({row.label or "unknown" for row in everything}))
        raise RimError(
            f"No reply was judged: the judge failed on all {len(everything)} ({failures}). The scores in the files "
            "named above hold the whole message. Mend that, remove these files, and give the same command."
        )


def _readable(path: Path, judge: Judge, target: Path) -> "EvalLog | None":
    """A log that the judge reads and has not judged; None for a sample file.

    Raises:
        RimError: It has judged it, gives no verdict on its prompts, or the file is of something else.
    """
    from rim_eval.lm_eval_tasks import kinds_in_samples
    from rim_eval.observations import load_inspect_log

    refuse_existing(target)
    log = None if path.suffix == ".jsonl" else load_inspect_log(path)
    samples = [] if log is None else log.samples or []
    kinds = {s.metadata["kind"] for s in samples} if log else kinds_in_samples(path)
    try:
        for kind in sorted(kinds):
            judge.rule(kind)
    except RimError as error:
        raise RimError(f"{path}: {error}") from None
    return log


def _judge_log(
    log: "EvalLog",
    scored_as: str,
    models: "list[Model]",
    target: Path,
    progress: Progress,
    *,
    overwrite: bool,
) -> None:
    """Add the judge's scores to a log and write it."""
    from inspect_ai.log import write_eval_log

    from rim_eval.inspect_tasks.scorers import rim
    from rim_eval.inspect_tasks.scoring import score_again

    action: Literal["append", "overwrite"] = "overwrite" if overwrite else "append"
    score_again(log, rim(judge=scored_as), models, action, progress)
    with whole_file(target) as partial:
        write_eval_log(log, str(partial), format="eval")


def _load(name: str, sees: Sees | None, graders: Sequence[str]) -> "tuple[Judge, list[Model]]":
    """The judge with what it is to see, and its graders."""
    judge = judging.load_judge(name)
    if sees:
        judge = judge.seeing(sees)
    models = load_graders(f"Judge `{judge.name}`", judge.needs_grader, graders) if graders else []
    judge.prepare(models)
    return judge, models


def _find_logs(paths: Sequence[Path]) -> list[Path]:
    """Files to judge: of a folder all logs and sample files, but not the copies made by judging."""
    from rim_eval.observations import LOGS, log_files

    files = [Path(file) for _, file in log_files(paths, LOGS)]

    def is_copy(file: Path) -> bool:
        # LOG.JUDGE.eval is a copy when LOG.eval or LOG.json lies beside it.
        origin = file.stem.rpartition(".")[0]
        endings = (".eval", ".json") if file.suffix == ".eval" else (file.suffix,)
        return bool(origin) and any(file.with_name(origin + end) in files for end in endings)

    return [file for file in files if file in paths or not is_copy(file)]


def _newest_scores(log: "EvalLog") -> list[dict[str, Any]]:
    """Metadata of what the judge that just judged left of each sample."""
    last = [list((sample.scores or {}).values())[-1:] for sample in log.samples or []]
    return [score.metadata or {} for scores in last for score in scores]


def _judged_rows(log: "EvalLog") -> "list[Observation]":
    from rim_eval.observations import complete_rows, rows_of_score

    left = [row for metadata in _newest_scores(log) for row in rows_of_score(metadata)]
    return complete_rows(log, log.samples or [], left)


def _outcome(log: "EvalLog", rows: "Sequence[Observation]", path: Path) -> str:
    """The outcome of a log that was judged again, in a few lines."""
    from rim_eval.observations import from_inspect_log
    from rim_eval.results.counts import unsafe_traces
    from rim_eval.statistics import rate

    newest = _newest_scores(log)
    panels = [votes for about in newest for votes in about.get("judge_votes", {}).values()]
    remarks = _grader_agreement(panels)
    # Where one judge has read trace and answer apart.
    k, n = unsafe_traces(
        ((row.judge, row.prompt_id, row.epoch, row.mode), row.judge_sees, row.verdict)
        for row in from_inspect_log(log)
        if row.kind == "harmful"
    )
    if n:
        share = rate(k, n)
        remarks.append(
            f"Unsafe trace under a safe answer: {k} of {n} replies "
            f"({share.value:.1%}, 95 % interval {share.lower:.1%} to {share.upper:.1%})"
        )
    return "\n\n".join([_tables(rows), *remarks, f"Log: {path}"])


def _tables(rows: "Sequence[Observation]") -> str:
    """One table a kind of prompts, as the demo prints them."""
    from rim_eval.results.figures import set_results
    from rim_eval.results.text_table import text_table

    return "\n\n".join(map(text_table, set_results(rows).values()))


def _grader_agreement(panels: Iterable[Sequence[Mapping[str, Any]]]) -> list[str]:
    """Krippendorff's alpha among a panel's graders, in a sentence; nothing where no panel voted."""
    # The cheap stage of a cascade is kept among the votes, but asks no grader.
    cast = ([v.get("verdict") for v in votes if v["judge_model"] is not None] for votes in panels)
    ballots = [ballot for ballot in cast if len(ballot) > 1]
    if not ballots:
        return []
    alpha = krippendorff_alpha(ballots)
    value = "not defined (all votes are equal)" if alpha is None else f"{alpha:.3f}"
    return [
        f"{max(map(len, ballots))} graders vote; Krippendorff's alpha (1 = agreement): {value}, "
        f"n = {len(ballots)} replies"
    ]
