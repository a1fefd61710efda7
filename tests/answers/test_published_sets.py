"""Gold answers of the real sets, when they lie on this machine (RIM_EVAL_SHARED: their folder)."""

import json
import os
import re
from pathlib import Path

import pytest

from benchmarks.answers import LAYOUTS
from rim_eval.answers import check_answer

FOLDER = os.environ.get("RIM_EVAL_SHARED")
SETS = {
    "gsm8k_test.jsonl": ("answer", None),
    "math500.jsonl": ("answer", None),
    "math401.jsonl": ("response", 1e-3),
    "multiarith_test.jsonl": ("answer", None),
    "aime24.jsonl": ("answer", None),
    "aime25.jsonl": ("answer", None),
}
REPLIES = (
    r"So we have it. The final answer is $\boxed{%s}$.",
    "First 12 + 30 = 42. The answer is %s.",
    "Step 1: $4 \\cdot 5 = 20$.\n\n**Answer: %s**",
)

pytestmark = pytest.mark.skipif(not FOLDER, reason="RIM_EVAL_SHARED is not set")


def golds(name: str) -> list[str]:
    field = SETS[name][0]
    lines = (Path(FOLDER or "") / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)[field] for line in lines]


@pytest.mark.parametrize("name", SETS)
def test_gold_answers_are_right(name: str) -> None:
    for gold in golds(name):
        said = gold.split("####")[-1].strip()
        for reply in REPLIES:
            checked = check_answer(reply % said, gold, absolute_error=SETS[name][1])
            assert checked.correct is True, (gold, reply, checked)


@pytest.mark.parametrize("calculations", [True, False])
def test_solutions_of_gsm8k_are_read_without_their_mark(calculations: bool) -> None:
    """Most end with the answer; some name another number after it (`8 pens for 3 dollars`)."""
    right = 0
    for gold in golds("gsm8k_test.jsonl"):
        solution = gold.rpartition("####")[0].strip()
        reply = solution if calculations else re.sub("<<[^>]*>>", "", solution)
        right += check_answer(reply, gold).correct is True
    assert right >= 1275  # of 1,319


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_answers_of_other_problems_are_wrong(name: str) -> None:
    answers = golds(name)
    for gold, other in zip(answers, answers[7:] + answers[:7], strict=True):
        said, own = other.split("####")[-1].strip(), gold.split("####")[-1].strip()
        if said == own or {said, own} == {"0", "0.0000"}:
            continue
        checked = check_answer(REPLIES[0] % said, gold, absolute_error=SETS[name][1])
        assert checked.correct is False, (gold, said, checked)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_layout_moves_the_accuracy_on_math_500(layout: str) -> None:
    answers = golds("math500.jsonl")
    right = [check_answer(LAYOUTS[layout](gold), gold).correct for gold in answers]
    assert [gold for gold, said in zip(answers, right, strict=True) if said is not True] == []
