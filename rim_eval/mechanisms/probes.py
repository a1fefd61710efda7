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
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.formatting import figure_text, mode_name
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.capture import capture
from rim_eval.mechanisms.spans import Passage
from rim_eval.statistics import Rate, rate
from rim_eval.statistics._result import Figure, Result, z_score
from rim_eval.types import MODES, Mode

Floats = NDArray[np.float32]

Question = Literal["harmful", "refused"]
"""`harmful`: harmful (+) or harmless (-). `refused`: harmful prompts refused (+) or fulfilled (-)."""

_KINDS: Final[dict[Question, str]] = {
    "harmful": "harmful and harmless",
    "refused": "refused and fulfilled",
}

LEAST: Final = 5
"""Fewest samples of each class in each part; with less a probe is not fitted."""

CALIBRATION: Final = 0.6
"""Share of samples from which direction and threshold are made (the paper's 6:4 split)."""

POSITIONS: Final = ("turn_end", "turn_start", "assistant", "think", "inside", "think_end", "last")
"""Spans that are probed. `first` is left out: there the token itself differs with the outcome."""


class Auroc(Result):
    """Area under the ROC curve: the chance that a positive scores above a negative, 0 to 1."""

    value: Figure
    lower: Figure
    upper: Figure
    n_positive: int
    n_negative: int
    level: float
    method: str = "Newcombe's score interval with Hanley and McNeil's variance"


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
    """Name of the token span."""
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


class ProbesSection(Result):
    """Probes at every layer and position (Fig. 3)."""

    scores: tuple[ProbeScore, ...]
    seed: int
    """Seed of the split into calibration and held-out samples."""
    logistic: bool
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> Iterator[str]:
        """The best probe of each question and mode before the reply, and what could not be probed."""
        for score in best_probes([each for each in self.scores if each.position == "last"]):
            area = score.auroc
            held_out = f"{area.n_positive} and {area.n_negative} held out"
            ends = area.value, area.lower, area.upper
            figure = figure_text(*ends, held_out, form="{:.2f}", unit="")
            yield (
                f"{mode_name(score.mode)} mode: at the last prompt token {_KINDS[score.question]} prompts are "
                f"told apart best after layer {score.layer}, AUROC {figure}."
            )
        yield from self.notes


def best_probes(scores: Sequence[ProbeScore]) -> list[ProbeScore]:
    """The probe of the layer with the highest AUROC, for each question, mode and position."""
    best: dict[tuple[str, ...], ProbeScore] = {}
    for score in scores:
        first = best.setdefault((score.question, score.mode, score.position), score)
        if score.auroc.value > first.auroc.value:
            best[score.question, score.mode, score.position] = score
    return list(best.values())


def direction(positive: Floats, negative: Floats) -> Floats:
    """D = mean(positive) - mean(negative); with equal N the paper's mean of paired differences.

    Args:
        positive: Shape (N+, width).
        negative: Shape (N-, width).

    Returns:
        Shape (width,).
    """
    difference: Floats = positive.mean(0, dtype=np.float64) - negative.mean(0, dtype=np.float64)
    return difference.astype(np.float32)


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
    d = direction(positive, negative)
    return Probe(d, threshold(positive @ d, negative @ d))


def auroc(
    positive: NDArray[np.floating], negative: NDArray[np.floating], level: float = 0.95
) -> Auroc:
    """P(positive score > negative score) + P(equal) / 2, with a score interval.

    The interval holds all values A0 with |A - A0| <= z sqrt(V(A0)), where V is Hanley and McNeil's
    variance with both class sizes replaced by their mean (Newcombe, Stat. Med. 25 (2006) 559,
    method 5); it has a width at 0 and 1, where probes often are.

    Args:
        positive: Scores, shape (N+,).
        negative: Scores, shape (N-,).
        level: Confidence level, a fraction.

    Returns:
        NaN figures when either class is empty.
    """
    from scipy.optimize import brentq

    n_pos, n_neg, z = len(positive), len(negative), z_score(level)
    area = lower = upper = math.nan

    def width(at: float) -> float:
        shape = 1 + ((n_pos + n_neg) / 2 - 1) * ((1 - at) / (2 - at) + at / (1 + at))
        return z * math.sqrt(at * (1 - at) * shape / (n_pos * n_neg))

    if n_pos and n_neg:
        ordered = np.sort(negative)
        below, not_above = (np.searchsorted(ordered, positive, side) for side in ("left", "right"))
        area = lower = upper = float((below + not_above).sum() / (2 * n_pos * n_neg))
        # At the estimate itself the equation has a root only when the width is 0 there.
        if area > 0:
            lower = brentq(lambda at: area - at - width(at), 0.0, min(area, 1 - 1e-12))
        if area < 1:
            upper = brentq(lambda at: at - area - width(at), max(area, 1e-12), 1.0)
    return Auroc(
        value=area, lower=lower, upper=upper, n_positive=n_pos, n_negative=n_neg, level=level
    )


