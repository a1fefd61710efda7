import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rim_eval.thinking import ArmFacts, gate
from rim_eval.types import ARM_KINDS, ArmKind


def facts(adopted: int, returned: int, tokens: tuple[int | None, ...] = ()) -> ArmFacts:
    return ArmFacts(returned=returned, adopted=adopted, trace_tokens=tokens)


@pytest.mark.parametrize(
    ("think", "no_think", "verified"),
    [
        ((300, 300), (0, 300), True),
        ((285, 300), (3, 300), True),
        ((284, 300), (0, 300), False),
        ((300, 300), (4, 300), False),
        ((95, 100), (1, 100), True),
        ((94, 100), (1, 100), False),
        ((95, 100), (2, 100), False),
        ((98, 99), (1, 99), True),
        ((9, 10), (1, 10), True),
        ((8, 10), (0, 10), False),
        ((10, 10), (2, 10), False),
        ((1, 1), (0, 1), True),
        ((0, 1), (0, 1), False),
        ((1, 1), (1, 1), False),
        ((0, 0), (0, 10), False),
        ((10, 10), (0, 0), False),
    ],
)
@pytest.mark.parametrize("kind", ["switch", "forced_empty", "checkpoint_pair"])
def test_the_line(
    kind: ArmKind, think: tuple[int, int], no_think: tuple[int, int], verified: bool
) -> None:
    result = gate(kind, facts(*think), facts(*no_think))
    assert result.verified is verified
    assert bool(result.reasons) is not verified


def test_prompted_has_a_wider_line_of_its_own() -> None:
    assert gate("prompted", facts(90, 100), facts(5, 100)).verified
    assert not gate("switch", facts(90, 100), facts(5, 100)).verified
    assert not gate("prompted", facts(89, 100), facts(5, 100)).verified
    assert not gate("prompted", facts(90, 100), facts(6, 100)).verified


def test_effort_is_verified_by_longer_traces() -> None:
    low = facts(20, 20, tuple(range(100, 120)))
    high = facts(20, 20, tuple(range(400, 420)))
    assert gate("effort", high, low).verified
    assert "no longer" in gate("effort", low, high).reasons[0]
    assert "no longer" in gate("effort", low, low).reasons[0]
    assert "unknown" in gate("effort", facts(20, 20), facts(20, 20)).reasons[0]
    assert not gate("effort", facts(3, 20, high.trace_tokens), low).verified


def test_effort_by_pairs() -> None:
    low = (10, 10, 10, 10, 10, 10, 10, 10, 10, 10)
    mixed = (11, 12, 13, 14, 15, 16, 9, 8, 7, 6)  # 6 of 10 longer: p = 0.377
    result = gate("effort", facts(10, 10, mixed), facts(10, 10, low))
    assert "p = 0.377" in result.reasons[0]
    nine = (11, 12, 13, 14, 15, 16, 17, 18, 19, 6)  # 9 of 10: p = 0.011
    assert gate("effort", facts(10, 10, nine), facts(10, 10, low)).verified
    unpaired = (11, 12, 13, 14, 15, 16, None)
    assert gate("effort", facts(7, 7, unpaired), facts(10, 10, low)).verified


@pytest.mark.parametrize("kind", ARM_KINDS)
def test_half_a_run_is_not_verified(kind: ArmKind) -> None:
    assert "no no_think arm" in gate(kind, facts(9, 9), None).reasons[0]
    assert "no think arm" in gate(kind, None, facts(0, 9)).reasons[0]
    assert gate(kind, None, None).rule


def test_facts_must_fit() -> None:
    with pytest.raises(ValidationError, match="exceeds"):
        facts(3, 2)


counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(st.sampled_from(["switch", "forced_empty", "checkpoint_pair", "prompted"]), counts, counts)
def test_more_adoption_never_hurts_think_and_less_never_hurts_no_think(
    kind: ArmKind, think: tuple[int, int], no_think: tuple[int, int]
) -> None:
    if gate(kind, facts(*think), facts(*no_think)).verified:
        more = facts(min(think[0] + 1, think[1]), think[1])
        less = facts(max(no_think[0] - 1, 0), no_think[1])
        assert gate(kind, more, less).verified
