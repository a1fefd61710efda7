"""RAS series: RAS, activations and weights of a set along training runs, beside random sets.

`ras_verdict` says what follows from them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.model import ModelHandle, load_model
from rim_eval.mechanisms.random_controls import RankTest, count_as_far, rank_p_value
from rim_eval.mechanisms.ras import Activations, Guard, Ras, default_floor, ras
from rim_eval.mechanisms.units import WeightChange
from rim_eval.statistics import Correlation, pearson, spearman
from rim_eval.statistics._result import Figure, Result


class MisalignmentChange(NamedTuple):
    """Change of the misalignment rate since the base, percentage points."""

    points: float
    lower: float = math.nan
    """95 % interval; NaN where only the rates are known, and then no rise is shown."""
    upper: float = math.nan
    pairs: int = 0
    """Prompts that both answered."""


class TrainingRun(NamedTuple):
    """A training run: how to load each of its checkpoints, in order of steps."""

    name: str
    load: Mapping[int, Callable[[], ModelHandle]]
    misaligned: Mapping[int, MisalignmentChange] | None = None
    """Change of misalignment since the base by step, where it is known; it is measured otherwise."""

    @classmethod
    def from_folder(
        cls, name: str, folder: str | Path, *, device: str = "cpu", dtype: str = "auto"
    ) -> "TrainingRun":
        """Describe the run of a folder that is a checkpoint or holds `checkpoint-STEP` folders.

        Args:
            name: Name of the run.
            folder: The folder.
            device: torch device of the weights.
            dtype: torch's name of a number type, or `auto`.

        Raises:
            RimError: There is no checkpoint in the folder.
        """
        root = Path(folder)
        numbers = {
            path: path.name.removeprefix("checkpoint-") for path in root.glob("checkpoint-*")
        }
        steps = {int(number): path for path, number in numbers.items() if number.isdigit()}
        if not steps and (root / "config.json").is_file():
            steps = {1: root}
        if not steps:
            raise RimError(
                f"--run {name} {folder}: it is no checkpoint (there is no config.json), and there are no "
                "folders called checkpoint-STEP in it."
            )
        load = partial(load_model, device=device, dtype=dtype)
        return cls(name, {step: partial(load, path) for step, path in sorted(steps.items())})


class Checkpoint(NamedTuple):
    """Measurements of one checkpoint of a run."""

    step: int
    activations: Activations
    shift: MisalignmentChange
    kl: float = math.nan
    """KL of base to this checkpoint, nats a token."""
    weights: WeightChange | None = None
    """None where it is not known."""


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
    change: RankTest
    """Mean absolute change of activations on safety prompts at the end."""
    outgoing: RankTest
    """Mean relative change of outgoing weights at the end, see `units`."""
    incoming: RankTest
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
    def size(self) -> RankTest:
        """RAS of the set at the end among those of the random sets."""
        return RankTest(
            value=self.end, random=tuple(row[-1] for row in self.random), p_value=self.p_size
        )

    def risen(self, rise: float) -> bool:
        """Whether misalignment rose by so many points, and by more than nothing in its interval."""
        return self.rise >= rise and self.rise_lower > 0

    def flat(self, rise: float) -> bool:
        """Whether it is known not to have risen by so many points."""
        return self.rise < rise and not math.isnan(self.rise_upper)


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
    """Compute RAS and misalignment along one run; the base itself is the reference and no point.

    Args:
        run: Name of the run.
        base: Activations before training.
        checkpoints: In order of steps.
        columns: The set, as indices in the activation vectors.
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

    def along(of: Sequence[int] | None) -> tuple[Ras, ...]:
        return tuple(ras(base, each, of, guard=guard, floor=limit) for each in tuned)

    def mean_change(values: NDArray[np.float64] | None) -> RankTest:
        if values is None:
            nothing = (math.nan,) * len(random_columns)
            return RankTest(value=math.nan, random=nothing, p_value=math.nan)
        means = [float(values[list(drawn)].mean()) for drawn in random_columns]
        return RankTest.of(float(values[list(columns)].mean()), means)

    selected = along(columns)
    values = [each.value for each in selected]
    random = tuple(tuple(each.value for each in along(drawn)) for drawn in random_columns)
    last = checkpoints[-1]
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
        everything=tuple(each.value for each in along(None)),
        random=random,
        pearson=pearson(values, change),
        spearman=spearman(values, change),
        random_pearson=tuple(pearson(row, change).value for row in random),
        random_spearman=tuple(spearman(row, change).value for row in random),
        change=mean_change(np.abs(last.activations.safe - base.safe)),
        outgoing=mean_change(last.weights and last.weights.outgoing),
        incoming=mean_change(last.weights and last.weights.incoming),
        # Also where RAS has no value: then all random sets count as larger.
        p_size=rank_p_value(count_as_far(values[-1], [row[-1] for row in random]), len(random)),
    )
