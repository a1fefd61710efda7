"""Choice of a layer: without the held-out samples, and beside the same choice with permuted labels.

The best of many layers looks good by chance, and its interval does not know that it was chosen. So

    choice    the layer with the highest mean AUROC over five folds of the calibration part (each fold
              is scored by a direction from the other four), the first of equally good ones
    figure    AUROC of that layer on the held-out samples, with its ordinary interval
    control   the whole procedure, choice included, with permuted labels; rank p = (1 + k) / (1 + n)

Labels are permuted as far as they are exchangeable when states say nothing about them: among groups
of one size in the same fold, or in the held-out part, and inside a group. Contrast partners, which
are a group, swap theirs.

A direction is a sum of weighted calibration samples, d = sum_j c[j] x[j], and a score y . d a sum of
the products y . x[j], which are computed once for all folds and permutations.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms.auroc import areas
from rim_eval.mechanisms.random_controls import RankTest

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

FOLDS: Final = 5
"""Parts of the calibration samples that are scored in turn."""

PERMUTATIONS: Final = 99
"""Permutations of the labels: the smallest rank p is 0.01."""


class LayerChoice(NamedTuple):
    """A layer that was chosen on the calibration part."""

    number: int
    """Of the layer among those of the states, from 0."""
    cross_validated: float
    """Its mean AUROC over the folds."""
    control: RankTest
    """Its held-out AUROC, and that of the layer which each permutation chooses."""


def choose_layer(
    states: Floats,
    labels: Sequence[bool] | Mask,
    groups: Sequence[str],
    calibration: Mask,
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> LayerChoice:
    """Choose the layer of a difference-of-means probe, and rank its held-out AUROC.

    Args:
        states: Residual vectors, shape (samples, layers, width).
        labels: True for positives, shape (samples,).
        groups: Group of each sample, none on both sides of the split; five or more of the groups in
            either part must hold positives, and five or more negatives.
        calibration: True for calibration samples, shape (samples,).
        seed: Seed of folds and permutations.
        permutations: How many.
    """
    rng, observed = np.random.default_rng(seed), np.asarray(labels, dtype=bool)
    strata = deal_folds(observed, groups, calibration, rng)
    permuted = permute_labels(observed, groups, strata, permutations, rng)
    labelings = np.column_stack([observed, permuted])
    products = _products(states, calibration)

    def measure(fitted: Mask, tested: Mask) -> NDArray[np.float64]:
        """AUROC, shape (layers, labelings)."""
        weights = _coefficients(labelings, fitted)[calibration]
        return areas(products[tested] @ weights, labelings[tested][:, None])

    folds = [measure(calibration & (strata != fold), strata == fold) for fold in range(FOLDS)]
    validated = np.mean(folds, axis=0)
    chosen = validated.argmax(0)
    held_out = measure(calibration, ~calibration)[chosen, np.arange(len(chosen))].tolist()
    return LayerChoice(
        number=int(chosen[0]),
        cross_validated=float(validated[chosen[0], 0]),
        control=RankTest.of(held_out[0], held_out[1:]),
    )


def deal_folds(
    labels: Mask, groups: Sequence[str], calibration: Mask, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Deal whole groups of the calibration part into folds, by their share of positives.

    Args:
        labels: True for positives, shape (samples,).
        groups: Group of each sample.
        calibration: True for calibration samples, shape (samples,).
        rng: Order of groups with equal shares.

    Returns:
        Fold of each sample, from 0, and -1 for those held out, shape (samples,).
    """
    verdicts = defaultdict[str, list[bool]](list)
    for name, label, fits in zip(groups, labels, calibration, strict=True):
        if fits:
            verdicts[name].append(bool(label))
    names = rng.permutation(sorted(verdicts)).tolist()
    names.sort(key=lambda name: np.mean(verdicts[name]))
    fold = {name: i % FOLDS for i, name in enumerate(names)}
    return np.array(
        [fold[g] if fits else -1 for g, fits in zip(groups, calibration, strict=True)], np.intp
    )


def permute_labels(
    labels: Mask,
    groups: Sequence[str],
    strata: NDArray[np.intp],
    count: int,
    rng: np.random.Generator,
) -> Mask:
    """Permute labels among groups of one size and one stratum, and inside each group.

    Args:
        labels: Shape (samples,).
        groups: Group of each sample.
        strata: Stratum of each sample, the same throughout a group, shape (samples,).
        count: How many permutations.
        rng: Their source.

    Returns:
        Shape (samples, count).
    """
    members = defaultdict[str, list[int]](list)
    for i, name in enumerate(groups):
        members[name].append(i)
    exchangeable = defaultdict[tuple[int, int], list[list[int]]](list)
    for rows in members.values():
        exchangeable[int(strata[rows[0]]), len(rows)].append(rows)
    permuted = np.empty((len(labels), count), dtype=np.bool_)
    for alike in exchangeable.values():
        order = rng.permuted(np.tile(np.arange(len(alike)), (count, 1)), axis=1)
        # Shape (count, groups, samples of a group).
        permuted[alike] = rng.permuted(labels[alike][order], axis=2).transpose(1, 2, 0)
    return permuted


def _products(states: Floats, calibration: Mask) -> Floats:
    """Products of all samples with those of calibration, shape (samples, layers, calibration).

    States are centred, which shifts every score of a direction alike, so that products are small
    enough for single precision.
    """
    centre = states[calibration].mean(0, dtype=np.float64).astype(states.dtype)
    layers = (states - centre).swapaxes(0, 1)
    return np.stack([layer @ layer[calibration].T for layer in layers], axis=1)


def _coefficients(labelings: Mask, fitted: Mask) -> Floats:
    """C of d = sum_j c[j] x[j]: 1 / N+ of positives, -1 / N- of negatives, shape of the labelings."""
    positive, negative = labelings & fitted[:, None], ~labelings & fitted[:, None]
    weights: NDArray[np.float64] = positive / positive.sum(0) - negative / negative.sum(0)
    return weights.astype(np.float32)
