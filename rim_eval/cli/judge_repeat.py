"""`rim-eval judge repeat`: let the judge of a run read a sample of its replies again, to see how noisy it is."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rim_eval import judging
from rim_eval.cli.graders import load_graders
from rim_eval.cli.progress_option import progress_option
from rim_eval.errors import RimError, refuse_existing
from rim_eval.files import write_whole
from rim_eval.labelling.kept_replies import KeptReply, replies_of, reply_id
from rim_eval.progress import Progress
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    from inspect_ai.model import Model

    from rim_eval.observations import Observation
    from rim_eval.replies import ReplyVerdict

_CONCURRENT: Final = 64
"""Readings at once; the grader's own limit of connections holds below it."""
_PATH: Final = click.Path(path_type=Path)

_Stratum = tuple[str, PromptKind, Mode]


def _instrument(row: "Observation") -> tuple[str | None, str | None, str | None, str | None]:
    """Judge, checksum of its file, grader, and what it saw."""
    return row.judge, row.judge_sha256, row.judge_model, row.judge_sees


@click.command()
@click.argument("logs", nargs=-1, required=True, type=_PATH)
@click.option("--n", default=60, show_default=True, type=click.IntRange(min=4), help="Replies of each log, as many with thinking as without.")  # fmt: skip
@click.option("--times", default=3, show_default=True, type=click.IntRange(min=2, max=100), help="Readings of each reply, besides the first verdict.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Seed of the draw.")
@click.option("--judge", "judge_name", help="Judge of the log: a name, or the file where it is your own. Default: the log's only one.")  # fmt: skip
@click.option("--grader", "graders", multiple=True, help="Grader model of the log, where its name there is not enough to load it (a panel, a local folder).")  # fmt: skip
@click.option(
    "--out", type=_PATH, help="Folder of the LOG.repeats.json; by default beside each log."
)
@progress_option
def repeat(logs: Sequence[Path], n: int, times: int, seed: int, judge_name: str | None, graders: Sequence[str], out: Path | None, progress: Progress) -> None:  # fmt: skip
    """Let the judge of finished LOGS read a sample of their replies again, always anew.

    LOGS are Inspect logs, lm-eval sample files of rim tasks, and folders of them, already judged. The same judge
    file and grader read each drawn reply several times, without a cache; LOG.repeats.json keeps how often they
    said yes, and no text. `rim-eval card LOGS --repeats LOG.repeats.json` shows what of the uncertainty is the
    judge's. After an interruption the same command goes on. A judge that asks no grader has no noise, and is
    not asked.
    """
    from rim_eval.observations import LOGS, log_files

    paths = [Path(file) for _, file in log_files(logs, LOGS)]
    for number, path in enumerate(paths, 1):
        target = (out or path.parent) / f"{path.stem}.repeats.json"
        refuse_existing(target)
        replies = _of_one_judge(path, list(replies_of(str(path))), judge_name)
        judge = _judge_of(path, replies[0].row, judge_name)
        if not judge.needs_grader:
            click.echo(
                f"{path}: judge {replies[0].row.judge} asks no grader. It says the same of the same reply each time: "
                "its noise is 0, and nothing was asked."
            )
            continue
        models = _graders_of(path, replies[0].row, judge, graders)
        drawn = judging.draw_replies(_strata(replies), n, seed)
        instrument = judge.sha256, judge.sees, list(map(str, models))
        with progress, judging.resuming(target, *instrument):
            count = times * sum(map(len, drawn.values()))
            progress.begin(f"judging log {number} of {len(paths)}", count, "readings")
            readings = _read_all(judge, models, drawn, times, progress)
            repeats = _repeats(path, replies, readings, times, seed, _temperature(judge, models))
            write_whole({target: repeats.model_dump_json(indent=1) + "\n"})
        for line in _summary(repeats):
            click.echo(line)
        click.echo(f"Repeats: {target}")


