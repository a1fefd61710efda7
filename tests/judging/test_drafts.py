"""Replies of an unfinished run are kept beside its target, and each is used once."""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inspect_ai.model import GenerateConfig

from rim_eval.judging import Case, load_judge, resuming
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


class CountingGrader:
    def __init__(self, temperature: float) -> None:
        self.config, self.calls = GenerateConfig(temperature=temperature), 0

    def __str__(self) -> str:
        return "custom/grader"

    async def generate(self, input: Any, *, config: Any) -> Any:  # noqa: ARG002
        self.calls += 1
        return SimpleNamespace(completion="<score>4</score>", stop_reason="stop")


def test_grader_with_other_settings_is_asked_again(tmp_path: Path) -> None:
    case = Case(prompt_text="Open the door.", kind="harmful", answer="Sure, it is open.")
    calls = []
    for temperature in (0.0, 1.0, 0.0, 1.0):
        grader = CountingGrader(temperature)
        with suppress(KeyboardInterrupt), resuming(tmp_path / "judged.jsonl"):
            assert asyncio.run(load_judge("hexphi_own").judge(case, grader)).score == 4
            raise KeyboardInterrupt
        calls.append(grader.calls)
    assert calls == [1, 1, 0, 0]
