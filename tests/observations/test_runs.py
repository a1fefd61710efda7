"""Runs that are pooled have the same settings, one name each, and count once."""

from typing import Any

import pytest

from rim_eval.card import make_card
from rim_eval.errors import RimError
from rim_eval.observations import (
    Run,
    Table,
    check,
    from_rows,
    join,
    latest_runs,
    refuse_two_names,
)

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
        {"decoding": {"temperature": 0.6, "top_p": 0.95, "do_sample": False}},
        {"answer_tokens": 5},
        {"prompt_style": "direct"},
        {"switch": "prompt"},
    ],
)
def test_incompatible_runs_make_no_card(rows: Any, other: dict[str, Any]) -> None:
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
def test_compatible_runs_are_pooled(rows: Any, other: dict[str, Any]) -> None:
    table = arms(rows, think={}, no_think=other)
    assert check(table) == ()
    assert make_card(table).sets


@pytest.mark.parametrize(
    ("think", "no_think"),
    [
        ({"think.temperature": 0.6, "think.top_k": 20}, {"no_think.temperature": 0.7}),
        (
            {"think.temperature": 0.6, "no_think.temperature": 0.7, "seed": 0},
            {"no_think.temperature": 0.7},
        ),
        # What lm-eval and Inspect say of greedy decoding.
        ({"temperature": 0.0, "do_sample": False}, {"temperature": 0.0, "top_p": 1.0, "seed": 0}),
    ],
)
def test_runs_are_pooled_where_what_they_share_was_decoded_alike(
    rows: Any, think: dict[str, Any], no_think: dict[str, Any]
) -> None:
    assert check(arms(rows, think={"decoding": think}, no_think={"decoding": no_think})) == ()


def both_modes(rows: Any, *decodings: dict[str, Any]) -> Table:
    """Two runs of both modes over different prompts of one set."""
    return join(
        [
            Table(
                from_rows(
                    [
                        row.model_copy(update={"prompt_id": f"{number}-{row.prompt_id}"})
                        for row in rows(think=[1, 0], no_think=[0, 0])
                    ],
                    str(number),
                ),
                (Run(id=str(number), harness="x", log=f"{number}.eval", model="m", dataset="doors", decoding=decoding),),
            )
            for number, decoding in enumerate(decodings)
        ]
    )  # fmt: skip


@pytest.mark.parametrize("mode", ["think", "no_think"])
def test_runs_that_decode_a_mode_differently_are_not_pooled(rows: Any, mode: str) -> None:
    """Values of the other mode are the same, and those of both modes are none."""
    decoding = {"think.temperature": 0.6, "no_think.temperature": 0.7}
    assert check(both_modes(rows, decoding, decoding)) == ()
    [problem] = check(both_modes(rows, decoding, decoding | {f"{mode}.temperature": 1.0}))
    words = {"think": "with thinking", "no_think": "without thinking"}[mode]
    assert f"differ in their decoding {words}" in problem.says


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


def test_latest_runs_leave_out_what_a_retry_continued_and_keep_copies() -> None:
    def run(name: str, group: str, created: str, model: str = "m") -> Run:
        return Run(id=name, group=group, harness="x", log=name, model=model, dataset="d", created=created)  # fmt: skip

    first, retry = run("first", "a", "2026-01-01"), run("retry", "a", "2026-01-02")
    copy, other = run("copy", "a", "2026-01-02"), run("other", "b", "2025-01-01")
    renamed = run("renamed", "a", "2026-01-01", model="n")
    runs = (first, retry, copy, other, renamed)
    assert latest_runs(runs) == (retry, copy, other, renamed)


def test_one_run_under_two_names_is_refused() -> None:
    refuse_two_names([("a=x.eval", "r", "a"), ("x.eval", "s", "b"), ("a=y.eval", "r", "a")])
    with pytest.raises(
        RimError, match=r"a=x\.eval and b=x\.eval hold the same run under two names"
    ):
        refuse_two_names([("a=x.eval", "r", "a"), ("b=x.eval", "r", "b")])
