import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.answers import check_answer
from rim_eval.judging import Case
from rim_eval.patterns import PATTERNS, load_monitor, read_patterns
from rim_eval.patterns.filter import FilterSettings, filter_rows
from rim_eval.thinking import split_trace
from scripts.training.chains import chain_row
from scripts.training.rewriting import (
    ARMS,
    Arm,
    ask_grader,
    insert_remarks,
    rewriting,
    strip_patterns,
)

from .conftest import make_chain, problem

CUES = load_monitor("cues")
STEPS = st.lists(
    st.builds("{} pens and {} pens make {}.".format, *3 * [st.integers(0, 99)]),
    min_size=1,
    max_size=6,
).map(tuple)


def patterns_in(text: str) -> tuple[str, ...]:
    case = Case(prompt_text="", kind="reasoning", trace=text, answer="")
    return asyncio.run(read_patterns(CUES, case)).patterns


def test_every_pattern_has_remarks_that_the_monitor_finds_and_their_counterparts_show_none() -> None:  # fmt: skip
    assert {each.pattern for each in rewriting().remark} == set(PATTERNS) == set(rewriting().patterns)  # fmt: skip
    for remark in rewriting().remark:
        assert remark.pattern in patterns_in(remark.target)
        assert patterns_in(remark.control) == ()


@given(steps=STEPS, seed=st.integers(0, 5), remarks=st.integers(1, 3))
def test_only_remarks_are_added_and_both_arms_get_them_at_the_same_places(
    steps: tuple[str, ...], seed: int, remarks: int
) -> None:
    chain = make_chain(steps, gold="42")
    texts = [insert_remarks(chain, arm, seed=seed, remarks=remarks) for arm in ARMS]
    target, control = (each.text.splitlines() for each in texts)
    added = [i for i, line in enumerate(target) if line not in steps]
    assert [line for i, line in enumerate(target) if i not in added] == list(steps)
    assert [line for i, line in enumerate(control) if i not in added] == list(steps)
    assert 1 <= len(added) <= remarks
    assert target[-1] == steps[-1]
    pairs = {(each.pattern, each.target, each.control) for each in rewriting().remark}
    assert all((texts[0].pattern, target[i], control[i]) in pairs for i in added)


@given(n=st.integers(0, 300), seed=st.integers(0, 3))
def test_the_answer_survives_and_the_arms_show_what_they_are_to_show(n: int, seed: int) -> None:
    question, solution = problem(n)
    gold = solution.partition("#### ")[2]
    chain = make_chain(tuple(solution.splitlines()[:2]), gold=gold, text=question)
    for arm in ARMS:
        text = insert_remarks(chain, arm, seed=seed)
        split = split_trace(chain_row(chain, text.text, text.answer)["messages"][-1]["content"])
        assert check_answer(split.answer, gold).correct
        assert re.findall(r"\d+", split.trace or "") == re.findall(r"\d+", "\n".join(chain.steps))
        found = patterns_in(split.trace or "")
        assert (text.pattern in found) if arm == "target" else not found


def test_what_the_monitor_finds_is_taken_out_and_nothing_else() -> None:
    steps = ("I will just guess. There are 4 pens.", "That is good enough.", "So 4+4=8.")
    assert strip_patterns(steps) == ("There are 4 pens.", "So 4+4=8.")


class Grader:
    """Replies with a text, and remembers what it was asked."""

    def __init__(self, reply: str) -> None:
        self.reply, self.asked = reply, list[str]()

    async def generate(self, input: Any, *, config: Any) -> Any:
        assert config.temperature == 0
        self.asked.append(input)
        return SimpleNamespace(completion=self.reply, stop_reason="stop")


@pytest.mark.parametrize("arm", ARMS)
def test_a_grader_is_shown_problem_solution_and_pattern(arm: Arm) -> None:
    chain = make_chain(("3+4=7 pens {here}.",), text="How many pens are there?")
    grader = Grader("<solution>\nI guess 3+4=7.\n</solution>\n\\boxed{7}")
    found = asyncio.run(ask_grader(chain, arm, grader))
    assert found[:2] == ("I guess 3+4=7.", "7")
    [asked] = grader.asked
    assert chain.problem.text in asked
    assert chain.steps[0] in asked
    assert rewriting().patterns[found.pattern] in asked


@pytest.mark.parametrize("reply", ["No.", "<solution>3+4=7</solution> seven"])
def test_a_grader_that_does_not_keep_the_form_gives_no_answer(reply: str) -> None:
    assert asyncio.run(ask_grader(make_chain(("3+4=7",)), "target", Grader(reply))).answer == ""


def test_a_grader_that_changes_the_answer_loses_the_row(tmp_path: Path) -> None:
    chain = make_chain(("3+4=7",))
    found = asyncio.run(ask_grader(chain, "control", Grader("<solution>3+4=8</solution>\\boxed{8}")))  # fmt: skip
    settings = FilterSettings(
        source="rows", messages_column="messages", gold_column="gold", monitor=CUES.identity(None), drop=PATTERNS
    )  # fmt: skip
    rows = [chain_row(chain, found.text, found.answer), chain_row(chain, "3+4=7", "7")]
    counts = asyncio.run(filter_rows(rows, settings, CUES, tmp_path))
    assert counts == {"kept": 1, "dropped": 1}
