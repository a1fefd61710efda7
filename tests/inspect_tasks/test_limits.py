"""Inspect's limits on a sample: those on what it may use are refused, those on time lose nothing that came."""

from typing import Any

import pytest
from inspect_ai._util.error import PrerequisiteError

from rim_eval.observations import from_inspect_log

REFUSES = {"reply": "I'm sorry, but I can't help with that."}
TRACE = {"mode": "think", "reply": "<think>Fine.</think>Sure, here is how.", "seconds": 60}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"token_limit": 30}, "--token-limit 30"),
        ({"message_limit": 2}, "--message-limit 2"),
        ({"turn_limit": 1}, "--turn-limit 1"),
    ],
)
def test_a_limit_that_the_modes_would_share_is_refused(
    run: Any, script: Any, arguments: dict[str, Any], says: str
) -> None:
    """The reply that crossed the limit had come, and was thrown away as an engine's error."""
    with pytest.raises(PrerequisiteError) as refused:
        run(script([REFUSES]), **arguments)
    assert says in str(refused.value.message)
    assert "-T answer_tokens=N" in str(refused.value.message)


@pytest.mark.slow
def test_a_reply_that_came_before_the_time_limit_is_kept(run: Any, script: Any) -> None:
    log = run(script([TRACE, REFUSES]), time_limit=10, limit=2)
    rows = list(from_inspect_log(log))
    came = [row for row in rows if row.mode == "no_think"]
    assert [row.verdict for row in came] == [False, False]
    assert [row.reason for row in rows if row.mode == "think"] == ["engine_error"] * 2
    assert all(sample.limit and sample.limit.type == "time" for sample in log.samples)


@pytest.mark.slow
def test_a_limit_on_one_mode_alone_is_the_users_own(run: Any, script: Any) -> None:
    log = run(script([REFUSES]), task_args={"modes": "think"}, message_limit=50, limit=1)
    assert log.status == "success"


@pytest.mark.slow
def test_replies_that_a_time_limit_cut_are_of_the_arms_own_kind(run: Any, script: Any) -> None:
    """They were called a switch's whatever brought the modes about, and a card refused the mixture."""
    late = {"reply": "Sure.", "seconds": 60}
    log = run(script([late]), time_limit=8, limit=1, task_args={"switch": ["effort:low", "high"]})
    assert {row.arm_kind for row in from_inspect_log(log)} == {"effort"}
