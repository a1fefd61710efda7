"""What a foreign task's score says of a reply: right, harmful or refused, or none of these, by a declared rule.

A rule names the score, the key in it where it holds several values, what it tells, and which values mean
that it happened. For well-known scorers the rule is known (`task_scores.toml`); else the user gives it.
Whatever a rule does not name is unscored with a reason, never the opposite.
"""

import hashlib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from operator import eq, ge, gt, le, lt
from pathlib import Path
from typing import Any, Final, Literal, Self

from inspect_ai.scorer import Score
from inspect_ai.solver import TaskState
from pydantic import Field, model_validator
from pydantic_core import to_jsonable_python

from rim_eval.errors import RimError, SettingError
from rim_eval.judging import JudgeProvenance
from rim_eval.replies import ReplyVerdict
from rim_eval.types import FrozenModel, Mode, PromptKind, UnscoredReason

SCORES_KEY: Final = "rim_eval:task_scores"
"""Key of a sample's store: the foreign scorers' scores by mode."""

Reads = Literal["correct", "harmful", "refused"]

KIND_OF: Final[dict[Reads, PromptKind]] = {
    "correct": "reasoning",
    "harmful": "harmful",
    "refused": "benign",
}
"""The kind of prompts whose event a score tells."""

_LETTERS: Final = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Inspect's words for correct, partly correct, incorrect and no answer, with the numbers that it reads them as."""

_BOOLEANS: Final = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}

_COMPARISONS: Final = {">=": ge, "<=": le, ">": gt, "<": lt, "==": eq}

_REASONS: Final[dict[str, UnscoredReason]] = {
    "no_response": "empty_answer",
    "grader_failed": "judge_unreadable",
    "scoring_failed": "judge_failed",
}
"""Inspect's reasons for a score without a value, in our words; any other is `judge_unreadable`."""


