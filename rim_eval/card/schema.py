"""The RIM card: one model's figures with everything needed to check and to repeat them.

Counts and figures only: no prompt, no reply, and of texts only short names and sentences of this program. The
figures are there for readers; they all follow from the counts (`check_card`).
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    ValidationError,
    model_validator,
)

from rim_eval.errors import RimError, first_complaint
from rim_eval.files import parse_json, read_bounded
from rim_eval.judging import MeasuredGroup, Measurement, RepeatCell
from rim_eval.labelling import LabelCounts, LabelFigures
from rim_eval.observations import Stopping
from rim_eval.results.conditions import ConditionGap
from rim_eval.results.counts import PairCell
from rim_eval.results.figures import Figures, SetResult
from rim_eval.results.frame import figure_frame, figure_rows
from rim_eval.statistics import NoiseSplit, SafeAtK
from rim_eval.types import Command, FiniteModel, Mode, Name, PromptKind, Sentence

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = 1

_COUNTS: Final = ("true_positive", "false_positive", "true_negative", "false_negative")


class JudgeFigures(MeasuredGroup):
    """How one judge agreed with people on one group of replies: what readers see of a measurement."""

    grader: Name | None
    true_positive: NonNegativeInt
    false_positive: NonNegativeInt
    true_negative: NonNegativeInt
    false_negative: NonNegativeInt
    unscored: NonNegativeInt
    kappa: float | None = Field(ge=-1, le=1)

    @classmethod
    def of(cls, measurement: Measurement) -> Self:
        """The figures of a measurement, without how it was made."""
        agreement = measurement.agreement
        return cls(
            **measurement.model_dump(include={*MeasuredGroup.model_fields}),
            **{name: getattr(agreement, name) for name in _COUNTS},
            unscored=agreement.n - agreement.n_scored,
            kappa=agreement.kappa.value,
        )

    @property
    def positives(self) -> int:
        """Labelled replies with a verdict that people call the event."""
        return self.true_positive + self.false_negative

    @property
    def negatives(self) -> int:
        """The others with a verdict."""
        return self.true_negative + self.false_positive


class JudgeCard(FiniteModel):
    """The instrument behind a set's verdicts."""

    name: Name
    """`name@version` of the judge's file."""
    sha256: Name | None = None
    model: Name | None = None
    """The grader model; None for judges that work offline."""
    sees: Name | None = None
    """`answer`, `reasoning` or `both`."""
    measured: tuple[JudgeFigures, ...] = ()
    """Agreement with people, where it was measured for this judge file and grader."""


class MonitorCard(FiniteModel):
    """Who read the traces for reasoning patterns."""

    name: Name
    """`name@version`; the `keyword baseline` matches phrases only."""
    model: Name | None = None
    """The grader model; None for monitors that work offline."""

    def __str__(self) -> str:
        return f"{self.name} asking {self.model}" if self.model else self.name


_Ends = tuple[float, float, float]
"""A figure, and the lower and upper end of its interval."""


class Corrected(FiniteModel):
    """Rates corrected for the judge's errors (Rogan-Gladen), with the uncertainty of judge and sample."""

    labelled_set: Name
    models: tuple[Name, ...]
    """Models whose labelled replies say how the judge errs."""
    same_model: bool
    """Whether that is the card's own model; if not, the spread between the models is carried."""
    shared: bool
    """Whether one calibration serves both modes: a judge that errs more in one goes unnoticed."""
    labelled: dict[Mode, NonNegativeInt]
    """Labelled replies behind the calibration of each mode."""
    sensitivity: dict[Mode, _Ends]
    """Share of the replies with the event that the judge calls so, from 0 to 1; from other models' labels, with
    the spread between the models."""
    specificity: dict[Mode, _Ends]
    """Share of the replies without the event that the judge calls so, likewise."""
    rates: dict[Mode, _Ends]
    """Fractions from 0 to 1."""
    difference: _Ends | None
    """Think minus no-think, percentage points; None where no prompt has a verdict in both modes."""
    n_pairs: NonNegativeInt


class JudgeNoiseCard(FiniteModel):
    """How often the judge says the same of a reply that it reads again, and what of the uncertainty that makes."""

    times: int = Field(ge=2)
    """Readings asked of each reply, besides the first."""
    temperature: float | None
    """Of the grader; None where it is not known."""
    cells: dict[Mode, tuple[RepeatCell, ...]]
    """The replies that were read again."""
    disagreement: dict[Mode, _Ends] = Field(default={})
    """Share of pairs of readings of one reply that differ, fractions."""
    drift: dict[Mode, _Ends] = Field(default={})
    """Later readings minus the first verdict, percentage points; not 0: the judge has changed since."""
    split: NoiseSplit | None = None
    """The parts of the paired difference's variance; None where not both modes were read again."""


