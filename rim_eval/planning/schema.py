"""A plan: of every task and arm how many generations and tokens, and what all of them cost.

Of tokens there are two figures. `at_most` follows from the prompts and the token budgets. `expected` is measured, on
finished logs that the user names; without such logs it is None, for nothing else tells how long a model thinks.
"""

from collections.abc import Iterable, Iterator
from typing import Self

from pydantic import Field, computed_field

from rim_eval.errors import RimError
from rim_eval.types import FrozenModel, Mode, PromptKind

_MILLION = 1_000_000


class Range(FrozenModel):
    """A quantity before it is known; None where nothing tells it."""

    expected: float | None = None
    at_most: float | None = None

    def __mul__(self, factor: float) -> "Range":
        """The quantity so many times."""
        return Range(expected=_times(self.expected, factor), at_most=_times(self.at_most, factor))

    @classmethod
    def total(cls, parts: Iterable["Range"]) -> Self:
        """The sum; not known where one part is not."""
        every = list(parts)
        return cls(
            expected=_sum(each.expected for each in every),
            at_most=_sum(each.at_most for each in every),
        )


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _sum(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


class Price(FrozenModel):
    """What a model's tokens cost, in any currency."""

    input: float = Field(ge=0)
    """A million input tokens."""
    output: float = Field(ge=0)
    """A million output tokens, trace and answer."""

    @classmethod
    def parse(cls, words: str) -> Self:
        """Read `INPUT,OUTPUT`.

        Args:
            words: Two numbers with a comma between.

        Raises:
            RimError: They are no such numbers.
        """
        try:
            given, made = map(float, words.split(","))
            return cls(input=given, output=made)
        except ValueError:
            raise RimError(
                f"{words!r} is no price: give what a million input tokens and a million output tokens cost, such as 0.5,2."
            ) from None

    def of(self, given: Range, made: Range) -> Range:
        """What tokens cost.

        Args:
            given: Input tokens.
            made: Output tokens.
        """
        return Range.total([given * (self.input / _MILLION), made * (self.output / _MILLION)])


class ArmPlan(FrozenModel):
    """One way of asking all prompts of a task."""

    arm: str
    mode: Mode
    prompts: int
    generations: int
    """Replies; prompts times epochs."""
    requests: int
    """Requests to the model, at most: a dose that closes or opens a trace again asks twice."""
    input_tokens: Range
    thinking_tokens: Range
    """Expected, and the budget of the traces."""
    answer_tokens: Range
    """Expected, and the budget of the answers."""
    output_tokens: Range
    """Trace and answer together; `at_most` is what the engine may generate."""


class GraderPlan(FrozenModel):
    """What graders are asked about the replies of a task."""

    instrument: str
    """The judge or the monitor."""
    graders: int
    requests: int
    """Replies to read times graders; replies that hold nothing to read, and those that a first stage decides, are not sent."""
    requests_at_most: int
    """Where each reply of a grader has to be asked for again as often as it is."""
    input_tokens: Range
    output_tokens: Range


class TaskPlan(FrozenModel):
    """One task."""

    task: str
    dataset: str
    kind: PromptKind
    prompts: int
    counted: bool
    """Whether the prompts are on this machine and were counted; else their publisher's count is declared."""
    epochs: int
    answer_budget: int
    """Tokens of an answer."""
    thinking_budget: int
    """Tokens of a trace, in addition."""
    arms: tuple[ArmPlan, ...]
    graders: tuple[GraderPlan, ...] = ()
    detectable: float | None = None
    """Smallest rise with thinking that is found with 80 % power, in percentage points; None without two modes, and
    where no rise is."""
    notes: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def generations(self) -> int:
        """Replies of all arms."""
        return sum(arm.generations for arm in self.arms)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def input_tokens(self) -> Range:
        """Of all arms."""
        return Range.total(arm.input_tokens for arm in self.arms)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def output_tokens(self) -> Range:
        """Of all arms."""
        return Range.total(arm.output_tokens for arm in self.arms)


class Plan(FrozenModel):
    """All tasks for one model."""

    model: str
    switch: str
    """How its modes are brought about, or what is assumed."""
    tasks: tuple[TaskPlan, ...]
    probe_requests: int = 0
    """Questions before the first prompt, to a model that is asked to think in words; their tokens are not counted."""
    no_think_rate: float
    """Rate without thinking that `detectable` is for, a fraction, where no log says it."""
    correlation: float
    """Of a prompt's two verdicts, that `detectable` is for."""
    price: Price | None = None
    grader_price: Price | None = None
    tokens_per_second: float | None = None
    """Output tokens of all requests together."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def generations(self) -> int:
        """Replies of all tasks."""
        return sum(task.generations for task in self.tasks)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def input_tokens(self) -> Range:
        """Of all tasks."""
        return Range.total(task.input_tokens for task in self.tasks)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def output_tokens(self) -> Range:
        """Of all tasks."""
        return Range.total(task.output_tokens for task in self.tasks)

    @property
    def graders(self) -> Iterator[GraderPlan]:
        """What graders are asked, by task and instrument."""
        return (each for task in self.tasks for each in task.graders)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grader_requests(self) -> int:
        """Of all tasks."""
        return sum(each.requests for each in self.graders)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grader_input_tokens(self) -> Range:
        """Of all tasks."""
        return Range.total(each.input_tokens for each in self.graders)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grader_output_tokens(self) -> Range:
        """Of all tasks."""
        return Range.total(each.output_tokens for each in self.graders)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def cost(self) -> Range | None:
        """Of the model; None without a price."""
        given, made = self.input_tokens, self.output_tokens
        return None if self.price is None else self.price.of(given, made)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def grader_cost(self) -> Range | None:
        """Of the graders; None without a price."""
        given, made = self.grader_input_tokens, self.grader_output_tokens
        return None if self.grader_price is None else self.grader_price.of(given, made)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def output_cost(self) -> Range | None:
        """Of the model's output alone; None without a price."""
        nothing = Range(expected=0, at_most=0)
        return None if self.price is None else self.price.of(nothing, self.output_tokens)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def hours(self) -> Range | None:
        """That the model generates, at its speed; None where that is not given."""
        rate = self.tokens_per_second
        return None if rate is None else self.output_tokens * (1 / rate / 3600)
