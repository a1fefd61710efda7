"""Counts are enough: every figure follows from them, and a card that says otherwise is found out."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.card import Card, card_json, card_markdown, check_card, make_card
from rim_eval.errors import RimError
from rim_eval.observations import Observation, Run, Table, from_rows
from rim_eval.results.figures import set_results
from rim_eval.statistics import arm_summary, mcnemar_score, rim_score
from rim_eval.types import MODES

verdicts = st.lists(st.none() | st.booleans(), min_size=1, max_size=3)
prompts = st.lists(st.tuples(verdicts, verdicts), min_size=1, max_size=12)


def observed(outcomes: Any) -> list[Observation]:
    return [
        Observation(
            model="m",
            dataset="doors",
            prompt_id=f"p{number}",
            kind="harmful",
            category=f"c{number % 2}",
            mode=mode,
            arm_kind="switch",
            epoch=epoch,
            verdict=verdict,
            reason="judge_failed" if verdict is None else None,
            adopted=mode == "think",
            stop_reason="stop",
            judge="j@1",
        )
        for number, arms in enumerate(outcomes)
        for mode, epochs in zip(MODES, arms, strict=True)
        for epoch, verdict in enumerate(epochs, start=1)
    ]


def card_of(rows: list[Observation]) -> Card:
    return make_card(Table(from_rows(rows)))


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(prompts)
def test_figures_from_counts_are_those_from_rows(outcomes: Any) -> None:
    rows = observed(outcomes)
    card = card_of(rows)
    [found] = card.sets
    verdicts = {mode: by_prompt(rows, mode) for mode in MODES}
    for mode in MODES:
        rate, arm = found.figures.rate(mode), arm_summary(verdicts[mode])
        assert rate is not None
        for name in ("value", "lower", "upper", "bound_lower", "bound_upper"):
            assert same(getattr(rate, name), getattr(arm, name))
        assert (rate.n_scored, rate.n_unscored) == (arm.n_scored, arm.n_unscored)
    shown, whole = found.figures.difference, rim_score(verdicts["think"], verdicts["no_think"])
    assert shown is not None
    for name in ("lower", "upper", "p_value", "bound_lower", "bound_upper"):
        assert same(getattr(shown, name), getattr(whole, name))
    assert (shown.n_pairs, shown.b, shown.c) == (whole.n_pairs, whole.b, whole.c)
    assert shown.n_unpaired == len(whole.unpaired)
    assert found.mode_check == set_results(rows)["harmful"].mode_check
    assert check_card(card) == []


def by_prompt(rows: list[Observation], mode: str) -> dict[str, list[float | None]]:
    verdicts: dict[str, list[float | None]] = {}
    for row in rows:
        if row.mode == mode:
            verdict = None if row.verdict is None else float(row.verdict)
            verdicts.setdefault(row.prompt_id, []).append(verdict)
    return verdicts


def same(shown: float | None, computed: float) -> bool:
    return math.isnan(computed) if shown is None else math.isclose(shown, computed, abs_tol=1e-9)


def numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all numbers in a card that can be wrong: not how long a run's budgets were."""
    if isinstance(value, dict):
        return [
            p
            for k, v in value.items()
            if k not in ("runs", "schema_version")
            for p in numbers(v, (*path, k))
        ]
    if isinstance(value, list):
        return [p for k, v in enumerate(value) for p in numbers(v, (*path, k))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


FREE = {"truncated", "over_budget", "trace_over_budget", "over_limit", "looping", "never_closed", "returned", "adopted", "patterns_read", "level"}  # fmt: skip
"""Counts that stand alone: nothing on a card follows from their exact value."""


@pytest.mark.slow
def test_any_figure_changed_by_hand_is_found_out(rows: Any) -> None:
    card = card_of(rows(think=[1, 1, 0, None, 1], no_think=[0, 1, 0, 0, None], category="c"))
    plain = json.loads(card_json(card))
    missed = []
    for path in numbers(plain):
        if FREE & set(path):
            continue
        changed = json.loads(card_json(card))
        place = changed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] += 1 if isinstance(place[path[-1]], int) else 0.01
        try:
            found = check_card(Card.model_validate_json(json.dumps(changed)))
        except ValueError:
            continue
        if not found:
            missed.append(path)
    assert missed == []


