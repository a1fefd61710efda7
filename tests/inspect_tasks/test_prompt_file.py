"""A user's own file: its ids, contexts, pairs and gold answers, and what is wrong with it by row and column."""

from pathlib import Path
from typing import Any

import pytest
from inspect_ai.log import EvalLog

from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.observations import Observation, from_inspect_log, read_observations

SUMS = """nr,before,ask,answer
s1,Ann has 2 vaults.,She opens 3 more. How many?,5
s2,,What is 2 * 4?,8
"""
SOLVES = [
    {"mode": "think", "when": "(?s)2 vaults.*3 more", "reply": "<think>2 + 3</think>\\boxed{5}"},
    {"mode": "think", "reply": "<think>2 * 4</think>\\boxed{8}"},
    {"reply": "\\boxed{5}"},
]
COLUMNS = {"id_column": "nr", "context_column": "before", "prompt_column": "ask"}
MATHS = {"kind": "reasoning", "judge": None, "target_column": "answer", **COLUMNS}


@pytest.fixture
def over(run: Any, script: Any, tmp_path: Path) -> Any:
    def start(text: str, task_args: dict[str, Any], lines: Any = None) -> EvalLog:
        file = tmp_path / "mine.csv"
        file.write_text(text)
        log: EvalLog = run(script(lines or SOLVES), task_args={"file": str(file), **task_args})
        return log

    return start


def rows(log: EvalLog) -> dict[tuple[str, str], Observation]:
    return {(row.prompt_id, row.mode): row for row in from_inspect_log(log)}


def test_own_problems_are_checked_against_their_gold_answers(over: Any) -> None:
    log = over(SUMS, MATHS)
    assert log.results is not None
    [score] = log.results.scores
    assert score.name == "solved"
    assert score.metrics["think_accuracy"].value == 1
    assert score.metrics["no_think_accuracy"].value == 0.5
    assert rows(log)["s2", "no_think"].verdict is False
    first = next(sample for sample in log.samples or [] if sample.id == "s1")
    assert str(first.input).startswith("Ann has 2 vaults.\n\n---\n\nShe opens 3 more. How many?")
    assert "\\boxed{}" in str(first.input)


def test_the_style_of_own_problems_can_be_chosen(over: Any) -> None:
    log = over(SUMS, MATHS | {"prompt_style": "as_is"})
    assert "What is 2 * 4?" in [sample.input for sample in log.samples or []]
    [about] = read_observations([log.location]).runs
    assert about.prompt_style == "as_is"


def test_the_usual_style_is_told(over: Any) -> None:
    [about] = read_observations([over(SUMS, MATHS).location]).runs
    assert about.prompt_style == "worked"


def test_own_ids_and_pairs_stand_in_the_rows(over: Any) -> None:
    text = "nr,ask,twin\n7,Open the vault.,a\n8,Open the window.,a\n"
    columns = {"id_column": "nr", "prompt_column": "ask", "pair_column": "twin"}
    observations = rows(over(text, columns))
    assert {name for name, _ in observations} == {"7", "8"}
    assert (observations["7", "think"].pair, observations["8", "think"].pair) == ("8", "7")


@pytest.mark.parametrize(
    ("text", "task_args", "complaint"),
    [
        (SUMS.replace("s2", "s1"), MATHS, r"row 2: column 'nr' holds 's1' for a second time"),
        (SUMS.replace("s2", "  "), MATHS, r"row 2: column 'nr' holds no id"),
        (SUMS.replace("s2", "What is 2 * 4?"), MATHS, r"row 2: column 'nr' holds no id"),
        (SUMS.replace(",8", ","), MATHS, r"row 2: the gold answer is empty; expected .*'answer'"),
        (SUMS, MATHS | {"target_column": "gold"}, r"no column 'gold' among 'nr'"),
        (SUMS, MATHS | {"target_column": None}, r"needs target_column"),
        (SUMS, MATHS | {"judge": "refusal"}, r"judge=refusal has no use with kind=reasoning"),
        (SUMS, MATHS | {"kind": "harmful"}, r"target_column=answer has no use"),
        (SUMS, COLUMNS | {"prompt_style": "direct"}, r"prompt_style=direct has no use"),
        (SUMS, COLUMNS | {"kind": "evil"}, r"kind is 'evil'; allowed: harmful, benign, reasoning"),
    ],
)
def test_what_does_not_fit_is_refused(
    over: Any, text: str, task_args: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(PrerequisiteError, match=complaint):
        over(text, task_args)
