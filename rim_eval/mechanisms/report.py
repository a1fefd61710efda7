"""The report of the analyses inside a model: one JSON file, which the card shows as a section.

It holds figures, counts and generated sentences; no prompt and no reply.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, get_args

from pydantic import Field, ValidationError

from rim_eval.card import InsideFinding, InsideSet
from rim_eval.card.schema import InsidePart
from rim_eval.errors import RimError, first_complaint
from rim_eval.files import write_whole
from rim_eval.formatting import mode_name
from rim_eval.mechanisms.behaviour import Fill
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.mitigations import Mitigation
from rim_eval.mechanisms.neurons import NeuronsSection
from rim_eval.mechanisms.probes import ProbesSection
from rim_eval.mechanisms.ras_verdict import RasSection
from rim_eval.statistics._result import Result
from rim_eval.types import ArmKind, Mode

SCHEMA_VERSION: Final = 3


class MechanismReport(Result):
    """Everything that was measured inside one model."""

    schema_version: Literal[3] = SCHEMA_VERSION
    model: str
    """Its name, which other checkpoints may share."""
    fingerprint: str
    """Which weights (`rim_eval.fingerprint`)."""
    switch: ArmKind
    """How the two modes are brought about."""
    sets: tuple[InsideSet, ...]
    judge: str
    """Judge of harmful and benign replies; `refusal` over-counts misalignment."""
    fill: Fill
    seed: int
    max_new_tokens: int
    inputs: str
    """Digest of what the names above stand for: prompts, both modes' recipes, the judge's file."""
    versions: dict[str, str]
    made_with: dict[InsidePart, str] = Field(default_factory=dict)
    """Digest of the options that each part was measured with."""
    probes: ProbesSection | None = None
    heads: HeadsSection | None = None
    neurons: NeuronsSection | None = None
    ras: dict[Mode, RasSection] = Field(default_factory=dict)
    drift: DriftSection | None = None
    mitigations: tuple[Mitigation, ...] = ()
    left_out: dict[InsidePart, str] = Field(default_factory=dict)
    """Parts that were requested and could not be measured, and why."""

    @property
    def head(self) -> dict[str, object]:
        """Model, prompts and settings: reports that agree in it can hold each other's sections."""
        return self.model_dump(exclude={"versions", "made_with", "left_out", *get_args(InsidePart)})

    @property
    def findings(self) -> Iterator[InsideFinding]:
        """Every verdict, in order."""
        for part, sentence, verdict in self._said():
            says = sentence[:1].upper() + sentence[1:]
            yield InsideFinding(part=part, says=says, verdict=verdict)

    def _said(self) -> Iterator[tuple[InsidePart, str, str | None]]:
        for sentence in self.probes.sentences if self.probes else ():
            yield "probes", sentence, None
        if self.heads:
            yield "heads", f"{self.heads.how}.", None
            yield "heads", self.heads.effects.sentence, self.heads.effects.verdict
        for mode, neurons in self.neurons.sets.items() if self.neurons else ():
            yield "neurons", f"{mode_name(mode)} mode: {neurons.sentence}", None
            if self.neurons and (effects := self.neurons.effects.get(mode)):
                yield "neurons", effects.sentence, effects.verdict
        for mode, section in self.ras.items():
            verdict = section.verdict
            yield "ras", f"{mode_name(mode)} mode: {verdict.sentence}", verdict.verdict
            yield "ras", section.overlap_sentence, None
        for run in self.drift.runs if self.drift else ():
            yield from (("drift", sentence, None) for sentence in run.sentences)
        for mitigation in self.mitigations:
            if steering := mitigation.steering:
                yield "mitigations", steering.sentence, steering.verdict
            yield "mitigations", mitigation.sentence, None
        for part, why in self.left_out.items():
            yield part, f"Left out: {why}", "left_out"


def write_report(report: MechanismReport, path: Path) -> None:
    """Write a report as JSON; what could not be computed is null."""
    write_whole({path: report.model_dump_json(indent=1) + "\n"})


def read_report(path: Path) -> MechanismReport:
    """Read a report.

    Raises:
        RimError: The file cannot be read, or is no report of this version.
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


def continue_report(path: Path, fresh: MechanismReport) -> MechanismReport:
    """Read the report at a path, to which another part is to be added; the fresh one if there is none.

    Args:
        path: Where the report is kept.
        fresh: A report of the model and settings at hand, without parts.

    Raises:
        RimError: The report at the path is about other weights, prompts or settings.
    """
    if not path.is_file():
        return fresh
    before = read_report(path)
    if before.head == fresh.head:
        return before
    about, this = (f"{each.model!r} with weights {each.fingerprint}" for each in (before, fresh))
    raise RimError(
        f"{path} is about {about}, and this is {this}: another checkpoint, whatever the folders are called, "
        "or the same one with another --dtype, other prompts or settings. Give another --out, or the same "
        "--model, --dtype, sets, --limit, --judge, --fill, --seed and budget."
    )
