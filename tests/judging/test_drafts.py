"""Replies of an unfinished run are kept beside its target, and each is used once."""

from contextlib import suppress
from pathlib import Path

import pytest

from rim_eval.judging import resuming
from rim_eval.judging._drafts import keep_draft, take_draft

SAFE, UNSAFE = ("safe", "stop"), ("unsafe", "max_tokens")


def interrupted(target: Path, *instrument: str) -> None:
    with suppress(KeyboardInterrupt), resuming(target, *instrument):
        for question, reply in (("a", SAFE), ("a", UNSAFE), ("b", SAFE)):
            keep_draft(question, reply)
        raise KeyboardInterrupt


def test_each_reply_to_one_question_is_taken_once_in_order(tmp_path: Path) -> None:
    interrupted(tmp_path / "judged.jsonl", "judge")
    with resuming(tmp_path / "judged.jsonl", "judge"):
        assert [take_draft(name) for name in "aaab"] == [SAFE, UNSAFE, None, SAFE]
        assert take_draft("c") is None
    assert [*tmp_path.iterdir()] == []


def test_other_instruments_keep_their_own_drafts(tmp_path: Path) -> None:
    interrupted(tmp_path / "judged.jsonl", "judge", "one")
    with resuming(tmp_path / "judged.jsonl", "judge", "two"):
        assert take_draft("b") is None
    assert len([*tmp_path.glob("judged.*.part")]) == 1


@pytest.mark.parametrize("rest", ['["b", "sa', "", "[]", '["b", 1, 2, 3]', "null"])
def test_line_that_was_cut_is_left_out(tmp_path: Path, rest: str) -> None:
    interrupted(tmp_path / "judged.jsonl")
    [file] = tmp_path.glob("*.part")
    file.write_text(f"{file.read_text()}\n{rest}")
    with resuming(tmp_path / "judged.jsonl"):
        keep_draft("c", SAFE)
        assert [take_draft(name) for name in "aabb"] == [SAFE, UNSAFE, SAFE, None]


def test_nothing_is_kept_outside_a_resumed_run(tmp_path: Path) -> None:
    keep_draft("a", SAFE)
    assert take_draft("a") is None
    assert [*tmp_path.iterdir()] == []
