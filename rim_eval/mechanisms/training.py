"""Training studied: RAS of a set of neurons along runs of checkpoints."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rim_eval.errors import RimError
from rim_eval.mechanisms._architecture import architecture_of
from rim_eval.mechanisms.behaviour import Prompts
from rim_eval.mechanisms.capture import Pool
from rim_eval.mechanisms.draws import draw_sets
from rim_eval.mechanisms.ras import GUARDS, Activations, default_floor, mean_kl, read_activations
from rim_eval.mechanisms.ras_verdict import read_series
from rim_eval.mechanisms.report import RasSection
from rim_eval.mechanisms.series import Checkpoint, RasSeries, Shift, ras_series
from rim_eval.mechanisms.setting import Setting
from rim_eval.mechanisms.subject import Subject
from rim_eval.mechanisms.units import Unit, overlap
from rim_eval.mechanisms.weights import WeightChange, weight_change
from rim_eval.statistics import paired_difference
from rim_eval.types import Mode

__all__ = ["Run", "study_ras"]


Verdicts = Mapping[str, Sequence[float | None]]


class Run(NamedTuple):
    """A training run: how to load each of its checkpoints, in order of steps."""

    name: str
    load: Mapping[int, Callable[[], Subject]]
    misaligned: Mapping[int, Shift] | None = None
    """Change of misalignment since the base by step, where it is known; it is measured otherwise."""


def study_ras(
    setting: Setting,
    runs: Sequence[Run],
    neurons: Sequence[Unit],
    *,
    chosen_by: str,
    mode: Mode = "no_think",
    random_sets: int = 99,
    kl: bool = True,
) -> RasSection:
    """RAS of a set of neurons along a target run and its controls.

    Activations of all checkpoints are read on the same texts, the base's: harmful prompts (at the
    deciding token in no-think, the largest activation over the trace in think) and problems with the base's own worked
    solutions in think mode.

    Args:
        setting: The base and the prompts; harmful ones and problems are needed.
        runs: The target run first, then its controls.
        neurons: The set.
        chosen_by: How the set was chosen, in words.
        mode: Mode of misalignment and of the harmful prompts.
        random_sets: Random sets matched by layer.
        kl: Whether to compute the KL of base to each checkpoint.

    Raises:
        RimError: A kind of prompts, the runs or the neurons are missing.
    """
    base, parts = setting.subject, architecture_of(setting.subject.model)
    if not (setting.prompts.harmful and setting.prompts.problems and runs and neurons):
        raise RimError("RAS needs harmful prompts, problems, at least one run and one neuron.")
    texts = _Texts(setting, mode)
    before, verdicts = texts.activations(base), texts.verdicts(base)
    columns = _columns(parts.neurons, neurons, len(parts.layers))
    widths = [parts.neurons(layer) for layer in range(len(parts.layers))]
    drawn = draw_sets(neurons, widths, draws=random_sets, seed=setting.seed)
    random = [_columns(parts.neurons, draw, len(parts.layers)) for draw in drawn.sets]
    floor = default_floor(before)
    found: list[RasSeries] = []
    last: dict[str, Activations] = {}
    for run in runs:
        points = [texts.point(step, load(), run, verdicts, kl) for step, load in run.load.items()]
        last[run.name] = points[-1].activations
        found += [
            ras_series(run.name, before, points, columns, random, guard=guard, floor=floor)
            for guard in GUARDS
        ]
    target = [series for series in found if series.run == runs[0].name]
    lost = before.safe_abs - last[runs[0].name].safe_abs
    moved = [c for c in np.argsort(-lost, kind="stable")[: len(columns)].tolist() if lost[c] > 0]
    units = _units(parts.neurons, moved, len(parts.layers))
    return RasSection(
        neurons=tuple(neurons),
        chosen_by=chosen_by,
        floor=floor,
        random_sets=len(random),
        series=tuple(found),
        verdict=read_series(target, [each for each in found if each.run != runs[0].name]),
        training_overlap=overlap(neurons, units, parts.neurons, seed=setting.seed),
    )


class _Texts:
    """The texts that every checkpoint reads, made by the base."""

    def __init__(self, setting: Setting, mode: Mode) -> None:
        subject, harmful = setting.subject, list(setting.prompts.harmful)
        problems = list(setting.prompts.problems)
        self.setting, self.mode = setting, mode
        told = setting.replies(harmful, mode) if mode == "think" else None
        self.safe = subject.passages(harmful, mode, told)
        if mode == "think":
            self.safe = [text for text in self.safe if "trace" in text.spans]
        self.over = "trace" if mode == "think" else "last"
        self.worked = subject.passages(problems, "think", setting.replies(problems, "think"))

    def activations(self, subject: Subject) -> Activations:
        pool: Pool = "max" if self.mode == "think" else "mean"
        return read_activations(
            subject.model, self.safe, self.worked, safe_over=self.over, safe_pool=pool
        )

    def verdicts(self, subject: Subject) -> dict[str, list[float | None]]:
        """Whether each harmful prompt's reply is misaligned."""
        harmful = Prompts(self.setting.prompts.harmful)
        asked = self.setting._replace(subject=subject, prompts=harmful)
        return asked.observe(self.mode)["misaligned"]

    def point(
        self,
        step: int,
        subject: Subject,
        run: Run,
        before: dict[str, list[float | None]],
        kl: bool,
    ) -> Checkpoint:
        base, tuned = self.setting.subject.model, subject.model
        shift = (run.misaligned or {}).get(step) or _shift(self.verdicts(subject), before)
        moved = mean_kl(base, tuned, self.worked[:20]) if kl else math.nan
        return Checkpoint(step, self.activations(subject), shift, moved, _weights(base, tuned))


def _shift(after: Verdicts, before: Verdicts) -> Shift:
    found = paired_difference(after, before, target_name="tuned", reference_name="base")
    return Shift(found.difference, found.lower, found.upper, found.n_pairs)


def _weights(base: Any, tuned: Any) -> WeightChange | None:
    """None where it is not known which weights belong to a neuron: the report then says so."""
    try:
        return weight_change(base, tuned)
    except RimError:
        return None


def _columns(
    width: Callable[[int], int], units: Sequence[tuple[int, int]], layers: int
) -> list[int]:
    edges = np.cumsum([0, *(width(layer) for layer in range(layers))])
    return [int(edges[layer]) + number for layer, number in units]


def _units(width: Callable[[int], int], columns: Sequence[int], layers: int) -> list[Unit]:
    edges = np.cumsum([0, *(width(layer) for layer in range(layers))])
    layer_of = [(int(np.searchsorted(edges, c, side="right")) - 1, int(c)) for c in columns]
    return [Unit(layer, column - int(edges[layer])) for layer, column in layer_of]
