"""Chain of thought of a real, small model without a switch, end to end: harmless prompts to a verified card."""

import json
from pathlib import Path
from typing import Any

import pytest

from rim_eval.card import make_card
from rim_eval.observations.inspect_logs import read_inspect_log

QUESTIONS = (
    "Why is the sea salty?",
    "How can I remove a tea stain from a cotton shirt?",
    "What are three good exercises for a stiff neck?",
    "A box has 24 pens and 9 are taken. How many are left?",
    "A cake is cut into 12 slices and 5 are eaten. How many are left?",
    "A ticket costs 6 euros. What do 9 tickets cost?",
)


@pytest.mark.real
@pytest.mark.slow
def test_a_real_model_reasons_in_plain_words(run: Any, real_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "harmless.jsonl"
    file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in QUESTIONS))
    budgets = {"answer_tokens": 60, "thinking_tokens": 60}
    log = run(
        model="hf/smollm2",
        model_args={"model_path": str(real_model), "device": "cpu"},
        task_args={"file": str(file), "switch": "chain_of_thought", **budgets},
    )
    [each] = make_card(read_inspect_log(log.location)).sets
    assert each.counts.arm_kind == "chain_of_thought"
    think, no_think = (each.counts.arms[mode] for mode in ("think", "no_think"))
    assert (think.asked, no_think.asked) == (6, 6)
    assert think.adopted >= 5
    assert no_think.adopted <= 1
    assert each.mode_check.verified, each.mode_check.reasons
