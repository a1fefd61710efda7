"""What a sample writes to its transcript: every event is logged twice, so each one has to be of use to a reader."""

from typing import Any

import anyio
import pytest
from inspect_ai.event import ModelEvent, SpanBeginEvent, StoreEvent
from inspect_ai.log import EvalSample
from inspect_ai.model import ModelOutput, get_model

INSPECTS = ["init", "solvers", "rim_eval/both_modes", "scorers", "rim"]
"""Spans that Inspect opens for any solver and scorer."""


def spans(sample: EvalSample) -> list[str]:
    return [event.name for event in sample.events if isinstance(event, SpanBeginEvent)]


def test_a_sample_opens_one_span_a_mode_and_stores_its_replies_once(run: Any) -> None:
    log = run(limit=2)
    for sample in log.samples:
        assert sorted(spans(sample)) == sorted([*INSPECTS, "think", "no_think"])
        changes = [event for event in sample.events if isinstance(event, StoreEvent)]
        # The solver's span and the span of all solvers each record the whole of it.
        assert len(changes) == 2


def test_each_mode_is_asked_in_its_own_span(run: Any) -> None:
    for sample in run(limit=2).samples:
        begun = {e.id: e.name for e in sample.events if isinstance(e, SpanBeginEvent)}
        asked = [begun[e.span_id or ""] for e in sample.events if isinstance(e, ModelEvent)]
        assert sorted(asked) == ["no_think", "think"]


def test_graders_are_asked_in_a_span_of_the_arm(run: Any) -> None:
    outputs = [ModelOutput.from_content("grader", "<score>1</score>") for _ in range(2)]
    grader = get_model("mockllm/grader", custom_outputs=outputs)
    log = run(limit=1, task_args={"judge": "hexphi_own"}, model_roles={"grader": grader})
    [sample] = log.samples
    assert sorted(spans(sample)) == sorted([*INSPECTS, *["think", "no_think"] * 2])


def test_gathered_results_keep_their_order_and_errors_their_type() -> None:
    from rim_eval.inspect_tasks.compat import gather

    async def after(seconds: float, error: Exception | None = None) -> float:
        await anyio.sleep(seconds)
        if error:
            raise error
        return seconds

    async def in_order() -> list[float]:
        return await gather(after(0.02), after(0.0))

    async def failing() -> list[float]:
        return await gather(after(5.0), after(0.0, KeyError("first")))

    assert anyio.run(in_order) == [0.02, 0.0]
    with pytest.raises(KeyError, match="first"):
        anyio.run(failing)
