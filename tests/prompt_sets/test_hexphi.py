"""Trap h: a reader that infers a header from HEx-PHI's files loads 290 prompts instead of 300."""

import re
from collections import Counter
from pathlib import Path

import pytest

from rim_eval import prompt_sets
from rim_eval.errors import AccessError, RimError


def test_ten_files_of_thirty_rows_give_300(hexphi: Path) -> None:
    loaded = prompt_sets.load_prompts("hexphi", data=hexphi)
    assert len(loaded.prompts) == len({prompt.id for prompt in loaded.prompts}) == 300
    assert set(Counter(prompt.category for prompt in loaded.prompts).values()) == {30}
    assert loaded.prompts[0].text == 'Bake "bread" 1, please,\nin 0 steps'
    assert {file.rows for file in loaded.provenance.files} == {30}


def test_the_sets_own_folder_is_as_good_as_the_folder_above_it(hexphi: Path) -> None:
    flat = prompt_sets.load_prompts("hexphi", data=hexphi / "hexphi")
    assert flat.prompts == prompt_sets.load_prompts("hexphi", data=hexphi).prompts


def test_the_environment_names_the_folder(hexphi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIM_EVAL_DATA", str(hexphi))
    assert len(prompt_sets.load_prompts("hexphi").prompts) == 300


def test_a_byte_order_mark_changes_nothing(hexphi: Path) -> None:
    before = prompt_sets.load_prompts("hexphi", data=hexphi).prompts
    path = hexphi / "hexphi" / "category_4.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert prompt_sets.load_prompts("hexphi", data=hexphi).prompts == before


def _drop_first(text: str) -> str:
    return text.partition('steps"\r\n')[2]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_drop_first, r"category_5\.csv: 29 rows \(was the first prompt taken for a header"),
        (lambda text: text + "One more\r\n", r"category_5\.csv: 31 rows; expected 30 rows"),
        (lambda text: "prompt\r\n" + text, r"category_5\.csv, row 1: the first row is a header"),
        (
            lambda text: "Prompt\r\n" + _drop_first(text),
            r"category_5\.csv, row 1: the first row is a header \('Prompt'\)",
        ),
        (
            lambda text: text.replace('in 2 steps"', 'in 2 steps",5'),
            r"category_5\.csv, row 3: 2 columns; expected one column",
        ),
        (
            lambda text: text + "Bake bread, please\r\n",
            r"category_5\.csv, row 31: 2 columns; .* comma in double quotes",
        ),
        (
            lambda text: _drop_first(text) + '"  "\r\n',
            r"category_5\.csv, row 30: the prompt is empty",
        ),
        (lambda _: "", r"category_5\.csv: 0 rows; expected 30"),
    ],
)
def test_a_malformed_file_is_named_with_the_reason(
    hexphi: Path, change: "object", complaint: str
) -> None:
    path = hexphi / "hexphi" / "category_5.csv"
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    assert callable(change)
    path.write_bytes(change(text).encode())
    with pytest.raises(RimError, match=complaint) as caught:
        prompt_sets.load_prompts("hexphi", data=hexphi)
    assert "Next: " in str(caught.value)
    assert "bread" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_located(hexphi: Path) -> None:
    path = hexphi / "hexphi" / "category_5.csv"
    path.write_bytes(path.read_bytes().replace(b"in 1 steps", b"in 1 st\xe9ps"))
    with pytest.raises(
        RimError,
        match=r"category_5\.csv, row 2: column 'prompt' holds a byte that is not UTF-8",
    ):
        prompt_sets.load_prompts("hexphi", data=hexphi)


def test_a_missing_file_is_named(hexphi: Path) -> None:
    (hexphi / "hexphi" / "category_9.csv").unlink()
    with pytest.raises(RimError, match=r"category_9\.csv: missing in .*; expected 10 files"):
        prompt_sets.load_prompts("hexphi", data=hexphi)


def test_category_2_is_refused(hexphi: Path) -> None:
    folder = hexphi / "hexphi"
    (folder / "category_2.csv").write_bytes((folder / "category_1.csv").read_bytes())
    with pytest.raises(RimError, match=r"category_2\.csv: not a file of this set"):
        prompt_sets.load_prompts("hexphi", data=hexphi)


def test_without_access_one_message_gives_the_steps() -> None:
    with pytest.raises(AccessError) as caught:
        prompt_sets.load_prompts("hexphi")
    steps = re.findall(r"^  (\d)\. (.*)$", str(caught.value), flags=re.MULTILINE)
    assert [number for number, _ in steps] == ["1", "2", "3", "4"]
    for part in (
        "https://huggingface.co/datasets/LLM-Tuning-Safety/HEx-PHI",
        "HF_TOKEN",
        "hf auth login",
        "<folder>/hexphi/",
        "RIM_EVAL_DATA",
    ):
        assert part in str(caught.value)


def test_one_file_under_two_names_is_refused(hexphi: Path) -> None:
    """The count would be right; thirty prompts would be missing and thirty counted twice."""
    folder = next(hexphi.rglob("category_3.csv")).parent
    (folder / "category_3.csv").write_bytes((folder / "category_1.csv").read_bytes())
    with pytest.raises(RimError, match=r"category_3\.csv: the same content as category_1\.csv"):
        prompt_sets.load_prompts("hexphi", data=hexphi)
