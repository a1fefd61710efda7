import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from rim_eval import patterns
from rim_eval.errors import RimError
from rim_eval.patterns import PATTERNS, load_labelled_texts, load_monitor, measure_texts

KEPT = Path(patterns.__file__).with_name("cues.validation.json")


def test_the_paraphrases_hold_ten_of_each_pattern() -> None:
    counts = Counter(text.pattern for text in load_labelled_texts())
    assert counts.pop("none") == 15
    assert counts == dict.fromkeys(PATTERNS, 10)


def test_what_is_said_of_the_baseline_was_measured_on_these_cues() -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    current = load_monitor("cues").identity(None).sha256
    assert {one["monitor"]["sha256"] for found in kept.values() for one in found} == {current}
    again = asyncio.run(
        measure_texts(load_monitor("cues"), load_labelled_texts(), "paraphrases.jsonl")
    )
    assert [json.loads(one.model_dump_json()) for one in again] == kept["texts"]


def test_a_line_of_another_shape_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(
        '{"text": "I look.", "pattern": "none"}\n{"text": "I skip.", "pattern": "lazy"}\n'
    )
    with pytest.raises(RimError, match=r"line 2, pattern: Input should be"):
        load_labelled_texts(file)
