import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.generation import is_looping

PROSE = (
    "The rule book says that the vault is off limits. A window may be opened by anyone who asks. "
    "Nobody has asked about the bridge, which is open on Mondays. The cellar is cold, and the key "
    "hangs on the wall. Whoever rings the bell wakes the cook. The cook does not like to be woken."
)


@given(st.text(min_size=1, max_size=40).filter(lambda text: any(c.isalnum() for c in text)))
def test_any_passage_said_over_and_over_is_a_loop(passage: str) -> None:
    repeats = 4 + 300 // len(passage.strip() or "x")
    assert is_looping(PROSE + (passage.strip() + " ") * repeats)


@pytest.mark.parametrize("text", ["", "Sure.", PROSE, PROSE[::-1], "-" * 500, " \n" * 500])
def test_prose_rulers_and_blanks_are_no_loops(text: str) -> None:
    assert not is_looping(text)


def test_three_repeats_or_a_loop_that_was_left_are_no_loops() -> None:
    assert not is_looping(PROSE * 3)
    assert not is_looping("Wait. " * 200 + PROSE)
    assert is_looping(PROSE * 5)


def test_cut_off_last_copy_still_counts() -> None:
    assert is_looping((PROSE * 8)[:-17])


def test_long_texts_cost_no_more_than_their_end() -> None:
    start = time.process_time()
    is_looping("ab" * 2_000_000 + "c")
    assert time.process_time() - start < 5
