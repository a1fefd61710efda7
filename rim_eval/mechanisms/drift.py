"""Drift: how far training moves the safety direction, and which layers change on harmful prompts.

From the safety-direction penalty (arXiv 2608.23497). With h residual vectors of one layer:

    safety direction   S = unit(mean(h of refusals) - mean(h of compliances))
    drift              d = (h_tuned - h_base) . S        per prompt; below 0 = away from refusal
    layer ratio        r = (1 - CKA_harmful) / (1 - CKA_harmless); above 1 = harmful prompts change more
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.capture import capture
from rim_eval.mechanisms.positions import Passage
from rim_eval.statistics._result import Figure, Result

__all__ = ["LayerDrift", "cka", "drift_along", "layer_drift", "layer_ratio", "safety_direction"]

Floats = NDArray[np.floating]


class LayerDrift(Result):
    """One layer."""

    layer: int
    cka_harmful: Figure
    """Similarity of base and tuned on harmful prompts, 0 to 1 (1 = the same up to rotation)."""
    cka_harmless: Figure
    ratio: Figure
    """(1 - CKA harmful) / (1 - CKA harmless); NaN when nothing changed on harmless prompts."""
    drift_mean: Figure
    """Mean drift of harmful prompts along the safety direction; below 0 = away from refusal."""
    drift_sd: Figure
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
    """(1 - CKA harmful) / (1 - CKA harmless); NaN when the harmless CKA is 1."""
    return (1 - harmful) / (1 - harmless) if harmless < 1 else math.nan


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
        refusals: Harmful prompts with refusing replies; the base reads them to their last token.
        compliances: The same prompts with complying replies.
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
    told = [read(base, texts, "end") for texts in ends]
    states = {
        (name, kind): read(model, passages, position)
        for name, model in (("base", base), ("tuned", tuned))
        for kind, passages in (("harmful", harmful), ("harmless", harmless))
    }
    found = []
    for layer in range(told[0].shape[1]):
        at = {key: value[:, layer] for key, value in states.items()}
        direction = safety_direction(told[0][:, layer], told[1][:, layer])
        moved = drift_along(at["base", "harmful"], at["tuned", "harmful"], direction)
        alike = [cka(at["base", kind], at["tuned", kind]) for kind in ("harmful", "harmless")]
        found.append(
            LayerDrift(
                layer=layer,
                cka_harmful=alike[0],
                cka_harmless=alike[1],
                ratio=layer_ratio(*alike),
                drift_mean=float(moved.mean()),
                drift_sd=float(moved.std(ddof=1)) if len(moved) > 1 else math.nan,
                n_harmful=len(harmful),
                n_harmless=len(harmless),
            )
        )
    return found
