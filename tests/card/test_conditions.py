"""Doses and conditions on cards and in comparisons: arms of one set are never pooled, and never crossed."""

from typing import Any

import pytest

from rim_eval.card import check_card, make_card
from rim_eval.comparison import compare
from rim_eval.observations import Observation, Table, condition_name, from_rows


def table(*parts: list[Observation]) -> Table:
    return Table(from_rows([row for part in parts for row in part]))


def under(rows: list[Observation], **condition: Any) -> list[Observation]:
    name = condition_name(
        rows[0].dataset, condition.get("attack"), condition.get("sampling", "equal")
    )
    return [row.model_copy(update={"dataset": name, **condition}) for row in rows]


def in_doses(
    rows: Any, *, model: str = "m", dataset: str = "doors", **about: Any
) -> list[Observation]:
    """Three doses whose middle one is like neither end."""
    ends = rows(dataset, think=[1, 1, 0, 0] * 10, no_think=[0] * 40, model=model, **about)
    middle = rows(dataset, think=[1] * 40, model=model, **about)
    named = [
        row.model_copy(update={"dose": "off" if row.mode == "no_think" else "full"}) for row in ends
    ]
    return named + [row.model_copy(update={"dose": "512", "trace_tokens": 512}) for row in middle]


def without_middle(rows: list[Observation]) -> list[Observation]:
    return [row for row in rows if row.dose != "512"]


def test_models_are_compared_by_the_least_and_the_most_dose(rows: Any) -> None:
    given = in_doses(rows), in_doses(rows, model="other")
    several = compare(table(*given), reference="m")
    two = compare(table(*map(without_middle, given)), reference="m")
    assert several.sets == two.sets


def test_look_alikes_are_paired_by_the_least_and_the_most_dose(rows: Any) -> None:
    harmful = in_doses(rows)
    benign = in_doses(rows, dataset="windows", kind="benign")
    paired = [
        row.model_copy(update={"pair": row.prompt_id.replace("doors", "windows")})
        for row in harmful
    ]
    [several] = make_card(table(paired, benign)).discrimination
    [two] = make_card(table(without_middle(paired), without_middle(benign))).discrimination
    assert several == two


def test_look_alikes_of_two_samplings_are_no_pairs(rows: Any) -> None:
    harmful = [
        row.model_copy(update={"pair": row.prompt_id.replace("doors", "windows")})
        for row in rows(think=[1, 0] * 20, no_think=[0] * 40)
    ]
    benign = rows("windows", think=[0] * 40, no_think=[1, 0] * 20, kind="benign")
    sets = [
        harmful,
        under(harmful, sampling="recommended"),
        benign,
        under(benign, sampling="recommended"),
    ]
    card = make_card(table(*sets))
    names = {(each.harmful, each.benign) for each in card.discrimination}
    assert names == {("doors", "windows"), ("doors+recommended", "windows+recommended")}


def test_a_set_of_two_kinds_under_two_conditions_is_sound(rows: Any) -> None:
    """XSTest holds prompts to refuse and prompts to answer."""
    harmful = rows("xstest", think=[1, 0] * 20, no_think=[0] * 40)
    benign = [
        row.model_copy(update={"prompt_id": f"safe-{row.prompt_id}"})
        for row in rows("xstest", think=[0] * 40, no_think=[1, 0] * 20, kind="benign")
    ]
    both = [*harmful, *benign]
    card = make_card(table(both, under(both, attack="puzzle")))
    assert len(card.gaps) == 2
    assert check_card(card) == []


def test_the_flag_reads_a_score_and_a_gain_of_one_sampling(rows: Any) -> None:
    harmful = rows(think=[1] * 40, no_think=[0] * 40)
    solved = rows("sums", think=[1] * 40, no_think=[0] * 40, kind="reasoning")
    mixed = make_card(table(harmful, under(solved, sampling="recommended")))
    assert mixed.flag is not None
    assert mixed.flag.flag == "cannot_tell"
    alike = make_card(table(harmful, solved, under(solved, sampling="recommended")))
    assert alike.flag is not None
    assert (alike.flag.flag, alike.primary_reasoning) == ("yes", "sums")
    assert check_card(mixed) == check_card(alike) == []


@pytest.mark.parametrize("names", [("off", "512"), ("effort:low", "effort:high")])
def test_a_page_says_what_thinking_means_where_it_is_another_dose(
    rows: Any, names: tuple[str, str]
) -> None:
    from rim_eval.card import card_markdown

    ends = rows(think=[1] * 40, no_think=[0] * 40)
    given = [row.model_copy(update={"dose": names[row.mode == "think"]}) for row in ends]
    page = card_markdown(make_card(table(given)))
    assert "is the dose" in page.replace("\\", "")
