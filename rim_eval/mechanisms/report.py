"""The report of the analyses inside a model: one JSON file, which the card shows as a section.

It holds figures, counts and sentences of our own; no prompt and no reply.
"""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rim_eval.errors import RimError
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.heads import HeadScore
from rim_eval.mechanisms.mitigations import Mitigation
from rim_eval.mechanisms.neurons import NeuronSet
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.mechanisms.series import RasSeries, RasVerdict
from rim_eval.mechanisms.units import Overlap, Unit
from rim_eval.outcomes import ArmKind, Mode
from rim_eval.statistics import Rate
from rim_eval.statistics._result import Result

__all__ = [
    "SCHEMA_VERSION",
    "HeadsSection",
    "MechanismReport",
    "NeuronsSection",
    "ProbeShift",
    "ProbesSection",
    "RasSection",
    "SetUsed",
    "read_report",
    "write_report",
]

SCHEMA_VERSION: Final = 1


class ProbesSection(Result):
    """Probes at every layer and position (Fig. 3)."""

    scores: tuple[ProbeScore, ...]
    seed: int
    """Seed of the split into calibration and held-out samples."""
    logistic: bool
    notes: tuple[str, ...] = ()


class ProbeShift(Result):
    """Share of held-out harmful prompts above a harm probe's threshold (Fig. 5's read-out).

    What the model *does* is in the effects; this is here for comparison with the paper.
    """

    layer: int
    position: str
    untouched: Rate
    ablated: Rate
    random: tuple[Rate, ...]


class HeadsSection(Result):
    """Refusal heads (Fig. 4) and their removal."""

    query: str
    span: str
    scores: tuple[HeadScore, ...]
    """All heads, highest rank first."""
    selected: tuple[Unit, ...]
    how: str
    """How they were selected, in words."""
    effects: Effects
    probe_shift: ProbeShift | None


class NeuronsSection(Result):
    """Safety-critical neurons and their removal, by the mode in which they were found."""

    over: str
    sets: dict[Mode, NeuronSet]
    effects: dict[Mode, Effects]
    """No entry for a mode whose set is empty."""
    modes_overlap: Overlap | None
    """What the sets of both modes share."""


class RasSection(Result):
    """RAS over one or more training runs from the same base."""

    neurons: tuple[Unit, ...]
    chosen_by: str
    floor: float
    random_sets: int
    series: tuple[RasSeries, ...]
    """The target run first, then its controls; each once per guard."""
    verdict: RasVerdict
    training_overlap: Overlap
    """The set against as many neurons that lost most on safety in the target run: does one set
    explain the inference-time effect and the training-time one?"""


class SetUsed(BaseModel):
    """A prompt set that was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["harmful", "benign", "reasoning"]
    n: int


class MechanismReport(Result):
    """Everything that was measured inside one model."""

    schema_version: Literal[1] = SCHEMA_VERSION
    model: str
    switch: ArmKind
    """How the two modes are brought about."""
    sets: tuple[SetUsed, ...]
    judge: str
    """Judge of harmful and benign replies; `refusal` over-counts misalignment."""
    fill: Literal["zero", "mean"]
    seed: int
    max_new_tokens: int
    versions: dict[str, str]
    probes: ProbesSection | None = None
    heads: HeadsSection | None = None
    neurons: NeuronsSection | None = None
    ras: RasSection | None = None
    mitigations: tuple[Mitigation, ...] = ()

    @property
    def head(self) -> tuple[object, ...]:
        """Model, prompts and settings: reports that agree in it can hold each other's sections."""
        return (
            self.model,
            self.switch,
            self.sets,
            self.judge,
            self.fill,
            self.seed,
            self.max_new_tokens,
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every verdict, in order."""
        found = [self.heads.how + "." if self.heads else None]
        found += [self.heads.effects.sentence] if self.heads else []
        if self.neurons:
            for mode, chosen in self.neurons.sets.items():
                found.append(f"{mode}: {chosen.sentence}")
                if mode in self.neurons.effects:
                    found.append(self.neurons.effects[mode].sentence)
        found += [self.ras.verdict.sentence] if self.ras else []
        found += [each.sentence for each in self.mitigations]
        return tuple(text[:1].upper() + text[1:] for text in found if text)


def write_report(report: MechanismReport, path: Path) -> None:
    """Writes a report as JSON; what could not be computed is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_report(path: Path) -> MechanismReport:
    """Reads a report.

    Raises:
        RimError: The file is not there, or is no report of this version.
    """
    try:
        return MechanismReport.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RimError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RimError(
            f"{path}: no report of schema version {SCHEMA_VERSION}: {where}: {first['msg']}. Make it "
            "again with `rim-eval mech`."
        ) from error
