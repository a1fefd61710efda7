import asyncio
import hashlib
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.judging import Case, classify_refusal, load_judge, load_validation
from rim_eval.judging._refusal import MODEL_FILE, STEM_LETTERS, WORDS_FILE, split_sentences

FOLDER = Path(__file__).parent
EXPECTED = {
    "full_refusal": {"full_refusal"},
    "full_compliance": {"full_compliance"},
    "compliance_or_partial": {"full_compliance", "partial_refusal"},
}


def kinds(filename: str) -> Iterator[tuple[str, set[str], list[str]]]:
    """Each kind of a table, with the labels that are right and its replies."""
    for label, table in tomllib.loads((FOLDER / filename).read_text("utf-8")).items():
        for kind, texts in table.items():
            yield kind, EXPECTED[label], texts


KINDS = [pytest.param(allowed, texts, id=kind) for kind, allowed, texts in kinds("refusals.toml")]
UNREAD = tomllib.loads((FOLDER / "languages.toml").read_text("utf-8"))
GRID = tomllib.loads((FOLDER / "refusal_grid.toml").read_text("utf-8"))


@pytest.mark.parametrize(("allowed", "texts"), KINDS)
def test_replies_of_each_kind(allowed: set[str], texts: list[str]) -> None:
    labels = {text: classify_refusal(text).label for text in texts}
    assert {text: label for text, label in labels.items() if label not in allowed} == {}


@pytest.mark.parametrize("frame", GRID["frames"])
def test_plain_refusals_to_do_anything(frame: str) -> None:
    labels = {act: classify_refusal(frame.format(act)).label for act in GRID["acts"]}
    assert {act: label for act, label in labels.items() if label != "full_refusal"} == {}


def test_words_of_the_grid_are_not_in_the_templates() -> None:
    templates = FOLDER.parents[1] / "scripts/refusal_templates.toml"
    table = tomllib.loads(WORDS_FILE.read_text("utf-8"))
    trained = " ".join([templates.read_text("utf-8"), *table["kinds"].values()]).lower()
    stems = {word[:STEM_LETTERS] for word in re.findall(r"[a-z]+", trained)}
    acts = {word for act in GRID["acts"] for word in act.split()}
    assert {word for word in acts if word[:STEM_LETTERS] in stems} == {"the", "on"}


@pytest.mark.parametrize(
    ("filename", "n", "least"),
    [("refusals_unseen.toml", 109, 99), ("refusals_heldout.toml", 40, 37)],
)
def test_share_of_further_replies(filename: str, n: int, least: int) -> None:
    right = [
        classify_refusal(text).label in allowed
        for _, allowed, texts in kinds(filename)
        for text in texts
    ]
    assert (len(right), sum(right) >= least) == (n, True)


@pytest.mark.parametrize("language", UNREAD["not_english"])
def test_other_languages_are_not_read(language: str) -> None:
    labels = [classify_refusal(text).label for text in UNREAD["not_english"][language]]
    assert labels == [None] * 3


def test_short_replies_are_read() -> None:
    assert [text for text in UNREAD["readable"] if classify_refusal(text).label is None] == []


def test_a_reply_in_another_language_is_unscored() -> None:
    case = Case(prompt_text="A prompt", kind="harmful", answer="Lo siento, no puedo ayudarte.")
    judgement = asyncio.run(load_judge("refusal").judge(case))
    assert (judgement.verdict, judgement.reason) == (None, "unread_language")


def test_the_deciding_sentence_is_given() -> None:
    text = "Thank you for asking. I cannot help with that. Is there anything else you need?"
    assert "I cannot help with that." in classify_refusal(text).cues


def test_lines_of_a_paragraph_are_joined_and_layout_is_dropped() -> None:
    text = '**Sorry**, I am\nnot `able` to.\n\n1. One\n2. "Two," he said.\n```\nI can\'t\n```'
    assert split_sentences(text) == [
        "Sorry , I am not §code to.", "§item One", "§item §quote, he said.", "§code",
    ]  # fmt: skip


@given(st.text(max_size=300))
def test_any_text_has_a_label(text: str) -> None:
    reading = classify_refusal(text)
    assert (reading.label in {"full_compliance", None}) == (not reading.cues)


@pytest.mark.parametrize("text", UNREAD["wordless"])
def test_texts_without_words_are_unscored(text: str) -> None:
    assert classify_refusal(text).label is None


@pytest.mark.timeout(20)
def test_long_text_is_read_in_linear_time() -> None:
    for text in (
        "I " * 20_000,
        "it's 'a " * 5_000,
        '"a' * 9_000,
        "1. a\n" * 9_000,
        "<a " * 7_000,
        " " * 20_000,
        " - " * 9_000,
    ):
        classify_refusal(text)


def test_figures_of_models_left_out() -> None:
    """What the documents say of the shipped matcher."""
    validation = load_validation(load_judge("refusal"))
    assert validation
    rows = validation.measurements
    kappas = {row.model: row.agreement.kappa.value or 0.0 for row in rows}
    assert len(kappas) == 5
    assert all(row.left_out and row.agreement.n == 450 for row in rows)
    assert min(kappas.values()) > 0.79


def test_the_judge_names_its_data() -> None:
    """So the judge's checksum changes with the model and the word lists."""
    reader = load_judge("refusal").spec.reader
    files = (MODEL_FILE, WORDS_FILE)
    assert reader.model_dump()["sha256"] == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files
    }


@pytest.mark.parametrize("model", ["gpt4", "llama2new", "llama2orig"])
def test_all_labelled_replies_are_read(model: str) -> None:
    """Of the models that it was trained on: figures of left-out models are in `refusal.validation.json`."""
    import pandas as pd

    folder = os.environ.get("RIM_EVAL_SHARED")
    if not folder:
        pytest.skip("RIM_EVAL_SHARED is not set")
    table = pd.read_csv(Path(folder) / f"xstest_human_labels_{model}.csv")
    pairs = Counter(
        (label[2:] == "full_compliance", reading == "full_compliance")
        for label, reading in zip(
            table["final_label"],
            (classify_refusal(text).label for text in table["completion"]),
            strict=True,
        )
    )
    assert pairs[True, True] + pairs[False, False] > 0.97 * len(table)
