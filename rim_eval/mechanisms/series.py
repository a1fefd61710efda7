"""Series: RAS, activations and weights of a set along a run of checkpoints, beside random sets.

What follows from them is in `ras_verdict`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.draws import Reading, count_as_far, rank_p, read_rank
from rim_eval.mechanisms.ras import Activations, Guard, Ras, default_floor, ras
from rim_eval.mechanisms.weights import WeightChange
from rim_eval.statistics import Correlation, pearson, spearman
from rim_eval.statistics._result import Figure, Result

__all__ = [
    "Beside",
    "Checkpoint",
    "RasSeries",
    "Shift",
    "ras_series",
]


class Shift(NamedTuple):
    """Change of the misalignment rate since the base, percentage points."""

    points: float
    lower: float = math.nan
    """95 % interval; NaN where only the rates are known, and then no rise is shown."""
    upper: float = math.nan
    pairs: int = 0
    """Prompts that both answered."""


class Checkpoint(NamedTuple):
    """One checkpoint of a run."""

    step: int
    activations: Activations
    shift: Shift
    kl: float = math.nan
    """KL of base to this checkpoint, nats a token."""
    weights: WeightChange | None = None
    """None where it is not known."""


class Beside(Result):
    """Mean of something over the set, and over each random set beside it."""

    value: Figure
    random: tuple[Figure, ...]
    p_value: Figure
    """(1 + random sets that are at least as large) / (1 + random sets)."""

    @property
    def reading(self) -> Reading:
        """What the rank of the set supports."""
        return _rank(self.value, self.random)


class RasSeries(Result):
    """One run under one guard."""

    run: str
    guard: Guard
    steps: tuple[int, ...]
    misaligned: tuple[Figure, ...]
    """Change of the misalignment rate since the base, percentage points."""
    rise_lower: Figure
    """95 % interval of the last change; NaN where only the rates are known."""
    rise_upper: Figure
    pairs: int
    """Prompts that both base and the last checkpoint answered."""
    kl: tuple[Figure, ...]
    selected: tuple[Ras, ...]
    """RAS of the set at each step."""
    everything: tuple[Figure, ...]
    """RAS of all neurons at each step."""
    random: tuple[tuple[Figure, ...], ...]
    """RAS at each step, one row a random set."""
    pearson: Correlation
    """RAS of the set against misalignment over the steps."""
    spearman: Correlation
    random_pearson: tuple[Figure, ...]
    """The same for each random set."""
    random_spearman: tuple[Figure, ...]
    change: Beside
    """Absolute change of activations on safety prompts at the end."""
    outgoing: Beside
    """Relative change of outgoing weights at the end, see `weights`."""
    incoming: Beside
    """The same of incoming weights."""
    p_size: Figure
    """(1 + random sets whose RAS at the end is at least the set's) / (1 + random sets)."""

    @property
    def rise(self) -> float:
        """Change of misalignment at the end, percentage points."""
        return self.misaligned[-1]

    @property
    def end(self) -> float:
        """RAS of the set at the end."""
        return self.selected[-1].value

    @property
    def random_end(self) -> tuple[float, ...]:
        """RAS of each random set at the end."""
        return tuple(row[-1] for row in self.random)

    @property
    def size(self) -> Reading:
        """What the rank of the set's RAS among random sets supports."""
        return _rank(self.end, self.random_end)

    def risen(self, rise: float) -> bool:
        """Whether misalignment rose by so many points, and by more than nothing in its interval."""
        return self.rise >= rise and self.rise_lower > 0

    def flat(self, rise: float) -> bool:
        """Whether it is known not to have risen by so many points."""
        return self.rise < rise and not math.isnan(self.rise_upper)


def _rank(value: float, random: Sequence[float]) -> Reading:
    if math.isnan(value):
        return "open"
    return read_rank(count_as_far(value, random), len(random), sum(map(math.isnan, random)))


def ras_series(
    run: str,
    base: Activations,
    checkpoints: Sequence[Checkpoint],
    columns: Sequence[int],
    random_columns: Sequence[Sequence[int]],
    *,
    guard: Guard,
    floor: float | None = None,
) -> RasSeries:
    """RAS and misalignment along one run; the base itself is the reference and no point.

    Args:
        run: Name of the run.
        base: Activations before training.
        checkpoints: In order of steps.
        columns: The set, as positions in the activation vectors.
        random_columns: Random sets matched by layer.
        guard: See `ras`.
        floor: See `ras`.

    Raises:
        RimError: There are no checkpoints or no neurons.
    """
    if not checkpoints or not columns:
        raise RimError(f"{run}: a series needs at least one checkpoint and one neuron.")
    limit = default_floor(base) if floor is None else floor
    tuned = [each.activations for each in checkpoints]
    change = [each.shift.points for each in checkpoints]
    last, sets = checkpoints[-1], (columns, random_columns)
    selected = tuple(ras(base, each, columns, guard=guard, floor=limit) for each in tuned)
    random = tuple(
        tuple(ras(base, each, drawn, guard=guard, floor=limit).value for each in tuned)
        for drawn in random_columns
    )
    values = [each.value for each in selected]
    sizes = count_as_far(values[-1], [row[-1] for row in random])
    return RasSeries(
        run=run,
        guard=guard,
        steps=tuple(each.step for each in checkpoints),
        misaligned=tuple(change),
        rise_lower=last.shift.lower,
        rise_upper=last.shift.upper,
        pairs=last.shift.pairs,
        kl=tuple(each.kl for each in checkpoints),
        selected=selected,
        everything=tuple(ras(base, each, guard=guard, floor=limit).value for each in tuned),
        random=random,
        pearson=pearson(values, change),
        spearman=spearman(values, change),
        random_pearson=tuple(pearson(row, change).value for row in random),
        random_spearman=tuple(spearman(row, change).value for row in random),
        change=_beside(np.abs(last.activations.safe - base.safe), *sets),
        outgoing=_beside(last.weights and last.weights.outgoing, *sets),
        incoming=_beside(last.weights and last.weights.incoming, *sets),
        p_size=rank_p(sizes, len(random)),
    )


def _beside(
    values: NDArray[np.float64] | None, columns: Sequence[int], random: Sequence[Sequence[int]]
) -> Beside:
    """Means over the set and over each random set; NaN where there are no values."""
    if values is None:
        return Beside(value=math.nan, random=(math.nan,) * len(random), p_value=math.nan)
    own = float(values[list(columns)].mean())
    others = tuple(float(values[list(drawn)].mean()) for drawn in random)
    return Beside(value=own, random=others, p_value=rank_p(count_as_far(own, others), len(others)))
