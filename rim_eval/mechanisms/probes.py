"""Probes: one direction in the residual stream, and how well it tells two kinds of prompts apart.

With N positive and N negative residual vectors at one layer and token (paper section 3.1):

    direction   d = (1/N) sum_j (x[j, +] - x[j, -])
    score       s(y) = y . d
    threshold   t = (1/2N) sum_j (s(x[j, +]) + s(x[j, -]))
    read-out    share of held-out samples whose score is above t

Two questions are asked: harmful (+) against harmless (-) prompts, and, among harmful ones, refused
(+) against fulfilled (-). Direction and threshold come from the calibration part alone. On the
direction of the first question the refused and the fulfilled harmful prompts are read, too: Fig. 3
draws these four classes on one axis.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.formatting import figure_text, mode_name, p_text, percent
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.auroc import Auroc, auroc
from rim_eval.mechanisms.behaviour import AnalysisConfig
from rim_eval.mechanisms.capture import capture
from rim_eval.mechanisms.layer_choice import choose_layer
from rim_eval.mechanisms.model import Request
from rim_eval.mechanisms.probe_samples import (
    CLASSES,
    Mask,
    PromptClass,
    Question,
    Samples,
    prompt_classes,
)
from rim_eval.mechanisms.random_controls import ALPHA, RankTest
from rim_eval.mechanisms.spans import Passage
from rim_eval.statistics import Rate, rate
from rim_eval.statistics._result import Figure, Result
from rim_eval.types import MODES, Mode

Floats = NDArray[np.float32]

POSITIONS: Final = ("turn_end", "turn_start", "assistant", "think", "inside", "think_end", "last")
"""Spans that are probed. `first` is left out: there the token itself differs with the outcome."""


class Probe(NamedTuple):
    """Directions and their thresholds, one or an array of them."""

    direction: Floats
    """Shape (..., width); not normalised."""
    threshold: NDArray[np.float32]
    """Shape (...)."""


class ProbeScore(Result):
    """The probe of one layer on held-out samples."""

    layer: int
    """-1 is the embedding: at a fixed token it can know nothing."""
    above: dict[PromptClass, Rate]
    """Share of the held-out samples of each class above the threshold, in the order of `CLASSES`."""
    auroc: Auroc
    logistic_auroc: Figure
    """AUROC of a logistic regression on the same split; NaN without scikit-learn."""


class PositionProbes(Result):
    """The probes of one question, mode and position at every layer, and the layer that was chosen."""

    question: Question
    mode: Mode
    position: str
    """Name of the token span."""
    n_calibration: tuple[int, int]
    """Positives and negatives that made the probes."""
    dropped: int
    """Passages of either class that have no such span."""
    scores: tuple[ProbeScore, ...]
    layer: int
    """Chosen by cross-validation inside the calibration part, see `layer_choice`."""
    cross_validated: Figure
    """Mean AUROC of that layer over the folds."""
    control: RankTest
    """Held-out AUROC of that layer, and the same with permuted labels, each with its own choice."""

    @property
    def chosen(self) -> ProbeScore:
        """The held-out figures of the chosen layer."""
        return next(score for score in self.scores if score.layer == self.layer)

    @property
    def accuracy(self) -> Rate:
        """Share of held-out samples that the chosen layer's threshold puts on their side."""
        positive, negative, *_ = self.chosen.above.values()
        return rate(positive.k + negative.n - negative.k, positive.n + negative.n)

    @property
    def majority(self) -> float:
        """Accuracy of always naming the larger class of the held-out samples."""
        area = self.chosen.auroc
        return max(area.n_positive, area.n_negative) / (area.n_positive + area.n_negative)

    @property
    def sentence(self) -> str:
        """What is shown of the chosen layer; its rank among permuted labels decides."""
        area, control, above = self.chosen.auroc, self.control, self.chosen.above
        positive, negative, *others = CLASSES[self.question]
        held_out = f"{area.n_positive} and {area.n_negative} held out"
        figure = figure_text(area.value, area.lower, area.upper, held_out, form="{:.2f}", unit="")
        are = "are" if control.verdict == "beyond" else "are not shown to be"
        # Above this many of them the rank p is ALPHA or less.
        within = math.ceil((1 - ALPHA) * (1 + len(control.random)))
        after = "in the embedding" if self.layer < 0 else f"after layer {self.layer}"
        place = "last prompt token" if self.position == "last" else f"span `{self.position}`"
        text = (
            f"{mode_name(self.mode)} mode: at the {place} {positive} and {negative} prompts {are} told "
            f"apart {after}, chosen by cross-validation: held-out AUROC {figure}; "
            f"{within} of {len(control.random)} permutations of the labels reach at most "
            f"{sorted(control.random)[within - 1]:.2f}, rank {p_text(control.p_value)}"
        )
        shares = [
            f"{percent(above[name].value)} of {above[name].n} {name} ones"
            for name in others
            if name in above
        ]
        return f"{text}; above its threshold lie {' and '.join(shares)}." if shares else f"{text}."


