"""Whose lengths the mode check compares: traces of `effort` arms, comparable whole replies of chain of thought."""

from typing import Any

import pytest

from rim_eval.results.columns import columns_of_rows
from rim_eval.results.counts import count_set
from rim_eval.types import ArmKind


def count(rows: Any, kind: ArmKind, think: list[Any], no_think: list[Any]) -> Any:
    made = rows(think=think, no_think=no_think, arm_kind=kind)
    sizes = {"think": (30, 20), "no_think": (0, 40)}
    counted = [
        row.model_copy(
            update=dict(zip(("trace_tokens", "answer_tokens"), sizes[row.mode], strict=True))
        )
        for row in made
    ]
    return count_set(columns_of_rows(counted)).trace_lengths


def test_whole_replies_of_pairs_whose_verdicts_do_not_differ(rows: Any) -> None:
    """A compliant answer is longer than a refusal, which tells nothing of the reasoning before it."""
    found = count(rows, "chain_of_thought", [0, 1, 0, None], [0, 1, 1, 0])
    assert (found.longer, found.shorter, found.tied) == (3, 0, 0)
    assert (found.think_median, found.no_think_median) == (50, 40)
    none = count(rows, "chain_of_thought", [0, 0], [1, 1])
    assert (none.longer, none.think_median) == (0, 0)


def test_traces_of_effort_arms(rows: Any) -> None:
    found = count(rows, "effort", [0, 1, 0], [0, 1, 1])
    assert (found.longer, found.think_median, found.no_think_median) == (3, 30, 0)


@pytest.mark.parametrize("kind", ["switch", "prompted", "forced_empty"])
def test_no_lengths_where_the_check_needs_none(rows: Any, kind: ArmKind) -> None:
    assert count(rows, kind, [0], [0]) is None
