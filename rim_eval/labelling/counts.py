"""What labels of a run come down to: counts by stratum and a tally of the prompts, without any text or id."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from rim_eval.labelling.draw import SHEET_ID, Draw, stratum_of
from rim_eval.statistics import allocate
from rim_eval.types import FiniteModel, FrozenModel, Mode, Name, PromptKind

MOST_ANNOTATORS: Final = 2
Doubt = Literal["sure", "unsure"]


class Labelled(FiniteModel):
    """Labels of one stratum."""

    labelled: NonNegativeInt
    """Items with a label."""
    positives: float = Field(ge=0)
    """Sum of their labels, each from 0 to 1: of two annotators the mean counts."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.positives > self.labelled:
            raise ValueError(f"{self.positives} positive labels of {self.labelled}")
        return self


class CountedStratum(Labelled):
    """One stratum of the replies, with what people said of those that were drawn."""

    mode: Mode
    verdict: bool
    """What the judge said of every reply in it."""
    doubt: Doubt
    """Whether the judge was in doubt."""
    replies: int = Field(gt=0)
    """Replies of the run in it."""
    drawn: NonNegativeInt
    annotators: tuple[Labelled, ...] = Field(max_length=MOST_ANNOTATORS)
    """Labels of each annotator alone."""

    @model_validator(mode="after")
    def _nested(self) -> Self:
        most = max((one.labelled for one in self.annotators), default=0)
        if not most <= self.labelled <= self.drawn <= self.replies:
            raise ValueError("a stratum needs labelled <= drawn <= replies, for each annotator too")
        return self


class PromptCell(FrozenModel):
    """How many prompts have replies in the same strata."""

    think: tuple[NonNegativeInt, ...]
    """Index of the stratum of each epoch's reply, ascending; empty where the mode was not judged."""
    no_think: tuple[NonNegativeInt, ...]
    prompts: int = Field(gt=0)


class AnnotatorPairs(FrozenModel):
    """Items of one mode that two annotators labelled, by their labels."""

    both: NonNegativeInt
    """Both say that the event happened."""
    first_only: NonNegativeInt
    second_only: NonNegativeInt
    neither: NonNegativeInt


