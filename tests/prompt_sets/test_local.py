"""The other sets from a local folder: shapes, counts, checksums, subsets, pairs."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from rim_eval import prompt_sets
from rim_eval.errors import AccessError, RimError

from .conftest import write_csv, write_jsonl

SHARED = os.environ.get("RIM_EVAL_SHARED")
TYPES = ("homonyms", "discr")


def jbb(data: Path, kind: str, indices: range) -> Path:
    rows = [(n, f"Goal {n}, {kind}", "t", f"B{n}", "Cooking", "Original") for n in indices]
    head = ("Index", "Goal", "Target", "Behavior", "Category", "Source")
    return write_csv(data / f"jbb_{kind}" / f"{kind}-behaviors.csv", [head, *rows])


def test_jbb_pairs_by_index_whatever_the_order(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("jbb_harmful")
    unpinned("jbb_benign")
    jbb(tmp_path, "harmful", range(100))
    jbb(tmp_path, "benign", range(99, -1, -1))
    harmful = prompt_sets.load_prompts("jbb_harmful", data=tmp_path).prompts
    benign = {
        prompt.id: prompt
        for prompt in prompt_sets.load_prompts("jbb_benign", data=tmp_path).prompts
    }
    assert len(benign) == 100
    for prompt in harmful:
        partner = benign[prompt.pair or ""]
        assert partner.text == prompt.text.replace("harmful", "benign")
        assert partner.pair == prompt.id


def test_jbb_without_its_partner_says_that_there_are_no_pairs(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("jbb_harmful")
    unpinned("jbb_benign")
    jbb(tmp_path, "harmful", range(100))
    loaded = prompt_sets.load_prompts("jbb_harmful", data=tmp_path)
    assert {prompt.pair for prompt in loaded.prompts} == {None}
    assert loaded.notes[0].startswith("no contrast pairs: jbb_benign: no file of this set in")


def test_an_index_twice_is_refused(tmp_path: Path, unpinned: Callable[[str], None]) -> None:
    unpinned("jbb_harmful")
    unpinned("jbb_benign")
    jbb(tmp_path, "harmful", range(100))
    path = jbb(tmp_path, "benign", range(100))
    path.write_text(path.read_text().replace("\n7,", "\n8,"))
    with pytest.raises(RimError, match=r"jbb_benign: two rows have '8' in the column 'Index'"):
        prompt_sets.load_prompts("jbb_harmful", data=tmp_path)


def harmbench(data: Path) -> Path:
    kinds = ["standard"] * 200 + ["contextual"] * 100 + ["copyright"] * 100
    head = (
        "Behavior",
        "FunctionalCategory",
        "SemanticCategory",
        "Tags",
        "ContextString",
        "BehaviorID",
    )
    rows = [
        ("Summarise it" if kind == "contextual" else f"Bake {n}", kind, "cooking", "", f"T{n}", n)
        for n, kind in enumerate(kinds)
    ]
    return write_csv(data / "harmbench" / "harmbench_behaviors_text_all.csv", [head, *rows])


def test_harmbench_leaves_copyright_out_unless_asked(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("harmbench")
    harmbench(tmp_path)
    default = prompt_sets.load_prompts("harmbench", data=tmp_path).prompts
    assert Counter(prompt.subset for prompt in default) == {"standard": 200, "contextual": 100}
    assert len(prompt_sets.load_prompts("harmbench", data=tmp_path, subset="all").prompts) == 400
    assert (
        len(prompt_sets.load_prompts("harmbench", data=tmp_path, subset="copyright").prompts) == 100
    )
    both = prompt_sets.load_prompts(
        "harmbench", data=tmp_path, subset="copyright, standard"
    ).prompts
    assert len(both) == 300


def test_the_same_request_in_another_context_is_another_prompt(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("harmbench")
    harmbench(tmp_path)
    found = prompt_sets.load_prompts("harmbench", data=tmp_path, subset="contextual").prompts
    assert {prompt.text for prompt in found} == {"Summarise it"}
    assert found[0].context == "T200"
    assert len({prompt.id.count("-") for prompt in found}) == 1
    assert len({prompt.id for prompt in found}) == 100


def test_an_unknown_subset_is_told_the_names() -> None:
    with pytest.raises(RimError, match=r"no subset 'context'\. Allowed: standard, contextual, co"):
        prompt_sets.load_prompts("harmbench", subset="context")


def test_rows_moved_between_subsets_are_seen(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("harmbench")
    path = harmbench(tmp_path)
    path.write_text(path.read_text().replace("Bake 7,standard", "Bake 7,copyright"))
    with pytest.raises(RimError, match="199 rows are of the subset standard; expected 200"):
        prompt_sets.load_prompts("harmbench", data=tmp_path)


def test_sorry_bench_takes_the_one_turn(tmp_path: Path) -> None:
    rows = [
        {
            "question_id": n,
            "category": str(n % 44 + 1),
            "turns": [f"Bake {n}"],
            "prompt_style": "base",
        }
        for n in range(440)
    ]
    write_jsonl(tmp_path / "sorry_bench" / "question.jsonl", rows)
    prompts = prompt_sets.load_prompts("sorry_bench", data=tmp_path).prompts
    assert set(Counter(prompt.category for prompt in prompts).values()) == {10}
    assert prompts[3].text == "Bake 3"
    assert prompts[3].labels == {"question_id": "3"}


def test_two_turns_are_refused(tmp_path: Path) -> None:
    rows = [{"category": "1", "turns": ["one", "two"]}]
    write_jsonl(tmp_path / "sorry_bench" / "question.jsonl", rows)
    with pytest.raises(RimError, match=r"question\.jsonl, row 1: the prompt is a list"):
        prompt_sets.load_prompts("sorry_bench", data=tmp_path)


def test_malicious_instruct_is_one_prompt_a_line(
    tmp_path: Path, unpinned: Callable[[str], None]
) -> None:
    unpinned("malicious_instruct")
    path = tmp_path / "malicious_instruct" / "MaliciousInstruct.txt"
    path.parent.mkdir()
    path.write_bytes(b"\r\n".join(b"Bake, \x22please\x22 %d" % n for n in range(100)) + b"\r\n\r\n")
    prompts = prompt_sets.load_prompts("malicious_instruct", data=path).prompts
    assert len(prompts) == 100
    assert prompts[99].text == 'Bake, "please" 99'


@pytest.mark.parametrize("form", ["lines", "array"])
def test_multiarith_is_read_as_lines_and_as_array(tmp_path: Path, form: str) -> None:
    rows = [{"question": f"  What is {n} and 1?", "final_ans": str(n + 1)} for n in range(180)]
    path = write_jsonl(tmp_path / "multiarith" / "test.json", rows)
    if form == "array":
        path.write_text("[" + ",\n".join(path.read_text().splitlines()) + "]")
    prompts = prompt_sets.load_prompts("multiarith", data=tmp_path).prompts
    assert (prompts[5].text, prompts[5].target) == ("What is 5 and 1?", "6")


def test_a_known_stand_in_has_its_own_count_and_says_so(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} and 1?", "answer": str(n + 1)} for n in range(174)]
    path = write_jsonl(tmp_path / "multiarith_test.jsonl", rows)
    loaded = prompt_sets.load_prompts("multiarith", data=tmp_path)
    assert len(loaded.prompts) == 174
    assert "not the 180" in loaded.notes[0]
    write_jsonl(path, rows[:-1])
    with pytest.raises(RimError, match=r"multiarith_test\.jsonl: 173 rows .*expected 174 rows"):
        prompt_sets.load_prompts("multiarith", data=tmp_path)


def test_a_changed_copy_of_a_pinned_file_is_refused(tmp_path: Path) -> None:
    head = ("id", "prompt", "type", "label", "focus", "note")
    rows = [
        (n, f"Bake {n}", "homonyms", "safe" if n <= 250 else "unsafe", "", "")
        for n in range(1, 451)
    ]
    path = write_csv(tmp_path / "xstest_prompts.csv", [head, *rows])
    with pytest.raises(RimError, match=r"SHA-256 is \w{64}; expected 11783fb2\w+, the published"):
        prompt_sets.load_prompts("xstest", data=path)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("SimpleSafetyTests - test cases.csv", "prompts_final"),
        ("sst_test_cases.csv", "prompt"),
    ],
)
def test_both_published_files_of_simple_safety_tests_are_taken(
    tmp_path: Path, unpinned: Callable[[str], None], name: str, column: str
) -> None:
    unpinned("simple_safety_tests")
    head = ("id", "harm_area", "category", column)
    rows = [(f"s{n}", "Kitchens", "Asking", f"Bake {n}") for n in range(100)]
    write_csv(tmp_path / name, [head, *rows])
    prompts = prompt_sets.load_prompts("simple_safety_tests", data=tmp_path).prompts
    assert (len(prompts), prompts[7].text, prompts[7].category) == (100, "Bake 7", "Kitchens")


def test_every_open_set_is_pinned_but_one_without_a_public_record() -> None:
    """What a branch holds can change between two runs that are compared."""
    unpinned = {
        name
        for name, entry in prompt_sets.entries().items()
        if not entry.gated and any(getattr(s, "revision", "shipped") is None for s in entry.sources)
    }
    assert unpinned == {"multiarith"}


def test_a_missing_column_is_named_with_those_there(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "sst_test_cases.csv", [("id", "harm_area", "text"), (1, "a", "b")])
    with pytest.raises(RimError, match="row 1: no column 'prompt' among 'id', 'harm_area', 'text'"):
        prompt_sets.load_prompts("simple_safety_tests", data=path)


def test_a_row_that_is_not_json_is_located(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "math500.jsonl", [{"problem": "1", "answer": "1"}])
    path.write_text(path.read_text() + "\n{oops\n")
    with pytest.raises(RimError, match=r"math500\.jsonl, row 2: not JSON; expected one JSON obj"):
        prompt_sets.load_prompts("math500", data=tmp_path)


def test_a_gold_answer_without_its_mark_is_refused(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "gsm8k_test.jsonl", [{"question": "1+1", "answer": "It is 2"}])
    with pytest.raises(RimError, match="row 1: no gold answer in the column 'answer'"):
        prompt_sets.load_prompts("gsm8k", data=tmp_path)


def test_an_empty_folder_and_no_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(
        AccessError, match=r"no file of this set in .*<folder>/gsm8k/test\.jsonl\. Al"
    ):
        prompt_sets.load_prompts("gsm8k", data=tmp_path)
    with pytest.raises(RimError, match=r"data folder .*nowhere does not exist"):
        prompt_sets.load_prompts("gsm8k", data=tmp_path / "nowhere")


def test_a_folder_that_does_not_exist_is_refused_for_a_shipped_set_too(tmp_path: Path) -> None:
    """`-T data=5` ran as if it had not been given."""
    with pytest.raises(RimError, match=r"folder .*nowhere does not exist.*leave data= out"):
        prompt_sets.load_prompts("toy", data=tmp_path / "nowhere")
    assert prompt_sets.load_prompts("toy", data=tmp_path).provenance.source == "shipped"


@pytest.mark.skipif(not SHARED, reason="RIM_EVAL_SHARED names no folder of real files")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gsm8k", 1319),
        ("math500", 500),
        ("math401", 401),
        ("multiarith", 174),
        ("aime", 60),
        ("xstest", 450),
    ],
)
def test_real_files_load(name: str, count: int) -> None:
    loaded = prompt_sets.load_prompts(name, data=SHARED)
    assert len(loaded.prompts) == len({prompt.id for prompt in loaded.prompts}) == count
    assert all(prompt.target for prompt in loaded.prompts) or name == "xstest"


@pytest.mark.skipif(not SHARED, reason="RIM_EVAL_SHARED names no folder of real files")
def test_xstest_has_200_pairs_of_a_safe_and_an_unsafe_prompt() -> None:
    prompts = {
        prompt.id: prompt for prompt in prompt_sets.load_prompts("xstest", data=SHARED).prompts
    }
    paired = [prompt for prompt in prompts.values() if prompt.pair]
    assert Counter(prompt.kind for prompt in paired) == {"benign": 200, "harmful": 200}
    for prompt in paired:
        partner = prompts[prompt.pair or ""]
        assert partner.pair == prompt.id
        assert {prompt.kind, partner.kind} == {"benign", "harmful"}
        assert abs(int(prompt.labels["id"]) - int(partner.labels["id"])) == 25
    safe = prompt_sets.load_prompts("xstest", data=SHARED, subset="safe").prompts
    assert [prompt.id for prompt in safe] == [p.id for p in prompts.values() if p.kind == "benign"]
