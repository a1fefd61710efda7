"""Which weights answered is known of a model in this process, whatever its folder is called."""

import logging
from pathlib import Path
from typing import Any

import pytest

from rim_eval import fingerprint as fingerprinting
from rim_eval.fingerprint import fingerprint
from rim_eval.observations import check, read_lm_eval_samples, read_observations
from rim_eval.paths import organism_dir

from .conftest import Scripted, by_mode

BOTH = ("rim_toy_think", "rim_toy_no_think")
SHORT = {"answer_tokens": 8, "thinking_tokens": 8}


@pytest.fixture(scope="module")
def organism() -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(organism_dir()), device="cpu", batch_size=8)


def change(lm: Any, by: float) -> None:
    """Another checkpoint of the same name."""
    next(lm.model.parameters()).data[0, 0] += by
    fingerprinting._CACHE.clear()


@pytest.mark.slow
def test_hf_runs_tell_their_weights_and_read_them_once(
    run: Any, save: Any, organism: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_models: list[Any] = []

    def once(model: Any) -> str:
        read_models.append(model)
        return fingerprint(model)

    fingerprinting._CACHE.clear()
    monkeypatch.setattr(fingerprinting, "fingerprint", once)
    files = save(run(organism, *BOTH, settings=SHORT, limit=1))
    found = {read_lm_eval_samples(str(path)).runs[0].weights for path in files}
    assert found == {fingerprint(organism.model)}
    assert len(read_models) == 1


@pytest.mark.slow
def test_two_checkpoints_of_one_name_are_not_one_model(run: Any, save: Any, organism: Any) -> None:
    first = save(run(organism, BOTH[0], settings=SHORT, limit=1), "one")
    change(organism, 1.0)
    try:
        second = save(run(organism, BOTH[1], settings=SHORT, limit=1), "two")
    finally:
        change(organism, -1.0)
    table = read_observations([*first, *second])
    assert len(table.models) == 1
    assert len({run.weights for run in table.runs}) == 2
    assert any("differ in their weights" in problem.says for problem in check(table))


@pytest.mark.slow
def test_engines_without_weights_have_no_fingerprint(run: Any, save: Any) -> None:
    [path] = save(run(Scripted(by_mode), BOTH[0]))
    assert read_lm_eval_samples(str(path)).runs[0].weights is None


@pytest.mark.slow
def test_weights_that_cannot_be_read_do_not_end_a_run(
    run: Any,
    save: Any,
    organism: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def meta(_: Any) -> str:
        raise NotImplementedError("Cannot copy out of meta tensor")

    fingerprinting._CACHE.clear()
    monkeypatch.setattr(fingerprinting, "fingerprint", meta)
    caplog.set_level(logging.WARNING)
    paths: list[Path] = save(run(organism, BOTH[0], settings=SHORT, limit=1))
    fingerprinting._CACHE.clear()
    assert read_lm_eval_samples(str(paths[0])).runs[0].weights is None
    assert "no fingerprint" in caplog.text
