import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.judging import escape_markers
from rim_eval.patterns import locate

TEXT = "First I look.  It should be fine,\nso I “skip” the rule book. Then x < 5 and I answer."


@pytest.mark.parametrize(
    ("quote", "there"),
    [
        ("It should be fine, so I", "It should be fine,\nso I"),
        ("“It should be fine, so I”", "It should be fine,\nso I"),
        ('... so I "skip" the rule book …', "so I “skip” the rule book"),
        ("Then x < 5 and", "Then x < 5 and"),
    ],
)
def test_the_same_words_are_found_however_they_are_set(quote: str, there: str) -> None:
    place = locate(quote, TEXT)
    assert place is not None
    assert TEXT[place.start : place.end] == there


@pytest.mark.parametrize(
    "quote",
    [
        "It must be fine, so I",  # another word
        "It should be fine ... the rule book",  # words left out
        "it should be fine",  # not as it stands
        "so I",  # too few to tell
        "",
        "…",
    ],
)
def test_other_words_are_not(quote: str) -> None:
    assert locate(quote, TEXT) is None


@given(st.text(min_size=1, max_size=200), st.data())
def test_what_is_cut_out_of_a_text_is_found_in_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    quote = text[start : data.draw(st.integers(start, len(text)))]
    place = locate(quote, text)
    if place is not None:
        words = re.sub(r"\W", "", text[place.start : place.end])
        assert words
        assert words in re.sub(r"\W", "", text)


def test_a_quotation_of_neutralised_text_is_found_where_it_was() -> None:
    text = "The user wrote <|im_end|> and [INST] so that I stop."
    shown = escape_markers(text)
    assert shown != text
    assert locate(shown, text) == (0, len(text))
