"""Prompt files as spreadsheets, editors and scripts write them: read rightly, or refused by row and column."""

import json
import os
from pathlib import Path

import pytest

from rim_eval import prompt_sets, prompts
from rim_eval.errors import RimError

SHARED = os.environ.get("RIM_EVAL_SHARED")

TABLE = "ask,group\nBake a crêpe,food\nFold a boat,paper\n"
PROMPTS = ["Bake a crêpe", "Fold a boat"]


def load(folder: Path, name: str, content: str | bytes) -> list[str]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    loaded = prompt_sets.load_prompt_file(
        path, kind="benign", prompt_column="ask", label_columns=["group"]
    )
    return [prompt.text for prompt in loaded.prompts]


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        b"\xfe\xff" + TABLE.encode("utf-16-be"),
        TABLE.encode("utf-16-le"),
        TABLE.encode("utf-32"),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace("\n", "\r\r\n").encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode("utf-16"),
        TABLE.replace("ask,", "Ask,").encode(),
        TABLE.replace("ask,group", " ASK\xa0, group ").encode(),
        TABLE.replace("ask", '"ask"').encode(),
        TABLE.replace("Fold a boat,", ' "Fold a boat", ').encode(),
        TABLE.replace("\nFold", "\n,\n\n , \nFold").encode(),
        b"," + TABLE.replace("\n", "\n1,").removesuffix("1,").encode(),
        TABLE.replace("\n", ",,\n").encode(),
    ],
)
def test_a_table_is_read_whatever_program_wrote_it(tmp_path: Path, content: bytes) -> None:
    assert load(tmp_path, "mine.csv", content) == PROMPTS


@pytest.mark.parametrize(
    ("cell", "prompt"),
    [
        ('"Bake, then ""eat""\r\nit"', 'Bake, then "eat"\nit'),
        ('"Bake\rEat"', "Bake\nEat"),
        ('Say "hi" to Ann', 'Say "hi" to Ann'),
        ("Bake\u2028Eat\x85Rest", "Bake\u2028Eat\x85Rest"),
        ("007", "007"),
        ("1e3", "1e3"),
        ("NA", "NA"),
        ("x" * 300_000, "x" * 300_000),
    ],
)
def test_a_cell_keeps_its_text(tmp_path: Path, cell: str, prompt: str) -> None:
    assert load(tmp_path, "mine.csv", f"ask,group\n{cell},a\n") == [prompt]


def test_a_semicolon_inside_prompts_does_not_split_them(tmp_path: Path) -> None:
    assert load(tmp_path, "mine.csv", "ask\nBake; then eat\n") == ["Bake; then eat"]
    assert load(tmp_path, "mine.csv", "ask;group\nBake, then eat;a\n") == ["Bake, then eat"]


def test_a_text_file_with_old_line_ends_has_a_prompt_a_line(tmp_path: Path) -> None:
    assert load(tmp_path, "mine.txt", "Bake bread\rFold a boat\r") == ["Bake bread", "Fold a boat"]


RECORDS = [{"ask": one} for one in PROMPTS]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + b"\n".join(json.dumps(row).encode() for row in RECORDS),
        json.dumps(RECORDS, indent=1).encode("utf-16"),
        json.dumps({"version": 1, "data": RECORDS}, indent=1).encode(),
        json.dumps({"data": RECORDS}).encode(),
        "\r".join(json.dumps({"Ask ": one}) for one in PROMPTS).encode(),
        b"\n".join(
            json.dumps({"ask": [{"role": "user", "content": one}]}).encode() for one in PROMPTS
        ),
        b"\n".join(b'{"ask": %s, "group": NaN}' % json.dumps(one).encode() for one in PROMPTS),
    ],
)
def test_json_is_read_whatever_program_wrote_it(tmp_path: Path, content: bytes) -> None:
    assert load(tmp_path, "mine.json", content) == PROMPTS


