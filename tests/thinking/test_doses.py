"""Doses of thinking: how they are named and ordered, and when one was taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.thinking import (
    ArmAdoption,
    TraceLengths,
    check_dose,
    dose_rank,
    explicit_switch,
    read_doses,
)

LADDER = ["off", "forced_empty", "1", "512", "2048", "full", "more"]


@given(st.permutations(LADDER))
def test_doses_come_in_order_however_they_are_named(names: list[str]) -> None:
    assert [dose.name for dose in read_doses(",".join(names))] == LADDER


def test_each_dose_says_how_it_is_asked() -> None:
    off, empty, budget, full, more = read_doses("off,forced_empty,512,full,more")
    assert [dose.mode for dose in (off, empty, budget)] == ["no_think", "no_think", "think"]
    assert (budget.budget, full.budget, more.is_continued) == (512, None, True)
    assert empty.is_forced_empty


def test_efforts_are_named_once_or_each() -> None:
    short, long = (
        read_doses("effort:high,low,none"),
        read_doses("effort:none,effort:low,effort:high"),
    )
    assert short == long
    assert [(dose.effort, dose.mode) for dose in short] == [
        ("none", "no_think"),
        ("low", "think"),
        ("high", "think"),
    ]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("off", "at least two"),
        ("off,off", "at least two"),
        ("off,half", "'half' is no dose"),
        ("off,0", "'0' is no dose"),
        ("off,-5", "'-5' is no dose"),
        ("off,1.5", "'1.5' is no dose"),
        ("effort:low,huge", "'effort:huge' is no dose"),
        ("off,effort:low", "efforts and other doses"),
        ("512,full", "the least must be"),
        ("off,forced_empty", "the most a dose with thinking"),
        ("", "at least two"),
    ],
)
def test_other_names_are_refused_with_those_that_exist(spec: str, problem: str) -> None:
    with pytest.raises(RimError, match=problem) as error:
        read_doses(spec)
    assert "effort:minimal" in str(error.value)
    assert "forced_empty" in str(error.value)


def test_a_rank_is_told_of_doses_only() -> None:
    ranks = [dose_rank(name) for name in LADDER]
    assert ranks == sorted(rank for rank in ranks if rank is not None)
    assert dose_rank("think") is None


def taken(name: str, adopted: int, n: int = 200, over: int = 0, **about: object) -> tuple[str, ...]:
    spec = ",".join({"effort:none", name} if name.startswith("effort") else {*LADDER, name})
    [dose] = [dose for dose in read_doses(spec) if dose.name == name]
    adoption = ArmAdoption(returned=n, adopted=adopted)
    return check_dose(dose, adoption, over, **about).reasons  # type: ignore[arg-type]


def test_a_dose_with_a_trace_needs_one_and_a_dose_without_needs_none() -> None:
    assert taken("off", 2) == ()
    assert "not in their mode" in taken("off", 3)[0]
    assert taken("full", 190) == ()
    assert "not in their mode" in taken("full", 189)[0]


def test_an_ignored_budget_is_another_dose() -> None:
    assert taken("512", 200, over=2) == ()
    [reason] = taken("512", 200, over=3)
    assert "3 of 200 traces of the dose 512 are longer than 512 tokens" in reason
    assert "the budget was not kept" in reason


def lengths(longer: int, shorter: int, more: float = 90, less: float = 50) -> TraceLengths:
    medians = {"think_median": more, "no_think_median": less}
    return TraceLengths(longer=longer, shorter=shorter, tied=0, **medians)


@pytest.mark.parametrize("name", ["more", "effort:high"])
def test_what_has_no_budget_must_be_longer_than_the_dose_before(name: str) -> None:
    assert taken(name, 200, before="full", lengths=lengths(150, 50)) == ()
    assert taken(name, 200, before="full", lengths=lengths(101, 99))
    assert taken(name, 200, before="full", lengths=lengths(150, 50, more=40))
    assert "cannot be seen" in taken(name, 200, before="full", lengths=None)[0]


def test_the_switch_of_two_efforts_and_the_doses_of_two_ask_alike() -> None:
    switch = explicit_switch("effort:low,high")
    low, high = read_doses("effort:low,high")
    assert (switch.no_think.reasoning_effort, switch.think.reasoning_effort) == (
        low.effort,
        high.effort,
    )
