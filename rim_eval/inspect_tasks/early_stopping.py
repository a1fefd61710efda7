"""Ends a run when its result is clear: Inspect's `EarlyStopping`, decided by a confidence sequence over pairs.

Prompts are asked in an order that is drawn once, stratified by category. A look counts the *contiguous* beginning of that
order alone: samples run side by side, and those that finish first are no fair sample, for a refusal is short. So a prompt
that is still running holds back all that come after it.

Inspect starts samples in the order of the data set. When a run is decided, the next sample waits until all that were begun are
finished; if it is decided still, nothing else is asked. So the figures are those of the look that decided, over all
prompts that were asked. How many that are depends on how long replies take; the intervals hold at every look, so that
does not matter.

Inspect asks all prompts once before it asks any twice. With several epochs the looks are at the first one alone: once a
second has begun the run goes to its end.

A retry takes over finished samples of an earlier attempt. Inspect reports them like others, one by one while the run goes on;
those reported after a prompt was left out come too late to count.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
from inspect_ai import util
from inspect_ai.dataset import MemoryDataset
from pydantic import JsonValue

from rim_eval.decoding import SEED
from rim_eval.errors import RimError
from rim_eval.formatting import KIND_WORDS
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.judging import load_judge
from rim_eval.observations import Observation, Stopping, rows_of_score
from rim_eval.prompt_sets import LoadedSet
from rim_eval.release_gate import FIGURES, Limit, read_rules
from rim_eval.statistics.confidence_sequence import log_wealth
from rim_eval.types import MODES, Mode, PromptKind

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.log import EvalSpec
    from inspect_ai.scorer import SampleScore

    from rim_eval.inspect_tasks.settings import RunSettings, Stop

_LOGGER = getLogger(__name__)

LEVEL: Final = 0.95
"""Confidence over all looks together, that of every shown interval."""

LEAST: Final = 20
"""Prompts before the first look: a run decided by fewer would say little of its categories."""

_PATIENCE: Final = 900.0
"""Seconds that a sample waits for those before it; then it is asked, for one that errs is never reported as finished."""

Rows = Mapping[Mode, Observation]
"""The rows of one prompt, in both modes."""


class DrawnSamples(MemoryDataset):
    """Samples in the drawn order, which no other may replace."""

    def shuffle(self, seed: int | None = None) -> None:
        """Refuse `--sample-shuffle`.

        Args:
            seed: Seed of the user's own order.

        Raises:
            PrerequisiteError: Always.
        """
        raise PrerequisiteError(
            f"--sample-shuffle{'' if seed is None else f' {seed}'} has no use with stop, which asks the prompts in an order "
            "of its own: drawn once, each category spread evenly over it, the same for all models. Leave it out; with "
            "--limit the first of that order are asked."
        )


@dataclass(frozen=True)
class Question:
    """A mean over prompts that is to be told apart from one or more bounds."""

    says: str
    """The question in words."""
    kind: PromptKind
    value: Callable[[Rows], float | None]
    """What one prompt counts for; None where it has no verdict."""
    low: float
    bounds: tuple[float, ...]
    """Bounds from `low` to 1; decided is a mean that the sequence's interval tells from all of them."""
    least: int = 1
    """Prompts with a value before it can be decided."""
    seen: Counter[float] = field(default_factory=Counter)
    """Values so far, with how many prompts have each."""

    def is_decided(self) -> bool:
        """Whether no bound lies inside the interval at this look."""
        values, counts = list(self.seen), list(self.seen.values())
        return self.seen.total() >= self.least and all(
            log_wealth(values, counts, bound, low=self.low, high=1.0) >= -math.log(1 - LEVEL)
            for bound in self.bounds
        )


def questions_of(stop: "Stop", dataset: str, kinds: Sequence[PromptKind]) -> list[Question]:
    """What a run must decide before it may end.

    Args:
        stop: The user's choice.
        dataset: Name of the prompt set.
        kinds: Kinds of its prompts.

    Raises:
        RimError: The gate file cannot be read, or none of its limits concerns the set.
    """
    if stop.rules is None:
        bounds = tuple(sorted({-stop.margin / 100, stop.margin / 100}))
        return [_of_difference(kind, stop.margin, bounds) for kind in kinds]
    rules = read_rules(stop.rules)
    questions = [
        replace(question, least=rules.validity.pairs_at_least)
        for limit in rules.limits
        for question in _of_limit(limit, dataset, kinds)
    ]
    if not questions:
        raise RimError(
            f"stop={stop.rules}: no limit of that gate file blocks on the whole of {dataset} by the judge's verdicts. "
            "Give a file with one, or -T stop=decided."
        )
    return questions


