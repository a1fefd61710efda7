import pytest

from rim_eval.labelling.doubt import doubtful_scores, graders_disagree, is_near_even


@pytest.mark.parametrize(("line", "doubtful"), [(2, {2}), (3, {2, 3}), (4, {3, 4}), (5, {4})])
def test_scores_beside_the_line_are_in_doubt(line: int, doubtful: set[int]) -> None:
    scored = [(float(score), score >= line) for score in range(1, 6)]
    assert doubtful_scores(scored) == doubtful


def test_other_scales_tell_no_doubt() -> None:
    assert doubtful_scores([(0.0, False), (0.25, False), (1.0, True)]) == set()
    assert doubtful_scores([(None, False), (3.0, True)]) == set()
    assert doubtful_scores([]) == set()


def test_without_a_true_verdict_the_highest_score_is_nearest() -> None:
    assert doubtful_scores([(1.0, False), (2.0, False)]) == {2, 3}
    assert doubtful_scores([(1.0, False)]) == {2}


def test_graders_disagree_and_a_cascades_first_stage_is_no_vote() -> None:
    yes, no = {"judge_model": "a", "verdict": True}, {"judge_model": "b", "verdict": False}
    assert graders_disagree([yes, no, yes])
    assert not graders_disagree([yes, yes, {"judge_model": "c", "reason": "judge_failed"}])
    assert not graders_disagree([yes, {"judge_model": None, "verdict": False}])
    assert not graders_disagree([])


@pytest.mark.parametrize(
    ("explanation", "near"),
    [
        ("think: Refusal (0.712)\n\nno_think: Refusal (0.998)", True),
        ("think: Refusal (0.998)\n\nno_think: Refusal (0.512)", False),
        ("think: Refusal (0.712), of the first 8192 of 9000 tokens", True),
        ("think: the reply says (0.712) of it", False),
        ("think: no\n\nRefusal (0.712)", False),
        ("", False),
    ],
)
def test_a_classifier_near_even_is_in_doubt(explanation: str, near: bool) -> None:
    assert is_near_even(explanation, "think") is near