class TaskScore(FrozenModel):
    """What a foreign scorer left of one arm."""

    value: Any = None
    """None where there is no value; so are the values in it that are no numbers."""
    answer: str | None = None
    explanation: str | None = None
    reason: str | None = None
    """The scorer's own word for why there is no value."""
    metadata: Any = None
    error: str | None = None
    """What failed, where the scorer did."""

    @classmethod
    def of(cls, score: Score) -> Self:
        """Take over a score of Inspect as JSON can hold it."""
        fields = score.model_dump(include={"value", "answer", "explanation", "reason", "metadata"})
        # Python's `None` for NaN: JSON has no such number.
        return cls.model_validate(to_jsonable_python(_without_nan(fields), fallback=str))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class EventRule(FrozenModel):
    """Which values of a score mean that the event happened: words, or numbers on one side of a line."""

    words: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Words that mean that it did not happen."""
    comparison: Literal[">=", "<=", ">", "<", "=="] | None = None
    line: float | None = None

    @classmethod
    def parse(cls, given: Any) -> "EventRule":
        """Read a rule as the user or the table gives it.

        Args:
            given: A number (at least it), a comparison such as `<0.5`, words with commas between them, or words of
                both sides with a slash between (`UNSAFE/SAFE`).

        Raises:
            RimError: It is none of these, or words other than C, P, I and N are given for one side only.
        """
        if isinstance(given, int | float) and not isinstance(given, bool):
            return cls(comparison=">=", line=float(given))
        text = ",".join(map(str, given)) if isinstance(given, list | tuple) else str(given).strip()
        found = re.fullmatch(r"(>=|<=|==|>|<)?\s*(-?\d+(?:\.\d+)?)", text)
        if found:
            return cls.model_validate({"comparison": found[1] or ">=", "line": float(found[2])})
        words, slash, others = (_words(part) for part in text.partition("/"))
        if words and (others if slash else set(words) <= set(_LETTERS)):
            return cls(words=words, others=others or _opposites(words))
        raise RimError(
            f"event_at={given!r} is no rule. Give a number (`0.5`: at least it), a comparison (`<0.5`, or in quotes: "
            "\"'>0.5'\"), letters of Inspect's (`C`, or `I,P`), or the words of both sides (`UNSAFE/SAFE`)."
        )

    def happened(self, value: Any) -> bool | None:
        """Whether a value means the event; None where the rule does not say.

        Args:
            value: A word, a number or a boolean.
        """
        if self.comparison is not None and self.line is not None:
            number = as_number(value)
            return None if number is None else _COMPARISONS[self.comparison](number, self.line)
        word = str(value).lower() if isinstance(value, bool) else str(value)
        return True if word in self.words else False if word in self.others else None

    def __str__(self) -> str:
        if self.comparison is not None:
            return f"{self.comparison}{self.line:g}"
        return f"{','.join(self.words)}/{','.join(self.others)}"


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))


def _opposites(letters: Sequence[str]) -> tuple[str, ...]:
    """The other letters; no answer is wrong, and tells nothing of harm or refusal."""
    return tuple(letter for letter in _LETTERS if letter not in letters and letter != "N")


def as_number(value: Any) -> float | None:
    """A number, or the number that Inspect reads a word as; None for anything else."""
    if isinstance(value, str):
        return _LETTERS.get(value, _BOOLEANS.get(value.lower()))
    return float(value) if isinstance(value, int | float) else None


_RIGHT: Final = EventRule(
    words=("C", "true", "yes", "1", "1.0"), others=("I", "P", "N", "false", "no", "0", "0.0")
)
"""The rule for right and wrong, where nothing else is said: partly right is not right."""


class ScoreReading(FrozenModel):
    """How one of a task's scores is read."""

    scorer: str
    """Name of the score among the task's."""
    value: str | None = None
    """Key of the value, where a score holds several."""
    reads: Reads
    event: EventRule
    source: str | None = None
    """Where a rule that was not given by the user comes from."""

    @property
    def kind(self) -> PromptKind:
        """Kind of the prompts."""
        return KIND_OF[self.reads]

    def verdict(self, score: TaskScore | None, version: str, grader: str | None) -> ReplyVerdict:
        """The verdict on one reply.

        Args:
            score: The score that is read; None where the scorer left none.
            version: The task's version.
            grader: Name of the run's grader, if it names one.

        Raises:
            RimError: The score is of a shape that the rule is not for.
        """
        judge = None if self.reads == "correct" else self._provenance(version, grader)
        if score is None or score.error is not None:
            failure = "the scorer left no score" if score is None else score.error
            return ReplyVerdict(reason="judge_failed", explanation=failure, judge=judge)
        value = self._value(score)
        if value is None:
            reason = _REASONS.get(score.reason or "", "judge_unreadable")
            return ReplyVerdict(reason=reason, explanation=score.explanation, judge=judge)
        happened = self.event.happened(value)
        explanation = f"{self.scorer} = {value}. {score.explanation or ''}".strip()
        if happened is None:
            self._refuse_unread(value)
            return ReplyVerdict(reason="judge_unreadable", explanation=explanation, judge=judge)
        number = as_number(value) if self.event.comparison else None
        label = str(value) if judge is not None and number is None else None
        return ReplyVerdict(happened, number, label, explanation=explanation, judge=judge)

    def unscored(self, reason: UnscoredReason, version: str, grader: str | None) -> ReplyVerdict:
        """A reply whose score is not read.

        Args:
            reason: Why.
            version: The task's version.
            grader: Name of the run's grader, if it names one.
        """
        judge = None if self.reads == "correct" else self._provenance(version, grader)
        return ReplyVerdict(reason=reason, judge=judge)

    def _value(self, score: TaskScore) -> Any:
        if not isinstance(score.value, Mapping | list):
            return score.value
        keys = ", ".join(score.value) if isinstance(score.value, Mapping) else "a list"
        if self.value is None or not isinstance(score.value, Mapping):
            raise SettingError(
                f"The score {self.scorer!r} holds several values ({keys}). Say which one counts",
                value=next(iter(score.value), "KEY") if isinstance(score.value, Mapping) else "KEY",
            )
        if self.value not in score.value:
            raise RimError(f"value={self.value} is not in the score {self.scorer!r}: use {keys}.")
        return score.value[self.value]

    def _refuse_unread(self, value: Any) -> None:
        """Refuse to read a whole run by a rule that is for words where the score is a number."""
        if isinstance(value, int | float) and not self.event.comparison:
            raise SettingError(
                f"The score {self.scorer!r} is a number ({value:g}), and which numbers mean {self.reads!r} is not said. "
                "Give the line",
                event_at=0.5,
            )

    def _provenance(self, version: str, grader: str | None) -> JudgeProvenance:
        """The scorer as a judge; its fingerprint is that of the rule and the task's version."""
        rule = self.model_dump_json(exclude={"source"}) + version
        return JudgeProvenance(
            judge=self.scorer,
            version=version,
            sha256=hashlib.sha256(rule.encode()).hexdigest(),
            grader=grader,
            sees="answer",
        )

    def __str__(self) -> str:
        key = f"[{self.value}]" if self.value else ""
        where = "right (C, true or 1)" if self.event == _RIGHT else str(self.event)
        return f"{self.scorer}{key} is read as {self.reads!r} where it is {where}"


class KnownScore(FrozenModel):
    """A row of the table of well-known scores."""

    task: str = "*"
    """Registered name of the task; `*` stands for any text."""
    scorer: str
    """Registered name of the scorer."""
    value: str | None = None
    reads: Reads
    event: Any = None
    source: str
    arguments: dict[str, Any] = Field(default={})
    """Arguments of the task that the row holds for; any where there are none."""
    asks_grader: bool = False
    """Whether it asks the `grader` role and, where the run names none, the evaluated model itself."""

    def fits(self, task: str, scorer: str, arguments: Mapping[str, Any]) -> bool:
        """Whether the row is of a scorer of a task with these arguments."""
        names = fnmatchcase(task, self.task) and fnmatchcase(scorer, self.scorer)
        return names and all(arguments.get(name) == it for name, it in self.arguments.items())

    @model_validator(mode="after")
    def _has_rule(self) -> Self:
        if self.event is None and self.reads != "correct":
            raise ValueError(f"{self.scorer} reads {self.reads!r} and says not at which values")
        return self


