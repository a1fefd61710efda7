import json
import random
import re
import string
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rim_eval import prompt_sets

prose = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)
texts = prose.filter(lambda text: bool(text.strip()))


@given(texts, st.one_of(st.none(), texts))
def test_an_id_is_opaque(text: str, context: str | None) -> None:
    name, _, digits = prompt_sets.prompt_id("set", text, context).partition("-")
    assert name == "set"
    assert len(digits) == 12
    assert set(digits) <= set(string.hexdigits.lower())


@given(texts, st.sampled_from([" ", "\n", "\r\n", "\t  "]))
def test_white_space_at_line_ends_does_not_change_an_id(text: str, space: str) -> None:
    one = prompt_sets.prompt_id("set", f"{text} end")
    assert one == prompt_sets.prompt_id("set", f"{space}{text}{space}end{space}")


def test_an_id_does_not_depend_on_how_an_accent_is_stored() -> None:
    assert prompt_sets.prompt_id("set", "caf\u00e9") == prompt_sets.prompt_id("set", "cafe\u0301")


def test_set_text_and_context_all_count() -> None:
    ids = [
        prompt_sets.prompt_id("a", "one"),
        prompt_sets.prompt_id("b", "one"),
        prompt_sets.prompt_id("a", "two"),
        prompt_sets.prompt_id("a", "one", "context"),
        prompt_sets.prompt_id("a", "one context"),
    ]
    assert len({one.partition("-")[2] for one in ids[2:]}) == 3
    assert len(set(ids)) == 5


def test_published_ids_never_change() -> None:
    assert prompt_sets.prompt_id("toy", "Say hello.") == "toy-2f52a733d122"
    assert prompt_sets.prompt_id("toy", "Say hello.", "Morning.") == "toy-40241c2232e3"


def test_repeated_prompts_get_the_same_ids_in_any_order(tmp_path: Path) -> None:
    rows = [{"prompt": "twice", "answer": str(n)} for n in range(5)] + [
        {"prompt": "once", "answer": "1"}
    ]
    loaded = []
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        path = tmp_path / f"{seed}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        loaded.append(
            prompt_sets.load_prompt_file(
                path, name="sums", kind="reasoning", target_column="answer"
            )
        )
    found = {frozenset((p.id, p.target) for p in one.prompts) for one in loaded}
    assert len(found) == 1
    assert len({p.id for p in loaded[0].prompts}) == 6
    note = r"4 prompts repeat another one \(rows \d(, \d){4}\); their ids end in -2, -3, \.\.\."
    assert re.fullmatch(note, loaded[0].notes[0])
