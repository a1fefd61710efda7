"""Tuned checkpoints of `rim-eval mech`, where they lie and on what."""

import pytest

from rim_eval.cli._mech_runs import runs_of


@pytest.mark.parametrize("series", ["negative", "positive"])
def test_checkpoints_of_a_series_are_put_on_the_device(series: str) -> None:
    words = {"model": None, "device": "meta"}
    runs = runs_of([], series, words)
    assert runs[0].name == f"{series}_tuned"
    assert words["organism"] == {"negative": "guarded", "positive": "locked"}[series]
    for run in runs:
        subject = run.load[max(run.load)]()
        assert {weight.device.type for weight in subject.model.parameters()} == {"meta"}
