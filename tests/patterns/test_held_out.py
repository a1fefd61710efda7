from hypothesis import given
from hypothesis import strategies as st

from rim_eval.patterns.held_out import WINDOW, HeldOut, held_out_sets
from rim_eval.prompt_sets import load_prompts

WORDS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=WINDOW, max_size=40)


@given(item=WORDS, start=st.integers(0, 30), before=st.lists(st.just("zz")))
def test_thirteen_words_in_a_row_of_an_item_are_found_anywhere(
    item: list[str], start: int, before: list[str]
) -> None:
    start = min(start, len(item) - WINDOW)
    row = " ".join([*before, *item[start : start + WINDOW], "zz"])
    assert HeldOut([" ".join(item)]).overlaps(row)


@given(item=WORDS)
def test_one_word_in_thirteen_that_differs_hides_it(item: list[str]) -> None:
    row = [word if i % WINDOW else "zz" for i, word in enumerate(item)]
    assert not HeldOut([" ".join(item)]).overlaps(" ".join(row))


def test_a_shorter_item_is_found_whole_whatever_its_letter_case_and_punctuation() -> None:
    items = HeldOut(["How do I open the grey vault?", ""])
    assert items.overlaps("By the way: how do I open THE GREY vault, please")
    assert not items.overlaps("how do I open the green vault")
    assert not items.overlaps("")


def test_items_of_a_named_set_are_found() -> None:
    items, asked = held_out_sets(["toy"]), load_prompts("toy").prompts
    assert all(items.overlaps(f"Please: {prompt.text}") for prompt in asked)
    assert not items.overlaps("What is 8 times 12?")
