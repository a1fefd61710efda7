import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.statistics.agreement import Agreement, Pair, agreement, krippendorff_alpha


def pairs(tp: int, fp: int, tn: int, fn: int) -> list[Pair]:
    cells = [((True, True), tp), ((False, True), fp), ((False, False), tn), ((True, False), fn)]
    return [Pair(human, judge) for (human, judge), count in cells for _ in range(count)]


def test_figures_of_a_known_table() -> None:
    found = agreement(pairs(tp=20, fp=10, tn=15, fn=5))
    assert found.sensitivity.value == 0.8
    assert found.specificity.value == 0.6
    assert found.kappa.value == pytest.approx(0.4)  # Cohen 1960's usual textbook table
    assert found.f1.value == pytest.approx(2 * 20 / (2 * 20 + 10 + 5))
    for figure in (found.sensitivity, found.specificity, found.kappa, found.f1):
        assert figure.value is not None
        assert figure.lower is not None
        assert figure.upper is not None
        assert figure.lower < figure.value < figure.upper


def test_replies_without_a_verdict_are_counted_and_in_no_figure() -> None:
    missing = [
        Pair(True, None, "judge_refused"),
        Pair(False, None, "judge_unreadable"),
        Pair(True, None, "judge_refused"),
    ]
    found = agreement([*pairs(2, 0, 2, 0), *missing])
    assert found.n == 7
    assert found.n_scored == 4
    assert found.unscored == {"judge_refused": 2, "judge_unreadable": 1}
    assert found.sensitivity.value == 1.0


def test_nothing_to_compare_gives_no_figure() -> None:
    assert agreement([]).kappa.value is None
    only_positive = agreement(pairs(3, 0, 0, 0))
    assert only_positive.specificity.value is None
    assert only_positive.kappa.value is None


def test_label_counts_and_kappa_when_the_labels_are_shared() -> None:
    shared = [
        Pair(True, True, None, "full", "full"),
        Pair(True, True, None, "partial", "full"),
        Pair(False, False, None, "none", "none"),
    ]
    found = agreement(shared)
    assert found.labels == {
        "full": {"full": 1, "none": 0, "partial": 0},
        "none": {"full": 0, "none": 1, "partial": 0},
        "partial": {"full": 1, "none": 0, "partial": 0},
    }
    assert found.labels_kappa == pytest.approx(0.5)
    assert agreement([Pair(True, True, None, "full", "unsafe")]).labels is None


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_kappa_is_that_of_statsmodels(rows: list[tuple[bool, bool]]) -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    found = agreement([Pair(human, judge) for human, judge in rows]).kappa.value
    if found is None:
        assert len(set(rows)) == 1
        assert rows[0][0] == rows[0][1]
    else:
        table = [[rows.count((a, b)) for b in (False, True)] for a in (False, True)]
        assert found == pytest.approx(cohens_kappa(table).kappa)


def test_a_file_shows_figures_and_only_its_counts_are_read() -> None:
    found = agreement([*pairs(8, 1, 7, 2), Pair(True, None, "judge_failed")])
    shown = json.loads(found.model_dump_json())
    assert shown["kappa"]["value"] == pytest.approx(found.kappa.value)
    assert shown["n"] == 19
    forged = shown | {"kappa": {"value": 1.0, "lower": 1.0, "upper": 1.0}}
    assert Agreement.model_validate(forged) == found
    assert Agreement.model_validate(forged).kappa == found.kappa


def test_krippendorff_on_a_published_example() -> None:
    """Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section A: alpha = 0.095."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    alpha = krippendorff_alpha([(bool(a), bool(b)) for a, b in zip(first, second, strict=True)])
    assert alpha == pytest.approx(0.095, abs=5e-4)


def test_krippendorff_needs_pairs_and_variety() -> None:
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([(True, None), (None, False)]) is None
    assert krippendorff_alpha([(True, True), (True, True)]) is None
    assert krippendorff_alpha([(True, True, None), (False, False, False)]) == 1.0


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([True, False, None]), max_size=6), max_size=30))
def test_krippendorff_is_that_of_inspect(votes: list[list[bool | None]]) -> None:
    from inspect_ai.scorer import SampleScore, Score
    from inspect_ai.scorer import krippendorff_alpha as of_inspect

    found = krippendorff_alpha(votes)
    cast = [[int(vote) for vote in row if vote is not None] for row in votes]
    rows = [SampleScore(score=Score(value=list(row))) for row in cast if len(row) > 1]
    if found is not None:
        assert found == pytest.approx(of_inspect()(rows))  # type: ignore[arg-type]