def _of_difference(kind: PromptKind, margin: float, bounds: tuple[float, ...]) -> Question:
    name = KIND_WORDS[kind].difference
    says = f"whether the {name} is above or below 0"
    if margin:
        says = f"whether the {name} is above {margin:g} points, below -{margin:g}, or between"
    return Question(says, kind, _change_by(_verdict), -1.0, bounds)


def _of_limit(limit: Limit, dataset: str, kinds: Sequence[PromptKind]) -> Iterator[Question]:
    kind, mode = FIGURES[limit.figure]
    if kind not in kinds or limit.set not in (None, dataset) or limit.tier != "block":
        return
    if limit.category is not None or limit.by == "labels":
        what = "categories" if limit.category else "the figure corrected by labels"
        _LOGGER.warning(f"Early stopping passes over the limit on {what} ({limit.figure}).")
        return
    verdict = _verdict_of(limit)
    value = _rate_by(verdict, mode) if mode else _change_by(verdict)
    side = "at least" if limit.at_most is None else "at most"
    bound = limit.bound if mode else limit.bound / 100
    low = 0.0 if mode else -1.0
    yield Question(
        f"whether {limit.figure} is {side} {limit.bound:g}", kind, value, low, (max(low, bound),)
    )


_Verdict = Callable[[Observation], float | None]


def _verdict(row: Observation) -> float | None:
    return None if row.verdict is None else float(row.verdict)


def _verdict_of(limit: Limit) -> _Verdict:
    """A row's verdict as the limit counts it: from another score on, or of the system as a whole."""

    def verdict(row: Observation) -> float | None:
        if limit.level == "system" and row.reason == "provider_declined":
            return float(row.kind == "benign")
        if limit.score is not None and row.verdict is not None:
            return None if row.score is None else float(row.score >= limit.score)
        return _verdict(row)

    return verdict


def _rate_by(verdict: _Verdict, mode: Mode) -> Callable[[Rows], float | None]:
    return lambda rows: verdict(rows[mode])


def _change_by(verdict: _Verdict) -> Callable[[Rows], float | None]:
    def change(rows: Rows) -> float | None:
        think, no_think = (verdict(rows[mode]) for mode in MODES)
        return None if think is None or no_think is None else think - no_think

    return change


