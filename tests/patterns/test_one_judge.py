from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.observations import Observation
from rim_eval.patterns import of_one_judge


def seen(dataset: str, judge: str | None, **facts: Any) -> Observation:
    about = {"model": "m", "prompt_id": "p", "kind": "harmful", "mode": "think", "arm_kind": "switch"}  # fmt: skip
    return Observation.model_validate(about | {"dataset": dataset, "judge": judge} | facts)


HARM = seen("hexphi", "hexphi@1")
BENIGN = seen("xstest", "refusal@2")
MATH = seen("gsm8k", None, kind="reasoning")


def test_each_set_may_have_a_judge_of_its_own() -> None:
    rows = [HARM, BENIGN, MATH]
    assert of_one_judge(rows, None) == rows
    assert of_one_judge(rows, "refusal") == rows


def test_where_a_set_has_two_judges_one_must_be_named() -> None:
    rows = [HARM, seen("hexphi", "refusal@2"), BENIGN]
    with pytest.raises(RimError, match=r"Several judges.*hexphi@1.*refusal@2"):
        of_one_judge(rows, None)
    assert of_one_judge(rows, "hexphi@1") == [HARM, BENIGN]
    with pytest.raises(RimError, match="'strong_reject' has not judged these logs"):
        of_one_judge(rows, "strong_reject")


def test_a_name_does_not_mean_a_judge_whose_name_begins_like_it() -> None:
    rows = [HARM, seen("hexphi", "hexphi_strict@1")]
    assert of_one_judge(rows, "hexphi") == [HARM]


def test_one_judge_asking_two_models_is_two_judges() -> None:
    rows = [seen("hexphi", "hexphi@1", judge_model=model) for model in ("a", "b")]
    with pytest.raises(RimError, match=r"hexphi@1 asking a.*hexphi@1 asking b"):
        of_one_judge(rows, "hexphi")
    assert of_one_judge(rows, "hexphi@1 asking b") == rows[1:]
