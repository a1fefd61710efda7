"""The draw of replies that a judge reads again, and what is kept of it."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.judging import (
    JudgeRepeats,
    count_repeats,
    draw_replies,
    read_repeats,
    readings_of,
)

sizes = st.dictionaries(st.sampled_from("abc"), st.integers(1, 12), min_size=1)


@given(sizes, st.integers(6, 40), st.integers(0, 5))
def test_a_draw_takes_as_many_of_each_part_as_can_be(
    sizes: dict[str, int], n: int, seed: int
) -> None:
    strata = {name: [(str(i % 5), (name, i)) for i in range(k)] for name, k in sizes.items()}
    drawn = draw_replies(strata, n, seed)
    assert drawn == draw_replies(strata, n, seed)
    assert sum(map(len, drawn.values())) == min(n, sum(sizes.values()))
    for name, replies in drawn.items():
        assert len(set(replies)) == len(replies)
        assert {part for part, _ in replies} <= {name}
        # Nobody gives up a place while another has more than one above.
        if len(replies) < sizes[name]:
            assert all(len(other) <= len(replies) + 1 for other in drawn.values())
        # Each prompt gives one reply before any gives two.
        by_prompt = Counter(i % 5 for _, i in replies)
        asked = min(5, sizes[name])
        assert len(by_prompt) == min(asked, len(replies))


def test_the_seed_decides() -> None:
    strata = {"a": [(str(i), i) for i in range(100)]}
    assert draw_replies(strata, 10, 0) != draw_replies(strata, 10, 1)
    assert len({draw_replies(strata, 4, seed)["a"][0] for seed in range(60)}) > 30


def test_too_few_for_every_part_is_refused() -> None:
    strata = {name: [("p", 1)] for name in "abc"}
    with pytest.raises(RimError, match="3 parts"):
        draw_replies(strata, 5, 0)


def test_counts_hold_first_verdicts_and_readings() -> None:
    cells = count_repeats(
        [(True, [True, None]), (True, [True, None]), (False, [False, True]), (True, [None, None])]
    )
    assert [(c.first, c.positives, c.readings, c.replies) for c in cells] == [
        (False, 1, 2, 1),
        (True, 0, 0, 1),
        (True, 1, 1, 2),
    ]
    assert readings_of(cells) == {(1, 2): 1, (0, 0): 1, (1, 1): 2}


def test_a_file_of_another_shape_says_what_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "log.repeats.json"
    about = {
        "log_sha256": "a",
        "judge": "j@1",
        "judge_sha256": "b",
        "grader": "g",
        "sees": "answer",
    }
    cell = {"first": True, "positives": 4, "readings": 3, "replies": 1}
    arm = {"dataset": "doors", "kind": "harmful", "mode": "think", "judged": 9, "cells": [cell]}
    content = about | {"rim_eval": "1", "temperature": 0, "times": 3, "seed": 0, "arms": [arm]}
    path.write_text(json.dumps(content))
    with pytest.raises(RimError, match="4 of 3 readings cannot be positive"):
        read_repeats(path)
    cell["positives"] = 2
    path.write_text(json.dumps(content))
    assert read_repeats(path) == JudgeRepeats.model_validate(content)