class LabelsCard(FiniteModel):
    """People's labels of a sample of this run's own replies, and the figures that they correct."""

    counts: LabelCounts
    figures: LabelFigures

    @property
    def label_variance(self) -> float | None:
        """Part of the corrected difference's squared standard error that more labels would remove, squared points."""
        difference = self.figures.difference
        return None if difference is None else difference.label_variance


class DiscriminationCard(FiniteModel):
    """Whether thinking blurs the line between harmful prompts and their harmless look-alikes."""

    harmful: Name
    """Data set of the harmful prompts."""
    benign: Name
    cells: tuple[PairCell, ...]
    misalignment_change: float
    over_refusal_change: float
    change: float
    """Percentage points; below 0: worse at telling the two apart."""
    lower: float
    upper: float
    p_value: float
    """Two-sided, for no change; it belongs to the interval."""
    n_pairs: NonNegativeInt
    direction: Literal["worse", "better", "not shown"]
    """`worse` or `better` when the interval excludes 0."""


class SetCard(SetResult):
    """One prompt set and kind: its counts and figures, and what a card says besides."""

    dataset: Name
    categories: dict[Name, Figures] = Field(default={})
    switch: Name | None = None
    """Name of the thinking switch."""
    judge: JudgeCard | None = None
    monitor: MonitorCard | None = None
    """Whose findings the pattern counts are; None where no trace was read, or on older cards."""
    corrected: Corrected | None = None
    noise: JudgeNoiseCard | None = None
    """The judge's noise, where it read a sample of the replies again."""
    labels: LabelsCard | None = None
    """Figures corrected by labels of this run's own replies."""
    safe: dict[Mode, SafeAtK] = Field(default={})
    """Safe@1 and Safe@K by mode: of harmful sets with several epochs."""
    runs: tuple[Name, ...] = ()
    """Ids of the runs that the counts come from."""


class CardFile(FiniteModel):
    """One file of prompts that was read."""

    name: Name
    sha256: Name
    rows: NonNegativeInt


class SetProvenance(FiniteModel):
    """Where the prompts came from."""

    source: Literal["publisher", "local", "shipped", "user"]
    location: Name
    """Repository; of a folder or file on the user's machine only the name."""
    revision_declared: Name | None = None
    revision_used: Name | None = None
    files: tuple[CardFile, ...]


class CardRun(FiniteModel):
    """One run: how to repeat it."""

    id: Name
    dataset: Name
    harness: Name
    task: Name | None = None
    task_version: Name | None = None
    command: Command | None = None
    created: Name | None = None
    status: Name
    log_sha256: Name | None = None
    engine: Name | None = None
    n_prompts: NonNegativeInt | None = None
    """Prompts that the run was to ask."""
    epochs: int = Field(ge=1)
    limited: bool = False
    sample_seed: int | None = None
    """Seed of the shuffle whose first prompts a limited run asked."""
    stopping: Stopping | None = None
    """How the run could stop early; None for a run of fixed size."""
    answer_tokens: NonNegativeInt | None = None
    thinking_tokens: NonNegativeInt | None = None
    prompt_style: Name | None = None
    """How problems were asked."""
    protocol: Name | None = None
    """Published protocol that the run followed."""
    doses: tuple[Name, ...] = ()
    """Amounts of thinking in a run of several, from least to most."""
    attack: Name | None = None
    """Attack that the prompts were wrapped in too."""
    attack_sha256: tuple[Name, ...] = ()
    """Checksums of the attack's files."""
    weights: Name | None = None
    """Fingerprint of the weights, where the run could read them."""
    decoding: dict[Name, float | int | bool | Name] = Field(default_factory=dict)
    versions: dict[Name, Name] = Field(default_factory=dict)
    provenance: SetProvenance | None = None


class CardProblem(FiniteModel):
    """Something found wrong with the rows; ids stay with the observations."""

    kind: Name
    dataset: Name | None = None
    says: Sentence
    n: NonNegativeInt


class Flag(FiniteModel):
    """Whether this is reasoning-induced misalignment: safety lost while reasoning is kept."""

    flag: Literal["yes", "no", "cannot_tell"]
    sentence: Sentence


InsidePart = Literal["probes", "heads", "neurons", "ras", "drift", "mitigations"]
"""Part of a mechanism report."""


class InsideSet(FiniteModel):
    """A prompt set that was read."""

    name: Name
    kind: PromptKind
    n: NonNegativeInt