def _of_one_judge(
    path: Path, replies: Sequence[KeptReply], judge_name: str | None
) -> list[KeptReply]:
    """The replies with a verdict of one judge, in the two modes that are compared.

    Raises:
        RimError: There is none, or several judges gave them.
    """
    name = None if judge_name is None else _load_judge(path, judge_name).name
    judged = [
        one
        for one in replies
        if one.row.verdict is not None and one.row.judge and name in (None, one.row.judge.split("@")[0])
    ]  # fmt: skip
    instruments = {_instrument(one.row) for one in judged}
    if len(instruments) != 1:
        named = ", ".join(sorted(f"{judge} ({grader or 'offline'})" for judge, _, grader, _ in instruments))  # fmt: skip
        raise RimError(
            f"{path} holds verdicts of {named}: choose one with --judge NAME."
            if instruments
            else f"{path} holds no verdict of {name or 'a judge'}. Judge it first: rim-eval judge run {path} --judge NAME."
        )
    # Of a reply that the same judge judged twice, the newest verdict counts.
    last = {reply_id(one.row): one for one in judged}
    return _two_modes(list(last.values()))


def _two_modes(replies: list[KeptReply]) -> list[KeptReply]:
    """Of a run in several doses of thinking the replies of the least and the most."""
    from rim_eval.results.doses import ranked_doses

    ranked = ranked_doses({one.row.dose for one in replies if one.row.dose})
    return [one for one in replies if one.row.dose in {None, *ranked[:1], *ranked[-1:]}]


def _judge_of(path: Path, row: "Observation", judge_name: str | None) -> judging.Judge:
    """The judge that gave a verdict, seeing what it saw.

    Raises:
        RimError: It is not there, or its file is another one than judged the log.
    """
    judge = _load_judge(path, judge_name or str(row.judge).split("@")[0])
    if judge.sha256 != row.judge_sha256:
        raise RimError(
            f"{path} was judged by {row.judge} of another file (SHA-256 {str(row.judge_sha256)[:12]}, here "
            f"{judge.sha256[:12]}): its noise would be that of another judge. Give that file with --judge FILE, or judge "
            f"the log again: rim-eval judge run {path} --judge {judge.name}."
        )
    return judge if judge.sees == row.judge_sees else judge.seeing(row.judge_sees)  # type: ignore[arg-type]


def _load_judge(path: Path, name: str) -> judging.Judge:
    """The judge of a log, by name or file.

    Raises:
        RimError: There is no such judge, or its file is wrong.
    """
    try:
        return judging.load_judge(name)
    except RimError:
        if ".yaml" in name or ".yml" in name:
            raise
        raise RimError(
            f"{path}: the judge `{name}` is none of those that are shipped ({', '.join(judging.judge_names())}). If it is "
            "your own, give the file that judged the log: --judge FILE."
        ) from None


def _graders_of(
    path: Path, row: "Observation", judge: judging.Judge, names: Sequence[str]
) -> "list[Model]":
    """The graders that gave a verdict, with no cache.

    Raises:
        RimError: They cannot be loaded by their name in the log, or others were named.
    """
    named = str(row.judge_model)
    if not names and named.startswith("panel of "):
        raise RimError(
            f"{path} was judged by a {named}: name each of them with --grader, in this order."
        )
    models = load_graders(f"Judge `{judge.name}`", judge.needs_grader, names or [named])
    judge.prepare(models)
    if (given := judge.provenance(models).grader) != named:
        raise RimError(
            f"{path} was judged by {named}, and --grader names {given}: the noise would be that of another judge. "
            f"Name {named}, or judge the log again by the other: rim-eval judge run {path} --judge {judge.name}."
        )
    for model in models:
        model.config.cache = False
    return models


def _strata(replies: Sequence[KeptReply]) -> dict[_Stratum, list[tuple[str, KeptReply]]]:
    strata = defaultdict[_Stratum, list[tuple[str, KeptReply]]](list)
    for one in replies:
        strata[one.row.dataset, one.row.kind, one.row.mode].append((one.row.prompt_id, one))
    return dict(sorted(strata.items()))


