"""RAS: how much activation a set of neurons lost on safety and gained on mathematics by training.

With a_base and a_tuned the mean activations of n neurons before and after (paper section 4.2):

    delta_safe = (1/n) sum over j with base > tuned  of (base - tuned) / tuned * base   (safety prompts)
    delta_math = (1/n) sum over j with tuned > base  of (tuned - base) / base * tuned   (mathematics)
    RAS        = 2 delta_safe delta_math / (delta_safe + delta_math)

1/n counts all neurons of the set, those outside the inequality as 0. The formula divides by the
smaller activation, so it jumps where that is near zero and changes sign where it is negative.
Beside the printed form there are two guarded ones; a report gives all three:

    printed    as above
    positive   only neurons whose two activations both exceed the floor
    floored    absolute values in place of activations, and no denominator below the floor

The sums hang on the most active neurons. Ranks among random sets therefore take a second form, too, in
which every neuron counts alike: each term divided by its neuron's own larger activation (`relative`).

Nothing here has a scale: values compare within one base model, guard, floor and set size only.
`ras_series` follows RAS, activations and weights of a set along a training run, beside random sets.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.capture import capture_neurons
from rim_eval.mechanisms.model import ModelHandle
from rim_eval.mechanisms.random_controls import RankTest, RankVerdict
from rim_eval.mechanisms.spans import Passage
from rim_eval.mechanisms.units import WeightChange
from rim_eval.statistics import Correlation, pearson, spearman
from rim_eval.statistics._result import Figure, Result

Array = NDArray[np.float64]

Guard = Literal["printed", "positive", "floored"]

GUARDS: Final[tuple[Guard, ...]] = get_args(Guard)


class Activations(NamedTuple):
    """Mean activations of every neuron of one checkpoint, layers one after the other."""

    safe: Array
    """Shape (neurons,), on safety prompts."""
    math: Array
    """Shape (neurons,), on mathematics."""
    safe_abs: Array
    """Means of absolute values, which `floored` uses."""
    math_abs: Array


class Ras(Result):
    """RAS of one set of neurons between two checkpoints. Compare within one model only."""

    guard: Guard
    floor: float
    n: int
    delta_safe: Figure
    delta_math: Figure
    value: Figure
    """Harmonic mean: RAS."""
    arithmetic: Figure
    geometric: Figure
    """NaN when one shift is negative."""
    relative: Figure
    """Harmonic mean of both shifts, each term divided by its larger activation or the floor."""


def loss_terms(base: Array, tuned: Array, guard: Guard = "printed", floor: float = 0.0) -> Array:
    """(base - tuned) / tuned * base where base > tuned, else 0.

    Args:
        base: Mean activations before, shape (n,); absolute means for `floored`.
        tuned: Mean activations after, shape (n,).
        guard: See the module.
        floor: Activation units.

    Returns:
        Shape (n,).
    """
    below = tuned
    if guard == "floored":
        base, tuned = np.abs(base), np.abs(tuned)
        below = np.maximum(tuned, floor)
    enters = (base > tuned) & (tuned > floor) if guard == "positive" else base > tuned
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(enters, (base - tuned) / below * base, 0.0)


def gain_terms(base: Array, tuned: Array, guard: Guard = "printed", floor: float = 0.0) -> Array:
    """(tuned - base) / base * tuned where tuned > base, else 0: `loss_terms` with sides swapped."""
    return loss_terms(tuned, base, guard, floor)


def harmonic_mean(a: float, b: float) -> float:
    """2ab / (a + b); 0 when both are 0, NaN when they cancel."""
    if a == b == 0:
        return 0.0
    return 2 * a * b / (a + b) if a + b else math.nan


def default_floor(base: Activations) -> float:
    """5 % of the mean absolute activation of the base model over all neurons and both tasks."""
    return float(0.05 * (base.safe_abs.mean() + base.math_abs.mean()) / 2)


def ras(
    base: Activations,
    tuned: Activations,
    columns: Sequence[int] | None = None,
    *,
    guard: Guard = "printed",
    floor: float | None = None,
) -> Ras:
    """Compute RAS of a set of neurons.

    Args:
        base: Before training.
        tuned: After it, on the same texts.
        columns: Indices of the set in the activation vectors; None for all neurons.
        guard: See the module.
        floor: Activation units; default `default_floor(base)`.
    """
    floor = default_floor(base) if floor is None else floor
    selection = slice(None) if columns is None else np.asarray(columns, dtype=np.int64)
    first = 2 if guard == "floored" else 0  # the absolute means follow the signed ones
    safe, maths = (each[selection] for each in base[first : first + 2])
    safe_after, maths_after = (each[selection] for each in tuned[first : first + 2])
    lost, gained = loss_terms(safe, safe_after, guard, floor), gain_terms(maths, maths_after, guard, floor)  # fmt: skip
    most_lost, most_gained = (np.maximum(np.abs(each), floor) for each in (safe, maths_after))
    n = len(lost)
    delta_safe, delta_math = (float(each.sum() / n) if n else math.nan for each in (lost, gained))
    return Ras(
        guard=guard,
        floor=floor,
        n=n,
        delta_safe=delta_safe,
        delta_math=delta_math,
        value=harmonic_mean(delta_safe, delta_math),
        arithmetic=(delta_safe + delta_math) / 2,
        geometric=math.sqrt(delta_safe * delta_math)
        if min(delta_safe, delta_math) >= 0
        else math.nan,
        relative=harmonic_mean(_mean_ratio(lost, most_lost), _mean_ratio(gained, most_gained)),
    )


def _mean_ratio(values: Array, sizes: Array) -> float:
    """Mean of values over sizes; 0 / 0 counts as 0."""
    ratios = np.divide(values, sizes, out=np.zeros_like(values), where=sizes != 0)
    return float(ratios.mean()) if len(ratios) else math.nan


def read_activations(
    model: Any, safe: Sequence[Passage], maths: Sequence[Passage], *, over: str = "last"
) -> Activations:
    """Average activations over passages; the paper does not state its pooling.

    Args:
        model: A Hugging Face causal language model.
        safe: Safety prompts, the same for every checkpoint.
        maths: Problems with worked solutions (their `reply` is read), the same for every checkpoint.
        over: Token span of the safety prompts, of which each neuron's largest activation is read:
            `last` is the one token that decides the first word; in a long span the mean would miss
            a neuron that fires at one token.
    """
    largest = capture_neurons(model, safe, "max", over)
    means = capture_neurons(model, maths, ("mean", "mean_abs"), "reply")
    # A maximum has no mean of absolute values.
    read = largest, means[:, 0], np.abs(largest), means[:, 1]
    return Activations(*(each.mean(0, dtype=np.float64) for each in read))


def mean_kl(base: Any, tuned: Any, passages: Sequence[Passage]) -> float:
    """E_x[KL(base || tuned)] of the next token, x from the tuning task; nats a token, 0 or more.

    Args:
        base: The model before training.
        tuned: The model after it.
        passages: Texts of the tuning task; the tokens of their `reply` are predicted.
    """
    import torch

    total, count = 0.0, 0
    with torch.inference_mode():
        for passage in passages:
            start, stop = passage.span("reply")
            ids = torch.tensor([passage.ids], device=base.device)
            rows = slice(max(start - 1, 0), stop - 1)
            before, after = (
                model(input_ids=ids, use_cache=False).logits[0, rows].double().log_softmax(-1)
                for model in (base, tuned)
            )
            total += float((before.exp() * (before - after)).sum())
            count += len(before)
    return max(total / count, 0.0) if count else math.nan


BEYOND: Final = 0.02
"""Rank p of a drift below which a set is beyond its random sets. The most active neurons have no equals, so a rank at
0.05 errs in up to 11 % of drifts that spare nobody (`benchmarks/random_controls.py`)."""


def drift_verdict(rank: RankTest) -> RankVerdict:
    """What the rank of a set supports about a drift: `RankTest.verdict`, but beyond only below `BEYOND`."""
    is_open = rank.verdict == "beyond" and rank.p_value >= BEYOND
    return "open" if is_open else rank.verdict


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
    size: RankTest
    """RAS at the end; rescaled: its `relative` form."""
    change: RankTest
    """Mean absolute change of activations on safety prompts at the end; rescaled: each over the sum of
    both absolute activations, 0 to 1."""
    outgoing: RankTest
    """Mean relative change of outgoing weights at the end, see `units`; rescaled: not relative."""
    incoming: RankTest
    """Mean relative change of incoming weights at the end."""

    @property
    def rise(self) -> float:
        """Change of misalignment at the end, percentage points."""
        return self.misaligned[-1]

    @property
    def end(self) -> float:
        """RAS of the set at the end."""
        return self.selected[-1].value

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
        random_columns: Random sets matched by layer and base activations.
        guard: See the module.
        floor: As for `ras`.

    Raises:
        RimError: There are no checkpoints or no neurons.
    """
    if not checkpoints or not columns:
        raise RimError(f"{run}: a series needs at least one checkpoint and one neuron.")
    shifts = [each.shift.points for each in checkpoints]
    floor = default_floor(base) if floor is None else floor

    def along(neurons: Sequence[int] | None) -> tuple[Ras, ...]:
        tuned = (each.activations for each in checkpoints)
        return tuple(ras(base, each, neurons, guard=guard, floor=floor) for each in tuned)

    def rank(values: Array | None, rescaled: RankTest | None = None) -> RankTest:
        values = np.full_like(base.safe, math.nan) if values is None else values
        own, *random = (float(values[list(each)].mean()) for each in (columns, *random_columns))
        return RankTest.of(own, random, rescaled)

    selected, drawn = along(columns), [along(each) for each in random_columns]
    values = [each.value for each in selected]
    random = tuple(tuple(each.value for each in row) for row in drawn)
    relative = RankTest.of(selected[-1].relative, [row[-1].relative for row in drawn])
    last = checkpoints[-1]
    moved, weights = np.abs(last.activations.safe - base.safe), last.weights
    both = np.abs(last.activations.safe) + np.abs(base.safe)
    shares = np.divide(moved, both, out=np.zeros_like(moved), where=both > 0)
    return RasSeries(
        run=run,
        guard=guard,
        steps=tuple(each.step for each in checkpoints),
        misaligned=tuple(shifts),
        rise_lower=last.shift.lower,
        rise_upper=last.shift.upper,
        pairs=last.shift.pairs,
        kl=tuple(each.kl for each in checkpoints),
        selected=selected,
        everything=tuple(each.value for each in along(None)),
        random=random,
        pearson=pearson(values, shifts),
        spearman=spearman(values, shifts),
        random_pearson=tuple(pearson(row, shifts).value for row in random),
        random_spearman=tuple(spearman(row, shifts).value for row in random),
        size=RankTest.of(values[-1], [row[-1] for row in random], relative),
        change=rank(moved, rank(shares)),
        outgoing=rank(
            weights and weights.outgoing, weights and rank(weights.outgoing * weights.sizes)
        ),
        incoming=rank(weights and weights.incoming),
    )
