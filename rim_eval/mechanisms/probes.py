"""Probes: one direction in the residual stream, and how well it tells two kinds of prompts apart.

With N positive and N negative residual vectors at one layer and token (paper section 3.1):

    direction   d = (1/N) sum_j (x[j, +] - x[j, -])
    score       s(y) = y . d
    threshold   t = (1/2N) sum_j (s(x[j, +]) + s(x[j, -]))
    read-out    share of held-out samples whose score is above t

Two questions are asked: harmful (+) against harmless (-) prompts, and, among harmful ones, refused
(+) against fulfilled (-). Direction and threshold come from the calibration part alone.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.auroc import Auroc, auroc
from rim_eval.mechanisms.capture import capture
from rim_eval.mechanisms.positions import Passage
from rim_eval.mechanisms.splits import split_groups
from rim_eval.statistics import Rate, rate
from rim_eval.statistics._result import Figure, Result
from rim_eval.types import Mode

__all__ = [
    "LEAST",
    "Probe",
    "ProbeScore",
    "direction",
    "evaluate_probe",
    "fit_probe",
    "probe_passages",
    "share_above",
    "threshold",
]

Floats = NDArray[np.float32]

Question = Literal["harmful", "refused"]
"""`harmful`: harmful (+) or harmless (-). `refused`: harmful prompts refused (+) or fulfilled (-)."""

LEAST: Final = 5
"""Fewest samples of each class in each part; with less a probe is not fitted."""


class Probe(NamedTuple):
    """A direction and its threshold."""

    direction: Floats
    """Shape (width,); not normalised."""
    threshold: float


class ProbeScore(Result):
    """One probe on held-out samples."""

    question: Question
    mode: Mode
    position: str
    layer: int
    """-1 is the embedding: at a fixed token it can know nothing."""
    n_calibration: tuple[int, int]
    """Positives and negatives that made the probe."""
    above_positive: Rate
    """Share of held-out positives above the threshold."""
    above_negative: Rate
    """Share of held-out negatives above it."""
    accuracy: Rate
    majority: Figure
    """Accuracy of always naming the larger class."""
    auroc: Auroc
    logistic_auroc: Figure
    """AUROC of a logistic regression on the same split; NaN without scikit-learn."""


def direction(positive: Floats, negative: Floats) -> Floats:
    """D = mean(positive) - mean(negative); with equal N the paper's mean of paired differences.

    Args:
        positive: Shape (N+, width).
        negative: Shape (N-, width).

    Returns:
        Shape (width,).
    """
    found: Floats = positive.mean(0, dtype=np.float64) - negative.mean(0, dtype=np.float64)
    return found.astype(np.float32)


def threshold(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """T = (mean(positive scores) + mean(negative scores)) / 2; with equal N the paper's.

    Args:
        positive: Scores, shape (N+,).
        negative: Scores, shape (N-,).
    """
    return float((positive.mean() + negative.mean()) / 2)


def share_above(scores: NDArray[np.floating], limit: float) -> Rate:
    """Share of scores strictly above a threshold, with Wilson's interval."""
    return rate(int((scores > limit).sum()), len(scores))


def fit_probe(positive: Floats, negative: Floats) -> Probe:
    """Direction and threshold from calibration samples, shapes (N+, width) and (N-, width)."""
    found = direction(positive, negative)
    return Probe(found, threshold(positive @ found, negative @ found))


def evaluate_probe(
    states: Floats,
    labels: Sequence[bool],
    calibration: NDArray[np.bool_],
    *,
    question: Question,
    mode: Mode,
    position: str,
    layer: int,
    logistic: bool = True,
) -> ProbeScore | None:
    """Fits on the calibration part and scores the rest.

    Args:
        states: Residual vectors at one layer and position, shape (samples, width).
        labels: True for positives, shape (samples,).
        calibration: From `split_groups`.
        question: What positives are.
        mode: Mode of the passages.
        position: Name of the stretch.
        layer: Layer of the states.
        logistic: Whether to compare with a logistic regression (slow at large widths).

    Returns:
        None when a class has fewer than `LEAST` samples in either part.
    """
    values = np.asarray(labels, dtype=bool)
    parts = [values & calibration, ~values & calibration, values & ~calibration, ~values & ~calibration]  # fmt: skip
    if min(part.sum() for part in parts) < LEAST:
        return None
    probe = fit_probe(states[parts[0]], states[parts[1]])
    positive, negative = (states[part] @ probe.direction for part in parts[2:])
    above = share_above(positive, probe.threshold), share_above(negative, probe.threshold)
    n_pos, n_neg = len(positive), len(negative)
    right = int(above[0].k + n_neg - above[1].k)
    return ProbeScore(
        question=question,
        mode=mode,
        position=position,
        layer=layer,
        n_calibration=(int(parts[0].sum()), int(parts[1].sum())),
        above_positive=above[0],
        above_negative=above[1],
        accuracy=rate(right, n_pos + n_neg),
        majority=max(n_pos, n_neg) / (n_pos + n_neg),
        auroc=auroc(positive, negative),
        logistic_auroc=_logistic(states, values, calibration) if logistic else math.nan,
    )


def _logistic(states: Floats, labels: NDArray[np.bool_], calibration: NDArray[np.bool_]) -> float:
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        return math.nan
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    fitted.fit(states[calibration], labels[calibration])
    scores = fitted.decision_function(states[~calibration])
    kept = labels[~calibration]
    return auroc(scores[kept], scores[~kept]).value


def probe_passages(
    model: object,
    passages: Sequence[Passage],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    question: Question,
    mode: Mode,
    positions: Sequence[str],
    layers: Sequence[int] | None = None,
    logistic: bool = True,
    seed: int = 0,
) -> list[ProbeScore]:
    """A probe at every layer and position that all passages have.

    Args:
        model: A Hugging Face causal language model.
        passages: What it reads.
        labels: True for positives.
        groups: Samples that must stay on one side of the split.
        question: What positives are.
        mode: Mode of the passages.
        positions: Names of stretches; those that some passage lacks are left out.
        layers: Layers from 0, -1 for the embedding; default all and the embedding.
        logistic: Whether to compare with a logistic regression.
        seed: Seed of the split.

    Raises:
        RimError: No passage has any of the positions.
    """
    there = [name for name in positions if all(name in each.spans for each in passages)]
    if not there:
        raise RimError(f"No position of {', '.join(positions)} is in every passage.")
    wanted = layers if layers is not None else _with_embedding(model)
    read = capture(model, passages, residual=there, layers=wanted)
    assert read.residual is not None
    calibration = split_groups(labels, groups, seed=seed)
    scores = [
        evaluate_probe(
            read.residual[:, i, k],
            labels,
            calibration,
            question=question,
            mode=mode,
            position=name,
            layer=layer,
            logistic=logistic,
        )
        for k, name in enumerate(there)
        for i, layer in enumerate(read.layers)
    ]
    return [score for score in scores if score is not None]


def _with_embedding(model: object) -> range:
    from rim_eval.mechanisms._architecture import architecture_of

    return range(-1, len(architecture_of(model).layers))
