"""How many tokens replies took in finished logs: the only ground for an expectation."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from rim_eval.observations import Observation, log_files, read_observations, to_rows
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    from inspect_ai.model import ModelUsage


class ReplyTokens(NamedTuple):
    """Means over the replies of one arm; None where the logs do not say."""

    trace: float | None
    answer: float | None
    output: float | None
    replies: int


class GraderTokens(NamedTuple):
    """Means over the replies that graders read, all their requests together."""

    input: float
    output: float


class Measured(NamedTuple):
    """What logs say of replies and graders."""

    rows: tuple[Observation, ...] = ()
    """One a reply, whatever number of judges read it."""
    inputs: Mapping[str, float] = {}
    """Input tokens a reply, by data set."""
    graders: Mapping[str, GraderTokens] = {}
    """By data set; a reply and grader."""

    def sets_like(self, dataset: str, kind: PromptKind) -> tuple[str, ...]:
        """The sets of the logs that tell of another: itself, or else all of its kind.

        Args:
            dataset: The set that is planned.
            kind: Kind of its prompts.
        """
        names = {row.bare_dataset: row.kind for row in self.rows}
        return (
            (dataset,) if dataset in names else tuple(sorted(n for n in names if names[n] == kind))
        )

    def reply_tokens(
        self, sets: Sequence[str], mode: Mode, dose: str | None, *, attacked: bool
    ) -> ReplyTokens | None:
        """Tokens of replies in an arm; None where the logs have no such replies.

        Args:
            sets: Sets to take together.
            mode: The arm's mode.
            dose: Its dose; None for the mode's own.
            attacked: Whether its prompts are wrapped by an attack.
        """
        rows = [
            row
            for row in self.rows
            if (row.bare_dataset, row.mode, row.dose) in {(name, mode, dose) for name in sets}
            and (row.attack is not None) == attacked
        ]
        if not rows:
            return None
        trace = [row.trace_tokens or 0 for row in rows if row.output_tokens is not None]
        answer = [row.answer_tokens for row in rows if row.answer_tokens is not None]
        output = [row.output_tokens for row in rows if row.output_tokens is not None]
        return ReplyTokens(_mean(trace), _mean(answer), _mean(output), len(rows))

    def no_think_rate(self, dataset: str, kind: PromptKind) -> float | None:
        """The measured rate without thinking of a set, a fraction; None where the logs have none.

        Args:
            dataset: The set.
            kind: Kind of its prompts.
        """
        verdicts = [
            row.verdict
            for row in self.rows
            if (row.dataset, row.kind, row.mode) == (dataset, kind, "no_think")
            and row.verdict is not None
        ]
        return _mean(verdicts)

    def input_tokens(self, sets: Sequence[str]) -> float | None:
        """Input tokens a reply; None where the logs of these sets say nothing.

        Args:
            sets: Sets to take together.
        """
        return _mean([self.inputs[name] for name in sets if name in self.inputs])

    def grader_tokens(self, sets: Sequence[str]) -> GraderTokens | None:
        """Tokens of graders a reply; None where the logs of these sets say nothing.

        Args:
            sets: Sets to take together.
        """
        found = [self.graders[name] for name in sets if name in self.graders]
        if not found:
            return None
        return GraderTokens(fmean(one.input for one in found), fmean(one.output for one in found))


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def read_measured(logs: Iterable[str | Path]) -> Measured:
    """Read what finished logs say of the tokens of replies, and of graders where they judged in the run.

    Args:
        logs: Inspect logs, lm-eval sample files and folders of them.

    Raises:
        RimError: They cannot be read.
    """
    sources = list(logs)
    replies: dict[tuple[object, ...], Observation] = {}
    for row in to_rows(read_observations(sources).frame):
        place = (row.model, row.dataset, row.prompt_id, row.mode, row.dose, row.epoch)
        replies.setdefault(place, row)
    rows = tuple(replies.values())
    inputs, graders = _usage(sources, rows)
    return Measured(rows, inputs, graders)


def _usage(
    sources: Sequence[str | Path], rows: Sequence[Observation]
) -> tuple[dict[str, float], dict[str, GraderTokens]]:
    """Input tokens a reply, and graders' tokens a reply and grader, as Inspect counted them in each log."""
    from inspect_ai.log import read_eval_log

    inputs: dict[str, float] = {}
    graders: dict[str, GraderTokens] = {}
    for _, path in log_files(sources):
        if not path.endswith((".eval", ".json")):
            continue
        header = read_eval_log(path, header_only=True)
        name, stats = header.eval.dataset.name or "", header.stats
        replies = [row for row in rows if row.bare_dataset == name]
        usage = stats.model_usage.get(header.eval.model)
        if usage and replies:
            inputs[name] = _input(usage) / len(replies)
        panel = (header.eval.model_roles or {}).get("grader")
        read = [row for row in replies if row.judge_model is not None]
        if (usage := stats.role_usage.get("grader")) and read:
            asked = len(read) * (len(panel) if isinstance(panel, list) else 1)
            graders[name] = GraderTokens(_input(usage) / asked, usage.output_tokens / asked)
    return inputs, graders


def _input(usage: "ModelUsage") -> int:
    """All input tokens, those from the provider's cache too."""
    cached = (usage.input_tokens_cache_read, usage.input_tokens_cache_write)
    return usage.input_tokens + sum(filter(None, cached))
