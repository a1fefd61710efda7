"""Sets whose prompts are made of another set's: the rules, and that the files are looked for once."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rim_eval import prompt_sets
from rim_eval.answers import check_answer
from rim_eval.errors import RimError
from rim_eval.prompt_sets import Prompt, derive, prompt_id

from .conftest import write_jsonl


def problem(text: str) -> Prompt:
    return Prompt(id=prompt_id("sums", text), set="sums", kind="reasoning", text=text, target="7")


def test_a_request_set_with_its_intent_has_the_files_of_the_plain_one(hexphi: Path) -> None:
    plain = prompt_sets.load_prompts("hexphi", data=hexphi)
    made = prompt_sets.load_prompts("hexphi_intents", data=hexphi)
    assert len(made.prompts) == len({prompt.id for prompt in made.prompts}) == 300
    for before, after in zip(plain.prompts, made.prompts, strict=True):
        sentence = after.text.removeprefix(f"{before.text} ")
        assert sentence.startswith("I ")
        assert after.labels == {"derived_from": before.id}
        assert (after.set, after.kind, after.category) == (
            "hexphi_intents",
            "harmful",
            before.category,
        )
        assert re.fullmatch("hexphi_intents-[0-9a-f]{12}", after.id)
    assert len({prompt.text.partition("steps ")[2] for prompt in made.prompts}) == 10
    assert made.provenance.files == plain.provenance.files


def test_a_derived_set_is_as_gated_as_the_other_one() -> None:
    with pytest.raises(prompt_sets.OfflineError, match="hexphi_intents") as caught:
        prompt_sets.load_prompts("hexphi_intents")
    assert "1. Request access at https://huggingface.co/datasets/LLM" in str(caught.value)
    assert "<folder>/hexphi/ with 10 files" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "number", "clue"),
    [
        ("Ann bakes 12 round loaves. How many are 2 loaves?", "12", 'before the words "round loaves"'),
        ("Each loaf costs $1,250. What do they cost?", "1,250", 'after the words "loaf costs"'),
        ("She gives away half. Then she bakes 3.5 more. And now?", "3.5", 'after the words "she bakes"'),
    ],
)  # fmt: skip
def test_a_copied_number_stands_in_the_context(text: str, number: str, clue: str) -> None:
    made = derive(problem(text), "copy_span", "copies")
    assert made is not None
    context, question = made.text.split("\n\n")
    assert made.target == number
    assert clue in question
    assert context == text[: text.rindex(".") + 1]
    assert made.id == prompt_id("copies", made.text)
    assert check_answer(f"It is \\boxed{{{number}}}.", made.target).correct


@pytest.mark.parametrize(
    "text",
    [
        "How many are 2 loaves?",
        "A loaf is 50% rye. How much is left?",
        "He ate 1/4 of the loaf. How much is left?",
        "He left at 10:30 sharp. When is he back?",
        "2 red hats, 3 red hats. How many?",
    ],
)
def test_a_number_that_cannot_be_told_gives_no_question(text: str) -> None:
    assert derive(problem(text), "copy_span", "copies") is None


def test_the_number_asked_for_depends_on_the_words_alone() -> None:
    text = "Ann bakes 12 round loaves, 7 flat cakes and 9 small rolls. How many?"
    made = [derive(problem(each), "copy_span", "copies") for each in (text, f" {text}\n")]
    assert made[0]
    assert made[1]
    assert made[0].text == made[1].text
    drawn = [derive(problem(f"{name}{text[3:]}"), "copy_span", "c") for name in "ABCDEFGHIJKL"]
    assert {one.target for one in drawn if one} == {"12", "7", "9"}


def test_the_copying_set_counts_what_the_rule_gives(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("gsm8k")
    unpinned("gsm8k_literal")
    rows = [
        {"question": f"Ann bakes {n} round loaves. How many?", "answer": f"So.\n#### {n}"}
        if n <= 1166
        else {"question": f"How many are {n} loaves?", "answer": f"#### {n}"}
        for n in range(1, 1320)
    ]
    path = write_jsonl(tmp_path / "gsm8k" / "test.jsonl", rows)
    loaded = prompt_sets.load_prompts("gsm8k_literal", data=tmp_path)
    assert [prompt.target for prompt in loaded.prompts] == [str(n) for n in range(1, 1167)]
    assert loaded.provenance.files[0].rows == 1319
    path.write_text(path.read_text().replace("Ann bakes 7 round", "Ann bakes seven round"))
    with pytest.raises(
        RimError, match=r"gsm8k_literal: test\.jsonl: 1165 prompts .* expected 1166"
    ):
        prompt_sets.load_prompts("gsm8k_literal", data=tmp_path)


def test_the_real_copying_set_loads_and_its_answers_are_right(shared_data: Path) -> None:
    loaded = prompt_sets.load_prompts("gsm8k_literal", data=shared_data)
    assert len({prompt.id for prompt in loaded.prompts}) == 1166
    for prompt in loaded.prompts:
        assert prompt.target
        assert prompt.target in prompt.text.split("\n\n")[0]
        assert check_answer(f"\\boxed{{{prompt.target}}}", prompt.target).correct


def test_files_of_a_set_that_is_not_there_are_an_error(tmp_path: Path) -> None:
    from rim_eval.prompt_sets.registry import read_entry

    path = tmp_path / "copies" / "set.toml"
    path.parent.mkdir()
    path.write_text('name = "copies"\nfiles_of = "nothing"\n')
    with pytest.raises(RimError, match="files_of names 'nothing', and there is no"):
        read_entry(path)
