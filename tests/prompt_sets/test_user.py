import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval import prompt_sets
from rim_eval.errors import RimError

cells = st.text(
    alphabet=st.sampled_from("ab,;\"'\n \u00e9\u2028\ufeff"), min_size=1, max_size=12
).filter(lambda text: bool(text.strip(" \n\u2028")))


@settings(max_examples=60, deadline=None)
@given(st.lists(cells, min_size=1, max_size=8))
def test_prompts_survive_csv_and_jsonl_alike(prompts: list[str]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("n", "prompt"), *enumerate(prompts)])
    with tempfile.TemporaryDirectory() as folder:
        table, lines = Path(folder, "mine.csv"), Path(folder, "mine.jsonl")
        table.write_bytes(buffer.getvalue().encode())
        lines.write_text("\n".join(json.dumps({"prompt": one}) for one in prompts))
        one = prompt_sets.load_prompt_file(table, kind="benign").prompts
        two = prompt_sets.load_prompt_file(lines, kind="benign").prompts
    assert [prompt.text for prompt in one] == [prompt.strip() for prompt in prompts]
    assert one == two


def test_all_columns_find_their_place(tmp_path: Path) -> None:
    path = tmp_path / "My own-set.csv"
    path.write_text("id,ask,group,before,twin\n7,Bake bread,food,Hello,a\n8,Eat bread,food,,a\n")
    loaded = prompt_sets.load_prompt_file(
        path,
        kind="harmful",
        prompt_column="ask",
        category_column="group",
        context_column="before",
        pair_column="twin",
        label_columns=["id"],
    )
    first, second = loaded.prompts
    assert (first.set, first.category, first.context) == ("my_own_set", "food", "Hello")
    assert (first.pair, second.pair) == (second.id, first.id)
    assert (first.labels, second.context) == ({"id": "7"}, None)
    assert (loaded.entry.judge, loaded.provenance.source) == ("hexphi", "user")


def test_a_text_file_has_a_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("One, two\n\nThree\n")
    prompts = prompt_sets.load_prompt_file(path, kind="benign", name="Mine!").prompts
    assert [prompt.text for prompt in prompts] == ["One, two", "Three"]
    assert prompts[0].id.startswith("mine-")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.xlsx", "", r"a\.xlsx: its name must end in \.csv"),
        ("a.csv", "text\nhi\n", "no column 'prompt' among 'text'"),
        ("a.csv", "prompt\n", "holds no prompts"),
        ("a.csv", "", "holds no prompts"),
        ("a.csv", "prompt\nBake bread, please\n", "row 1: 2 cells in the row, 1 in the header"),
        ("a.csv", "id,prompt\n1,hi\n2,  \n", "row 2: the prompt is empty"),
        ("a.csv", 'prompt\n"unclosed\nnext\nlast\n', "quote is opened and never closed"),
        ("a.csv", "prompt,prompt\none,two\n", "column 'prompt' stands twice"),
        ("a.jsonl", '{"prompt": null}', "row 1: the prompt is null"),
        ("a.jsonl", '{"prompt": 3}', "row 1: the prompt is a int"),
        ("a.jsonl", "[1, 2]", "row 1: a JSON int"),
        ("a.json", "[{}", r"a\.json: not JSON"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(RimError, match=complaint):
        prompt_sets.load_prompt_file(path, kind="harmful")


def test_a_very_long_prompt_is_read(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text('prompt\n"' + "word " * 60_000 + '"\n')
    [prompt] = prompt_sets.load_prompt_file(path, kind="benign").prompts
    assert len(prompt.text) > 250_000


def test_bad_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RimError, match=r"cannot read .*none\.csv: No such file"):
        prompt_sets.load_prompt_file(tmp_path / "none.csv", kind="harmful")
    path = tmp_path / "a.txt"
    path.write_text("1+1\n")
    with pytest.raises(RimError, match="kind is 'evil'; allowed: harmful, benign, reasoning"):
        prompt_sets.load_prompt_file(path, kind="evil")  # type: ignore[arg-type]
    with pytest.raises(RimError, match="needs target_column"):
        prompt_sets.load_prompt_file(path, kind="reasoning")
