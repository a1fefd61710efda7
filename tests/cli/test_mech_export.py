import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.cli.mech_export import export_ablated
from rim_eval.errors import RimError
from rim_eval.mechanisms.effects import Effects
from rim_eval.mechanisms.heads import HeadsSection
from rim_eval.mechanisms.neurons import NeuronSet, NeuronsSection
from rim_eval.mechanisms.report import MechanismReport, write_report
from rim_eval.mechanisms.units import Unit

FOUND = (Unit(1, 3), Unit(3, 1))
DRAWN = ((Unit(1, 0), Unit(3, 2)), (Unit(1, 1), Unit(3, 0)))


@pytest.fixture
def report(tmp_path: Path) -> MechanismReport:
    from rim_eval.fingerprint import fingerprint
    from rim_eval.organism import load_variant

    effects = Effects(
        what="zeroing",
        units=FOUND,
        random_units=DRAWN,
        matched=2,
        balance=1.0,
        rank=None,
        unknown=0,
        effects=(),
        margin=5,
        verdict="found",
        sentence="Found.",
    )
    found = NeuronSet(
        neurons=FOUND,
        shares=(1, 1),
        m=2,
        total=1024,
        pairs=9,
        fewest=2,
        share=1,
        strict=2,
        sentence="Two.",
    )
    return MechanismReport(
        model="organism (planted)",
        fingerprint=fingerprint(load_variant("planted")[0]),
        switch="switch",
        sets=(),
        judge="toy_exact",
        fill="zero",
        seed=0,
        max_new_tokens=128,
        inputs="",
        versions={},
        heads=HeadsSection(
            query="last",
            span="trace",
            scores=(),
            selected=FOUND,
            how="two",
            effects=effects,
            probe_shifts=(),
        ),
        neurons=NeuronsSection(over="text", sets={"think": found}, effects={"think": effects}),
    )


def run(out: Path, *arguments: str) -> dict[str, object]:
    """The note of an export of the planted organism."""
    result = CliRunner().invoke(
        export_ablated, ["--organism", "planted", "--out", str(out), *arguments]
    )
    if result.exception:
        raise result.exception
    assert str(out) in result.output
    note: dict[str, object] = json.loads((out / "ablation.json").read_text())[-1]
    return note


def units(*found: Unit) -> list[list[int]]:
    return [list(unit) for unit in found]


def test_units_found_and_random_sets_of_a_report(report: MechanismReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(report, path)
    note = run(tmp_path / "a", "--part", "heads", "--report", str(path))
    assert (note["kind"], note["units"]) == ("head", units(*FOUND))
    assert note["source"] == "organism (planted)"
    assert note["fingerprint"] == report.fingerprint
    drawn = run(tmp_path / "b", "--part", "heads", "--report", str(path), "--random", "2")
    assert drawn["units"] == units(*DRAWN[1])
    assert "random set 2" in str(drawn["chosen_by"])
    neurons = run(tmp_path / "c", "--part", "neurons", "--mode", "think", "--report", str(path))
    assert (neurons["kind"], neurons["units"]) == ("neuron", units(*FOUND))


def test_units_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "units.json"
    path.write_text("[[2, 17], [2, 40]]")
    note = run(tmp_path / "out", "--part", "neurons", "--units", str(path))
    assert (note["kind"], note["units"]) == ("neuron", [[2, 17], [2, 40]])


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], "Give --report"),
        ("[[1]]", ["--units"], "no list of units"),
        ("[[2, 17]]", ["--random", "1", "--units"], "random set of a report"),
    ],
)
def test_arguments_that_say_nothing_are_explained(
    tmp_path: Path, content: str | None, arguments: list[str], message: str
) -> None:
    path = tmp_path / "units.json"
    if content:
        path.write_text(content)
        arguments = [*arguments, str(path)]
    with pytest.raises(RimError, match=message):
        run(tmp_path / "out", "--part", "neurons", *arguments)


def test_what_a_report_does_not_hold_is_named(report: MechanismReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(report, path)
    given = "--report", str(path)
    with pytest.raises(RimError, match="observed 2 random sets"):
        run(tmp_path / "out", "--part", "heads", *given, "--random", "3")
    with pytest.raises(RimError, match="holds no neurons, no_think mode"):
        run(tmp_path / "out", "--part", "neurons", *given)
    write_report(report.model_copy(update={"fill": "mean"}), path)
    with pytest.raises(RimError, match="ablates by mean"):
        run(tmp_path / "out", "--part", "heads", *given)
    write_report(report.model_copy(update={"fingerprint": "0123456789abcdef"}), path)
    with pytest.raises(RimError, match=r"organism \(planted\) has weights"):
        run(tmp_path / "out", "--part", "heads", *given)
