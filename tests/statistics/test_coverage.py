"""The decision rule in simulation; `benchmarks/reports/paired_coverage.md` is the large one."""

import pytest

from benchmarks.paired_coverage import Setting, simulate


@pytest.mark.parametrize("epochs", [1, 4])
def test_errs_rarely_and_never_disagrees_with_its_test(epochs: int) -> None:
    found = simulate(Setting(60, epochs, no_think=0.2, think=0.2), repetitions=150)
    assert found.disagreed == 0
    assert found.shown == pytest.approx(0.05, abs=0.045)
    assert found.permutation <= found.shown or epochs > 1
    assert found.coverage >= 0.91


def test_a_large_rise_is_shown() -> None:
    found = simulate(Setting(60, 4, no_think=0.1, think=0.4), repetitions=40)
    assert found.shown >= 0.95
