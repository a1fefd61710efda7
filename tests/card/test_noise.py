"""The judge's noise on a card: derived from counts, found out where it does not follow, said in one sentence."""

from functools import partial
from typing import Any

import pytest

from rim_eval.card import Card, card_markdown, check_card, make_card
from rim_eval.card.noise import bottleneck_sentence, derive_noise
from rim_eval.errors import RimError
from rim_eval.judging import JudgeRepeats
from rim_eval.observations import Run, Table, from_rows
from tests.conftest import Rows

JUDGE: dict[str, Any] = {
    "judge": "hexphi@2",
    "judge_sha256": "b" * 64,
    "judge_model": "openai/gpt-4.1",
    "judge_sees": "answer",
}
CLEAR = ((True, 3, 3, 15), (False, 0, 3, 15))
NOISY = ((True, 2, 3, 12), (True, 3, 3, 3), (False, 1, 3, 12), (False, 0, 3, 3))


def repeats(think: Any = CLEAR, no_think: Any = CLEAR, **changes: Any) -> JudgeRepeats:
    fields = ("first", "positives", "readings", "replies")
    arms = [
        {
            "dataset": "doors",
            "kind": "harmful",
            "mode": mode,
            "judged": 100,
            "cells": [dict(zip(fields, cell, strict=True)) for cell in cells],
        }
        for mode, cells in (("think", think), ("no_think", no_think))
        if cells
    ]
    about: dict[str, Any] = {
        "judge": "hexphi@2",
        "judge_sha256": "b" * 64,
        "grader": "openai/gpt-4.1",
        "sees": "answer",
    }
    about |= {"rim_eval": "1", "log_sha256": "c" * 64, "temperature": 0.0, "times": 3, "seed": 0}
    return JudgeRepeats.model_validate(about | {"arms": arms} | changes)


@pytest.fixture
def table(rows: Rows) -> Table:
    """A hundred prompts: 60 events with thinking, 40 without, nearly all on the same prompts."""
    think, no_think = [n < 60 for n in range(100)], [n < 40 for n in range(100)]
    run = Run(
        id="r", harness="inspect_ai", log="l.eval", log_sha256="c" * 64, model="m", dataset="doors"
    )
    made = rows(think=think, no_think=no_think, **JUDGE)
    frame = from_rows(made).assign(run="r")
    frame["run"] = frame["run"].astype("category")
    return Table(frame, (run,))


def card_of(table: Table, *given: JudgeRepeats) -> Card:
    return make_card(table, repeats=given)


def test_the_judges_part_and_one_sentence_stand_on_the_card(table: Table) -> None:
    card = card_of(table, repeats(NOISY, NOISY))
    assert check_card(card) == []
    [each] = card.sets
    assert each.noise is not None
    assert each.noise.split is not None
    # Readings of 24 of 30 replies have the variance 1/3, in each mode; the difference's is 1616.
    assert each.noise.split.judge_variance == pytest.approx(1e4 * 2 * 24 / 30 / 3)
    page = card_markdown(card)
    sentence = bottleneck_sentence(each.noise.split)
    assert sentence.startswith("The judge is the bottleneck, with 100.0 % (")
    assert "a better judge would help most (a standard error of 0.0 points" in sentence
    assert page.count(sentence) == 2
    assert "| doors | with thinking | 3 | 0 | 53.3 % (" in page
    assert "| judge | 100.0 % (" in page
    assert "| the mean of three readings of each reply | 2.3 | 100 |" in page
    assert "| all |  | as it is | 4.0 | 100 |" in page


def test_a_judge_without_noise_is_not_the_bottleneck(table: Table) -> None:
    [each] = card_of(table, repeats()).sets
    assert each.noise is not None
    assert each.noise.split is not None
    sentence = bottleneck_sentence(each.noise.split)
    assert sentence.startswith("The judge is not the bottleneck, with 0.0 % (0.0 to ")
    assert "more prompts would help most (a standard error of 2.8 points" in sentence
    assert "in place of 4.0; 4.0 with a judge without noise" in sentence
    assert each.noise.drift["think"][0] == 0


def test_labels_can_be_the_bottleneck(table: Table) -> None:
    [each] = card_of(table, repeats()).sets
    assert each.noise is not None
    labelled = derive_noise(each.noise, each.counts, 0.95, label_variance=100.0)
    assert labelled.split is not None
    sentence = bottleneck_sentence(labelled.split)
    assert "more labels would help most" in sentence
    assert sentence.count(".") > 1
    assert sentence.count(". ") == 0


def test_without_repeats_nothing_is_said(table: Table) -> None:
    for given in ([], [repeats(log_sha256="d" * 64)]):
        card = card_of(table, *given)
        assert card.sets[0].noise is None
        assert "bottleneck" not in card_markdown(card)


def test_one_mode_alone_has_no_split(table: Table) -> None:
    card = card_of(table, repeats(no_think=()))
    assert check_card(card) == []
    assert card.sets[0].noise is not None
    assert card.sets[0].noise.split is None
    page = card_markdown(card)
    assert "bottleneck" not in page
    assert "| doors | with thinking | 3 | 0 | 0.0 % (" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grader": "openai/other"}, "by hexphi@2, openai/other, and the set is judged by hexphi@2, openai/gpt-4.1"),
        ({"judge_sha256": "e" * 64}, "read the replies again"),
    ],
)  # fmt: skip
def test_repeats_of_another_judge_are_refused(table: Table, changes: Any, message: str) -> None:
    with pytest.raises(RimError, match=message):
        card_of(table, repeats(**changes))


def test_repeats_that_were_made_otherwise_are_not_joined(table: Table) -> None:
    both = repeats(no_think=()), repeats(think=(), temperature=1.0)
    with pytest.raises(RimError, match="at different temperatures"):
        card_of(table, *both)


def found(card: Card, change: Any) -> list[str]:
    dumped = card.model_dump(mode="json")
    change(dumped["sets"][0]["noise"])
    return check_card(Card.model_validate(dumped))


def test_figures_that_do_not_follow_are_found_out(table: Table) -> None:
    card = card_of(table, repeats(NOISY, NOISY))

    def rosier(noise: Any) -> None:
        noise["split"]["judge_is_bottleneck"] = "no"

    def more(noise: Any, cell: int = 0) -> None:
        noise["cells"]["think"][cell]["replies"] = 10**12

    def longer(noise: Any) -> None:
        noise["times"] = 2

    assert (
        "noise.split.judge_is_bottleneck is 'no', the counts give 'yes'" in found(card, rosier)[0]
    )
    for cell in (0, -1):
        [problem] = found(card, partial(more, cell=cell))
        assert "more replies were read again than have such a verdict" in problem
    assert "more readings than were asked" in found(card, longer)[0]


def test_an_offline_judge_has_no_repeats(table: Table) -> None:
    dumped = card_of(table, repeats()).model_dump(mode="json")
    dumped["sets"][0]["judge"]["model"] = None
    assert "repeats need a judge that asks a grader" in check_card(Card.model_validate(dumped))[0]
