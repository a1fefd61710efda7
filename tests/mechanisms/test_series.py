from collections.abc import Callable

import numpy as np
import pytest

from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    Activations,
    Checkpoint,
    Prompts,
    RasSeries,
    Run,
    Setting,
    Subject,
    Unit,
    make_subject,
    offline_reader,
    ras_series,
    read_series,
    study_ras,
)
from rim_eval.mechanisms.ras import GUARDS
from rim_eval.organism import PLANS, RUNS, load_checkpoint, load_variant, run_facts
from rim_eval.outcomes import Mode
from rim_eval.statistics import pearson, spearman

N = 200
SET = list(range(10))
RANDOM = [list(range(10 + 10 * i, 20 + 10 * i)) for i in range(19)]
STEPS = (10, 20, 40, 80)
RISE = (0.2, 0.4, 0.7, 0.9)
FLAT = (0.1, 0.11, 0.09, 0.1)


def shifted(base: Activations, by: np.ndarray) -> Activations:
    """Each neuron's activation falls on safety and rises on mathematics by a share."""
    safe, maths = base.safe * (1 - by), base.math * (1 + by)
    return Activations(safe, maths, np.abs(safe), np.abs(maths))


def base() -> Activations:
    ones = np.ones(N)
    return Activations(ones, ones, ones, ones)


def run(name: str, own: float, others: float, rates: tuple[float, ...]) -> list[RasSeries]:
    """A run in which the set drifts by `own` and everything else by about `others`."""
    rng = np.random.default_rng(0)
    points = []
    for number, (step, rate) in enumerate(zip(STEPS, rates, strict=True), start=1):
        by = others * number * (1 + 0.1 * rng.normal(size=N))
        by[SET] = own * number
        points.append(Checkpoint(step, shifted(base(), by), rate))
    return [ras_series(name, base(), 0.1, points, SET, RANDOM, guard=guard) for guard in GUARDS]


def test_a_set_that_drifts_with_everything_else_is_not_the_route() -> None:
    target = run("tuned", 0.03, 0.03, RISE)
    found = read_series(target, run("control", 0.001, 0.001, FLAT))
    assert found.verdict == "not_the_route"
    assert "no more than random neurons" in found.sentence
    # And yet it correlates: that alone must never be sold as a finding.
    assert target[0].spearman.value == pytest.approx(1)
    assert np.median(target[0].random_spearman) == pytest.approx(1)


def test_a_set_that_drifts_alone_and_not_in_the_controls_is_consistent() -> None:
    found = read_series(run("tuned", 0.15, 0.003, RISE), run("control", 0.003, 0.003, FLAT))
    assert found.verdict == "consistent"
    assert found.by_guard == dict.fromkeys(GUARDS, "consistent")


def test_a_flat_control_with_as_much_drift_leaves_it_open() -> None:
    found = read_series(run("tuned", 0.15, 0.003, RISE), run("held", 0.2, 0.003, FLAT))
    assert found.verdict == "cannot_tell"
    assert "'held'" in found.sentence


def test_without_controls_it_cannot_tell() -> None:
    found = read_series(run("tuned", 0.15, 0.003, RISE), [])
    assert found.verdict == "cannot_tell"
    assert "no control run" in found.sentence


def test_controls_that_rise_too_are_no_controls() -> None:
    found = read_series(run("tuned", 0.15, 0.003, RISE), run("control", 0.01, 0.003, RISE))
    assert found.verdict == "cannot_tell"


def test_without_a_rise_there_is_nothing_to_explain() -> None:
    found = read_series(run("tuned", 0.15, 0.003, FLAT), run("control", 0.003, 0.003, FLAT))
    assert found.verdict == "cannot_tell"
    assert "rise of 10 points is not shown" in found.sentence


def test_a_rise_that_its_interval_does_not_show_is_none() -> None:
    points = [Checkpoint(1, shifted(base(), np.full(N, 0.1)), 0.3, rise_lower=-1.0)]
    one = ras_series("tuned", base(), 0.1, points, SET, RANDOM, guard="floored")
    assert one.rise == pytest.approx(20)
    assert "is not shown" in read_series([one], []).sentence
    assert one.model_copy(update={"rise_lower": 1.0}).risen(10)


def ranked(k: int, n: int) -> RasSeries:
    """A risen run in which k of n random sets reach as far as the set."""
    by = np.full(N, 0.01)
    by[SET] = 0.2
    for row in RANDOM[:k]:
        by[row] = 0.3
    points = [Checkpoint(1, shifted(base(), by), 0.9)]
    return ras_series("tuned", base(), 0.1, points, SET, RANDOM[:n], guard="floored")