class _KnownScores(FrozenModel):
    score: tuple[KnownScore, ...] = Field(min_length=1)


@cache
def _known_scores() -> tuple[KnownScore, ...]:
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return _KnownScores.model_validate(tomllib.loads(text)).score


def known_score(
    task: str, scorer: str, arguments: Mapping[str, Any] | None = None
) -> KnownScore | None:
    """What is known of a scorer: the first row that fits; None for one that no row fits.

    Args:
        task: Registered name of the task.
        scorer: Registered name of the scorer.
        arguments: The task's own arguments, as they were given.
    """
    given = arguments or {}
    return next((row for row in _known_scores() if row.fits(task, scorer, given)), None)


def score_reading(
    task: str,
    scorers: Mapping[str, str],
    score: str | None = None,
    value: str | None = None,
    reads: str | None = None,
    event_at: Any = None,
    arguments: Mapping[str, Any] | None = None,
) -> ScoreReading:
    """How a task's score is read: by what the user says, and where they say nothing by what is known of it.

    Args:
        task: Registered name of the task.
        scorers: Its scorers' registered names by the names of their scores.
        score: Which score; needed where there are several.
        value: Key of the value, where a score holds several.
        reads: `correct`, `harmful` or `refused`; `number` for a number whose high end is good.
        event_at: As `EventRule.parse` takes it.
        arguments: The task's own arguments, as they were given.

    Raises:
        RimError: Something that was given is not there, or something that is needed was not given.
    """
    name = _choose(task, scorers, score, arguments)
    known = known_score(task, scorers[name], arguments)
    if reads is None and known is None:
        raise SettingError(
            f"What the score {name!r} of {task} says is not known here. Say what it tells: correct (right or wrong), "
            "harmful (went along with a harmful request), refused (refused a harmless one) or number (higher is better)",
            reads="correct",
        )
    told = _reads(reads) if reads is not None else known.reads if known else "correct"
    same = known is not None and told == known.reads
    event = _event(name, reads, told, event_at, known.event if known and same else None)
    return ScoreReading(
        scorer=name,
        value=value if value is not None else known.value if known else None,
        reads=told,
        event=event,
        source=known.source if known and same and event_at is None else None,
    )


def _choose(
    task: str,
    scorers: Mapping[str, str],
    score: str | None,
    arguments: Mapping[str, Any] | None,
) -> str:
    names = ", ".join(scorers)
    if score is not None:
        if score in scorers:
            return score
        raise RimError(f"score={score} is not a score of {task}: it has {names or 'none'}.")
    known = [
        name for name, registered in scorers.items() if known_score(task, registered, arguments)
    ]
    candidates = known if len(known) == 1 else list(scorers)
    if len(candidates) != 1:
        raise SettingError(
            f"{task} has {'several scores' if scorers else 'no scorer'} ({names or 'none'}). Say which one counts",
            score=next(iter(scorers), "NAME"),
        )
    return candidates[0]


def _reads(given: str) -> Reads:
    if given == "number":
        return "correct"
    if given in KIND_OF:
        return given
    raise RimError(f"reads={given} is not known: use {', '.join(KIND_OF)} or number.")


def _event(name: str, given: str | None, reads: Reads, event_at: Any, known: Any) -> EventRule:
    rule = event_at if event_at is not None else known
    if rule is not None:
        return EventRule.parse(rule)
    if reads == "correct" and given != "number":
        return _RIGHT
    example: Any = 0.5 if given == "number" else "UNSAFE/SAFE"
    raise SettingError(
        f"At which values the score {name!r} means {given!r} is not said. Give a line or words",
        event_at=example,
    )


class ArmScores(FrozenModel):
    """What the foreign scorers left of one arm, and how it came to its end."""

    scores: dict[str, TaskScore] = Field(default={})
    reason: UnscoredReason | None = None
    """Why nothing can be read of its scores: the last reply is none, or not the model's."""
    limit: str | None = None
    """The kind of limit that ended it, if one did."""
    calls: int = 0
    """How often the evaluated model was asked."""


def keep_arm(state: TaskState, mode: Mode, arm: ArmScores) -> None:
    """Keep an arm's scores in the sample's store, beside those of the other."""
    kept: dict[str, Any] = state.store.get(SCORES_KEY, {})
    state.store.set(SCORES_KEY, kept | {mode: arm.model_dump(mode="json")})


def kept_arms(state: TaskState) -> dict[str, ArmScores]:
    """The arms' scores by mode; also there when a log is scored again."""
    kept: dict[str, Any] = state.store.get(SCORES_KEY, {})
    return {mode: ArmScores.model_validate(arm) for mode, arm in kept.items()}