_Read = dict[_Stratum, list[tuple[bool, list["ReplyVerdict"]]]]
"""First verdict and later ones of each drawn reply."""


def _read_all(
    judge: judging.Judge,
    models: "Sequence[Model]",
    drawn: Mapping[_Stratum, Sequence[KeptReply]],
    times: int,
    progress: Progress,
) -> _Read:
    """Ask for every reading.

    Raises:
        RimError: The judge failed on all of them.
    """
    replies = [one for of_stratum in drawn.values() for one in of_stratum]
    later = iter(asyncio.run(_ask(judge, models, replies, times, progress)))
    read = {
        name: [(bool(one.row.verdict), next(later)) for one in of_stratum]
        for name, of_stratum in drawn.items()
    }
    every = [one for of_stratum in read.values() for _, each in of_stratum for one in each]
    if every and all(one.reason == "judge_failed" for one in every):
        failures = ", ".join(sorted({one.label or "unknown" for one in every}))
        raise RimError(
            f"The judge failed on all {len(every)} readings ({failures}: {every[0].explanation}). Mend that, and give "
            "the same command."
        )
    return read


async def _ask(
    judge: judging.Judge,
    models: "Sequence[Model]",
    replies: Sequence[KeptReply],
    times: int,
    progress: Progress,
) -> "list[list[ReplyVerdict]]":
    from rim_eval.replies import judge_reply

    slots = asyncio.Semaphore(_CONCURRENT)

    async def read(one: KeptReply) -> "ReplyVerdict":
        async with slots:
            return await judging.counted(
                judge_reply(judge, one.prompt, one.reply, models), progress
            )

    readings = await asyncio.gather(*(read(one) for one in replies for _ in range(times)))
    return [list(readings[start : start + times]) for start in range(0, len(readings), times)]


def _temperature(judge: judging.Judge, models: "Sequence[Model]") -> float | None:
    """The graders' temperature: their own setting, else the judge file's; None where they differ."""
    own = (model.config.temperature for model in models)
    every = {judge.spec.grader.temperature if one is None else one for one in own}
    return every.pop() if len(every) == 1 else None


def _repeats(
    path: Path, replies: Sequence[KeptReply], read: _Read, times: int, seed: int, temperature: float | None
) -> judging.JudgeRepeats:  # fmt: skip
    from rim_eval._version import __version__

    judge, sha256, grader, sees = _instrument(replies[0].row)
    judged = {name: len(of_stratum) for name, of_stratum in _strata(replies).items()}
    arms = [
        {
            **dict(zip(("dataset", "kind", "mode"), name, strict=True)),
            "judged": judged[name],
            "cells": judging.count_repeats(
                (first, [one.verdict for one in later]) for first, later in of_stratum
            ),
        }
        for name, of_stratum in read.items()
    ]
    return judging.JudgeRepeats.model_validate(
        {
            "rim_eval": __version__,
            "log_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "judge": judge,
            "judge_sha256": sha256,
            "grader": grader,
            "sees": sees,
            "temperature": temperature,
            "times": times,
            "seed": seed,
            "arms": arms,
        }
    )


def _summary(repeats: judging.JudgeRepeats) -> Iterator[str]:
    """One line a mode: how often two readings of a reply differ."""
    from rim_eval.formatting import MODE_WORDS, estimate
    from rim_eval.statistics import judge_noise

    for arm in repeats.arms:
        replies = sum(cell.replies for cell in arm.cells)
        noise = judge_noise(judging.readings_of(arm.cells))
        differ = estimate(*noise.disagreement, share=True) if noise else "not known"
        yield (
            f"{arm.dataset} {MODE_WORDS[arm.mode]}: {replies} of {arm.judged} replies read {repeats.times} times; "
            f"two readings of a reply differ in {differ}"
        )
