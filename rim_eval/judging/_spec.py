"""The judge file as a data type: what every YAML file in `judges/` says, checked."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rim_eval.judging._case import Event, Sees
from rim_eval.judging._readers import Name, PatternsReader, Reader, RefusalReader, ReplyField
from rim_eval.types import PromptKind

__all__ = [
    "GraderSettings",
    "JudgeSpec",
    "JudgedKind",
    "Message",
    "Published",
    "Source",
    "VerdictRule",
]

JudgedKind = Literal["harmful", "benign"]
"""The prompt kinds that judges can be used for; `reasoning` prompts are checked, not judged."""

_EVENTS: Final[dict[PromptKind, Event]] = {"harmful": "misaligned", "benign": "refused"}
_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Source(BaseModel):
    """Where a judge comes from."""

    model_config = _FROZEN

    paper: str
    """Authors, year, title or short name, arXiv number or venue."""
    url: str | None = None
    licence: str
    """Licence of the wording in this file, and of the model it is for."""
    model: str | None = None
    """The model that this judge is made for, when it is not any general model."""
    notes: str | None = None


class Published(BaseModel):
    """One published figure of how well the judge agrees with people."""

    model_config = _FROZEN

    what: str
    """The measure and the data, such as "response F1, XSTest"."""
    value: float
    """The figure as published, in the unit that `what` names."""
    source: str


class Message(BaseModel):
    """One chat message to the grader.

    `text` is a Jinja template over `request`, `context`, `category`, `answer`, `reasoning`
    (the last two are None unless the judge sees them) and `response` (all that it sees, joined).
    """

    model_config = _FROZEN

    role: Literal["system", "user", "assistant"]
    text: str = Field(min_length=1)


class GraderSettings(BaseModel):
    """How the grader generates, unless the user's own model settings say otherwise."""

    model_config = _FROZEN

    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=2048, ge=1, le=65536)
    """Budget of the whole reply, its own thinking included."""
    api_retries: int = Field(default=6, ge=0, le=20)
    """How often one call is repeated after rate limits, server errors and timeouts."""
    call_timeout: int = Field(default=300, ge=1)
    """Seconds until one call is given up and repeated."""


class VerdictRule(BaseModel):
    """From values to a verdict, for one kind of prompts."""

    model_config = _FROZEN

    event: Event
    at_least: float | None = None
    """True when the score is this or higher."""
    named: dict[Name, float] = Field(default_factory=dict)
    """Other thresholds of the score, reported beside the verdict."""
    field: Name = "label"
    """The field whose label decides, with `labels`."""
    labels: tuple[str, ...] = ()
    """True for these labels."""
    unscored: tuple[str, ...] = ()
    """No verdict for these labels; false for all that stand in neither list."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.at_least is None) == (not self.labels):
            raise ValueError("give exactly one of `at_least` (of the score) and `labels`")
        if self.at_least is None and self.named:
            raise ValueError("`named` thresholds go with `at_least`")
        return self


class JudgeSpec(BaseModel):
    """One judge: the whole content of its YAML file."""

    model_config = _FROZEN

    name: Name
    version: int = Field(ge=1)
    """Raised whenever a verdict could change."""
    title: str
    source: Source
    sees: Sees
    may_see: tuple[Sees, ...] = ()
    """What a user may switch `sees` to; only `sees` itself when left out."""
    messages: tuple[Message, ...] = ()
    """The conversation with the grader; none for judges without a model."""
    reask: str | None = None
    """What the grader is told after an unreadable reply."""
    reader: Reader
    score: str | None = None
    """The field that is the score, or the named formula `strong_reject`."""
    grader: GraderSettings = GraderSettings()
    retries: int = Field(default=2, ge=0, le=5)
    """How often the grader is asked again after an unreadable reply."""
    verdicts: dict[JudgedKind, VerdictRule] = Field(min_length=1)
    final: tuple[str, ...] = ()
    """Labels that need no second look when this judge goes first (`refusal+hexphi`); of the refusal
    matcher, when left out, `full_refusal`."""
    published: tuple[Published, ...] = ()
    """Published agreement with people; what this project measured lies beside the file."""

    @property
    def needs_grader(self) -> bool:
        """Whether a grader model is asked."""
        return not isinstance(self.reader, PatternsReader | RefusalReader)

    @property
    def inputs(self) -> tuple[Sees, ...]:
        """Everything that this judge may be shown."""
        return tuple(dict.fromkeys((self.sees, *self.may_see)))

    @property
    def final_labels(self) -> tuple[str, ...]:
        """`final`, or what stands for it."""
        default = ("full_refusal",) if isinstance(self.reader, RefusalReader) else ()
        return self.final or default

    @property
    def fields(self) -> dict[str, ReplyField]:
        """What is read from a reply, by name."""
        return dict(self.reader.fields)

    @property
    def score_range(self) -> tuple[float, float] | None:
        """Lowest and highest score; None for a judge that gives labels only."""
        from rim_eval.judging._score import score_range

        return score_range(self.score, self.fields) if self.score else None

    @model_validator(mode="after")
    def _messages_fit(self) -> Self:
        if self.needs_grader and not self.messages:
            raise ValueError(
                f"messages: needed, the `{self.reader.kind}` reader reads a model's reply"
            )
        if not self.needs_grader and (self.messages or self.reask):
            raise ValueError(f"messages: none with the `{self.reader.kind}` reader, and no `reask`")
        return self

    @model_validator(mode="after")
    def _verdicts_fit(self) -> Self:
        _ = self.score_range
        for kind, rule in self.verdicts.items():
            if rule.event != _EVENTS[kind]:
                raise ValueError(
                    f"verdicts.{kind}: the event of {kind} prompts is `{_EVENTS[kind]}`"
                )
            if rule.at_least is not None:
                self._check_thresholds(kind, rule)
            else:
                self._check_labels(kind, rule)
        return self

    @model_validator(mode="after")
    def _final_labels_exist(self) -> Self:
        known = {name for field in self.fields.values() for name in field.labels or ()}
        unknown = sorted(set(self.final) - known)
        if unknown:
            raise ValueError(f"final: {unknown} are none of this judge's labels {sorted(known)}")
        return self

    def _check_thresholds(self, kind: str, rule: VerdictRule) -> None:
        if self.score_range is None:
            raise ValueError(f"verdicts.{kind}.at_least: this needs `score`")
        low, high = self.score_range
        for value in (rule.at_least, *rule.named.values()):
            if value is not None and not low < value <= high:
                raise ValueError(
                    f"verdicts.{kind}.at_least: threshold {value:g} is outside ({low:g}, {high:g}]"
                )

    def _check_labels(self, kind: str, rule: VerdictRule) -> None:
        field = self.fields.get(rule.field)
        if field is None or field.labels is None:
            with_labels = sorted(name for name, f in self.fields.items() if f.labels)
            raise ValueError(f"verdicts.{kind}: field `{rule.field}` is none of {with_labels}")
        unknown = sorted({*rule.labels, *rule.unscored} - set(field.labels))
        if unknown:
            raise ValueError(f"verdicts.{kind}: {unknown} are none of {list(field.labels)}")
        both = sorted(set(rule.labels) & set(rule.unscored))
        if both:
            raise ValueError(f"verdicts.{kind}: {both} stand in `labels` and in `unscored`")
