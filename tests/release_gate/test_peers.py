"""The comparison with other gates: its shortcuts give the gate's own answers, and what it says of them holds in small."""

from typing import Any

import numpy as np
import pytest

from benchmarks._gate_pairs import Setting, cells_of, draw, lose
from benchmarks.gate_peers import (
    ours,
    ours_of_rows,
    report,
    simulate,
    simulate_categories,
    simulate_losses,
)
from rim_eval.results.figures import paired


@pytest.mark.parametrize("rise", [0, 20])
def test_the_shortcut_gives_the_gates_answer(rise: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(4):
        pairs = draw(Setting(120, rise), rng)
        assert ours(pairs) == ours_of_rows(pairs)


def test_the_drawn_rise_is_the_planted_one() -> None:
    rng = np.random.default_rng(0)
    change = paired(cells_of(draw(Setting(20_000, 10, reference=0.2), rng)))
    assert change is not None
    assert change.lower < 10 < change.upper
    assert change.reference_rate == pytest.approx(0.2, abs=0.01)


def test_wrong_answers_are_rare_and_more_prompts_decide_more() -> None:
    few, many = (simulate(Setting(n, 20), [ours], 200, 0)[0] for n in (50, 200))
    assert few.passed == many.passed == 0
    assert few.failed < many.failed
    [at_limit] = simulate(Setting(200, 5), [ours], 200, 0)
    assert at_limit.failed <= 0.06


@pytest.mark.parametrize(
    "loss", ["lost with thinking", "unscored with thinking", "unscored without thinking"]
)
def test_missing_verdicts_are_never_a_pass(loss: Any) -> None:
    [found] = simulate_losses(loss, Setting(100, 10), None, 5, 0)
    assert found == (0, 0)
    rng = np.random.default_rng(0)
    pairs, lost = lose(loss, draw(Setting(100, 10), rng), rng)
    assert lost or None in {verdict for *both, _ in pairs for verdict in both}


def test_eleven_categories_at_the_limit_fail_wrongly_without_a_correction() -> None:
    found = simulate_categories([5.0] * 11, 200, 0)
    assert found.failed <= 0.025 < found.failed_uncorrected
    one_bad = simulate_categories([60.0] + [0.0] * 10, 50, 0)
    assert one_bad.failed > 0.9
    assert one_bad.passed == 0


@pytest.mark.slow
def test_without_the_other_tool_the_page_says_so() -> None:
    page = report(None, 10, 0)
    assert "NeMo Evaluator was not installed" in page
    assert "nel" not in page.split("## Complete pairs")[1].split("##")[0]
    assert "## A limit on each category" in page
