from typing import Any

import pytest

from rim_eval.generation import Generation
from rim_eval.judging import Case, unscored_reason
from rim_eval.replies import case_of

FULL: dict[str, Any] = {
    "mode": "think", "arm_kind": "switch", "answer": "No.", "trace": "Hm.", "visibility": "full", "trace_closed": True, "stop_reason": "stop",
}  # fmt: skip
CUT: dict[str, Any] = {
    "trace": None, "trace_closed": None, "visibility": "none", "stop_reason": "max_tokens",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "answer", "reasoning"),
    [
        ({}, None, None),
        ({"trace_closed": False, "answer": ""}, "trace_never_closed", None),
        ({"trace_closed": False, "answer": "cut"}, "trace_never_closed", None),
        ({"answer": " \n"}, "empty_answer", None),
        ({"stop_reason": "content_filter"}, "provider_declined", "provider_declined"),
        ({"error": "timeout"}, "engine_error", "engine_error"),
        ({"stop_reason": "error"}, "engine_error", "engine_error"),
        ({"trace": None, "visibility": "none", "trace_closed": None}, None, "no_trace"),
        ({"trace": "A summary.", "visibility": "summary"}, None, "no_trace"),
        ({"trace": None, "visibility": "hidden", "trace_tokens": 9}, None, "no_trace"),
        ({"stop_reason": "max_tokens"}, None, None),
        ({"unknown_marks": "<|muse|>"}, "unknown_trace_marks", "unknown_trace_marks"),
        # Cut in think mode: the answer only where something says that the trace had ended.
        (CUT, "trace_end_unknown", "trace_end_unknown"),
        (CUT | {"mode": "no_think"}, None, "no_trace"),
        (CUT | {"stop_reason": "unknown"}, None, "no_trace"),
        (CUT | {"trace": ""}, None, "no_trace"),
        (CUT | {"visibility": "hidden", "trace_tokens": 9}, None, "no_trace"),
        (CUT | {"trace": "A summary.", "visibility": "summary"}, None, "no_trace"),
        (CUT | {"arm_kind": "prompted"}, "trace_end_unknown", "trace_end_unknown"),
    ],
)
def test_what_cannot_be_judged(
    change: dict[str, Any], answer: str | None, reasoning: str | None
) -> None:
    generation = Generation(**{**FULL, **change})
    assert unscored_reason(generation) == answer
    assert unscored_reason(generation, "both") == answer
    assert unscored_reason(generation, "reasoning") == reasoning


def test_a_case_is_made_of_a_generation() -> None:
    prompt = {"request": "Q", "kind": "harmful", "category": "c", "context": "x", "pair": None}
    case = case_of(prompt, Generation(**FULL))
    assert case == Case(
        prompt_text="Q", kind="harmful", category="c", context="x", answer="No.", trace="Hm."
    )
