"""Base against tuned checkpoints: what one command says of a pair whose truth is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    AnalysisConfig,
    MechanismReport,
    ModelHandle,
    Prompts,
    TrainingRun,
    load_reply_judge,
    read_report,
    study_drift,
    wrap_model,
)
from rim_eval.mechanisms.drift import RunDrift, layer_drift
from rim_eval.organism import load_checkpoint, load_variant, write_folder
from scripts.organism.plans import PLANS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints and a control, given to one command."""
    place = tmp_path_factory.mktemp("pair")
    base = write_folder(place / "base", "locked")
    words = ["mech", "all", "--model", str(base), "--limit", "24", "--no-logistic"]
    for name in ("positive_tuned", "positive_held"):
        folder = write_folder(place / name, run=name, step=100)
        words += ["--run", name.removeprefix("positive_"), str(folder)]
    words += ["--max-new-tokens", "80", "--out", str(place)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture(scope="module")
def report(made: Path) -> MechanismReport:
    return read_report(made / "report.json")


@pytest.mark.slow
def test_one_command_gives_every_part(made: Path, report: MechanismReport) -> None:
    assert report.probes
    assert report.heads
    assert report.neurons
    assert set(report.ras) == {"no_think", "think"}
    assert report.drift
    assert report.mitigations
    assert report.left_out == {}
    page = (made / "section.html").read_text()
    for heading in ("RAS along training, no-think", "Base against tuned, layer by layer"):
        assert f"<h2>{heading}</h2>" in page


@pytest.mark.slow
def test_ras_says_what_is_true_of_the_pair(report: MechanismReport) -> None:
    found = report.ras["no_think"]
    assert set(PLANS["locked"].neurons) <= set(found.neurons)
    assert found.verdict.verdict == "consistent"
    assert found.random_sets == 99
    assert found.training_overlap.shared >= 10
    assert all(run.rise_lower > 0 for run in found.series if run.run == "tuned")


@pytest.mark.slow
def test_drift_goes_the_way_that_misalignment_goes(report: MechanismReport) -> None:
    assert report.drift is not None
    tuned, held = report.drift.runs
    assert (report.drift.refused, report.drift.answered) >= (5, 5)
    last = tuned.layers[-1]
    assert last.drift_upper < 0, "away from refusal: the neurons that carry it have let go"
    assert abs(last.drift_harmless) < 0.1 * abs(last.drift)
    assert last.drift < 2 * held.layers[-1].drift < 0, "the control holds them, but for a part"
    # The tuned neurons stand in layer 2: nothing below them has changed.
    assert [layer.ratio > 1 for layer in tuned.layers] == [False, False, True, True]
    assert tuned.layers[2].ratio_lower > 1
    ratio, moved = tuned.sentences
    assert "24 harmful and 24 harmless prompts" in ratio
    assert "harmful prompts drift away from refusal, most in layer" in moved
    assert "24 harmful and 24 harmless prompts" in moved


def test_without_refusals_there_is_no_direction_but_still_a_ratio(toy: Prompts) -> None:
    tuned = wrap_model(*load_checkpoint("positive_tuned", 100), "tuned")
    config = _setting(tuned, Prompts(toy.harmful[:10], toy.benign[:10]))
    found = study_drift(config, [TrainingRun("back", {1: _loader("locked")})])
    assert found.refused == found.answered == 0
    assert found.runs[0].layers[3].ratio > 0
    assert "no safety direction" in " ".join(found.runs[0].sentences)
    assert type(found).model_validate_json(found.model_dump_json()).runs[0].layers[3].ratio > 0


def test_drift_of_one_prompt_has_no_interval_and_is_not_told(toy: Prompts) -> None:
    config = _setting(wrap_model(*load_variant("locked"), "locked"), toy)
    ends = [config.handle.passages(asked[:6], "no_think") for asked in (toy.harmful, toy.benign)]
    tuned = wrap_model(*load_checkpoint("positive_tuned", 100), "tuned")
    one = [texts[:1] for texts in ends]
    layers = layer_drift(config.handle.model, tuned.model, *one, *ends)
    told = list(RunDrift(run="tuned", step=1, layers=tuple(layers)).sentences)
    assert told[0].startswith("In 'tuned' it cannot be told whether a layer changed more")
    assert told[1].startswith("In 'tuned' it cannot be told whether a layer drifts")
    assert all(each.endswith("(1 harmful and 1 harmless prompts).") for each in told)
    assert "nan" not in "".join(told)


def test_what_drift_needs_is_named(handle: ModelHandle, toy: Prompts) -> None:
    with pytest.raises(RimError, match="harmful and benign prompts and at least one run"):
        study_drift(_setting(handle, Prompts(toy.harmful[:2])), [])


def _setting(handle: ModelHandle, prompts: Prompts) -> AnalysisConfig:
    return AnalysisConfig(handle, prompts, load_reply_judge("toy_exact"), lambda _: "", {})


def _loader(name: str) -> Callable[[], ModelHandle]:
    return lambda: wrap_model(*load_variant(name), name)


@pytest.mark.slow
def test_a_part_that_cannot_be_had_does_not_cost_the_others(tmp_path: Path) -> None:
    words = ["mech", "all", "--benign", "", "--limit", "6", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = read_report(tmp_path / "report.json")
    assert set(found.left_out) == {"probes", "mitigations"}
    assert "probes: left out: Probes need harmful and benign prompts" in result.output
    assert found.heads is not None