def split_groups(labels: Sequence[bool], groups: Sequence[str], seed: int = 0) -> NDArray[np.bool_]:
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
    """Fit a probe on the calibration part and score the rest.

    Args:
        states: Residual vectors at one layer and position, shape (samples, width).
        labels: True for positives, shape (samples,).
        calibration: From `split_groups`.
        question: What positives are.
        mode: Mode of the passages.
        position: Name of the token span.
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
    n_pos, n_neg = len(positive), len(negative)
    above = share_above(positive, probe.threshold), share_above(negative, probe.threshold)
    return ProbeScore(
        question=question,
        mode=mode,
        position=position,
        layer=layer,
        n_calibration=(int(parts[0].sum()), int(parts[1].sum())),
        above_positive=above[0],
        above_negative=above[1],
        accuracy=rate(int(above[0].k + n_neg - above[1].k), n_pos + n_neg),
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
    held_out = labels[~calibration]
    return auroc(scores[held_out], scores[~held_out]).value


def probe_passages(
    model: object,
    passages: Sequence[Passage],
    labels: Sequence[bool],
    groups: Sequence[str],
    *,
    question: Question,
    mode: Mode,
    positions: Sequence[str] = POSITIONS,
    logistic: bool = True,
    seed: int = 0,
) -> list[ProbeScore]:
    """Evaluate a probe at the embedding (-1) and every layer, at every position that all passages have.

    Args:
        model: A Hugging Face causal language model.
        passages: Texts to read.
        labels: True for positives.
        groups: See `split_groups`.
        question: What positives are.
        mode: Mode of the passages.
        positions: Names of token spans; those that some passage lacks are left out.
        logistic: Whether to compare with a logistic regression.
        seed: Seed of the split.

    Raises:
        RimError: No passage has any of the positions.
    """
    present = [name for name in positions if all(name in each.spans for each in passages)]
    if not present:
        raise RimError(f"No position of {', '.join(positions)} is in every passage.")
    layers = range(-1, len(architecture_of(model).layers))
    read = capture(model, passages, residual=present, layers=layers)
    assert read.residual is not None
    calibration = split_groups(labels, groups, seed=seed)
    evaluate = partial(evaluate_probe, question=question, mode=mode, logistic=logistic)
    scores = [
        evaluate(read.residual[:, i, k], labels, calibration, position=name, layer=layer)
        for k, name in enumerate(present)
        for i, layer in enumerate(read.layers)
    ]
    return [score for score in scores if score is not None]


def study_probes(config: AnalysisConfig, *, logistic: bool = True) -> ProbesSection:
    """Probe both questions, in both modes, at every layer and position that exists.

    In think mode the passages hold the model's own reply, so that the trace can be read.

    Args:
        config: Model and prompts; harmful and benign ones are needed.
        logistic: Whether to compare with a logistic regression.

    Raises:
        RimError: One of the two kinds is missing.
    """
    harmful, benign = config.prompts.harmful, config.prompts.benign
    if not harmful or not benign:
        raise RimError("Probes need harmful and benign prompts: give a set of each.")
    scores, notes = list[ProbeScore](), list[str]()
    requests = [*harmful, *benign]
    groups = config.groups_of(requests)
    for mode in MODES:
        passages = config.handle.passages(requests, mode, config.replies(requests, mode))
        refusals = config.untouched(mode)["refused"]
        # 1, 0, or None where it is not known.
        questions: dict[Question, Sequence[float | None]] = {
            "harmful": [1.0] * len(harmful) + [0.0] * len(benign),
            "refused": [refusals[request.id][0] for request in harmful],
        }
        for question, labels in questions.items():
            judged = [i for i, label in enumerate(labels) if label is not None]
            positive = [bool(labels[i]) for i in judged]
            probed = probe_passages(
                config.handle.model,
                [passages[i] for i in judged],
                positive,
                [groups[i] for i in judged],
                question=question,
                mode=mode,
                logistic=logistic,
                seed=config.seed,
            )
            scores += probed
            if question == "refused" and not probed:
                counts = f"{sum(positive)} refused and {len(positive) - sum(positive)} fulfilled"
                notes.append(f"{mode_name(mode)} mode: {counts} are too few for a probe.")
    return ProbesSection(
        scores=tuple(scores), seed=config.seed, logistic=logistic, notes=tuple(notes)
    )
