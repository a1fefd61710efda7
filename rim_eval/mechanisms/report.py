"""The report of the analyses inside a model: one JSON file, which the card shows as a section.

It holds figures, counts and sentences of our own; no prompt and no reply.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rim_eval.errors import RimError, first_complaint
from rim_eval.mechanisms.drift import LayerDrift
from rim_eval.mechanisms.effect import Effects
from rim_eval.mechanisms.heads import HeadScore
from rim_eval.mechanisms.mitigations import Mitigation
from rim_eval.mechanisms.neurons import NeuronSet
from rim_eval.mechanisms.probes import ProbeScore
from rim_eval.mechanisms.ras_verdict import RasVerdict
from rim_eval.mechanisms.series import RasSeries
from rim_eval.mechanisms.units import Overlap, Unit
from rim_eval.statistics import Rate
from rim_eval.statistics._result import Figure, Result
from rim_eval.types import ArmKind, Mode

__all__ = [
    "SCHEMA_VERSION",
    "DriftSection",
    "Finding",
    "HeadShift",
    "HeadsSection",
    "MechanismReport",
    "NeuronsSection",
    "Part",
    "ProbeShift",
    "ProbesSection",
    "RasSection",
    "RunDrift",
    "SetUsed",
    "read_report",
    "write_report",
]

SCHEMA_VERSION: Final = 2


Part = Literal["probes", "heads", "neurons", "ras", "drift", "mitigations"]


class Finding(NamedTuple):
    """One sentence of the report."""

    part: Part
    says: str
    verdict: str | None
    """The verdict's short name, where the sentence is one."""


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

    @property
    def overlap_sentence(self) -> str:
        """Whether the set that matters at inference is the one that training changed."""
        both = self.training_overlap
        return (
            f"Of the {both.second} neurons that fell most on safety prompts in {self.series[0].run!r}, "
            f"{both.shared} are in the set; {both.expected:.2g} would be by chance (p = {both.p_value:.2g})."
        )


class HeadShift(Result):
    """Attention of the selected heads on the empty trace, without thinking, before and after tuning."""

    heads: tuple[Unit, ...]
    before: tuple[Figure, ...]
    """Mean over harmful prompts, 0 to 1."""
    after: tuple[Figure, ...]
    n: int
    """Harmful prompts."""
    others: int
    """All other heads."""
    others_most: Figure
    """Largest change among them, either way."""


class RunDrift(Result):
    """Base against the last checkpoint of a run."""

    run: str
    step: int
    layers: tuple[LayerDrift, ...]
    heads: HeadShift | None
    sentences: tuple[str, ...]


class DriftSection(Result):
    """Safety-direction drift and CKA layer ratio."""

    position: str
    refused: int
    """Prompts at one end of the safety direction: the base refuses them. 0 where there are too few."""
    answered: int
    runs: tuple[RunDrift, ...]


class SetUsed(BaseModel):
    """A prompt set that was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["harmful", "benign", "reasoning"]
    n: int


class MechanismReport(Result):
    """Everything that was measured inside one model."""

    schema_version: Literal[2] = SCHEMA_VERSION
    model: str
    """Its name, which other checkpoints may share."""
    fingerprint: str
    """Which weights (`rim_eval.fingerprint`)."""
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
    ras: dict[Mode, RasSection] = Field(default_factory=dict)
    drift: DriftSection | None = None
    mitigations: tuple[Mitigation, ...] = ()
    left_out: dict[Part, str] = Field(default_factory=dict)
    """Parts that were asked for and could not be had, and why."""

    @property
    def head(self) -> tuple[object, ...]:
        """Model, prompts and settings: reports that agree in it can hold each other's sections."""
        return (
            self.model,
            self.fingerprint,
            self.switch,
            self.sets,
            self.judge,
            self.fill,
            self.seed,
            self.max_new_tokens,
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every verdict, in order."""
        return tuple(_findings(self))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every verdict in words, in order."""
        return tuple(found.says for found in self.findings)


def _findings(report: MechanismReport) -> Iterator[Finding]:
    for says in _of_probes(report.probes) if report.probes else ():
        yield _finding("probes", says)
    if report.heads:
        yield _finding("heads", f"{report.heads.how}.")
        yield _finding("heads", report.heads.effects.sentence, report.heads.effects.verdict)
    for mode, chosen in report.neurons.sets.items() if report.neurons else ():
        yield _finding("neurons", f"{mode.replace('_', '-')} mode: {chosen.sentence}")
        effects = report.neurons.effects.get(mode) if report.neurons else None
        if effects:
            yield _finding("neurons", effects.sentence, effects.verdict)
    for mode, section in report.ras.items():
        told = section.verdict
        yield _finding("ras", f"{mode.replace('_', '-')} mode: {told.sentence}", told.verdict)
        yield _finding("ras", told.remark)
        yield _finding("ras", section.overlap_sentence)
    for run in report.drift.runs if report.drift else ():
        yield from (_finding("drift", says) for says in run.sentences)
    for mitigation in report.mitigations:
        yield _finding("mitigations", mitigation.sentence)
    for part, why in report.left_out.items():
        yield _finding(part, f"Left out: {why}", "left_out")


def _of_probes(section: ProbesSection) -> Iterator[str]:
    """The best probe of each question and mode before the reply, and what could not be probed."""
    best: dict[tuple[str, Mode], ProbeScore] = {}
    for score in section.scores:
        key = (score.question, score.mode)
        if score.position == "last" and (
            key not in best or score.auroc.value > best[key].auroc.value
        ):
            best[key] = score
    for (question, mode), score in best.items():
        area = score.auroc
        what = "harmful and harmless" if question == "harmful" else "refused and fulfilled"
        yield (
            f"{mode.replace('_', '-')} mode: at the last prompt token {what} prompts are told apart best "
            f"after layer {score.layer}, AUROC {area.value:.2f} ({area.lower:.2f} to {area.upper:.2f}; "
            f"{area.n_positive} and {area.n_negative} held out)."
        )
    yield from section.notes


def _finding(part: Part, says: str, verdict: str | None = None) -> Finding:
    return Finding(part, says[:1].upper() + says[1:], verdict)


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
        raise RimError(
            f"{path}: no report of schema version {SCHEMA_VERSION}: {first_complaint(error, 'the file')}. "
            "Make it again with `rim-eval mech`."
        ) from error
