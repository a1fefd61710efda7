"""Drift: how far training moves the safety direction, and which layers change on harmful prompts.

From the safety-direction penalty (arXiv 2608.23497). With h residual vectors of one layer:

    safety direction   S = unit(mean(h of refusals) - mean(h of compliances))
    drift              d = (h_tuned - h_base) . S        per prompt; below 0 = away from refusal
    layer ratio        r = (1 - CKA_harmful) / (1 - CKA_harmless); above 1 = harmful prompts change more

Both have intervals over prompts, and drift the harmless prompts beside it: a model whose states all
move one way has not lost its safety direction in particular.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.capture import capture
from rim_eval.mechanisms.positions import Passage
from rim_eval.statistics import Interval
from rim_eval.statistics._result import Figure, Result, z_score

__all__ = [
    "LayerDrift",
    "cka",
    "drift_along",
    "layer_drift",
    "layer_ratio",
    "mean_interval",
    "ratio_interval",
    "safety_direction",
]

Floats = NDArray[np.floating]

ROUNDING: Final = 1e-9
"""1 - CKA below which states are the same but for rounding."""


class LayerDrift(Result):
    """One layer."""

    layer: int
    cka_harmful: Figure
    """Similarity of base and tuned on harmful prompts, 0 to 1 (1 = the same up to rotation)."""
    cka_harmless: Figure
    ratio: Figure
    """(1 - CKA harmful) / (1 - CKA harmless); NaN when nothing changed on harmless prompts."""
    ratio_lower: Figure
    """95 % interval: jackknife over prompts of the logarithm."""
    ratio_upper: Figure
    drift: Figure
    """Mean drift of harmful prompts along the safety direction; below 0 = away from refusal."""
    drift_lower: Figure
    """95 % interval: t distribution over prompts."""
    drift_upper: Figure
    drift_harmless: Figure
    """Mean drift of harmless prompts along the same direction."""
    gap: Figure
    """Distance of both ends of the direction in the base, the unit in which drift can be judged."""
    n_harmful: int
    n_harmless: int


def safety_direction(refusals: Floats, compliances: Floats) -> NDArray[np.float64]:
    """S = unit(mean(refusals) - mean(compliances)), shape (width,).

    Args:
        refusals: Residual vectors of refusing texts, shape (n, width).
        compliances: The same of complying texts, shape (m, width).

    Raises:
        RimError: Both means are equal, so that there is no direction.
    """
    found = refusals.mean(0, dtype=np.float64) - compliances.mean(0, dtype=np.float64)
    length = float(np.linalg.norm(found))
    if not length:
        raise RimError("Refusing and complying texts have the same mean: there is no direction.")
    unit: NDArray[np.float64] = found / length
    return unit


def drift_along(base: Floats, tuned: Floats, direction: Floats) -> NDArray[np.float64]:
    """Drift of each prompt, (tuned - base) . S, shape (prompts,); states are (prompts, width)."""
    found: NDArray[np.float64] = (tuned.astype(np.float64) - base) @ direction
    return found


def cka(one: Floats, other: Floats) -> float:
    """Linear centred kernel alignment of two sets of states over the same prompts, 0 to 1.

    |X' Y|_F^2 / (|X' X|_F |Y' Y|_F) with columns centred (Kornblith et al. 2019, arXiv 1905.00414).

    Args:
        one: Shape (prompts, width).
        other: Shape (prompts, any width).

    Returns:
        NaN when either side does not vary.
    """
    x, y = (side.astype(np.float64) - side.mean(0, dtype=np.float64) for side in (one, other))
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(x.T @ y) ** 2 / scale) if scale else math.nan


def layer_ratio(harmful: float, harmless: float) -> float:
    """(1 - CKA harmful) / (1 - CKA harmless); NaN when the harmless CKA is 1, but for rounding."""
    return (1 - harmful) / (1 - harmless) if 1 - harmless > ROUNDING else math.nan


def ratio_interval(
    harmful: tuple[Floats, Floats], harmless: tuple[Floats, Floats], level: float = 0.95
) -> Interval:
    """Interval of the layer ratio: jackknife over prompts, on the logarithm.

    log r +- z s, s^2 = sum over both kinds of (n - 1) / n sum_i (log r without i - their mean)^2

    Args:
        harmful: States of base and tuned, each of shape (prompts, width).
        harmless: The same of harmless prompts.
        level: Confidence level.

    Returns:
        NaN ends when the ratio is not defined.
    """
    whole = [cka(*harmful), cka(*harmless)]
    ratio = layer_ratio(*whole)
    if not ratio > 0 or min(len(harmful[0]), len(harmless[0])) < 3:
        return Interval(math.nan, math.nan)
    spread = sum(_log_spread(*states) for states in (harmful, harmless))
    width = z_score(level) * math.sqrt(spread)
    if not math.isfinite(width):
        return Interval(math.nan, math.nan)
    return Interval(ratio * math.exp(-width), ratio * math.exp(width))


def _log_spread(one: Floats, other: Floats) -> float:
    """Jackknife variance of log(1 - CKA)."""
    n, kernels = len(one), [_kernel(side) for side in (one, other)]
    logs = np.empty(n)
    for i in range(n):
        left = [np.delete(np.delete(kernel, i, 0), i, 1) for kernel in kernels]
        logs[i] = math.log(max(1 - _alignment(*left), ROUNDING))
    return float((n - 1) / n * ((logs - logs.mean()) ** 2).sum())


def _kernel(states: Floats) -> NDArray[np.float64]:
    wide = states.astype(np.float64) - states.mean(0, dtype=np.float64)
    kernel: NDArray[np.float64] = wide @ wide.T
    return kernel


def _alignment(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """CKA from linear kernels, shape (prompts, prompts)."""
    x, y = (k - k.mean(0) - k.mean(1)[:, None] + k.mean() for k in (one, other))
    return float((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()))


def mean_interval(values: Floats, level: float = 0.95) -> Interval:
    """Student's interval of a mean, shape (n,); NaN ends for fewer than two values."""
    from scipy.stats import t

    if len(values) < 2:
        return Interval(math.nan, math.nan)
    width = t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return Interval(float(values.mean() - width), float(values.mean() + width))