class InsideFinding(FiniteModel):
    """One finding in words."""

    part: InsidePart
    verdict: Name | None
    """`found`, `not_specific`, `no_effect`, `consistent`, `not_the_route`, `cannot_tell`, ...; None
    where the sentence is a remark."""
    says: Sentence


class InsideFigure(FiniteModel):
    """One figure with its interval, and random sets beside it where there are any."""

    part: InsidePart
    what: Name
    measure: Name
    unit: Literal["points", "share", "plain"]
    """Percentage points, a fraction from 0 to 1, or a number without a unit."""
    value: float | None
    lower: float | None = None
    upper: float | None = None
    n: Name | None = None
    random: tuple[float, ...] = Field(default=(), max_length=1000)
    """The same figure for each random set."""
    p_value: float | None = Field(default=None, ge=0, le=1)
    """Rank among the random sets."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"the ends of {self.measure!r} are out of order")
        return self


class MechanismsCard(FiniteModel):
    """What `rim-eval mech` found inside the model, in short.

    It comes from a report of its own, so a card's counts cannot confirm it; the checksum says which report it was.
    """

    report_sha256: Name
    model: Name
    """As the report calls it."""
    judge: Name
    """Judge of the replies; `refusal` counts every reply that does not refuse as misaligned."""
    ablation: Literal["zero", "mean"]
    seed: int
    max_new_tokens: int = Field(gt=0)
    sets: tuple[InsideSet, ...]
    versions: dict[Name, Name]
    findings: tuple[InsideFinding, ...]
    figures: tuple[InsideFigure, ...]


class Card(FiniteModel):
    """One model's figures."""

    schema_version: Literal[1] = SCHEMA_VERSION
    rim_eval: Name
    """Version of rim_eval that computed the figures."""
    model: Name
    created: Name | None = None
    """When the latest run began."""
    level: float = Field(gt=0, lt=1)
    primary: Name | None = None
    """The harmful set whose RIM score comes first."""
    primary_reasoning: Name | None = None
    """The reasoning set whose accuracy is reported with it."""
    flag: Flag | None = None
    """None where no prompt of the harmful set has a verdict in both modes."""
    sets: tuple[SetCard, ...]
    adjusted_p: dict[Name, float] = Field(default_factory=dict)
    """Holm-adjusted p values of the RIM scores, by data set, when there are several."""
    discrimination: tuple[DiscriminationCard, ...] = ()
    gaps: tuple[ConditionGap, ...] = ()
    """How the difference between the modes depends on an attack, or on how both were decoded."""
    runs: tuple[CardRun, ...] = ()
    problems: tuple[CardProblem, ...] = ()
    mechanisms: MechanismsCard | None = None
    """What `rim-eval mech` found inside the model, where it was asked."""

    def find(self, dataset: str | None, kind: PromptKind) -> SetCard | None:
        """One set by name and kind."""
        return next((s for s in self.sets if s.dataset == dataset and s.kind == kind), None)

    def of_kind(self, kind: PromptKind) -> tuple[SetCard, ...]:
        """All sets of one kind."""
        return tuple(each for each in self.sets if each.kind == kind)

    @property
    def frame(self) -> "pd.DataFrame":
        """One row a set and figure: rates in percent by mode, and the change with thinking in points, as pandas holds it."""
        return figure_frame(
            row
            for each in self.sets
            for row in figure_rows(
                self.model, each.dataset, each.kind, each.figures, verified=each.mode_check.verified
            )
        )

    def _repr_html_(self) -> str:
        """The head of the card, its picture and a line a set, for notebooks."""
        # By name: what shows a card imports this module.
        html: str = import_module("rim_eval.card.notebook").notebook_html(self)
        return html


def card_json(card: Card) -> str:
    """Write the card as JSON text, with a stable layout."""
    return card.model_dump_json(indent=1) + "\n"


def read_card(path: Path) -> Card:
    """Read a card from its JSON file.

    Raises:
        RimError: The file cannot be read or is no card of this version.
    """
    try:
        parse_json(raw := read_bounded(path), numbers_only=True)
        return Card.model_validate_json(raw)
    except ValidationError as error:
        raise RimError(f"{path} is not a RIM card: {first_complaint(error, '')}.") from None
    except OSError as error:
        raise RimError(
            f"{path} cannot be read ({error.strerror}). Give a card.json, as `rim-eval card LOGS` writes it."
        ) from None
    except ValueError as error:
        raise RimError(f"{path} cannot be read as JSON ({error}).") from None


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a card."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Card.model_json_schema()
