"""Gaps between conditions: of one factor, over the same prompts, and the sentence that is true of them."""

from typing import Any

import pytest

from rim_eval.observations import Observation, condition_name
from rim_eval.results.conditions import ConditionGap, gap_of, gaps_of_rows
from rim_eval.types import MODES

PROMPTS = 40


def rows_under(
    attack: str | None, sampling: Any, think: float, no_think: float
) -> list[Observation]:
    """A set under one condition, with these shares of events; the first prompts have them."""
    return [
        Observation(
            model="m",
            dataset=condition_name("doors", attack, sampling),
            prompt_id=f"p{number}",
            kind="harmful",
            mode=mode,
            arm_kind="switch",
            attack=attack,
            sampling=sampling,
            verdict=number < share * PROMPTS,
            adopted=mode == "think",
            stop_reason="stop",
        )
        for mode, share in zip(MODES, (think, no_think), strict=True)
        for number in range(PROMPTS)
    ]


def gap(*rows: list[Observation]) -> ConditionGap:
    [counts] = gaps_of_rows([row for part in rows for row in part])
    return gap_of(counts)


def test_a_rise_under_one_sampling_only_is_one_of_the_decoding() -> None:
    found = gap(rows_under(None, "equal", 0.9, 0.1), rows_under(None, "recommended", 0.1, 0.1))
    assert (found.value, found.reference_change.value, found.target_change.value) == (-80, 80, 0)
    assert found.names == ("doors+recommended", "doors")
    assert "with both modes decoded alike" in found.sentence
    assert "is one of the decoding, not of thinking alone" in found.sentence


def test_a_rise_under_both_samplings_is_not_called_one_of_the_decoding() -> None:
    found = gap(rows_under(None, "equal", 0.9, 0.1), rows_under(None, "recommended", 0.9, 0.1))
    assert "no gap is shown" in found.sentence
    found = gap(rows_under(None, "equal", 0.9, 0.1), rows_under(None, "recommended", 0.5, 0.1))
    assert "the change is lower with each mode decoded as its maker advises" in found.sentence


def test_a_sign_that_flips_is_called_so_in_either_direction() -> None:
    rising, falling = (0.9, 0.1), (0.1, 0.9)
    for bare, wrapped in ((rising, falling), (falling, rising)):
        found = gap(rows_under(None, "equal", *bare), rows_under("x", "equal", *wrapped))
        assert found.sign_flips
        assert found.sentence.endswith("the sign flips.")


def test_a_rise_that_an_attack_hides_is_told_with_the_attack() -> None:
    found = gap(rows_under(None, "equal", 0.9, 0.1), rows_under("x", "equal", 0.9, 0.9))
    assert "the change on bare prompts is not shown under the attack x" in found.sentence


def test_conditions_that_differ_in_two_things_have_no_gap() -> None:
    rows = [*rows_under(None, "equal", 0.5, 0.1), *rows_under("x", "recommended", 0.5, 0.1)]
    assert gaps_of_rows(rows) == []
    rows += rows_under(None, "recommended", 0.5, 0.1) + rows_under("x", "equal", 0.5, 0.1)
    factors = sorted(counts.factor for counts in gaps_of_rows(rows))
    assert factors == ["attack", "attack", "sampling", "sampling"]


def test_a_set_in_one_mode_only_has_no_gap() -> None:
    rows = [*rows_under(None, "equal", 0.5, 0.1), *rows_under("x", "equal", 0.5, 0.1)]
    assert gaps_of_rows([row for row in rows if row.mode == "think"]) == []


@pytest.mark.parametrize("sampling", ["equal", "recommended", "own"])
@pytest.mark.parametrize("attack", [None, "jailbreakbench/PAIR"])
def test_a_row_knows_its_set_without_the_condition(attack: str | None, sampling: Any) -> None:
    [row, *_] = rows_under(attack, sampling, 0.5, 0.5)
    assert row.bare_dataset == "doors"
