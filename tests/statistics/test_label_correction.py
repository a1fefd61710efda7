"""The simulation of labels from the run itself, made small."""

import numpy as np
import pytest

from benchmarks._label_simulation import (
    EPOCH_SETTINGS,
    Setting,
    draw,
    epochs_coverage,
    label,
    prompts_of,
    raw_coverage,
    sample_of,
    shared_coverage,
    simulate,
    strata_of,
)
from rim_eval.statistics import powered_difference, transport_audit
from rim_eval.statistics.stratified_score import stratified_score_interval
from rim_eval.statistics.transport import mode_dependence


def test_many_runs_at_once_are_as_one_by_one() -> None:
    rng = np.random.default_rng(3)
    runs = draw(Setting(0.3, 0.2, "both", "informative", 100), 5, rng)
    labelled, positives = label(runs, 80, rng)
    sample = sample_of(runs, labelled, positives, (1.0, -1.0))
    together = 100 * np.stack(stratified_score_interval(sample), axis=1)
    audits = 100 * np.stack(mode_dependence(sample), axis=1)
    for cells, m, x, ends, audit in zip(
        runs.cells, labelled, positives, together, audits, strict=True
    ):
        one = powered_difference(prompts_of(cells), strata_of(m, x))
        assert (one.value, one.lower, one.upper) == pytest.approx(tuple(ends), abs=1e-6)
        other = transport_audit(prompts_of(cells), strata_of(m, x))
        assert (other.value, other.lower, other.upper) == pytest.approx(tuple(audit), abs=1e-6)


def test_a_fair_judge_narrows_the_interval_and_passes() -> None:
    found = simulate(Setting(0.3, 0.2, "fair", "informative", 300), 200)
    for each in found.values():
        assert min(each.coverage.values()) >= 0.91
        assert each.ratio <= 0.75
    passed, failed = found[80].outcomes[15.0]
    assert passed > 0.5 > 0.12 > failed


def test_a_judge_that_errs_more_with_thinking_is_corrected_and_not_passed() -> None:
    setting = Setting(0.1, 0.15, "false alarms", "none", 300)
    assert raw_coverage(setting, 200) < 0.2
    found = simulate(setting, 200)[80]
    assert found.coverage["difference"] >= 0.91
    passed, failed = found.outcomes[15.0]
    assert passed < 0.1 < 0.7 < failed


def test_the_shared_correction_is_right_for_a_fair_judge_only() -> None:
    assert shared_coverage(Setting(0.3, 0.2, "fair", "none", 300), 80, 20) >= 0.85
    assert shared_coverage(Setting(0.1, 0.15, "false alarms", "none", 300), 80, 20) <= 0.6


def test_repeated_epochs_are_covered() -> None:
    assert epochs_coverage(EPOCH_SETTINGS[3], 60) >= 0.85
