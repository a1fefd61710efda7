"""The traces that a pattern monitor read, as a sampling frame: people say which patterns are there.

A stratum is a mode with the patterns that the monitor found. Traces that were not read (hidden, summarised, none) are
in no frame: the figures are about the traces that were read.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rim_eval import observations
from rim_eval.errors import RimError
from rim_eval.labelling.kept_replies import KeptReply, kept_replies, reply_id
from rim_eval.labelling.labels import NONE
from rim_eval.labelling.sampling_frame import Judged, SamplingFrame, as_source
from rim_eval.patterns.logs import read_rows
from rim_eval.patterns.rows import PatternRow
from rim_eval.patterns.rubric import RubricItem, load_rubric
from rim_eval.thinking import dose_rank

_GROUP: Final = ("model", "dataset", "kind", "monitor")


def categories() -> tuple[RubricItem, ...]:
    """The eight raw categories that people mark, in the order of their keys."""
    return load_rubric().categories


def read_pattern_frames(sources: Iterable[str | Path]) -> list[SamplingFrame]:
    """Read every frame of traces that some logs hold.

    Args:
        sources: Logs that a monitor has read, as `rim_eval.labelling.read_frames` takes them.

    Raises:
        RimError: A log cannot be read, or no monitor has read a trace in them.
    """
    sources = list(sources)
    rows = [row for row in read_rows(sources, PatternRow)[0] if row.part == "trace" and row.read]
    if not rows:
        raise RimError(
            "No monitor has read a trace in these logs, so there is nothing to check by labels. Let one read them first: "
            "`rim-eval patterns run LOGS --grader MODEL`."
        )
    files = observations.log_files(sources, observations.LOGS)
    table = observations.read_observations(as_source(*file) for file in files)
    kept = {reply_id(each.row): each for each in kept_replies(files, table.runs)}
    groups: dict[tuple[Any, ...], list[PatternRow]] = defaultdict(list)
    for row in rows:
        groups[tuple(getattr(row, name) for name in _GROUP)].append(row)
    return [_frame(groups[group], kept) for group in sorted(groups, key=str)]


def _frame(rows: Sequence[PatternRow], kept: dict[Any, KeptReply]) -> SamplingFrame:
    first, monitor = rows[0], rows[0].monitor
    ranks = [rank for row in rows if row.dose and (rank := dose_rank(row.dose)) is not None]
    most = max(ranks, default=None)
    rows = [row for row in rows if not row.dose or dose_rank(row.dose) == most]
    return SamplingFrame(
        model=first.model,
        dataset=first.dataset,
        kind=first.kind,
        judge=f"{monitor.name}@{monitor.version}",
        judge_sha256=monitor.sha256,
        judge_model=monitor.grader,
        judge_sees="reasoning",
        replies=tuple(_replies(rows, kept)),
        left_out=0,
        is_bare="+" not in first.dataset,
        about="patterns",
    )


def _replies(rows: Sequence[PatternRow], kept: dict[Any, KeptReply]) -> Iterator[Judged]:
    for row in sorted(rows, key=lambda row: (row.prompt_id, row.mode, row.epoch)):
        case = kept[reply_id(row)].case
        yield Judged(
            prompt_id=row.prompt_id,
            mode=row.mode,
            epoch=row.epoch,
            verdict=bool(row.patterns),
            doubt=" ".join(row.patterns) or NONE,
            context=(case.context or "").strip(),
            prompt=case.prompt_text.strip(),
            parts=(("Reasoning", (case.trace or "").strip()),),
            found=tuple(sorted({*row.severities, *row.patterns})),
        )
