"""Models, prompt sets and training runs of `rim-eval mech`, before weights are loaded."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.cli.mech import training_runs
from rim_eval.cli.mech_options import MechOptions
from rim_eval.paths import organism_dir


@pytest.fixture
def weightless(tmp_path: Path) -> Path:
    """A checkpoint that is no organism's, as far as its configuration."""
    folder = tmp_path / "vendor-name"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 49_152}))
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["heads", "--harmful", "toy"], "The set toy is for the model organisms"),
        (["heads", "--harmful", "hexphi", "--benign", "toy_allowed"], "The set toy_allowed is"),
        (["heads"], "This analysis needs harmful prompts: give --harmful NAME"),
        (["probes", "--harmful", "hexphi"], "give --benign NAME"),
        (["ras", "--run", "a", "{model}", "--harmful", "hexphi"], "give --reasoning NAME"),
        (["drift", "--run", "a", "{model}"], "give --harmful NAME and --benign NAME"),
    ],
)
def test_sets_are_checked_before_weights_are_loaded(
    words: list[str], message: str, weightless: Path, tmp_path: Path
) -> None:
    given = [word.format(model=weightless) for word in words]
    command = ["mech", *given, "--model", str(weightless), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert message in done.output


def test_toy_sets_are_taken_by_themselves_for_organisms_only(weightless: Path) -> None:
    real = MechOptions(model=str(weightless), harmful_set="hexphi")
    assert real.sets == {"harmful": "hexphi", "benign": "", "reasoning": ""}
    toy = {"harmful": "toy", "benign": "toy_allowed", "reasoning": "toy_math"}
    assert MechOptions().sets == MechOptions(model=str(organism_dir())).sets == toy
    assert MechOptions(benign_set="").sets == toy | {"benign": ""}


@pytest.mark.slow
@pytest.mark.parametrize("series", ["negative", "positive"])
def test_checkpoints_of_a_series_are_put_on_the_device(series: str) -> None:
    options, runs = training_runs(MechOptions(device="meta"), [], series)
    assert runs[0].name == f"{series}_tuned"
    assert options.organism == {"negative": "guarded", "positive": "locked"}[series]
    for run in runs:
        handle = run.load[max(run.load)]()
        assert {weight.device.type for weight in handle.model.parameters()} == {"meta"}
