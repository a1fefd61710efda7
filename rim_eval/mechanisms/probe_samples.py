"""Samples of a probe: the classes of prompts, and the split into calibration and held-out part.

Both parts hold whole groups, so that contrast partners stay together.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.layer_choice import FOLDS
from rim_eval.types import Mode

Mask = NDArray[np.bool_]

Question = Literal["harmful", "refused"]
"""What positives are."""

PromptClass = Literal["harmful", "harmless", "refused", "fulfilled"]
"""The last two are harmful prompts, told apart by the reply of the untouched model."""

CLASSES: Final[dict[Question, tuple[PromptClass, ...]]] = {
    "harmful": ("harmful", "harmless", "refused", "fulfilled"),
    "refused": ("refused", "fulfilled"),
}
"""Positives and negatives of each question, and what else is read on its direction."""

LEAST: Final = FOLDS
"""Fewest samples (groups of them) of each class in each part; with less a probe is not fitted."""

CALIBRATION: Final = 0.6
"""Share of samples from which direction and threshold are made (the paper's 6:4 split)."""


def split_groups(
    labels: Sequence[bool] | Mask, groups: Sequence[str] | NDArray[np.str_], seed: int = 0
) -> Mask:
    """Choose the samples that calibrate: whole groups, drawn so that both classes come near their share.

    Args:
        labels: Class of each sample.
        groups: Group of each sample; contrast partners share one and stay together.
        seed: Seed of the order in which groups are dealt.

    Returns:
        True for calibration, shape (samples,).
    """
    classes = np.asarray(labels, dtype=np.intp)
    names = np.asarray(groups)
    quota = CALIBRATION * np.bincount(classes, minlength=2)
    calibration = np.zeros(len(classes), dtype=np.bool_)
    for name in np.random.default_rng(seed).permutation(np.unique(names)):
        extended = calibration | (names == name)
        if (np.bincount(classes[extended], minlength=2) <= quota + 0.5).all():
            calibration = extended
    return calibration


class Samples(NamedTuple):
    """Prompts of one question: their classes and groups, and which of them calibrate."""

    question: Question
    classes: Mapping[PromptClass, Mask]
    """Which samples are in each class of `CLASSES`, shape (samples,)."""
    groups: NDArray[np.str_]
    """Shape (samples,)."""
    calibration: Mask
    """Shape (samples,); False of those that are neither positive nor negative."""

    @classmethod
    def split(
        cls,
        question: Question,
        classes: Mapping[PromptClass, Mask],
        groups: Sequence[str],
        seed: int = 0,
    ) -> Self:
        """Split positives and negatives with `split_groups`."""
        positive, negative, *_ = (classes[name] for name in CLASSES[question])
        names, asked = np.asarray(groups), positive | negative
        calibration = np.zeros(len(names), dtype=np.bool_)
        calibration[asked] = split_groups(positive[asked], names[asked], seed)
        read = {name: classes[name] for name in CLASSES[question]}
        return cls(question, read, names, calibration)

    @property
    def sides(self) -> tuple[Mask, Mask]:
        """Positives and negatives."""
        positive, negative, *_ = self.classes.values()
        return positive, negative

    @property
    def suffice(self) -> bool:
        """Whether `LEAST` groups of either part hold positives, and as many negatives."""
        parts = [side & part for side in self.sides for part in (self.calibration, ~self.calibration)]  # fmt: skip
        return min(len(np.unique(self.groups[part])) for part in parts) >= LEAST

    def take(self, rows: Mask) -> Self:
        """Leave out all other samples."""
        return self._replace(
            classes={name: mask[rows] for name, mask in self.classes.items()},
            groups=self.groups[rows],
            calibration=self.calibration[rows],
        )


def prompt_classes(config: AnalysisConfig, mode: Mode) -> dict[PromptClass, Mask]:
    """Tell which of the harmful prompts, followed by the benign ones, are in each class in a mode."""
    harmful, benign = config.prompts.harmful, config.prompts.benign
    refusals = config.untouched(mode)["refused"]
    # 1, 0, or NaN where it is not known.
    outcomes = [refusals[request.id][0] for request in harmful] + [None] * len(benign)
    refused = np.array(outcomes, dtype=np.float64)
    is_harmful = np.arange(len(refused)) < len(harmful)
    return {
        "harmful": is_harmful,
        "harmless": ~is_harmful,
        "refused": refused == 1,
        "fulfilled": refused == 0,
    }
