import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.escaping import escape_formula, escape_markers

MARKERS = (
    "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|endoftext|>", "<|channel|>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
    "<s>", "</s>", "<start_of_turn>", "<end_of_turn>", "<bos>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "[SYSTEM_PROMPT]", "[THINK]", "[/THINK]",
    "<think>", "</think>", "<seed:think>", "◁think▷", "[BEGIN DATA]", "[END DATA]", "<|return|>", "<|end_of_role|>", "<score>", "</score>", "<SCORE>", "< score>", "<score id=1>",
)  # fmt: skip


@pytest.mark.parametrize("marker", MARKERS)
def test_markers_lose_their_brackets_only(marker: str) -> None:
    clean = escape_markers(f"a {marker} b", ["score"])
    assert marker not in clean
    assert len(clean) == len(f"a {marker} b")
    assert [c for c in clean if c.isalnum()] == [c for c in f"a {marker} b" if c.isalnum()]


@pytest.mark.parametrize(
    "text", ["if a < b and c > d:", "x[0] = y[1]", "<p>Hello</p>", "List<int> xs", "a |> f |> g", "scores: 1-5", "<scores>"]
)  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert escape_markers(text, ["score"]) == text


@given(
    st.lists(
        st.sampled_from(MARKERS) | st.text(max_size=6) | st.sampled_from("<>|/[] "), max_size=12
    ).map("".join)
)
def test_no_marker_survives_and_twice_is_once(text: str) -> None:
    clean = escape_markers(text, ["score"])
    assert len(clean) == len(text)
    assert escape_markers(clean, ["score"]) == clean
    assert not any(marker in clean for marker in MARKERS)


@pytest.mark.parametrize("first", "=+-@\t\r")
def test_a_cell_that_a_spreadsheet_may_run_begins_with_an_apostrophe(first: str) -> None:
    assert escape_formula(f"{first}1+1") == f"'{first}1+1"
    assert escape_formula(f"1{first}1") == f"1{first}1"
    assert escape_formula("") == ""