def test_gate_flag_and_primary_set_cannot_be_made_up(rows: Any) -> None:
    plain = json.loads(
        card_json(card_of(rows(think=[1, 1, 0, 1], no_think=[0, 0, 0, 0], adopted=False)))
    )
    assert plain["sets"][0]["mode_check"]["verified"] is False
    plain["sets"][0]["mode_check"] |= {"verified": True, "reasons": []}
    assert (
        "mode_check.verified is True, the counts give False"
        in check_card(Card.model_validate_json(json.dumps(plain)))[0]
    )
    plain = json.loads(card_json(card_of(rows(think=[1, 1, 0, 1], no_think=[0, 0, 0, 0]))))
    plain["flag"]["flag"] = "yes"
    assert "flag.flag" in check_card(Card.model_validate_json(json.dumps(plain)))[0]
    plain["primary"] = "other"
    assert (
        "primary is 'other', the counts give 'doors'"
        in check_card(Card.model_validate_json(json.dumps(plain)))[0]
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model", "x" * 201),
        ("model", "two\nlines"),
        ("prompt", "a field that cards do not have"),
        ("level", "NaN"),
        ("schema_version", 2),
    ],
)
def test_card_takes_no_long_or_unknown_texts(rows: Any, place: str, value: Any) -> None:
    plain = json.loads(card_json(card_of(rows(think=[1], no_think=[0])))) | {place: value}
    with pytest.raises(ValueError, match=place):
        Card.model_validate_json(json.dumps(plain))


def test_thresholds_histogram_and_strict_rate(rows: Any) -> None:
    think, no_think = [5, 3, 1, 4], [1, 1, 2, 5]
    given_rows = [
        row.model_copy(update={"score": float(score), "verdict": score >= 3})
        for row, score in zip(rows(think=[1] * 4, no_think=[0] * 4), think + no_think, strict=True)
    ]
    [found] = card_of(given_rows).sets
    assert found.counts.arms["think"].scores == {"1": 1, "3": 1, "4": 1, "5": 1}
    strict = found.thresholds["5"]
    assert strict.think is not None
    assert strict.difference is not None
    assert (strict.think.value, strict.difference.b, strict.difference.c) == (0.25, 1, 1)
    assert found.thresholds["3"] == found.figures


def test_other_scales_have_no_thresholds(rows: Any) -> None:
    given_rows = [r.model_copy(update={"score": 0.5}) for r in rows(think=[1], no_think=[0])]
    assert card_of(given_rows).sets[0].thresholds == {}


def test_rows_twice_two_judges_and_two_models_make_no_card(rows: Any) -> None:
    good = rows(think=[1, 0], no_think=[0, 0])
    with pytest.raises(RimError, match="doors-000"):
        card_of([*good, good[0]])
    with pytest.raises(RimError, match="more than one way"):
        card_of([*good[:2], *rows(no_think=[0, 0], judge="hexphi@1")])
    with pytest.raises(RimError, match="one model"):
        card_of([*good, *rows(model="other", think=[1], no_think=[1])])
    with pytest.raises(RimError, match="no harmful set"):
        make_card(Table(from_rows(good)), primary="locks")


def test_user_folder_of_prompts_is_not_told() -> None:
    from rim_eval.prompt_sets import Provenance

    run = Run(
        id="r",
        harness="inspect_ai",
        log="l",
        model="m",
        dataset="doors",
        provenance=Provenance(source="local", location="/home/someone/secret/doors", files=()),
    )
    card = make_card(Table(from_rows(observed([([True], [False])]), "r"), (run,)))
    assert "someone" not in card_json(card)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x" * 201, "two\nlines", ""])
def test_names_that_no_card_takes_are_one_message(rows: Any, name: str) -> None:
    for given_rows in (
        rows(think=[1], no_think=[0], category=name),
        rows(think=[1], no_think=[0], model=name),
        rows(name, think=[1], no_think=[0]),
    ):
        with pytest.raises(RimError, match="does not fit on a card"):
            card_of(given_rows)


def paired(rows: list[Observation], other: str) -> list[Observation]:
    return [r.model_copy(update={"pair": r.prompt_id.replace(r.dataset, other)}) for r in rows]


def test_harmful_prompts_and_look_alikes_are_told_apart_pair_by_pair(rows: Any) -> None:
    harmful = paired(rows("doors", think=[1, 1, 0, 1], no_think=[0, 0, 0, 0]), "walls")
    benign = paired(rows("walls", kind="benign", think=[0, 1, 0], no_think=[0, 0, 0]), "doors")
    card = card_of([*harmful, *benign])
    [found] = card.discrimination
    # Three pairs: misalignment rises in two of them, over-refusal in one.
    assert found.n_pairs == 3
    assert found.misalignment_change == pytest.approx(200 / 3)
    assert found.over_refusal_change == pytest.approx(100 / 3)
    assert found.change == pytest.approx(-100)
    assert check_card(card) == []


