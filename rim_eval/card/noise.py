"""The judge's noise on a card: from the counts of repeated readings to its part in the uncertainty, and one sentence.

The counts are those of `rim-eval judge repeat`; the method is that of `rim_eval.statistics.judge_noise`.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from rim_eval.card.schema import JudgeCard, JudgeNoiseCard, SetCard
from rim_eval.errors import RimError
from rim_eval.formatting import MODE_WORDS, estimate, percent
from rim_eval.judging import JudgeRepeats, RepeatCell, readings_of
from rim_eval.results.counts import SetCounts, tally_of
from rim_eval.statistics import (
    JudgeNoise,
    NoiseSplit,
    judge_drift,
    judge_noise,
    noise_split,
)
from rim_eval.statistics.judge_noise import Part
from rim_eval.types import MODES, Mode

_SENTENCES: Final = TypeAdapter(dict[str, dict[str, str]]).validate_python(
    tomllib.loads(Path(__file__).with_name("bottleneck.toml").read_text(encoding="utf-8"))
)


def noise_of_repeats(
    each: SetCard,
    repeats: Sequence[JudgeRepeats],
    level: float,
    label_variance: float | None = None,
) -> JudgeNoiseCard | None:
    """What the repeats of a set's logs say of its judge's noise; None where none has replies of the set.

    Args:
        each: The set.
        repeats: Repeated readings of its logs; of both modes in one file or in two.
        level: Confidence of the intervals, a fraction.
        label_variance: As for `derive_noise`.

    Raises:
        RimError: They are of another judge than the set's, or were not made alike.
    """
    of_set = (each.dataset, each.kind)
    cells: dict[Mode, Counter[tuple[bool, int, int]]] = {}
    used = [one for one in repeats if any((a.dataset, a.kind) == of_set for a in one.arms)]
    if not used:
        return None
    _check_alike(each.dataset, each.judge, used)
    for arm in (arm for one in used for arm in one.arms if (arm.dataset, arm.kind) == of_set):
        for cell in arm.cells:
            key = (cell.first, cell.positives, cell.readings)
            cells.setdefault(arm.mode, Counter())[key] += cell.replies
    card = JudgeNoiseCard(
        times=used[0].times,
        temperature=used[0].temperature,
        cells={mode: tuple(map(_cell, sorted(cells[mode].items()))) for mode in MODES if mode in cells},
    )  # fmt: skip
    return derive_noise(card, each.counts, level, label_variance)


def _cell(counted: tuple[tuple[bool, int, int], int]) -> RepeatCell:
    (first, positives, readings), replies = counted
    return RepeatCell(first=first, positives=positives, readings=readings, replies=replies)


def _check_alike(dataset: str, judge: JudgeCard | None, used: Sequence[JudgeRepeats]) -> None:
    """Refuse repeats by another judge than the set's, or of two ways of asking."""
    own = (judge.name, judge.sha256, judge.model, judge.sees) if judge else None
    for each in used:
        if (each.judge, each.judge_sha256, each.grader, each.sees) != own:
            by = f"{judge.name}, {judge.model or 'offline'}" if judge else "no judge"
            raise RimError(
                f"Repeats of {dataset} are by {each.judge}, {each.grader}, and the set is judged by {by}. Choose that judge "
                "with --judge, or read the replies again: rim-eval judge repeat LOG."
            )
    if len({(each.times, each.temperature) for each in used}) > 1:
        raise RimError(
            f"Repeats of {dataset} were asked a different number of times, or at different temperatures. Make them alike."
        )


def derive_noise(
    card: JudgeNoiseCard, counts: SetCounts, level: float, label_variance: float | None = None
) -> JudgeNoiseCard:
    """The same with everything that follows from its counts.

    Args:
        card: Counts of repeated readings; its figures are not read.
        counts: Counts of the set.
        level: Confidence of the intervals, a fraction.
        label_variance: Part of the corrected difference's squared standard error that is due to labels, squared points;
            None without a correction by labels.
    """
    found = {mode: judge_noise(readings_of(cells), level) for mode, cells in card.cells.items()}
    noise = {mode: each for mode, each in found.items() if each is not None}
    drift = {
        mode: judge_drift({(c.first, c.positives, c.readings): c.replies for c in cells}, level)
        for mode, cells in card.cells.items()
    }
    return card.model_copy(
        update={
            "disagreement": {mode: tuple(each.disagreement) for mode, each in noise.items()},
            "drift": {mode: tuple(each) for mode, each in drift.items() if each},
            "split": _split(counts, noise, label_variance),
        }
    )


