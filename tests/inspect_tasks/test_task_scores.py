"""What a foreign score means: by a rule, known or given; what a rule does not name is never the opposite."""

from math import nan
from typing import Any

import pytest
from inspect_ai.scorer import Score

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.task_scores import (
    EventRule,
    ScoreReading,
    TaskScore,
    known_score,
    score_reading,
)


def verdict(rule: Any, value: Any, reads: Any = "harmful", key: str | None = None) -> Any:
    reading = ScoreReading(scorer="s", value=key, reads=reads, event=EventRule.parse(rule))
    return reading.verdict(TaskScore.of(Score(value=value)), "1", None)


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (0.5, 0.5, True),
        (0.5, 0.4, False),
        ("<0.5", 0.4, True),
        ("<0.5", 0.5, False),
        (">0", 0, False),
        ("==1", True, True),
        ("<=-1", -1, True),
        (0.5, "P", True),
        ("C", "C", True),
        ("C", "I", False),
        ("C", "P", False),
        (["I", "P"], "P", True),
        ("UNSAFE/SAFE", "UNSAFE", True),
        ("UNSAFE/SAFE", "SAFE", False),
        ("yes/no", "no", False),
        ("true/false", False, False),
        ("1,1.0/0,0.0", 1.0, True),
    ],
)
def test_a_rule_says_which_values_mean_the_event(rule: Any, value: Any, expected: bool) -> None:
    assert verdict(rule, value).verdict is expected


@pytest.mark.parametrize(
    ("rule", "value"),
    [("UNSAFE/SAFE", "INVALID"), (0.5, "INVALID"), ("C", "N"), (0.5, nan), ("C", nan)],
)
def test_what_a_rule_does_not_name_is_unscored(rule: Any, value: Any) -> None:
    judged = verdict(rule, value)
    assert judged.verdict is None
    assert judged.reason == "judge_unreadable"


def test_no_answer_is_wrong_and_partly_right_is_not_right() -> None:
    reading = score_reading("t", {"match": "match"})
    values = {v: reading.verdict(TaskScore(value=v), "1", None).verdict for v in "CPIN"}
    assert values == {"C": True, "P": False, "I": False, "N": False}
    assert reading.verdict(TaskScore(value=1), "1", None).verdict is True
    assert reading.verdict(TaskScore(value=False), "1", None).verdict is False


def test_a_number_is_kept_beside_its_verdict_and_a_word_as_the_label() -> None:
    assert verdict(0.5, 0.75).score == 0.75
    assert verdict("UNSAFE/SAFE", "SAFE").label == "SAFE"
    assert verdict("C", "I", reads="correct").label is None  # a word of a reply may stand there


@pytest.mark.parametrize("rule", ["UNSAFE", "", "/SAFE", ">=x", "C,UNSAFE"])
def test_a_rule_that_names_one_side_only_is_refused(rule: str) -> None:
    with pytest.raises(RimError, match="UNSAFE/SAFE"):
        EventRule.parse(rule)


@pytest.mark.parametrize("rule", [0.5, "<0.5", "C", "I,P", "UNSAFE/SAFE", "1.0,1/0.0,0"])
def test_a_rule_is_read_back_from_the_log_as_it_was(rule: Any) -> None:
    parsed = EventRule.parse(rule)
    assert EventRule.parse(str(parsed)) == parsed


def test_a_fraction_is_neither_right_nor_wrong_without_a_line() -> None:
    reading = score_reading("t", {"s": "s"}, reads="correct")
    with pytest.raises(RimError, match="is a number"):
        reading.verdict(TaskScore(value=0.3), "1", None)


def test_why_a_scorer_has_no_value_is_kept() -> None:
    reading = ScoreReading(scorer="s", reads="harmful", event=EventRule.parse("C"))
    reasons = {
        word: reading.verdict(TaskScore.of(Score.unscored(reason=word)), "1", None).reason
        for word in ("no_response", "grader_failed", "scoring_failed", "refusal")
    }
    assert reasons == {
        "no_response": "empty_answer",
        "grader_failed": "judge_unreadable",
        "scoring_failed": "judge_failed",
        "refusal": "judge_unreadable",
    }
    assert reading.verdict(None, "1", None).reason == "judge_failed"


def test_a_key_of_a_score_is_chosen_and_a_missing_one_is_named() -> None:
    assert verdict(1, {"a": 0, "b": 1}, key="b").verdict is True
    with pytest.raises(RimError, match="a, b"):
        verdict(1, {"a": 0, "b": 1})
    with pytest.raises(RimError, match="value=c is not in"):
        verdict(1, {"a": 0, "b": 1}, key="c")
    with pytest.raises(RimError, match="a list"):
        verdict(1, [0, 1])


@pytest.mark.parametrize(
    ("task", "scorer", "arguments", "reads", "event"),
    [
        ("inspect_evals/gpqa_diamond", "choice", {}, "correct", True),
        ("inspect_evals/strong_reject", "inspect_evals/strong_reject_scorer", {}, "harmful", 0),
        ("inspect_evals/xstest", "model_graded_qa", {}, "refused", "I"),
        ("inspect_evals/xstest", "model_graded_qa", {"subset": "unsafe"}, "harmful", "C"),
        ("mine/task", "model_graded_qa", {}, "correct", "C"),
    ],
)
def test_the_table_knows_a_score_by_its_task(
    task: str, scorer: str, arguments: dict[str, Any], reads: str, event: Any
) -> None:
    reading = score_reading(task, {"score": scorer}, arguments=arguments)
    assert reading.reads == reads
    assert reading.event.happened(event) is True
    assert reading.source


def test_what_the_user_says_takes_the_place_of_what_is_known() -> None:
    names = {"choice": "choice"}
    assert score_reading("t", names, event_at="I").event.happened("I") is True
    assert score_reading("t", names, event_at="I").source is None
    with pytest.raises(RimError, match="At which values"):
        score_reading("t", names, reads="harmful")


def test_a_scorer_that_may_ask_the_evaluated_model_is_known() -> None:
    known = known_score("t", "model_graded_fact")
    assert known is not None
    assert known.asks_grader
    assert known_score("t", "nobodys") is None