class LabelCounts(FrozenModel):
    """All counts behind the figures of one labelled sheet; every figure follows from them."""

    model: Name
    dataset: Name
    """The prompt set, with its condition."""
    kind: PromptKind
    judge: Name
    judge_sha256: Name | None = None
    judge_model: Name | None = None
    judge_sees: Name
    logs: tuple[Name, ...] = ()
    """SHA-256 of the logs that the sheet was drawn from."""
    sheet: Name
    """Id of the sheet, which holds n and seed of the draw."""
    left_out: NonNegativeInt
    """Prompts with a verdict in one mode only, which are in no figure here."""
    annotators: int = Field(ge=1, le=MOST_ANNOTATORS)
    strata: tuple[CountedStratum, ...]
    prompts: tuple[PromptCell, ...]
    agreement: dict[Mode, AnnotatorPairs] = Field(default={})
    """By mode, where there are two annotators."""

    @property
    def drawn(self) -> int:
        """Items of the sheet."""
        return sum(each.drawn for each in self.strata)

    @property
    def labelled(self) -> int:
        """Items with a label."""
        return sum(each.labelled for each in self.strata)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Modes that the sheet is about, with thinking first."""
        return tuple(dict.fromkeys(each.mode for each in self.strata))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        replies = Counter[int]()
        for cell in self.prompts:
            for mode, epochs in (("think", cell.think), ("no_think", cell.no_think)):
                for index in epochs:
                    if index >= len(self.strata) or self.strata[index].mode != mode:
                        raise ValueError(
                            f"a prompt's {mode} reply lies in stratum {index}, which is none of that mode"
                        )
                    replies[index] += cell.prompts
        sizes = {index: each.replies for index, each in enumerate(self.strata)}
        if dict(replies) != sizes:
            raise ValueError("the prompts' replies do not add up to those of the strata")
        if any(len(each.annotators) != self.annotators for each in self.strata):
            raise ValueError(f"every stratum needs labels of {self.annotators} annotators")
        self._check_labels()
        return self

    def _check_labels(self) -> None:
        """Refuse labels that no draw and no annotators can have given."""
        if self.annotators == 1 and any(
            (each.labelled, each.positives)
            != (each.annotators[0].labelled, each.annotators[0].positives)
            for each in self.strata
        ):
            raise ValueError("the labels of one annotator are not those of the strata")
        if self.annotators == 1 and self.agreement:
            raise ValueError("one annotator agrees with nobody")
        said = SHEET_ID.fullmatch(self.sheet)
        wanted = said and allocate(
            {(s.mode, s.verdict, s.doubt): s.replies for s in self.strata}, int(said["n"])
        )
        if wanted != {(s.mode, s.verdict, s.doubt): s.drawn for s in self.strata}:
            raise ValueError(f"the sheet {self.sheet} draws other numbers of replies")


def count_labels(draw: Draw, labels: Sequence[Mapping[str, bool]]) -> LabelCounts:
    """Count the labels of a draw.

    Args:
        draw: The draw.
        labels: Labels by item id, one mapping an annotator; one or two. The label of an item is the mean of those
            that it got.
    """
    frame, strata = draw.frame, list(draw.sizes)
    return LabelCounts(
        model=frame.model,
        dataset=frame.dataset,
        kind=frame.kind,
        judge=frame.judge,
        judge_sha256=frame.judge_sha256,
        judge_model=frame.judge_model,
        judge_sees=frame.judge_sees,
        logs=frame.logs,
        sheet=draw.sheet,
        left_out=frame.left_out,
        annotators=len(labels),
        strata=tuple(_stratum(draw, number, labels) for number in range(len(strata))),
        prompts=prompt_cells(draw),
        agreement=pairs_of(draw, *labels) if len(labels) == MOST_ANNOTATORS else {},
    )


def _stratum(draw: Draw, number: int, labels: Sequence[Mapping[str, bool]]) -> CountedStratum:
    key = list(draw.sizes)[number]
    items = [item.id for item in draw.items if item.stratum == key]
    given = [[each[item] for each in labels if item in each] for item in items]
    means = [sum(votes) / len(votes) for votes in given if votes]
    mode, verdict, doubt = key
    alone = ([each[item] for item in items if item in each] for each in labels)
    return CountedStratum.model_validate(
        {
            "mode": mode,
            "verdict": verdict,
            "doubt": doubt,
            "replies": draw.sizes[key],
            "drawn": len(items),
            "labelled": len(means),
            "positives": sum(means),
            "annotators": [{"labelled": len(one), "positives": sum(one)} for one in alone],
        }
    )


def prompt_cells(draw: Draw) -> tuple[PromptCell, ...]:
    """Prompts of a draw's frame by the strata of their replies, in a fixed order."""
    index = {stratum: number for number, stratum in enumerate(draw.sizes)}
    modes: dict[str, dict[Mode, list[int]]] = defaultdict(lambda: {"think": [], "no_think": []})
    for reply in draw.frame.replies:
        modes[reply.prompt_id][reply.mode].append(index[stratum_of(reply)])
    tally = Counter(
        (tuple(sorted(by["think"])), tuple(sorted(by["no_think"]))) for by in modes.values()
    )
    return tuple(
        PromptCell(think=think, no_think=no_think, prompts=n)
        for (think, no_think), n in sorted(tally.items())
    )


def pairs_of(
    draw: Draw, first: Mapping[str, bool], second: Mapping[str, bool]
) -> dict[Mode, AnnotatorPairs]:
    """Items that two annotators labelled, by their labels and by mode.

    Args:
        draw: The draw.
        first: One annotator's labels by item id.
        second: The other's.
    """
    pairs: dict[Mode, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for item in draw.items:
        if item.id in first and item.id in second:
            pairs[item.reply.mode][first[item.id], second[item.id]] += 1
    return {
        mode: AnnotatorPairs(
            both=n[True, True],
            first_only=n[True, False],
            second_only=n[False, True],
            neither=n[False, False],
        )
        for mode, n in pairs.items()
    }
