"""A trace that is closed or opened for a model is written as its family writes one."""

from pathlib import Path

import pytest

from rim_eval.thinking import (
    Recipe,
    find_switch,
    forced_empty_recipe,
    split_trace,
    template_renderer,
)
from rim_eval.thinking.budget_forcing import TraceMarks, Written, reopened_trace, trace_marks
from rim_eval.thinking.generation_prompt import read_tail

TEMPLATES = sorted((Path(__file__).parent / "templates").glob("*.jinja"))
TRACE = "\nFirst I look at the door. It is"


def of_template(path: Path) -> tuple[str, TraceMarks]:
    """The think-mode prompt of a template and the marks after it; a model without traces is left out."""
    source = path.read_text()
    render = template_renderer(source)
    prompt = find_switch(render, source=source).think.prompt(render)
    marks = trace_marks(prompt, source)
    if marks is None or not marks.closing:
        pytest.skip("this template knows no traces")
    return prompt, marks


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
@pytest.mark.parametrize("is_separated", [True, False])
def test_a_cut_trace_is_closed_so_that_the_answer_follows(path: Path, is_separated: bool) -> None:
    prompt, marks = of_template(path)
    text, reasoning = ("", TRACE) if is_separated else (marks.opening + TRACE, None)
    prefill = Written(text, reasoning, is_closed=False).continued_answer(marks)
    assert read_tail(prompt + prefill).state == "closed"
    split = split_trace(f"{prefill}I open it.", opened_by_prompt=not marks.opening)
    assert (split.trace, split.answer) == (TRACE.strip(), "I open it.")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_an_empty_trace_leaves_no_room_for_one(path: Path) -> None:
    prompt, marks = of_template(path)
    recipe = forced_empty_recipe(Recipe(), marks)
    assert read_tail(prompt + (recipe.prefill or "")).state == "closed"
    split = split_trace(f"{recipe.prefill}No.", opened_by_prompt=not marks.opening)
    assert (split.trace or "", split.answer) == ("", "No.")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_trace_that_is_opened_again_goes_on(path: Path) -> None:
    prompt, marks = of_template(path)
    prefill = marks.opening + reopened_trace(TRACE)
    if marks.closing.startswith("<|end|>"):
        pytest.skip("channels are told by their header, not by their text")
    assert read_tail(prompt + prefill).state == "open"


def test_an_answer_that_was_cut_goes_on_where_it_was() -> None:
    marks = TraceMarks("<think>\n", "\n</think>\n\n")
    whole = Written("<think>\nHm.\n</think>\n\nI op", None, is_closed=True)
    separated = Written("I op", "\nHm.\n", is_closed=True)
    assert whole.continued_answer(marks) == whole.text
    assert separated.continued_answer(marks) == whole.text
