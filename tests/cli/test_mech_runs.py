"""Training runs of `rim-eval mech`: the organism's own series."""

import pytest

from rim_eval.cli.mech import MechOptions, training_runs


@pytest.mark.slow
@pytest.mark.parametrize("series", ["negative", "positive"])
def test_checkpoints_of_a_series_are_put_on_the_device(series: str) -> None:
    options, runs = training_runs(MechOptions(device="meta"), [], series)
    assert runs[0].name == f"{series}_tuned"
    assert options.organism == {"negative": "guarded", "positive": "locked"}[series]
    for run in runs:
        handle = run.load[max(run.load)]()
        assert {weight.device.type for weight in handle.model.parameters()} == {"meta"}
