"""What the samples of an arm did: each in one row, with intervals by prompt, and checked on a card."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.card import Card, card_html, card_markdown, check_card, make_card
from rim_eval.observations import Observation, Table, from_rows
from rim_eval.results.figures import SetResult, set_results
from rim_eval.results.taxonomy import ArmOutcomes
from rim_eval.statistics import arm_summary, rate

Did = tuple[bool | str, bool, bool]
"""Verdict or the reason why there is none; whether it thought; whether it loops."""


def rows_of(prompts: list[list[Did]], **given: Any) -> list[Observation]:
    about = {"model": "m", "dataset": "doors", "kind": "harmful", "arm_kind": "prompted"} | given
    return [
        Observation.model_validate(
            {
                "prompt_id": f"p{number:03d}",
                "mode": mode,
                "epoch": epoch,
                "verdict": None if isinstance(verdict, str) else verdict,
                "reason": verdict if isinstance(verdict, str) else None,
                "adopted": thought,
                "looping": looping,
                "stop_reason": "stop",
                "judge": "refusal@2",
                "judge_sha256": "a" * 64,
                "judge_sees": "answer",
            }
            | about
        )
        for mode in ("think", "no_think")
        for number, samples in enumerate(prompts)
        for epoch, (verdict, thought, looping) in enumerate(samples, 1)
    ]


def result_of(prompts: list[list[Did]], **given: Any) -> SetResult:
    [result] = set_results(rows_of(prompts, **given)).values()
    return result


def think(prompts: list[list[Did]], **given: Any) -> ArmOutcomes:
    return result_of(prompts, **given).outcomes["think"]


ONE_EACH: list[list[Did]] = [
    [(True, True, False)],
    [(True, True, True)],  # harmful, whatever comes after
    [(True, False, False)],
    [(False, True, False)],
    [(False, False, False)],
    [(False, True, True)],
    [(False, False, True)],
    [("empty_answer", True, True)],
    [("judge_unreadable", False, False)],
    [("provider_declined", False, False)],
]


def test_every_sample_is_in_one_row_by_hand() -> None:
    found = think(ONE_EACH)
    assert {name: share.samples for name, share in found.shares.items()} == {
        "thought_event": 2,
        "direct_event": 1,
        "thought_no_event": 1,
        "direct_no_event": 1,
        "looping": 2,
        "provider_declined": 1,
        "empty_answer": 1,
        "judge_unreadable": 1,
    }
    assert found.n == 10
    wilson = rate(2, 10)
    share = found.shares["thought_event"]
    assert (share.value, share.lower, share.upper) == (0.2, wilson.lower, wilson.upper)
    assert (share.method, share.n, share.n_prompts) == ("Wilson", 10, 10)


def test_the_rate_given_a_trace_has_an_interval() -> None:
    found = think(ONE_EACH)
    assert found.given_trace is not None
    assert found.given_none is not None
    wilson = rate(2, 4)  # two harmful, one safe, one that loops
    ends = (found.given_trace.value, found.given_trace.lower, found.given_trace.upper)
    assert ends == (wilson.value, wilson.lower, wilson.upper)
    assert (found.given_trace.samples, found.given_trace.n) == (2, 4)
    assert found.given_none.value == pytest.approx(1 / 3)


def test_several_samples_of_a_prompt_are_not_independent() -> None:
    """The interval is that of the prompts' own rates, wider than Wilson's over samples."""
    always: list[Did] = [(True, True, False)] * 5
    never: list[Did] = [(False, True, False)] * 5
    direct: list[Did] = [(True, False, False)] * 5
    found = think([always] * 8 + [never] * 8 + [direct] * 4)
    given_trace = found.given_trace
    assert given_trace is not None
    by_prompt = arm_summary({str(n): [float(n < 8)] * 5 for n in range(16)})
    assert (given_trace.value, given_trace.lower, given_trace.upper) == (
        by_prompt.value,
        by_prompt.lower,
        by_prompt.upper,
    )
    assert (given_trace.n, given_trace.n_prompts) == (80, 16)
    assert given_trace.upper is not None
    assert given_trace.upper > rate(40, 80).upper
    assert "mean by prompt" in given_trace.method


def test_an_arm_that_always_thinks_has_no_rate_without_a_trace() -> None:
    found = think([[(True, True, False)]] * 3)
    assert found.given_none is None
    assert found.given_trace is not None


def test_a_mode_that_the_judge_cannot_read_has_no_outcomes() -> None:
    result = result_of([[(True, True, False)]], arm_kind="switch", judge_sees="reasoning")
    assert set(result.outcomes) == {"think"}


did = st.tuples(
    st.booleans() | st.sampled_from(["empty_answer", "provider_declined", "judge_tied"]),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=40)
@given(st.lists(st.lists(did, min_size=1, max_size=3), min_size=1, max_size=6))
def test_outcomes_add_up_and_agree_with_the_rate(prompts: list[list[Did]]) -> None:
    result = result_of(prompts)
    arm, found, figures = result.counts.arms["think"], result.outcomes["think"], result.figures
    assert sum(share.samples for share in found.shares.values()) == found.n == arm.asked
    assert sum(share.value or 0 for share in found.shares.values()) == pytest.approx(1)
    assert found.shares["thought_event"].samples == arm.adopted_events
    n = sum(given.n for given in (found.given_trace, found.given_none) if given)
    assert n == arm.scored
    if all(len(samples) == 1 for samples in prompts) and arm.scored and figures.think:
        given_each = [given for given in (found.given_trace, found.given_none) if given]
        mixed = sum((given.value or 0) * given.n for given in given_each) / n
        assert figures.think.value == pytest.approx(mixed)


def card_of(prompts: list[list[Did]]) -> Card:
    return make_card(Table(from_rows(rows_of(prompts))))


def test_a_card_shows_the_outcomes_and_their_sum() -> None:
    card = card_of(ONE_EACH * 10)
    assert check_card(card) == []
    page = card_markdown(card)
    assert "doors: what every sample did" in page
    assert "| outcome | without thinking | samples | with thinking | samples |" in page
    assert "| looping, no harm found | 20.0 % (13.3 to 28.9 %) | 20 |" in page
    assert "| unscored: empty answer | 10.0 % (5.5 to 17.4 %) | 10 |" in page
    assert "| all |  | 100 |  | 100 |" in page
    assert "| with thinking | 50.0 % (35.2 to 64.8 %) | 40 | 33.3 % (19.2 to 51.2 %) | 30 |" in page
    assert "what every sample did" in card_html(card)


def tampered(card: Card, change: Any) -> list[str]:
    dumped = card.model_dump(mode="json")
    change(dumped["sets"][0]["counts"]["arms"]["think"]["taxonomy"])
    return check_card(Card.model_validate(dumped))


def test_outcomes_that_do_not_fit_the_counts_are_found_out() -> None:
    card = card_of(ONE_EACH)

    def swap(one: str, other: str) -> Any:
        def change(cells: list[dict[str, Any]]) -> None:
            [cell] = [cell for cell in cells if one in cell["samples"]]
            cell["samples"][other] = cell["samples"].pop(one)

        return change

    cases = {
        ("direct_event", "thought_event"): "do not fit its counts",
        ("thought_no_event", "thought_event"): "of other prompts than its cells",
        ("empty_answer", "judge_tied"): "other reasons than the unscored",
        ("direct_no_event", "direct_looping"): "the counts give",
    }
    for names, message in cases.items():
        [problem, *_] = tampered(card, swap(*names))
        assert message in problem, names


def test_a_card_of_an_earlier_version_stays_sound() -> None:
    dumped = card_of(ONE_EACH).model_dump(mode="json")
    [each] = dumped["sets"]
    del each["outcomes"]
    for arm in each["counts"]["arms"].values():
        del arm["taxonomy"]
    old = Card.model_validate(dumped)
    assert check_card(old) == []
    assert "what every sample did" not in card_markdown(old)
