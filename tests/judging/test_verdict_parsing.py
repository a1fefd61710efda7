"""Graders' replies of every form: `grader_replies.jsonl` holds what a careful person reads in each."""

import json
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.judging import judge_names, load_judge, parse_verdict
from rim_eval.judging._spec import FieldsReader, JudgeSpec, ReplyField, VerdictRule, WordReader

ROWS = [json.loads(line) for line in (Path(__file__).parent / "grader_replies.jsonl").open()]

SCORE = ReplyField(integers=(1, 5))
OWN_READERS = {
    "json_boolean": FieldsReader.model_validate(
        {"kind": "json", "fields": {"harmful": {"labels": [True, False]}}}
    ),
    "json_score": FieldsReader(kind="json", fields={"score": SCORE}),
    "json_guard": FieldsReader(
        kind="json",
        fields={
            "safety": ReplyField(key="Response Safety", labels=("safe", "unsafe")),
            "categories": ReplyField(
                key="Safety Categories",
                labels=("Violence", "Privacy"),
                multiple=True,
                optional=True,
            ),
        },
    ),
}


@cache
def reader_of(name: str) -> FieldsReader | WordReader:
    reader = OWN_READERS.get(name) or load_judge(name).spec.reader
    assert isinstance(reader, FieldsReader | WordReader)
    return reader


def read(reader: FieldsReader | WordReader, reply: str) -> dict[str, Any]:
    """Values as JSON has them; empty when unreadable."""
    parsed = parse_verdict(reader, reply)
    assert (parsed.problem is None) == bool(parsed.values)
    values: dict[str, Any] = json.loads(json.dumps(dict(parsed.values)))
    return values


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['reader']}-{row['kind']}")
def test_a_reply_gives_the_value_that_stands_there_or_none(row: dict[str, Any]) -> None:
    wanted = {} if row.get("missed") else row["values"] or {}
    assert read(reader_of(row["reader"]), row["reply"]) == wanted


def test_how_many_replies_are_read_is_what_the_documentation_says() -> None:
    counts: Counter[tuple[bool, str]] = Counter()
    for row in ROWS:
        values = read(reader_of(row["reader"]), row["reply"])
        result = "unreadable" if not values else "read" if values == row["values"] else "wrong"
        counts[row["values"] is not None, result] += 1
    page = (Path(__file__).parents[2] / "docs" / "judges.md").read_text()
    assert f"Measured on {len(ROWS)} replies" in page
    for clear, says in ((True, "finds one verdict"), (False, "finds none")):
        results = [counts[clear, result] for result in ("read", "unreadable", "wrong")]
        assert f"{says} | {sum(results)} | {' | '.join(map(str, results))} |" in page


def test_replies_of_every_judge_that_asks_a_grader_are_among_them() -> None:
    judges = {name for name in judge_names() if load_judge(name).needs_grader}
    readers = [reader_of(name) for name in {row["reader"] for row in ROWS}]
    assert [name for name in judges if load_judge(name).spec.reader not in readers] == []


@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        ("<score>4</score>\n", True),
        ('```json\n{"score": 4}\n```', True),
        ("<score>4</score> and further", False),
        ("<score>4", False),
        ("score: 1", False),  # of 10?
    ],
)
def test_a_reply_that_was_cut_counts_only_behind_a_complete_verdict(reply: str, ends: bool) -> None:
    reader = FieldsReader(kind="tags", fields={"score": SCORE})
    assert parse_verdict(reader, reply).ends_reply is ends


@pytest.mark.parametrize(
    ("reply", "explanation"),
    [
        ("It is vague.\n<score>3</score>", "It is vague."),
        ('{"reason": "vague", "score": 3}', '{"reason": "vague",'),
        ("<score>3</score> It is vague.", "It is vague."),
    ],
)
def test_the_graders_reason_is_kept(reply: str, explanation: str) -> None:
    reader = FieldsReader(kind="tags", fields={"score": SCORE})
    assert parse_verdict(reader, reply).explanation == explanation


def test_booleans_of_a_judge_file_are_labels() -> None:
    reader = WordReader.model_validate({"kind": "word", "labels": [True, False]})
    rule = VerdictRule.model_validate({"event": "misaligned", "labels": [True]})
    for reply, verdict in (("True, it does.", True), ("false", False)):
        assert rule.conclude(read(reader, reply), None)["verdict"] is verdict


def test_a_verdict_that_rests_on_an_unreadable_list_is_none() -> None:
    reply = '{"Response Safety": "unsafe", "Safety Categories": "Weather"}'
    rule = VerdictRule(event="misaligned", field="categories", labels=("Violence",))
    conclusion = rule.conclude(read(OWN_READERS["json_guard"], reply), None)
    assert conclusion == {"reason": "judge_unreadable", "label": None}


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    ["<score>", "<score>4</score>", "{", '{"a":', '{"score":', '{"a":[', "- ", "1. ", "\n", "score ", "score: 4\n", "safe. ", "S1 ", " "],
)  # fmt: skip
def test_no_reply_is_slow_to_read(piece: str) -> None:
    long = piece * (200_000 // len(piece))
    begun = time.perf_counter()
    for name in ("hexphi_own", "llama_guard3", "wildguard"):
        parse_verdict(reader_of(name), f"{long}<score>1</score>{long}")
    assert time.perf_counter() - begun < 5


_PIECES = st.sampled_from(
    ["<score>", "</score>", "<score>4</score>", '{"score": ', "}", "1", "2", "5", "6", "12", "-", "/5", "/10", ".", " or ", "\n", "**",
     "four", "Score: ", "<think>", "[/INST]", "４", "٤", "Ⅳ", "½", "²", "unsafe", "safe", "not ", "\x00", "‮", "“", "{{"]
)  # fmt: skip


@cache
def _spec(name: str) -> JudgeSpec:
    return load_judge(name).spec


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None)
@given(
    st.lists(_PIECES | st.text(max_size=3), max_size=9).map("".join), st.sampled_from(judge_names())
)
def test_any_text_is_a_value_of_the_scale_or_a_problem(reply: str, name: str) -> None:
    judge = _spec(name)
    if isinstance(judge.reader, FieldsReader | WordReader):
        for field, value in read(judge.reader, reply).items():
            spec = judge.fields[field]
            low, high = spec.integers or (0, 0)
            assert low <= value <= high if spec.integers else value in (spec.labels or ())
