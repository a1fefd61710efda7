"""The sampling frame: the judged replies of finished runs that labels may be drawn from, with their texts.

A frame is of one model, prompt set (with its condition), kind of prompts and judge. It holds replies with a verdict,
of prompts that have one in both modes; where all verdicts are of one mode, the replies of that mode. Of several doses
the least and the most count, as in the paired difference.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from rim_eval import observations
from rim_eval.errors import RimError
from rim_eval.judging import Case
from rim_eval.labelling.doubt import SURE, UNSURE, doubtful_scores
from rim_eval.labelling.kept_replies import KeptReply, kept_replies, reply_id
from rim_eval.observations import Observation
from rim_eval.patterns.rows import index_unique
from rim_eval.results.doses import least_and_most_rows
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    import pandas as pd

_JUDGE: Final = ("judge", "judge_sha256", "judge_model", "judge_sees")
About: TypeAlias = Literal["verdict", "patterns"]
_JUDGED_KINDS: Final[tuple[PromptKind, ...]] = ("harmful", "benign")


class Judged(NamedTuple):
    """One reply that may be drawn."""

    prompt_id: str
    mode: Mode
    epoch: int
    verdict: bool
    doubt: str
    """How sure the judge was, in one word; of a monitor the patterns that it found."""
    context: str
    """What the prompt refers to; empty where there is nothing."""
    prompt: str
    parts: tuple[tuple[str, str], ...]
    """What the judge saw of the reply: headings with texts."""
    found: tuple[str, ...] = ()
    """Labels that a monitor found in the trace, where the frame is about patterns."""

    @property
    def key(self) -> str:
        """What tells the reply apart from the others of its frame."""
        return json.dumps([self.prompt_id, self.mode, self.epoch])


@dataclass(frozen=True)
class SamplingFrame:
    """Replies of one model, set, kind and judge that may be drawn.

    Attributes:
        model: The evaluated model.
        dataset: Name of the prompt set, with its condition.
        kind: Kind of its prompts.
        judge: The judge file's name and version, `name@version`.
        judge_sha256: SHA-256 of the judge's file; None where the rows do not say.
        judge_model: The grader, or the panel; None for an offline judge.
        judge_sees: What the judge was shown: `answer`, `reasoning` or `both`.
        replies: The replies, in a fixed order.
        left_out: Prompts with a verdict in one mode only, whose replies are not in the frame.
        is_bare: Whether the prompts were bare and both modes decoded alike.
        about: What people are asked about: the judge's `verdict`, or the `patterns` that a monitor finds in traces;
            then the judge is the monitor.
        logs: SHA-256 of the logs that the replies come from, sorted.
    """

    model: str
    dataset: str
    kind: PromptKind
    judge: str
    judge_sha256: str | None
    judge_model: str | None
    judge_sees: str
    replies: tuple[Judged, ...]
    left_out: int
    is_bare: bool
    about: About = "verdict"
    logs: tuple[str, ...] = ()

    @cached_property
    def secret(self) -> bytes:
        """A hash of everything in the frame, 32 bytes: it can be known only from the logs."""
        about = [self.model, self.dataset, self.kind, self.judge, self.judge_sha256]
        about += [self.judge_model, self.judge_sees, self.about]
        return hashlib.sha256(json.dumps([about, self.replies]).encode()).digest()

    def __str__(self) -> str:
        grader = f" asking {self.judge_model}" if self.judge_model else ""
        made = "judged by" if self.about == "verdict" else "read by"
        return f"{self.model} on {self.dataset} ({self.kind} prompts), {made} {self.judge}{grader}, seeing {self.judge_sees}"


def read_frames(sources: Iterable[str | Path]) -> list[SamplingFrame]:
    """Read every frame that some logs hold.

    Args:
        sources: Inspect logs, lm-eval sample files of rim tasks, folders of them; `NAME=PATH` gives the replies of
            that path the model name NAME.

    Raises:
        RimError: A log cannot be read, runs cannot be pooled, a reply occurs twice, or no reply has a verdict of a judge.
    """
    files = observations.log_files(sources, observations.LOGS)
    table = observations.read_observations(as_source(*file) for file in files)
    for problem in observations.check(table):
        if problem.kind == "mismatch":
            raise RimError(f"{problem.says}: {', '.join(problem.ids[:3])}.")
    # Of the doses before their verdicts: one without any must not give its place to the next.
    frame = least_and_most_rows(table.frame)
    judged = frame["kind"].isin(_JUDGED_KINDS) & frame["judge"].notna() & frame["verdict"].notna()
    kept = frame[judged]
    if kept.empty:
        raise RimError(
            "No reply in these logs has a judge's verdict, so there is nothing to check by labels. Judge them first: "
            "`rim-eval judge run LOGS --judge NAME` (problems are checked against gold answers and need no labels)."
        )
    if kept["sequential"].any():
        raise RimError(
            "One of these runs could stop early (-T stop), and a correction by labels is for runs of fixed size: where a run "
            "stopped depends on the judge's errors. Run the set without `stop`, and draw the sheet from that log."
        )
    texts = {_key(each.row): each for each in kept_replies(files, table.runs)}
    sha256 = {run.id: run.log_sha256 for run in table.runs if run.log_sha256}
    return list(_frames(kept, texts, sha256))


def choose_frame(
    frames: Sequence[SamplingFrame],
    *,
    dataset: str | None = None,
    kind: PromptKind | None = None,
    judge: str | None = None,
    sees: str | None = None,
) -> SamplingFrame:
    """The one frame that a sheet is drawn from.

    Without `dataset` the bare prompts, decoded alike in both modes, come before other conditions; without `kind`
    harmful prompts come before harmless ones.

    Args:
        frames: What the logs hold.
        dataset: Name of the prompt set, with its condition.
        kind: Kind of prompts, where the set mixes them.
        judge: The judge, `name` or `name@version`; with `:GRADER` after it, only with that grader.
        sees: What the judge was shown, where it has read several parts of the replies.

    Raises:
        RimError: None fits, or several; the message lists them and names the option that tells them apart.
    """
    chosen = _of("--set", frames, dataset, lambda frame: frame.dataset == dataset)
    chosen = _of("--kind", chosen, kind, lambda frame: frame.kind == kind)
    chosen = _of("--judge", chosen, judge, lambda frame: _is_by(frame, judge or ""))
    chosen = _of("--sees", chosen, sees, lambda frame: frame.judge_sees == sees)
    for prefer in (lambda f: dataset is not None or f.is_bare, lambda f: f.kind == "harmful"):
        chosen = list(filter(prefer, chosen)) or chosen
    options: list[tuple[str, Callable[[SamplingFrame], str]]] = [
        ("one model's logs", lambda frame: frame.model),
        ("--set", lambda frame: frame.dataset),
        ("--kind", lambda frame: frame.kind),
        ("--judge", _judge_name),
        ("--sees", lambda frame: frame.judge_sees),
        ("logs by one version of the judge's file", lambda frame: str(frame.judge_sha256)[:12]),
    ]
    for option, value in options:
        if len(values := sorted({value(frame) for frame in chosen})) > 1:
            raise RimError(
                f"These logs hold several sheets' worth: {', '.join(values)}. A sheet is of one model, set and judge, "
                f"so that its labels speak about them: give {option}."
            )
    return chosen[0]


def _of(
    option: str,
    frames: Sequence[SamplingFrame],
    value: str | None,
    fits: Callable[[SamplingFrame], bool],
) -> list[SamplingFrame]:
    chosen = [frame for frame in frames if value is None or fits(frame)]
    if not chosen:
        there = "; ".join(sorted(map(str, frames)))
        raise RimError(
            f"{option} {value}: no judged reply in these logs is of it. There are {there}."
        )
    return chosen


def _is_by(frame: SamplingFrame, name: str) -> bool:
    wanted, colon, grader = name.partition(":")
    named = frame.judge == wanted or frame.judge.startswith(f"{wanted}@")
    return named and (not colon or frame.judge_model == grader)


def _judge_name(frame: SamplingFrame) -> str:
    return f"{frame.judge}:{frame.judge_model}" if frame.judge_model else frame.judge


def _key(row: Observation) -> Hashable:
    return (reply_id(row), *(getattr(row, name) for name in _JUDGE))


def as_source(label: str | None, path: str) -> str:
    """A log as it was given: `PATH`, or `NAME=PATH`."""
    return path if label is None else f"{label}={path}"


def _frames(
    rows: "pd.DataFrame", texts: Mapping[Hashable, KeptReply], sha256: Mapping[str, str]
) -> Iterator[SamplingFrame]:
    groups: dict[tuple[Any, ...], list[Observation]] = defaultdict(list)
    logs: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row, run in zip(observations.to_rows(rows), rows["run"], strict=True):
        of = (row.model, row.dataset, row.kind, *(getattr(row, name) for name in _JUDGE))
        groups[of].append(row)
        logs[of] |= {sha256[run]} if run in sha256 else set()
    for of, members in sorted(groups.items(), key=lambda group: str(group[0])):
        model, dataset, kind, judge, judge_sha256, grader, sees = of
        index_unique(members, reply_id, "verdicts")
        paired, left_out = _paired(members)
        yield SamplingFrame(
            model=model,
            dataset=dataset,
            kind=kind,
            judge=judge,
            judge_sha256=judge_sha256,
            judge_model=grader,
            judge_sees=sees or "answer",
            replies=tuple(_judged(paired, texts)),
            left_out=left_out,
            is_bare=members[0].dataset == members[0].bare_dataset,
            logs=tuple(sorted(logs[of])),
        )


def _paired(rows: Sequence[Observation]) -> tuple[list[Observation], int]:
    """The rows of prompts that have a verdict in both modes, and how many prompts have not; of one mode, all."""
    modes: dict[str, set[Mode]] = defaultdict(set)
    for row in rows:
        modes[row.prompt_id].add(row.mode)
    most = len({row.mode for row in rows})
    kept = [row for row in rows if len(modes[row.prompt_id]) == most]
    return kept, sum(len(each) < most for each in modes.values())


def _judged(rows: Sequence[Observation], texts: Mapping[Hashable, KeptReply]) -> Iterator[Judged]:
    doubtful = doubtful_scores((row.score, bool(row.verdict)) for row in rows)
    for row in sorted(rows, key=lambda row: (row.prompt_id, row.mode, row.epoch)):
        try:
            kept = texts[_key(row)]
        except KeyError:
            raise RimError(
                f"{row.prompt_id} of {row.dataset} ({row.model}) has a verdict, but no log here holds its reply's text. "
                "Give the logs of the run themselves: a table of observations holds no texts."
            ) from None
        case = kept.case
        yield Judged(
            prompt_id=row.prompt_id,
            mode=row.mode,
            epoch=row.epoch,
            verdict=bool(row.verdict),
            doubt=UNSURE if kept.doubt or row.score in doubtful else SURE,
            context=(case.context or "").strip(),
            prompt=case.prompt_text.strip(),
            parts=_seen_parts(case, row.judge_sees or "answer"),
        )


def _seen_parts(case: Case, sees: str) -> tuple[tuple[str, str], ...]:
    """What a judge saw of a reply.

    Blanks around a text are left out: those after a trace would tell the mode.
    """
    if sees == "answer":
        return (("Reply", case.answer.strip()),)
    parts = [("Reasoning", case.trace or "")]
    parts += [("Answer", case.answer)] if sees == "both" else []
    return tuple((name, text.strip()) for name, text in parts if text.strip())