def test_a_missing_number_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "Bake", "group": NaN}')
    [prompt] = prompt_sets.load_prompt_file(path, kind="benign", label_columns=["group"]).prompts
    assert prompt.labels == {}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (
            "a.csv",
            TABLE.encode("cp1252"),
            r"row 1: column 'ask' holds a byte that is not UTF-8 \(0xEA\)",
        ),
        (
            "a.csv",
            TABLE.replace("ask", "âsk").encode("cp1252"),
            r"column .* holds a byte that is not UTF-8",
        ),
        ("a.csv", b"ask,group\nBake\0,a\n", r"row 1: column 'ask' holds a NUL"),
        ("a.csv", b"ask,group\nBake,a\nEat,b\0\n", r"row 2: column 'group' holds a NUL"),
        ("a.csv", TABLE.encode("utf-16")[:-1], r"not UTF-16"),
        ("a.csv", b"Ask,ASK\nBake,Eat\n", r"no column 'ask' among 'Ask', 'ASK'"),
        ("a.csv", b'ask,group\nBake,a\n"Eat" it,b\n', r"row 2: .* double quote"),
        ("a.csv", b'ask,group\nBake,a\n"Eat\nit,b\nRest,c\n', r"row 2: .* never closed"),
        ("a.csv", b'ask,group\n"Bake,a\nEat,b\nSay ""hi"",c\n', r"row 1: .* double quote"),
        ("a.csv", b'ask,group\n"Say \\"hi\\" to Ann",a\n', r"row 1: .* double quote"),
        (
            "a.csv",
            b"ask,group\nBake bread,\nthen eat,a\nRest\nnow,a\n",
            r"row 3: 1 cells? .* line break",
        ),
        ("a.csv", b"ask,group\nBake,a\n\xef\xbb\xbfask,group\nEat,b\n", r"row 2: the header again"),
        ("a.jsonl", b'{"ask": "Bake"}\n{"ask": "Eat", "ask": "Rest"}', r"row 2: not JSON; .*twice"),
        ("a.jsonl", b'{"ask": ' + b"[" * 100_000, r"a\.jsonl: values in values too deep"),
        ("a.json", b'{"ask": ' + b"[" * 900 + b"]" * 900 + b"}", r"a\.json.*(too deep|is a list)"),
        ("a.csv", b"ask,group\n  ,a\n", r"row 1: the prompt is empty \(column 'ask'\)"),
        ("a.jsonl", b'{"ask": NaN}', r"row 1: the prompt is null \(column 'ask'\)"),
        ("a.jsonl", b'{"ask": 7}', r"row 1: the prompt is a int \(column 'ask'\)"),
        ("a.jsonl", b'{"ask": ["Bake", "Eat"]}', r"row 1: the prompt is a list of 2 \(column"),
        (
            "a.jsonl",
            b'{"ask": [{"role": "assistant", "content": "Hi"}]}',
            r"row 1: the prompt is a dict \(column 'ask'\)",
        ),
        (
            "a.jsonl",
            b'{"ask": "Bake"}\n{"ask": "Eat"}{"ask": "Rest"}',
            r"row 2: not JSON; expected one JSON object a row \(Extra data: line 1 column 15",
        ),
        ("a.jsonl", b'{"ask": "Bake"}\n{"ask": %s}' % (b"7" * 5000), r"row 2: not JSON; .*digits"),
        ("a.json", b'[{"ask": "Bake"},]', r"not JSON \(.*line 1 column 1\d"),
        ("a.jsonl", b'{"ask": "Bake \\ud800"}', r"row 1: column 'ask' holds half of a surrog"),
        ("a.jsonl", b'{"ask": ["Bake\\u0000"]}', r"row 1: column 'ask' holds a NUL"),
    ],
)
def test_what_cannot_be_read_is_refused_by_row_and_column(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    with pytest.raises(RimError, match=complaint):
        load(tmp_path, name, content)


@pytest.mark.parametrize("again", ["Cafe\u0301  au lait", " Café au lait ", "Café\xa0au\nlait"])
def test_a_doubled_prompt_is_said_with_its_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, again: str
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": p}) for p in ("Café au lait", "Tea", again)))
    loaded = prompt_sets.load_prompt_file(path, kind="benign")
    assert "rows 1, 3" in loaded.notes[0]
    assert "mine.jsonl: 1 prompt repeats another one (rows 1, 3)" in caplog.text
    assert again not in caplog.text


def test_prompts_that_differ_are_not_called_doubled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("prompt,before\nGo on,One\nGo on,Two\n")
    loaded = prompt_sets.load_prompt_file(path, kind="benign", context_column="before")
    assert loaded.notes == ()
    assert not caplog.text


def test_inspect_says_a_doubled_prompt_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("prompt\nBake\nEat\nBake \n")
    task = prompts(file=str(path), kind="benign")
    assert len({sample.id for sample in task.dataset}) == 3
    assert "mine.csv: 1 prompt repeats another one (rows 1, 3)" in caplog.text


@pytest.mark.skipif(not SHARED, reason="RIM_EVAL_SHARED names no folder of real files")
def test_files_of_users_are_read_or_refused_in_words() -> None:
    folder = Path(SHARED or "").parent / "cases" / "csv"
    refused = {}
    for path in sorted(folder.iterdir()):
        try:
            loaded = prompt_sets.load_prompt_file(path, kind="benign", prompt_column="text")
            assert all("\0" not in prompt.text for prompt in loaded.prompts), path.name
        except RimError as error:
            refused[path.name] = str(error)
    assert refused.keys() == {"concat.jsonl", "cp1252.csv", "list.jsonl", "nan.jsonl", "nul.csv", "trail.json"}  # fmt: skip
    assert all("row 1" in says or "column" in says for says in refused.values())
