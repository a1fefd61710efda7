from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rim_eval.thinking import (
    ArmAdoption,
    ManipulationCheck,
    TraceLengths,
    check_manipulation,
)
from rim_eval.types import ARM_KINDS, ArmKind


def arm(adopted: int, returned: int) -> ArmAdoption:
    return ArmAdoption(returned=returned, adopted=adopted)


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
    result = check_manipulation(kind, arm(*think), arm(*no_think))
    assert result.verified is verified
    assert bool(result.reasons) is not verified


def test_prompted_has_a_wider_line_of_its_own() -> None:
    assert check_manipulation("prompted", arm(90, 100), arm(5, 100)).verified
    assert not check_manipulation("switch", arm(90, 100), arm(5, 100)).verified
    assert not check_manipulation("prompted", arm(89, 100), arm(5, 100)).verified
    assert not check_manipulation("prompted", arm(90, 100), arm(6, 100)).verified


def lengths(high: tuple[int, ...], low: tuple[int, ...]) -> TraceLengths:
    """Traces that pair one by one."""
    pairs = list(zip(high, low, strict=True))
    return TraceLengths(
        longer=sum(a > b for a, b in pairs),
        shorter=sum(a < b for a, b in pairs),
        tied=sum(a == b for a, b in pairs),
        think_median=median(high),
        no_think_median=median(low),
    )


def effort(found: TraceLengths | None, adopted: int = 20) -> ManipulationCheck:
    return check_manipulation("effort", arm(adopted, 20), arm(20, 20), found)


def test_effort_is_verified_by_longer_traces() -> None:
    low, high = tuple(range(100, 120)), tuple(range(400, 420))
    assert effort(lengths(high, low)).verified
    assert "no longer" in effort(lengths(low, high)).reasons[0]
    assert "no longer" in effort(lengths(low, low)).reasons[0]
    assert "unknown" in effort(None).reasons[0]
    assert not effort(lengths(high, low), adopted=3).verified


def test_effort_by_pairs() -> None:
    low = (10, 10, 10, 10, 10, 10, 10, 10, 10, 10)
    mixed = (11, 12, 13, 14, 15, 16, 9, 8, 7, 6)  # 6 of 10 longer: p = 0.377
    assert "p = 0.377" in effort(lengths(mixed, low)).reasons[0]
    nine = (11, 12, 13, 14, 15, 16, 17, 18, 19, 6)  # 9 of 10: p = 0.011
    assert effort(lengths(nine, low)).verified
    six = (11, 12, 13, 14, 15, 16)  # a seventh did not come back and makes no pair: p = 0.016
    assert effort(lengths(six, low[:6])).verified


@pytest.mark.parametrize("longer", range(5))
def test_effort_with_too_few_untied_pairs_cannot_be_told(longer: int) -> None:
    """Four pairs that all are longer have p = 0.0625; the check passed them, and also no pair at all."""
    few = TraceLengths(longer=longer, shorter=0, tied=30, think_median=20, no_think_median=10)
    result = effort(few)
    assert not result.verified
    assert result.reasons == (
        f"cannot tell whether traces are longer at high effort: {longer} pairs differ in length, and the sign "
        "test needs at least 5; run more prompts or epochs",
    )


def words(found: TraceLengths | None, think: int = 18, no_think: int = 1) -> ManipulationCheck:
    return check_manipulation("chain_of_thought", arm(think, 20), arm(no_think, 20), found)


def test_chain_of_thought_is_verified_by_marks_and_by_longer_replies() -> None:
    short, long = tuple(range(20, 40)), tuple(range(60, 80))
    assert words(lengths(long, short)).verified
    assert not words(lengths(long, short), think=17).verified
    assert not words(lengths(long, short), no_think=2).verified
    assert "no longer with reasoning" in words(lengths(short, long)).reasons[0]
    assert "reply lengths are unknown" in words(None).reasons[0]
    none = TraceLengths(longer=0, shorter=0, tied=0, think_median=0, no_think_median=0)
    assert "cannot tell" in words(none).reasons[0]


@pytest.mark.parametrize("kind", ARM_KINDS)
def test_half_a_run_is_not_verified(kind: ArmKind) -> None:
    assert "no no_think arm" in check_manipulation(kind, arm(9, 9), None).reasons[0]
    assert "no think arm" in check_manipulation(kind, None, arm(0, 9)).reasons[0]
    assert check_manipulation(kind, None, None).rule


def test_facts_must_fit() -> None:
    with pytest.raises(ValidationError, match="exceeds"):
        arm(3, 2)


counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(st.sampled_from(["switch", "forced_empty", "checkpoint_pair", "prompted"]), counts, counts)
def test_more_adoption_never_hurts_think_and_less_never_hurts_no_think(
    kind: ArmKind, think: tuple[int, int], no_think: tuple[int, int]
) -> None:
    if check_manipulation(kind, arm(*think), arm(*no_think)).verified:
        more = arm(min(think[0] + 1, think[1]), think[1])
        less = arm(max(no_think[0] - 1, 0), no_think[1])
        assert check_manipulation(kind, more, less).verified