def layer_drift(
    base: Any,
    tuned: Any,
    harmful: Sequence[Passage],
    harmless: Sequence[Passage],
    refusals: Sequence[Passage],
    compliances: Sequence[Passage],
    *,
    position: str = "last",
) -> list[LayerDrift]:
    """Drift and layer ratio at every layer.

    Args:
        base: The model before training.
        tuned: The model after it.
        harmful: Harmful prompts, read by both at `position`.
        harmless: Harmless prompts.
        refusals: Texts that refuse or are refused; the base reads them at their last token.
        compliances: Texts that comply or are answered. Without either there is no drift.
        position: Name of the stretch.
    """

    def read(model: Any, passages: Sequence[Passage], where: str) -> NDArray[np.float32]:
        found = capture(model, passages, residual=(where,)).residual
        assert found is not None
        return found[:, :, 0]

    ends = [
        [Passage(p.ids, {**p.spans, "end": (len(p.ids) - 1, len(p.ids))}, p.id) for p in texts]
        for texts in (refusals, compliances)
    ]
    told = [read(base, texts, "end") for texts in ends if refusals and compliances]
    states = {
        (name, kind): read(model, passages, position)
        for name, model in (("base", base), ("tuned", tuned))
        for kind, passages in (("harmful", harmful), ("harmless", harmless))
    }
    found = []
    for layer in range(states["base", "harmful"].shape[1]):
        at = {key: value[:, layer] for key, value in states.items()}
        found.append(_one_layer(layer, at, [texts[:, layer] for texts in told]))
    return found


def _one_layer(layer: int, at: dict[tuple[str, str], Floats], told: Sequence[Floats]) -> LayerDrift:
    kinds = {kind: (at["base", kind], at["tuned", kind]) for kind in ("harmful", "harmless")}
    width = at["base", "harmful"].shape[1]
    direction = safety_direction(*told) if told else np.full(width, math.nan)
    moved = {kind: drift_along(*pair, direction) for kind, pair in kinds.items()}
    alike = {kind: cka(*pair) for kind, pair in kinds.items()}
    ratio = ratio_interval(kinds["harmful"], kinds["harmless"])
    drift = mean_interval(moved["harmful"])
    return LayerDrift(
        layer=layer,
        cka_harmful=alike["harmful"],
        cka_harmless=alike["harmless"],
        ratio=layer_ratio(alike["harmful"], alike["harmless"]),
        ratio_lower=ratio.lower,
        ratio_upper=ratio.upper,
        drift=float(moved["harmful"].mean()),
        drift_lower=drift.lower,
        drift_upper=drift.upper,
        drift_harmless=float(moved["harmless"].mean()),
        gap=float((told[0].mean(0) - told[1].mean(0)) @ direction) if told else math.nan,
        n_harmful=len(moved["harmful"]),
        n_harmless=len(moved["harmless"]),
    )