class ProbesSection(Result):
    """Probes at every layer and position (Fig. 3)."""

    probes: tuple[PositionProbes, ...]
    seed: int
    """Seed of the split into calibration and held-out samples, of folds and permutations."""
    logistic: bool
    notes: tuple[str, ...] = ()

    @property
    def sentences(self) -> Iterator[str]:
        """What each question finds in each mode before the reply, and what could not be probed."""
        yield from (each.sentence for each in self.probes if each.position == "last")
        yield from self.notes


def direction(positive: Floats, negative: Floats) -> Floats:
    """D = mean(positive) - mean(negative); with equal N the paper's mean of paired differences.

    Args:
        positive: Shape (N+, ..., width).
        negative: Shape (N-, ..., width).

    Returns:
        Shape (..., width).
    """
    difference: Floats = positive.mean(0, dtype=np.float64) - negative.mean(0, dtype=np.float64)
    return difference.astype(np.float32)


def threshold(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> Any:
    """T = (mean(positive scores) + mean(negative scores)) / 2; with equal N the paper's.

    Args:
        positive: Scores, shape (N+, ...).
        negative: Scores, shape (N-, ...).

    Returns:
        Shape (...).
    """
    return (positive.mean(0) + negative.mean(0)) / 2


def project(states: Floats, directions: Floats) -> Floats:
    """S(y) = y . d of states (samples, ..., width) and directions (..., width), shape (samples, ...)."""
    scores: Floats = np.einsum("s...w,...w->s...", states, directions)
    return scores


def fit_probe(positive: Floats, negative: Floats) -> Probe:
    """Fit directions and thresholds to samples, shapes (N+, ..., width) and (N-, ..., width)."""
    d = direction(positive, negative)
    return Probe(d, threshold(project(positive, d), project(negative, d)))


def fit_samples(states: Floats, samples: Samples) -> Probe:
    """Fit a probe to the calibration samples at every layer, states (samples, layers, width)."""
    positive, negative = (side & samples.calibration for side in samples.sides)
    return fit_probe(states[positive], states[negative])


def held_out_above(states: Floats, samples: Samples, probe: Probe) -> dict[PromptClass, Mask]:
    """Tell which held-out samples of each class are above the threshold; empty classes are left out.

    Args:
        states: Shape (samples, layers, width).
        samples: Classes and split.
        probe: From `fit_samples`.

    Returns:
        Class to shape (its held-out samples, layers).
    """
    above = np.greater(project(states, probe.direction), probe.threshold)
    held_out = {name: mask & ~samples.calibration for name, mask in samples.classes.items()}
    return {name: above[rows] for name, rows in held_out.items() if rows.any()}


def probe_position(
    states: Floats,
    samples: Samples,
    *,
    mode: Mode,
    position: str,
    logistic: bool = True,
    seed: int = 0,
) -> PositionProbes | None:
    """Fit a probe at every layer, score the held-out samples, and choose a layer.

    Args:
        states: Residual vectors at one position, embedding first, shape (samples, 1 + layers, width);
            NaN where a passage has no such position, and such passages are left out.
        samples: Classes, groups and split.
        mode: Mode of the passages.
        position: Name of the token span.
        logistic: Whether to compare with a logistic regression (slow at large widths).
        seed: Seed of folds and permutations.

    Returns:
        None when a class has fewer than `LEAST` groups in either part.
    """
    asked = np.logical_or(*samples.sides)
    there = asked & ~np.isnan(states[:, 0, 0])
    states, samples = states[there], samples.take(there)
    if not samples.suffice:
        return None
    (labels, negatives), calibration = samples.sides, samples.calibration
    probe = fit_samples(states, samples)
    above = held_out_above(states, samples, probe)
    positive, negative = (
        project(states[side & ~calibration], probe.direction) for side in samples.sides
    )
    choice = choose_layer(states, labels, samples.groups.tolist(), calibration, seed=seed)
    return PositionProbes(
        question=samples.question,
        mode=mode,
        position=position,
        n_calibration=(int((labels & calibration).sum()), int((negatives & calibration).sum())),
        dropped=int(asked.sum() - there.sum()),
        scores=tuple(
            ProbeScore(
                layer=i - 1,
                above={name: rate(int(of[:, i].sum()), len(of)) for name, of in above.items()},
                auroc=auroc(positive[:, i], negative[:, i]),
                logistic_auroc=_logistic(states[:, i], labels, calibration) if logistic else math.nan,
            )
            for i in range(states.shape[1])
        ),
        layer=choice.number - 1,
        cross_validated=choice.cross_validated,
        control=choice.control,
    )  # fmt: skip


def _logistic(states: Floats, labels: Mask, calibration: Mask) -> float:
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


def read_positions(
    model: object, passages: Sequence[Passage], positions: Sequence[str] = POSITIONS
) -> dict[str, Floats]:
    """Read the embedding and every layer at every position that a passage has.

    Args:
        model: A Hugging Face causal language model.
        passages: Texts to read.
        positions: Names of token spans.

    Returns:
        Position to states of shape (passages, 1 + layers, width), NaN where a passage lacks it.
    """
    present = [name for name in positions if any(name in each.spans for each in passages)]
    if not present:
        return {}
    layers = range(-1, len(architecture_of(model).layers))
    states = capture(model, passages, residual=present, layers=layers).residual
    assert states is not None
    return {name: states[:, :, k] for k, name in enumerate(present)}


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
    probes, notes = list[PositionProbes](), list[str]()
    requests = [*harmful, *benign]
    for mode in MODES:
        passages = config.handle.passages(requests, mode, config.replies(requests, mode))
        states = read_positions(config.handle.model, passages)
        if absent := [f"`{name}`" for name in POSITIONS if name not in states]:
            notes.append(f"{mode_name(mode)} mode: no prompt has a span {', '.join(absent)}.")
        classes = prompt_classes(config, mode)
        _write_states(config, mode, requests, states)
        for question in CLASSES:
            samples = Samples.split(question, classes, config.groups_of(requests), config.seed)
            _write_directions(config, mode, samples, states)
            probe = partial(probe_position, mode=mode, logistic=logistic, seed=config.seed)
            found = {name: probe(at, samples, position=name) for name, at in states.items()}
            probes += [each for each in found.values() if each]
            notes += _notes(found, samples, passages, mode)
    return ProbesSection(
        probes=tuple(probes), seed=config.seed, logistic=logistic, notes=tuple(notes)
    )


def _write_states(
    config: AnalysisConfig, mode: Mode, requests: Sequence[Request], states: Mapping[str, Floats]
) -> None:
    for position, at in states.items():
        config.arrays.add(
            f"probes/{mode}/{position}/states",
            at,
            ("prompt", "layer", "width"),
            prompt=[request.id for request in requests],
            layer=range(-1, at.shape[1] - 1),
        )


def _write_directions(
    config: AnalysisConfig, mode: Mode, samples: Samples, states: Mapping[str, Floats]
) -> None:
    """Write positive minus negative calibration prompts at every layer, where there are any of both."""
    for position, at in states.items():
        known = samples.calibration & ~np.isnan(at[:, 0, 0])
        positive, negative = (at[side & known] for side in samples.sides)
        if len(positive) and len(negative):
            name = f"probes/{mode}/{position}/{samples.question}_direction"
            layers = range(-1, at.shape[1] - 1)
            config.arrays.add(name, direction(positive, negative), ("layer", "width"), layer=layers)


def _notes(
    found: Mapping[str, PositionProbes | None],
    samples: Samples,
    passages: Sequence[Passage],
    mode: Mode,
) -> Iterator[str]:
    """What could not be probed, and where passages were left out."""
    names = CLASSES[samples.question][:2]

    def counts(position: str) -> str:
        has = np.array([position in passage.spans for passage in passages])
        return " and ".join(f"{(has & samples.classes[name]).sum()} {name}" for name in names)

    start = f"{mode_name(mode)} mode"
    if not any(found.values()):
        yield f"{start}: {counts('last')} prompts are too few for a probe."
        return
    for position, each in found.items():
        text = f"{counts(position)} prompts have a span `{position}`"
        if each is None:
            yield f"{start}: {text}, too few for a probe."
        elif each.dropped:
            yield f"{start}: {text}; {each.dropped} without it are left out there."