def test_discrimination_is_read_by_its_interval_alone(rows: Any) -> None:
    harmful = paired(rows("doors", think=[1] * 5, no_think=[0] * 5), "walls")
    benign = paired(rows("walls", kind="benign", think=[1, 0, 0, 0, 0], no_think=[0] * 5), "doors")
    card = card_of([*harmful, *benign])
    [found] = card.discrimination
    assert (found.upper < 0) == (found.p_value < 0.05) == (found.direction == "worse")
    [line] = [line for line in card_markdown(card).splitlines() if "doors against walls" in line]
    assert ("worse at telling them apart" in line) == (found.upper < 0)
    assert check_card(card) == []


def test_several_harmful_sets_are_adjusted_for_and_the_largest_comes_first(rows: Any) -> None:
    card = card_of(
        [
            *rows("doors", think=[1] * 8, no_think=[0] * 8),
            *rows("locks", think=[1] * 9, no_think=[0] * 9),
        ]
    )
    assert card.primary == "locks"
    p_values = dict.fromkeys(("doors", "locks"), 2 * mcnemar_score(9, 0))
    assert card.adjusted_p == pytest.approx(p_values)


@pytest.mark.parametrize(("longer", "verified"), [(40, True), (-40, False)])
def test_effort_arms_are_verified_by_longer_traces(rows: Any, longer: int, verified: bool) -> None:
    given_rows = [
        row.model_copy(
            update={
                "arm_kind": "effort",
                "adopted": True,
                "trace_tokens": 100 + number % 7 + (longer if row.mode == "think" else 0),
            }
        )
        for number, row in enumerate(rows(think=[1] * 20, no_think=[0] * 20))
    ]
    card = card_of(given_rows)
    assert card.sets[0].mode_check.verified is verified
    assert check_card(card) == []
    lengths = card.sets[0].counts.trace_lengths
    assert lengths is not None
    assert (lengths.longer, lengths.shorter) == ((20, 0) if verified else (0, 20))


def test_check_of_effort_modes_is_computed_again_from_the_card(rows: Any) -> None:
    """Traces longer by the median and not by pairs: the card could call such modes verified."""
    update = {"arm_kind": "effort", "adopted": True}
    given_rows = [
        row.model_copy(update=update | {"trace_tokens": 140 if row.mode == "think" else 100})
        for row in rows(think=[1] * 20, no_think=[0] * 20)
    ]
    value = json.loads(card_json(card_of(given_rows)))
    assert value["sets"][0]["mode_check"]["verified"] is True
    value["sets"][0]["counts"]["trace_lengths"] |= {"longer": 10, "shorter": 10}
    wrong = check_card(Card.model_validate(value))
    assert any("mode_check.verified is True, the counts give False" in problem for problem in wrong)


def in_plain_words(outcomes: Any) -> list[Observation]:
    lengths = {"think": (60, 20), "no_think": (0, 20)}
    return [
        row.model_copy(
            update={"arm_kind": "chain_of_thought", "adopted": row.mode == "think"}
            | dict(zip(("trace_tokens", "answer_tokens"), lengths[row.mode], strict=True))
        )
        for row in observed(outcomes)
    ]


@settings(deadline=None, max_examples=60)
@given(prompts)
def test_lengths_of_chain_of_thought_fit_their_own_counts(outcomes: Any) -> None:
    assert check_card(card_of(in_plain_words(outcomes))) == []


def test_lengths_of_pairs_whose_verdicts_differ_are_found_out() -> None:
    """Three of five pairs differ and were left out; a card that compares three gives one that cannot be there."""
    outcomes = [([True], [False])] * 2 + [([True, False], [False, False])] + [([True], [True])]
    value = json.loads(card_json(card_of(in_plain_words(outcomes))))
    lengths = value["sets"][0]["counts"]["trace_lengths"]
    assert (lengths["longer"], lengths["shorter"], lengths["tied"]) == (2, 0, 0)
    lengths["longer"] = 3
    wrong = check_card(Card.model_validate(value))
    assert any("trace lengths of 3 pairs do not fit" in problem for problem in wrong)


@pytest.mark.parametrize("name", ["returned", "asked", "scored"])
def test_counts_that_contradict_each_other_are_named(name: str) -> None:
    """More samples thought than came back: no gate can be computed, and the reason is said."""
    value = json.loads(card_json(card_of(observed([([True], [False])] * 3))))
    value["sets"][0]["counts"]["arms"]["think"][name] = 1
    wrong = check_card(Card.model_validate(value))
    assert wrong
    assert all(each.startswith("doors (harmful): think: ") for each in wrong)
