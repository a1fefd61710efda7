"""Runs that make one figure were asked alike: the same weights, sampling, budgets and prompts."""

from typing import Any

import pytest

from rim_eval.card import make_card
from rim_eval.errors import RimError
from rim_eval.observations import Run, Table, check, from_rows, join

SAME: dict[str, Any] = {
    "weights": "a" * 16,
    "decoding": {"temperature": 0.6, "top_p": 0.95, "seed": 0},
    "answer_tokens": 96,
    "thinking_tokens": 160,
    "prompt_style": "worked",
    "switch": "enable_thinking",
}


def arms(rows: Any, *, think: dict[str, Any], no_think: dict[str, Any]) -> Table:
    """One mode from each of two runs, as two commands with `-T modes=...` leave them."""
    told = {"think": SAME | think, "no_think": SAME | no_think}
    return join(
        [
            Table(
                from_rows(rows(**{mode: [1, 0, 1]}), mode),
                (
                    Run(
                        id=mode,
                        harness="x",
                        log=f"{mode}.eval",
                        model="m",
                        dataset="doors",
                        **facts,
                    ),
                ),
            )
            for mode, facts in told.items()
        ]
    )


@pytest.mark.parametrize(
    "other",
    [
        {"weights": "b" * 16},
        {"decoding": {"temperature": 0.0, "top_p": 0.95, "seed": 0}},
        {"answer_tokens": 5},
        {"prompt_style": "direct"},
        {"switch": "prompt"},
    ],
)
def test_runs_that_were_not_asked_alike_make_no_card(rows: Any, other: dict[str, Any]) -> None:
    """Two checkpoints of one folder name, or two ways of sampling, gave a RIM score of both."""
    table = arms(rows, think={}, no_think=other)
    [problem] = check(table)
    [name] = other
    assert problem.kind == "mismatch"
    assert f"differ in their {name}" in problem.says
    assert problem.ids == ("no_think.eval", "think.eval")
    with pytest.raises(RimError, match=f"differ in their {name}.*NAME=PATH"):
        make_card(table)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"decoding": {"temperature": 0.6, "top_p": 0.95, "seed": 7}},  # other epochs
        {"thinking_tokens": 0},  # of the run without thinking
        {"weights": None, "prompt_style": None},  # a log that does not tell
    ],
)
def test_runs_that_were_asked_alike_belong_together(rows: Any, other: dict[str, Any]) -> None:
    table = arms(rows, think={}, no_think=other)
    assert check(table) == ()
    assert make_card(table).sets


def test_weights_hold_for_all_sets_of_a_model(rows: Any) -> None:
    tables = [
        Table(
            from_rows(rows(dataset=name, think=[1], no_think=[0]), name),
            (Run(id=name, harness="x", log=name, model="m", dataset=name, weights=weights),),
        )
        for name, weights in (("toy", "a" * 16), ("other", "b" * 16))
    ]
    with pytest.raises(RimError, match="differ in their weights"):
        make_card(join(tables))
