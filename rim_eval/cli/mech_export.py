"""`rim-eval mech export-ablated`: a checkpoint without the units that an analysis found."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rim_eval.errors import RimError
from rim_eval.organism import VARIANTS, write_folder
from rim_eval.types import MODES, Mode

if TYPE_CHECKING:
    from rim_eval.mechanisms.architecture import UnitKind
    from rim_eval.mechanisms.units import Units


_OPTIONS: Final = (
    click.option("--model", help="Local folder or hub id. [default: the model organism]"),
    click.option("--organism", type=click.Choice(VARIANTS), default="natural", show_default=True, help="Which organism, without --model."),
    click.option("--report", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="report.json of `rim-eval mech`: zero the units that it found."),
    click.option("--part", type=click.Choice(["heads", "neurons"]), required=True, help="Which units."),
    click.option("--mode", type=click.Choice(MODES), default="no_think", show_default=True, help="Mode in which neurons were found."),
    click.option("--random", "draw", type=click.IntRange(min=1), metavar="N", help="The report's random set number N instead of the units found."),
    click.option("--units", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON file of [[layer, number], ...] instead of a report."),
    click.option("--dtype", default="auto", show_default=True, help="Number type that the report's model was read as; the files keep theirs."),
    click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write; it must not exist."),
)  # fmt: skip


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command("export-ablated")
@_with_options
def export_ablated(
    model: str | None,
    organism: str,
    report: Path | None,
    part: str,
    mode: Mode,
    draw: int | None,
    file: Path | None,
    dtype: str,
    out: Path,
) -> None:
    """Write a checkpoint in which heads or neurons are zeroed, for vLLM or any other engine.

    Zeroing the columns that a unit writes through is the same as ablating it by zero, so its effect on
    behaviour can be measured at an engine's speed. The model is not loaded: files are copied and
    changed in the copies.
    """
    from rim_eval.mechanisms import export

    if (report is None) == (file is None):
        raise RimError("Give --report OUT/report.json or --units FILE, one of them.")
    if file and draw:
        raise RimError("--random N is a random set of a report: give --report, not --units.")
    kind: UnitKind = "head" if part == "heads" else "neuron"
    found_in = None
    if report:
        units, chosen_by, found_in = _reported(report, kind, mode, draw)
    elif file:
        units, chosen_by = _listed(file), f"{file.name}, by hand"
    with tempfile.TemporaryDirectory() as folder:
        source = model or write_folder(Path(folder), organism)
        name = model or f"organism ({organism})"
        ablated = export.export_ablated(
            source, kind, units, out, chosen_by=chosen_by, found_in=found_in, dtype=dtype, name=name
        )
    count = f"{len(ablated.units)} {kind}{'s' if len(ablated.units) > 1 else ''}"
    how = "in copies of its files" if ablated.way == "files" else "by loading and saving it"
    click.echo(f"{out}: {name} with {count} zeroed, {how}. {export.NOTE} says which.")
    click.echo(f"vllm serve {out} --served-model-name {out.name}")


def _reported(
    path: Path, kind: "UnitKind", mode: Mode, draw: int | None
) -> tuple["Units", str, str]:
    """Units of a report, in words where they come from, and in which weights they were found."""
    from rim_eval.mechanisms.report import read_report

    report = read_report(path)
    if report.fill == "mean":
        raise RimError(
            f"{path} ablates by mean: that needs a bias, which these projections do not have, so no "
            "checkpoint does it. Make a report with --fill zero."
        )
    units: Units = ()
    effects = None
    if kind == "head" and report.heads:
        units, effects = report.heads.selected, report.heads.effects
    elif kind == "neuron" and report.neurons and mode in report.neurons.sets:
        units, effects = report.neurons.sets[mode].neurons, report.neurons.effects.get(mode)
    what = "heads" if kind == "head" else f"neurons, {mode} mode"
    if not units:
        raise RimError(f"{path} holds no {what}: measure them with `rim-eval mech {kind}s`.")
    if draw is None:
        return units, f"{path.name}, {what}", report.fingerprint
    drawn = effects.random_units if effects else ()
    if draw > len(drawn):
        raise RimError(f"--random {draw}: {path} observed {len(drawn)} random sets of {what}.")
    return drawn[draw - 1], f"{path.name}, {what}, random set {draw}", report.fingerprint


def _listed(path: Path) -> "Units":
    """Units of a JSON file."""
    from pydantic import TypeAdapter, ValidationError

    from rim_eval.mechanisms.units import Unit

    try:
        return TypeAdapter(tuple[Unit, ...]).validate_json(path.read_bytes())
    except ValidationError:
        raise RimError(
            f"{path} is no list of units: give JSON like [[2, 17], [2, 40]], layer and number."
        ) from None