@pytest.mark.parametrize(
    ("k", "n", "verdict", "says"),
    [
        (0, 18, "cannot_tell", "more random sets"),
        (0, 19, "consistent", "rank p = 0.05"),
        (1, 19, "cannot_tell", "more random sets"),
        (3, 19, "cannot_tell", "more random sets"),
        (4, 19, "not_the_route", "no more than random neurons"),
        (5, 5, "cannot_tell", "more random sets"),
        (0, 0, "cannot_tell", "more random sets"),
    ],
)
def test_a_verdict_needs_the_ranks_that_it_rests_on(
    k: int, n: int, verdict: str, says: str
) -> None:
    flat = run("control", 0.001, 0.001, FLAT)
    found = read_series([ranked(k, n)], flat)
    assert found.verdict == verdict
    assert says in found.sentence


def test_the_floored_form_decides_because_positive_loses_what_fell_to_nothing() -> None:
    target = run("tuned", 0.25, 0.003, RISE)  # at the last step the set's activations are 0
    found = read_series(target, run("control", 0.003, 0.003, FLAT))
    assert found.by_guard["positive"] != "consistent"
    assert found.verdict == found.by_guard["floored"] == "consistent"


def test_every_report_says_that_values_compare_within_a_model_only() -> None:
    for controls in ([], run("control", 0.003, 0.003, FLAT)):
        assert "within this model only" in read_series(run("t", 0.1, 0.01, RISE), controls).sentence


def test_a_set_that_changes_otherwise_than_ras_counts_leaves_it_open() -> None:
    found = read_series(run("tuned", -0.15, 0.003, RISE), run("control", 0.003, 0.003, FLAT))
    assert found.verdict == "cannot_tell"
    assert "not as RAS counts" in found.sentence


def test_a_set_that_does_not_change_at_all_is_not_the_route() -> None:
    found = read_series(run("tuned", 0.0, 0.0, RISE), [])
    assert found.verdict == "not_the_route"


def test_the_size_test_is_a_rank() -> None:
    assert run("tuned", 0.15, 0.003, RISE)[0].p_size == pytest.approx(1 / 20)


def test_a_series_of_nothing_is_refused() -> None:
    with pytest.raises(RimError, match="at least one"):
        ras_series("x", base(), 0.1, [], SET, RANDOM, guard="printed")


def test_the_papers_own_points_come_out_as_it_printed_them() -> None:
    # Figure 8, Qwen3-4B, digitised: r = .891 over 8 checkpoints of which 4 tie; the interval is wide.
    values = [1.1396, 1.1563, 1.1582, 1.1616, 1.1626, 1.1689, 1.1707, 1.1850]
    rates = [21.00, 22.07, 22.07, 22.07, 22.07, 23.00, 22.33, 22.82]
    found, ranks = pearson(values, rates), spearman(values, rates)
    assert found.value == pytest.approx(0.891, abs=5e-4)
    assert ranks.value == pytest.approx(0.862, abs=2e-3)
    assert (found.n, found.ties) == (8, 4)
    assert found.lower < 0.6


SERIES = {"negative": "guarded", "positive": "locked"}


@pytest.mark.parametrize(
    ("series", "mode", "verdict"),
    [
        ("negative", "think", "not_the_route"),
        ("positive", "no_think", "consistent"),
        ("positive", "think", "consistent"),
    ],
)
def test_the_organisms_series_are_told_apart_or_left_open(
    toy: Prompts, series: str, mode: Mode, verdict: str
) -> None:
    base = make_subject(*load_variant(SERIES[series]), series)
    some = Prompts(toy.harmful[::4], (), [(r, toy.gold[r.id]) for r in toy.problems[50::10]])
    setting = Setting(base, some, offline_reader("toy_exact"), lambda _: "", {})
    runs = [_run(name) for name in RUNS if name.startswith(series)]
    for n, one in enumerate(runs):
        facts = run_facts(one.name).steps
        rates = {step: getattr(facts[step].behaviour, mode).misaligned.rate for step in one.load}
        runs[n] = one._replace(misaligned=rates)
    planted = [Unit(*unit) for unit in PLANS[SERIES[series]].neurons]
    found = study_ras(
        setting, runs, planted, chosen_by="planted", mode=mode, random_sets=20, kl=False
    )
    assert found.verdict.verdict == verdict, found.verdict.sentence
    if verdict == "consistent":
        assert found.training_overlap.shared >= 10


def _run(name: str) -> Run:
    def loader(step: int) -> Callable[[], Subject]:
        return lambda: make_subject(*load_checkpoint(name, step), name)

    steps = RUNS[name].steps[1::2]
    return Run(name, {step: loader(step) for step in (*steps, RUNS[name].steps[-1])})
