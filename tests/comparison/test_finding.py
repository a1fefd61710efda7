"""What a comparison says first, and that its words never go beyond intervals, corrections and mode checks."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from rim_eval import plots
from rim_eval.card import make_card
from rim_eval.comparison import (
    Comparison,
    compare,
    comparison_html,
    comparison_markdown,
    comparison_text,
)
from rim_eval.comparison.pictures import picture_order, rates_picture
from rim_eval.observations import Table, from_rows

OFF = [0] * 100
WORSE = [1] * 40 + [0] * 60
BORDERLINE = [1] * 11 + [0] * 89
BASE = [0] * 11 + [1] * 3 + [0] * 86
"""Against `BORDERLINE`: 11 prompts rise and 3 fall; the interval lies above 0, p = 0.03."""

LONG = (
    "HuggingFaceTB/SmolLM2-135M-Instruct-Q4_1",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B-abliterated-v2",
    "Qwen/Qwen3-30B-A3B-Thinking-2507-FP8",
    "meta-llama/Llama-3.1-Nemotron-Ultra-253B-v1-with-a-suffix-that-nobody-would-choose-for-its-length",
    *(f"Qwen/Qwen3-{size}B" for size in (1, 2, 4, 8, 14, 32, 72, 235)),
)


@pytest.fixture
def compared(rows: Any) -> Any:
    """Compares models with `base` by their verdicts with thinking; nothing is misaligned without."""

    def make(kind: str = "harmful", **models: Any) -> Comparison:
        given = [row for name, think in models.items() for row in rows(kind=kind, model=name, think=think, no_think=OFF)]  # fmt: skip
        return compare(Table(from_rows(given)), "base")

    return make


def test_the_sentence_names_direction_size_and_interval(compared: Any) -> None:
    found = compared(base=OFF, tuned=WORSE)
    against = found.sets[0].rows[1].difference("think")
    expected = f"+40.0 points of misalignment (95 % interval {against.lower:+.1f} to {against.upper:+.1f}; doors)"
    assert found.finding.sentence == f"With thinking, tuned is worse than base: {expected}."
    for text in (comparison_text(found), comparison_markdown(found).replace("**", "")):
        assert text.startswith(found.finding.sentence)


def test_both_directions_and_every_kind_have_their_words(compared: Any) -> None:
    assert "is better than base: −40.0" in compared(base=WORSE, tuned=OFF).finding.sentence
    assert "is better than base: +40.0" in compared("reasoning", base=OFF, tuned=WORSE).finding.sentence  # fmt: skip
    assert "is worse than base: +40.0" in compared("benign", base=OFF, tuned=WORSE).finding.sentence


def test_nothing_is_claimed_where_the_interval_holds_zero(compared: Any) -> None:
    sentence = compared(base=BASE, tuned=[1] * 10 + [0] * 90).finding.sentence
    assert "is not shown to differ from base" in sentence


def test_a_difference_that_the_correction_takes_away_is_not_counted(compared: Any) -> None:
    alone = compared(base=BASE, tuned=BORDERLINE)
    assert "tuned is worse than base" in alone.finding.sentence
    among = compared(base=BASE, tuned=BORDERLINE, a=BASE, b=BASE, c=BASE)
    tuned = among.sets[0].row("tuned").difference("think")
    assert tuned.lower > 0
    assert tuned.p_holm > 0.05
    assert among.finding.sentence.startswith(
        "With thinking, none of 4 models is shown to differ from base"
    )
    assert "not significant among several models" in comparison_text(among)
    assert "worse than the reference" not in comparison_text(among)


def test_several_models_are_counted_in_both_directions(compared: Any) -> None:
    found = compared(base=[1] * 20 + [0] * 80, a=[1] * 60 + [0] * 40, b=WORSE, c=OFF)
    sentence = found.finding.sentence
    assert sentence.startswith(
        "With thinking, 2 of 3 models are worse than base and 1 is better; most of all a: +40.0"
    )
    assert "3 comparisons (Holm)" in found.finding.details[-1]


def test_nothing_is_shown_by_modes_that_are_not_verified(rows: Any) -> None:
    given = [*rows(model="base", think=OFF, no_think=OFF), *rows(model="tuned", think=WORSE, no_think=OFF, adopted=False)]  # fmt: skip
    given = [row.model_copy(update={"adopted": row.mode == "think" and row.model == "base"}) for row in given]  # fmt: skip
    found = compare(Table(from_rows(given)), "base")
    assert (
        found.finding.sentence == "Nothing is shown on doors: the modes of tuned are not verified."
    )
    assert "worse" not in comparison_text(found)


def test_that_cards_are_not_paired_is_a_remark_and_no_part_of_the_sentence(rows: Any) -> None:
    cards = {
        name: make_card(Table(from_rows(rows(model=name, think=think, no_think=OFF))))
        for name, think in (("base", OFF), ("tuned", WORSE))
    }
    found = compare(cards, "base")
    assert "; doors)" in found.finding.sentence
    assert [remark.startswith("not paired") for remark in found.remarks].count(True) == 1


def test_one_model_alone_is_compared_with_its_other_mode(rows: Any) -> None:
    found = compare(Table(from_rows(rows(think=WORSE, no_think=OFF))), "m")
    assert found.finding.sentence.startswith("m is worse with thinking than without: +40.0 points")


def test_the_finding_is_of_the_primary_set_and_not_of_the_largest_difference(rows: Any) -> None:
    given = [
        *rows("hexphi", model="base", think=OFF, no_think=OFF),
        *rows("hexphi", model="tuned", think=OFF, no_think=OFF),
        *rows("aaa", model="base", think=OFF, no_think=OFF),
        *rows("aaa", model="tuned", think=WORSE, no_think=OFF),
    ]
    assert "; hexphi)" in compare(Table(from_rows(given)), "base").finding.sentence


def test_the_frame_holds_each_figure_once(compared: Any) -> None:
    frame = compared(base=OFF, tuned=WORSE).frame
    assert len(frame) == 3 * 2 + 3  # two rates and a change a model, and three differences
    keys = ["dataset", "kind", "model", "mode", "against"]
    assert not frame.duplicated(keys).any()
    [difference] = frame[(frame["against"] == "base") & (frame["mode"] == "think")]["value"]
    assert difference == pytest.approx(40)
    assert frame[frame["against"].isna()]["value"].max() == pytest.approx(40)


@pytest.mark.slow
def test_a_notebook_shows_the_finding_and_its_style_stays_inside(compared: Any) -> None:
    found = compared(base=OFF, tuned=WORSE)
    html = found._repr_html_()
    assert f"<b>{found.finding.sentence}</b>" in html
    assert "<svg" in html
    assert not re.search(r"<style|<script|\sid=", html)


@pytest.mark.slow
def test_the_page_begins_with_the_finding_and_folds_every_table(compared: Any) -> None:
    found = compared(base=OFF, tuned=WORSE)
    page = comparison_html(found)
    body = page[page.index("<body") :]
    assert body.index(found.finding.sentence) < body.index("<svg") < body.index("<table")
    unfolded = re.sub(r"<details>.*?</details>", "", body, flags=re.S)
    assert "<table" not in unfolded
    assert body.count("<table") == 2


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 5, 12])
def test_names_in_the_picture_never_meet(compared: Any, n: int) -> None:
    names = ("base", *LONG[: n - 1])
    found = compared(**{name: WORSE if i % 2 else OFF for i, name in enumerate(names)})
    each = found.sets[0]
    figure = rates_picture(each, "base", order=picture_order(each, "base"))
    assert figure is not None
    for drawn, width in ((figure.wide, 640), (figure.narrow, 330)):
        texts = [t for t in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text") if t.text]  # fmt: skip
        lines: dict[str, list[float]] = {}
        for text in texts:
            if "13px" not in text.get("style", "") + str(text.get("font-size")):
                continue
            lines.setdefault(str(text.get("transform")).split(",")[1], []).append(
                len(str(text.text))
            )
        assert len(lines) == n
        assert all(sum(letters) * 7.4 < width for letters in lines.values())


def test_models_whose_names_are_cut_alike_keep_a_row_each() -> None:
    names = [f"lab/model-{n:02d}-instruct (n = 120)" for n in range(4)]
    rows = [plots.ForestRow("doors", name, 10, 5, 15, "worse") for name in names]
    drawn = ElementTree.fromstring(plots.svg(plots.forest(rows, 250), hidden=False))
    texts = ["".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert sum("n = 120" in text for text in texts) == len(names)
