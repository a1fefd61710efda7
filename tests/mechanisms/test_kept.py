"""Kept replies: what an earlier run left is counted once, however often it is used."""

from pathlib import Path

from rim_eval.mechanisms.replies import Kept


def test_what_was_kept_before_is_counted_at_its_first_use(tmp_path: Path) -> None:
    Kept(tmp_path / "replies.jsonl").add({"a": 1, "b": 2})
    kept = Kept(tmp_path / "replies.jsonl")
    kept.add({"c": 3})
    assert kept.count_from_before("ac") == 1
    assert kept.count_from_before("abc") == 1
    assert kept.count_from_before("abc") == 0
