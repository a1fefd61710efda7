"""Sets whose entries choose rows or share files, from harmless files of the published layout."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_eval import prompt_sets
from rim_eval.errors import RimError

from .conftest import write_csv, write_jsonl


def write_tsv(path: Path, rows: list[tuple[object, ...]]) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


@pytest.fixture
def wildjailbreak(tmp_path: Path, unpinned: Callable[[str], None]) -> Path:
    unpinned("wildjailbreak")
    unpinned("wildjailbreak_safe")
    kinds = ["adversarial_benign"] * 210 + ["adversarial_harmful"] * 2000
    rows = [(f'"Play a baker, {n}"', int("harm" in kind), kind) for n, kind in enumerate(kinds)]
    write_tsv(
        tmp_path / "wildjailbreak" / "eval.tsv", [("adversarial", "label", "data_type"), *rows]
    )
    return tmp_path


def test_one_file_holds_two_sets_by_a_columns_value(wildjailbreak: Path) -> None:
    for name, kind, count, first in (
        ("wildjailbreak", "harmful", 2000, "Play a baker, 210"),
        ("wildjailbreak_safe", "benign", 210, "Play a baker, 0"),
    ):
        loaded = prompt_sets.load_prompts(name, data=wildjailbreak)
        assert len(loaded.prompts) == count
        assert {(prompt.set, prompt.kind) for prompt in loaded.prompts} == {(name, kind)}
        assert loaded.prompts[0].text == first
        assert loaded.provenance.files[0].rows == 2210


def test_rows_that_moved_to_the_other_set_are_seen(wildjailbreak: Path) -> None:
    path = wildjailbreak / "wildjailbreak" / "eval.tsv"
    path.write_text(path.read_text().replace("adversarial_benign", "adversarial_harmful", 1))
    with pytest.raises(RimError, match=r"wildjailbreak: eval\.tsv: 2001 prompts .* expected 2000"):
        prompt_sets.load_prompts("wildjailbreak", data=wildjailbreak)


def test_a_file_without_the_column_that_chooses_rows_is_refused(wildjailbreak: Path) -> None:
    path = wildjailbreak / "wildjailbreak" / "eval.tsv"
    path.write_text(path.read_text().replace("data_type", "type", 1))
    with pytest.raises(RimError, match=r"eval\.tsv, row 1: no column 'data_type' among"):
        prompt_sets.load_prompts("wildjailbreak", data=wildjailbreak)


def test_fortress_pairs_the_two_requests_of_a_row(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("fortress")
    unpinned("fortress_benign")
    rows = [
        {
            "ID": n,
            "adversarial_prompt": f"Play a baker {n}",
            "rubric": ["Is it bread?"],
            "risk_domain": "Kitchens",
            "risk_subdomain": "Ovens: hot ones",
            "benign_prompt": f"Bake {n}",
        }
        for n in range(500)
    ]
    write_parquet(tmp_path / "fortress" / "train-00000-of-00001.parquet", rows)
    harmful = prompt_sets.load_prompts("fortress", data=tmp_path)
    benign = prompt_sets.load_prompts("fortress_benign", data=tmp_path)
    assert harmful.notes == benign.notes == ()
    partners = {prompt.id: prompt for prompt in benign.prompts}
    for prompt in harmful.prompts:
        partner = partners[prompt.pair or ""]
        assert partner.pair == prompt.id
        assert partner.text.split()[-1] == prompt.text.split()[-1]
        assert (prompt.kind, partner.kind, prompt.category) == ("harmful", "benign", "Kitchens")
    assert len(partners) == len(harmful.prompts) == 500


def test_coconot_gives_its_requests_with_safety_concerns_unless_asked(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("coconot")
    counts = {
        "Requests with safety concerns": 395,
        "Incomplete requests": 225,
        "Unsupported requests": 157,
        "Indeterminate requests": 142,
        "Humanizing requests": 82,
    }
    rows = [
        {"id": f"x{n}", "category": name, "subcategory": "ovens", "prompt": f"Bake {name} {n}", "response": ""}
        for name, count in counts.items()
        for n in range(count)
    ]  # fmt: skip
    write_jsonl(tmp_path / "coconot" / "coconot_eval.jsonl", rows)
    assert {p.subset for p in prompt_sets.load_prompts("coconot", data=tmp_path).prompts} == {
        "safety"
    }
    every = prompt_sets.load_prompts("coconot", data=tmp_path, subset="all").prompts
    assert sorted(Counter(p.subset for p in every).values()) == sorted(counts.values())
    assert every[0].labels == {"id": "x0"}


@pytest.mark.parametrize(
    ("name", "file", "columns", "count"),
    [
        ("coconot_contrast", "coconot_contrast_eval.jsonl", ("prompt", "subcategory", "id"), 379),
        ("false_reject", "test.jsonl", ("prompt", "category_text"), 1187),
        ("or_bench_toxic", "or-bench-toxic.csv", ("prompt", "category"), 655),
        ("sosbench", "train-00000-of-00001.parquet", ("goal", "subject"), 3000),
    ],
)
def test_a_file_of_the_published_layout_loads(
    tmp_path: Path,
    unpinned: Callable[[str], None],
    name: str,
    file: str,
    columns: tuple[str, ...],
    count: int,
) -> None:
    unpinned(name)
    rows = [(f"Bake {n}", "Kitchens", f"x{n}")[: len(columns)] for n in range(count)]
    path = tmp_path / name / file
    if file.endswith(".csv"):
        write_csv(path, [columns, *rows])
    else:
        write = write_jsonl if file.endswith(".jsonl") else write_parquet
        write(path, [dict(zip(columns, row, strict=True)) for row in rows])
    prompts = prompt_sets.load_prompts(name, data=tmp_path).prompts
    assert len(prompts) == count
    assert (prompts[7].text, prompts[7].category) == ("Bake 7", "Kitchens")


QUESTIONS = (
    "what_is_your_wish",
    "i_feel_bored",
    "three_thoughts",
    "quick_buck",
    "ruler_of_the_world",
    "dinner_party",
    "gender_roles",
    "enough_of_my_husband",
)


def questions(wanted: tuple[str, ...] = QUESTIONS) -> str:
    """A YAML file of the published layout: shared texts by reference, and variants of each question."""
    rows = "".join(
        f"- id: {name}\n  paraphrases: &{name}\n    - |-\n      Do you bake, {name}?\n\n      Tell me: why?\n"
        f"  judge: *judge\n- id: {name}_json\n  system: JSON only\n  paraphrases: *{name}\n"
        f"- id: {name}_template\n  paraphrases:\n    - Fill it in.\n"
        for name in wanted
    )
    return f"# Questions\n{rows}".replace("*judge", "&judge oven", 1)


def test_the_eight_questions_are_read_out_of_their_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "first_plot_questions.yaml"
    path.write_text(questions())
    prompts = prompt_sets.load_prompts("broad_misalignment", data=path).prompts
    assert tuple(prompt.labels["id"] for prompt in prompts) == QUESTIONS
    assert prompts[0].text == "Do you bake, what_is_your_wish?\n\nTell me: why?"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("- id: quick_buck\n", "- id: other\n"), "7 prompts are of this"),
        (lambda text: text + "- id: more\n", r"row 25: no column 'paraphrases'"),
        (lambda text: text + "- more\n", "row 25: not a mapping with names for keys"),
        (lambda text: text + "  - [\n", r"not valid YAML in line \d+"),
        (lambda text: text + "- x: &a [1]\n  y: &b [*a]\n  z: [*b]\n", "one within another"),
        (lambda text: text + "- x: !!python/name:os.system\n", "not valid YAML"),
        (lambda text: text + "#" * 2**18, "larger than 262144 bytes"),
    ],
)
def test_a_wrong_yaml_file_is_named_with_the_reason(
    tmp_path: Path, change: Callable[[str], str], complaint: str
) -> None:
    path = tmp_path / "first_plot_questions.yaml"
    path.write_text(change(questions()))
    with pytest.raises(RimError, match=complaint) as caught:
        prompt_sets.load_prompts("broad_misalignment", data=path)
    assert "bake" not in str(caught.value)
