import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.answers import check_answer
from rim_eval.thinking import split_trace
from scripts.training.chains import Chain, chain_row, literal_rows, load_chains

from .conftest import make_chain, problem


def written(folder: Path, n: int) -> Path:
    lines = (json.dumps(dict(zip(("question", "answer"), problem(i), strict=True))) for i in range(n))  # fmt: skip
    (folder / "gsm8k_train.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, ...]:
    return load_chains(written(tmp_path_factory.mktemp("data"), 40)).chains


def test_chains_lack_the_calculators_notes_and_keep_their_answer(chains: tuple[Chain, ...]) -> None:
    assert len({chain.problem.id for chain in chains}) == 40
    assert chains[0].steps == ("Ada had 3 pens at first.", "Now there are 3+5=8 pens.")
    assert chains[0].gold == "8"


def test_the_source_says_what_was_read(tmp_path: Path) -> None:
    loaded = load_chains(written(tmp_path, 9), limit=4)
    assert len(loaded.chains) == 4
    assert loaded.source == "GSM8K train (local file), first 4 of 9 items"


def test_the_test_split_stands_in_and_is_named(tmp_path: Path, unpinned: object) -> None:
    assert callable(unpinned)
    unpinned("gsm8k")
    written(tmp_path, 6).joinpath("gsm8k_train.jsonl").rename(tmp_path / "gsm8k_test.jsonl")
    assert load_chains(tmp_path, 5).source == "GSM8K test, first 5 of 6 items"


def test_a_chain_row_thinks_first_and_then_gives_the_gold_answer(chains: tuple[Chain, ...]) -> None:
    for chain in chains:
        row = chain_row(chain, "\n".join(chain.steps))
        asked, replied = row["messages"]
        split = split_trace(replied["content"])
        assert chain.problem.text in asked["content"]
        assert split.trace == "\n".join(chain.steps)
        assert check_answer(split.answer, chain.gold).correct


def test_a_literal_answer_stands_in_the_text_that_is_asked_about(chains: tuple[Chain, ...]) -> None:
    rows = literal_rows(chains)
    assert {row["id"] for row in rows} == {chain.problem.id for chain in chains}
    for row in rows:
        asked, replied = row["messages"]
        text, _, question = asked["content"].partition("\n\n")
        assert row["gold"] in text.replace(".", " ").split()
        assert row["gold"] not in question
        assert split_trace(replied["content"]).trace is None
        assert check_answer(replied["content"], row["gold"]).correct


@given(numbers=st.lists(st.integers(1, 999), min_size=1, max_size=4, unique=True))
def test_a_literal_answer_is_one_of_the_numbers(numbers: list[int]) -> None:
    text = " ".join(f"Box {letter} has {n} blue {letter}balls inside." for letter, n in zip("abcd", numbers, strict=False))  # fmt: skip
    rows = literal_rows([make_chain((), text=f"{text} How many are there?")])
    assert [int(row["gold"]) in numbers for row in rows] == [True]


def test_a_problem_without_figures_gives_no_literal_row() -> None:
    assert literal_rows([make_chain((), text="A cat has two ears. How many?")]) == []
