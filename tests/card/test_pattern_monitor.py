"""Whose findings in the traces a card shows: a grader's, and those of the keyword baseline on request only."""

import json
from typing import Any

import pytest

from rim_eval.card import Card, card_html, card_json, card_markdown, check_card, make_card
from rim_eval.errors import RimError
from rim_eval.observations import Table, from_rows

BASELINE = ("keyword baseline@1", None)
GRADED = ("effort_minimizing@2", "x/grader")


@pytest.fixture
def read_by(rows: Any) -> Any:
    """Makes a table whose traces each monitor read a part of."""

    def make(*monitors: tuple[str, str | None]) -> Table:
        observed = rows(think=[1] * 8 + [0] * 12, no_think=[0] * 20)
        for index, row in enumerate(one for one in observed if one.mode == "think"):
            name, grader = monitors[index % len(monitors)]
            found = {
                "patterns": ("heuristic_reliance",),
                "pattern_monitor": name,
                "pattern_grader": grader,
            }
            observed[observed.index(row)] = row.model_copy(update=found)
        return Table(from_rows(observed))

    return make


def test_a_graders_findings_are_shown_with_its_name(read_by: Any) -> None:
    card = make_card(read_by(GRADED))
    assert card.sets[0].counts.arms["think"].patterns["heuristic_reliance"].n == 20
    for text in (card_markdown(card), card_html(card)):
        assert "by effort_minimizing@2 asking x/grader" in text.replace("\\", "")
    assert check_card(card) == []


def test_the_keyword_baseline_is_left_off_unless_it_is_named(read_by: Any) -> None:
    table = read_by(BASELINE)
    card = make_card(table)
    assert card.sets[0].monitor is None
    assert not card.sets[0].counts.arms["think"].patterns_read
    assert "reasoning patterns" not in card_markdown(card)
    shown = make_card(table, patterns="keyword baseline")
    assert shown.sets[0].counts.arms["think"].patterns_read == 20
    assert "by keyword baseline@1" in card_markdown(shown)


def test_findings_of_a_grader_and_of_the_baseline_are_not_mixed(read_by: Any) -> None:
    table = read_by(GRADED, BASELINE)
    assert make_card(table).sets[0].counts.arms["think"].patterns_read == 10


def test_findings_of_two_graders_are_not_mixed(read_by: Any) -> None:
    table = read_by(GRADED, ("effort_minimizing@2", "x/other"))
    with pytest.raises(RimError, match=r"several monitors: .* asking x/grader, .* asking x/other"):
        make_card(table)
    card = make_card(table, patterns="effort_minimizing:x/other")
    assert card.sets[0].counts.arms["think"].patterns_read == 10
    with pytest.raises(RimError, match="No trace was read by 'oracle'"):
        make_card(table, patterns="oracle")


def test_a_card_of_before_names_no_monitor_and_still_loads(read_by: Any) -> None:
    value = json.loads(card_json(make_card(read_by(GRADED))))
    del value["sets"][0]["monitor"]
    card = Card.model_validate(value)
    assert check_card(card) == []
    assert "by a monitor that this card does not name" in card_markdown(card)