def _split(
    counts: SetCounts, noise: dict[Mode, JudgeNoise], label_variance: float | None
) -> NoiseSplit | None:
    # A run that could stop early has no variance of a run of fixed size.
    if counts.sequential or counts.only_mode is not None or set(noise) != set(MODES):
        return None
    prompts = tally_of(counts.cells, *MODES)
    return noise_split(prompts, noise["think"], noise["no_think"], label_variance)


def bottleneck_sentence(split: NoiseSplit) -> str:
    """Say in one sentence whether the judge is the bottleneck, and what would help most.

    Args:
        split: The parts of the variance; with a `label_variance` where the difference is corrected by labels.
    """
    if split.bottleneck is None:
        return _SENTENCES["none"]["nothing"]
    judge_share = estimate(split.shares["judge"], *split.judge_share, share=True)
    errors = {
        name: f"{value:.1f}" for name, value in split if isinstance(value, float) and name in _ERRORS
    }  # fmt: skip
    lead = _SENTENCES["lead"][split.judge_is_bottleneck].format(share=judge_share)
    return f"{lead}: {_SENTENCES['remedy'][split.bottleneck].format(**errors)}."


_ERRORS: Final = (
    "standard_error",
    "twice_prompts",
    "twice_epochs",
    "three_readings",
    "noiseless_judge",
    "twice_labels",
)
"""Standard errors that a sentence may name."""

_REMEDIES: Final[dict[Part, dict[str, str]]] = {
    "prompts": {"twice_prompts": "twice the prompts"},
    "generation": {"twice_epochs": "twice the epochs"},
    "prompts and generation": {"twice_prompts": "twice the prompts"},
    "judge": {
        "three_readings": "the mean of three readings of each reply",
        "noiseless_judge": "a judge without noise",
    },
    "labels": {"twice_labels": "twice the labels"},
}
"""What lowers each part, and the field that says how far."""


def split_rows(split: NoiseSplit) -> Iterator[Sequence[object]]:
    """Each part's share, what lowers it and the standard error then, for a table; the standard error now last."""
    for part, remedies in _REMEDIES.items():
        if part not in split.shares:
            continue
        share = percent(split.shares[part])
        if part == "judge":
            share = estimate(split.shares[part], *split.judge_share, share=True)
        for remedy, words in remedies.items():
            yield (
                part.replace("generation", "model's sampling"),
                share,
                words,
                f"{getattr(split, remedy):.1f}",
                split.n,
            )
    yield "all", "", "as it is", f"{split.standard_error:.1f}", split.n


def repeat_rows(each: SetCard) -> Iterator[Sequence[object]]:
    """What repeated readings of each mode's replies said, for a table."""
    if each.noise is None or each.judge is None:
        return
    temperature = each.noise.temperature
    for mode, cells in each.noise.cells.items():
        differ, drift = each.noise.disagreement.get(mode), each.noise.drift.get(mode)
        yield (
            each.dataset,
            MODE_WORDS[mode],
            each.noise.times,
            "n/a" if temperature is None else f"{temperature:g}",
            estimate(*differ, share=True) if differ else "n/a",
            estimate(*drift) if drift else "n/a",
            sum(cell.replies for cell in cells),
        )


def noise_constraints(each: SetCard) -> Iterator[tuple[bool, str]]:
    """What counts of repeated readings must satisfy: no more replies than there are, by the set's own judge."""
    if each.noise is None:
        return
    yield (
        each.judge is not None and each.judge.model is not None,
        "repeats need a judge that asks a grader",
    )
    for mode, cells in each.noise.cells.items():
        arm = each.counts.arms.get(mode)
        positives = sum(cell.replies for cell in cells if cell.first)
        negatives = sum(cell.replies for cell in cells if not cell.first)
        fits = arm is not None and positives <= arm.events and negatives <= arm.scored - arm.events
        yield fits, f"{mode}: more replies were read again than have such a verdict"
        fits = all(cell.readings <= each.noise.times for cell in cells)
        yield fits, f"{mode}: replies have more readings than were asked"