class EarlyStop(util.EarlyStopping):
    """Starts no further sample once every question is decided.

    Args:
        questions: Makes the questions of a run, with nothing seen yet.
    """

    def __init__(self, questions: Callable[[], list[Question]]) -> None:
        self._questions_of = questions
        self._begin([])

    @classmethod
    def of(cls, settings: "RunSettings", loaded: LoadedSet, *, in_pairs: bool) -> Self | None:
        """The manager of a task; None where the user wants none.

        Args:
            settings: The task's arguments.
            loaded: Its prompts.
            in_pairs: Whether a sample holds the two modes of a prompt, and nothing else.

        Raises:
            RimError: Another argument leaves nothing to decide by, or the gate file is wrong.
        """
        stop: Stop | None = getattr(settings, "stop", None)
        if stop is None:
            return None
        _refuse_together(settings, in_pairs=in_pairs)
        judge = getattr(settings, "judge", None) or loaded.entry.judge
        _refuse_scores(stop, loaded.entry.name, judge)
        kinds = sorted({prompt.kind for prompt in loaded.prompts})
        return cls(lambda: questions_of(stop, loaded.entry.name, kinds))

    @property
    def stated(self) -> dict[str, JsonValue]:
        """What the log says of the rule before the run."""
        rule = "; ".join(question.says for question in self._questions)[:600]
        stopping = Stopping(rule=rule, level=LEVEL, least=LEAST, order_seed=SEED)
        fields: dict[str, JsonValue] = stopping.model_dump(mode="json", exclude_none=True)
        return fields

    def _begin(self, order: Sequence[str]) -> None:
        self._questions = self._questions_of()
        self._place = {name: place for place, name in enumerate(order)}
        self._finished = dict[int, Rows | None]()
        self._looked, self._highest = 0, -1
        self._decided: str | None = None
        self._in_later_epoch = self._ended = False

    async def start_task(self, task: "EvalSpec", samples: "list[Sample]", epochs: int) -> str:
        """Begin with the order in which Inspect starts the samples.

        Args:
            task: Inspect's description of the task.
            samples: All samples, in their order.
            epochs: How often each is asked.
        """
        self._begin([str(sample.id) for sample in samples])
        self._progress = anyio.Event()
        return "rim_eval"

    async def schedule_sample(self, id: str | int, epoch: int) -> util.EarlyStop | None:
        """Whether a sample is left out, once all that were begun are finished; none before one that was begun is.

        Args:
            id: The prompt.
            epoch: Its epoch, from 1.
        """
        place = self._place.get(str(id), -1)
        if epoch > 1 or place > self._highest:
            with anyio.move_on_after(_PATIENCE) as patience:
                while self._decided is not None and self._looked <= self._highest:
                    await self._progress.wait()
            if self._decided is not None and not patience.cancelled_caught:
                self._ended = True
                return util.EarlyStop(id=id, epoch=epoch, reason=self._decided)
        self._highest = max(self._highest, place)
        self._in_later_epoch |= epoch > 1
        return None

    async def complete_sample(
        self, id: str | int, epoch: int, scores: "dict[str, SampleScore]"
    ) -> None:
        """Take a prompt's verdicts in, and look again if the beginning of the order has grown.

        Args:
            id: The prompt.
            epoch: Its epoch, from 1.
            scores: What the scorers said.
        """
        place = self._place.get(str(id))
        self._in_later_epoch |= epoch > 1
        if epoch > 1 or place is None or self._ended:
            return
        self._highest = max(self._highest, place)
        self._finished[place] = _rows(scores)
        while self._looked in self._finished:
            self._take(self._finished.pop(self._looked))
            self._looked += 1
            self._look()
        self._progress.set()
        self._progress = anyio.Event()

    def _take(self, rows: Rows | None) -> None:
        for question in self._questions:
            if rows and next(iter(rows.values())).kind == question.kind:
                value = question.value(rows)
                if value is not None:
                    question.seen[value] += 1

    def _look(self) -> None:
        self._decided = None
        if self._in_later_epoch or self._looked < LEAST:
            return
        if all(question.is_decided() for question in self._questions):
            rule = "; ".join(question.says for question in self._questions)
            self._decided = f"the first {self._looked} decided {rule}"[:600]

    async def complete_task(self) -> dict[str, JsonValue]:
        """What the log says at the end: what decided, after how many prompts of the order."""
        return {"decided": self._decided, "looked": self._looked}


def _rows(scores: "Mapping[str, SampleScore]") -> Rows | None:
    """Both modes of a prompt by its first scorer; None where there are none."""
    for each in scores.values():
        rows = {row.mode: row for row in rows_of_score(each.score.metadata)}
        if rows.keys() >= {*MODES}:
            return rows
    return None


def _refuse_together(settings: "RunSettings", *, in_pairs: bool) -> None:
    """Refuse arguments beside `stop` that leave nothing to decide by.

    Raises:
        RimError: One of them was given.
    """
    faults: dict[str, Any] = {
        f"modes={', '.join(settings.modes)}, one mode alone": settings.modes != MODES
        or not in_pairs,
        f"doses={settings.doses}": settings.doses is not None,
        f"attack={settings.attack}": settings.attack is not None,
        "judge=none, which gives no verdicts during the run": getattr(settings, "judge", "")
        == "none",
    }
    for fault, given in faults.items():
        if given:
            raise RimError(
                f"stop has no use with {fault}: a run ends early when the verdicts of both modes, on bare prompts, have "
                "decided. Leave one of them out."
            )


def _refuse_scores(stop: "Stop", dataset: str, judge: str | None) -> None:
    """Refuse limits on another score under a judge without the scale: they would never be decided.

    Raises:
        RimError: The file has such a limit on the set.
    """
    limits = read_rules(stop.rules).limits if stop.rules else ()
    on_scores = [
        each
        for each in limits
        if each.score and each.tier == "block" and each.set in (None, dataset)
    ]
    if on_scores and judge and load_judge(judge).scale != (1, 5):
        raise RimError(
            f"stop={stop.rules}: its limit on {on_scores[0].figure} with `score: {on_scores[0].score}` needs scores from 1 to "
            f"5, and the judge {judge} gives none, so it would never be decided. Name a judge with that scale, such as "
            "-T judge=hexphi, or use -T stop=decided."
        )
