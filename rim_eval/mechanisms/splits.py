"""Splits: which samples make a probe, and which it is held against."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["split_groups"]

CALIBRATION: Final = 0.6
"""Share of samples from which direction and threshold are made (the paper's 6:4 split)."""


def split_groups(
    labels: Sequence[bool], groups: Sequence[str], share: float = CALIBRATION, seed: int = 0
) -> NDArray[np.bool_]:
    """Which samples calibrate: whole groups, drawn so that both classes come near the share.

    Args:
        labels: Class of each sample.
        groups: Group of each sample; contrast partners share one and stay together.
        share: Share that calibrates.
        seed: Seed of the order in which groups are dealt.

    Returns:
        True for calibration, shape (samples,).
    """
    rng = np.random.default_rng(seed)
    values = np.asarray(labels, dtype=bool)
    names = np.asarray(groups)
    quota = np.array([share * (~values).sum(), share * values.sum()])
    chosen = np.zeros(len(values), dtype=np.bool_)
    taken = np.zeros(2)
    for name in rng.permutation(np.unique(names)):
        members = names == name
        counts = np.array([(~values[members]).sum(), values[members].sum()])
        if (taken + counts <= quota + 0.5).all():
            chosen |= members
            taken += counts
    return chosen
