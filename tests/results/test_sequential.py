"""Figures of a run that could stop early: the same everywhere, and from the counts alone."""

import pytest
from hypothesis import given, settings

from rim_eval.card import card_markdown, check_card, make_card
from rim_eval.comparison import compare
from rim_eval.observations import Observation, Run, Stopping, Table, from_rows, join
from rim_eval.results.text_table import text_table
from rim_eval.statistics.confidence_sequence import METHOD, TEST, sequential_difference
from rim_eval.statistics.verdicts import tally
from rim_eval.types import MODES, PromptKind
from tests.results.test_one_aggregation import (
    Rows,
    assert_gate_holds_the_same_figures,
    assert_metrics_are_the_cards,
    inspect_metrics,
    runs,
    table_of,
)


def sequential(rows: Rows) -> Rows:
    return [row.model_copy(update={"sequential": True}) for row in rows]


def pairs(think: str, no_think: str, model: str = "m") -> Rows:
    """One prompt a character: 1, 0, or ? for unscored."""
    return [
        Observation(
            model=model, dataset="d", prompt_id=f"p{number:03}", kind="harmful", mode=mode, arm_kind="switch",
            category="ab"[number % 2], adopted=mode == "think", visibility="full" if mode == "think" else "none",
            stop_reason="stop",
            **({"reason": "empty_answer"} if verdict == "?" else {"verdict": verdict == "1", "score": 4.0}),
        )
        for mode, verdicts in zip(MODES, (think, no_think), strict=True)
        for number, verdict in enumerate(verdicts)
    ]  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=10)
@given(runs())
def test_every_door_shows_the_intervals_that_hold_at_every_look(
    run: tuple[str, dict[PromptKind, Rows]],
) -> None:
    harness, by_kind = run
    card = make_card(table_of(sequential([r for rows in by_kind.values() for r in rows]), harness))
    assert check_card(card) == []
    for kind, rows in by_kind.items():
        set_card = card.find(f"set-{kind}", kind)
        assert set_card is not None
        metrics = inspect_metrics(sequential(rows))
        assert_metrics_are_the_cards(metrics, set_card)
        assert_gate_holds_the_same_figures(card, set_card, metrics)
        for figures in (set_card.figures, *set_card.thresholds.values(), *set_card.categories.values()):  # fmt: skip
            if figures.difference is not None and figures.difference.n_pairs:
                assert figures.difference.interval_method == METHOD
                assert figures.difference.test_method == TEST
        assert "hold at every look" in text_table(set_card)


def test_the_interval_is_that_of_the_pairs() -> None:
    rows = sequential(pairs("1" * 40 + "0" * 20 + "?", "0" * 50 + "1" * 10 + "0"))
    [each] = make_card(table_of(rows, "inspect_ai")).sets
    expected = sequential_difference(
        tally(
            {str(n): [v] for n, v in enumerate([1.0] * 40 + [0.0] * 20)},
            {str(n): [v] for n, v in enumerate([0.0] * 50 + [1.0] * 10)},
        ),
        target_name="think",
        reference_name="no_think",
    )
    change = each.figures.difference
    assert change is not None
    assert (change.lower, change.upper, change.p_value) == (
        expected.lower,
        expected.upper,
        expected.p_value,
    )
    of_categories = [figures.difference for figures in each.categories.values()]
    assert [d.interval_method for d in of_categories if d] == [METHOD, METHOD]


def test_all_intervals_of_a_card_are_of_one_kind() -> None:
    """The rate of the event given a trace is another figure of the same run."""
    card = make_card(table_of(sequential(pairs("1" * 30 + "0" * 30, "0" * 60)), "inspect_ai"))
    [each] = card.sets
    outcomes = each.outcomes["think"]
    rate, given_trace = each.figures.think, outcomes.given_trace
    assert rate is not None
    assert given_trace is not None
    assert (given_trace.lower, given_trace.upper) == (rate.lower, rate.upper)
    assert {share.method for share in outcomes.shares.values()} == {METHOD}
    assert check_card(card) == []


def test_one_run_that_could_stop_makes_the_whole_set_sequential() -> None:
    rows = pairs("1100", "0000")
    rows[0] = rows[0].model_copy(update={"sequential": True})
    [each] = make_card(table_of(rows, "inspect_ai")).sets
    assert each.counts.sequential


def test_a_card_that_hides_it_fails_its_check() -> None:
    [each] = (card := make_card(table_of(sequential(pairs("1" * 30, "0" * 30)), "inspect_ai"))).sets
    hidden = each.counts.model_copy(update={"sequential": False})
    tampered = card.model_copy(update={"sets": (each.model_copy(update={"counts": hidden}),)})
    assert any("interval_method" in problem for problem in check_card(tampered))


def test_models_of_stopped_runs_are_compared_on_shared_prompts_by_a_sequence() -> None:
    stopped, whole = pairs("1" * 30, "0" * 30), pairs("1" * 50, "1" * 50, "whole")
    tables = [table_of(sequential(stopped), "a"), table_of(whole, "b", "whole")]
    [each] = compare(join(tables), "whole").sets
    against = next(row for row in each.rows if row.model == "m").against
    assert {difference.n for difference in against} == {30}
    assert all(METHOD in d.method and TEST in d.method for d in against)


@pytest.mark.parametrize(
    ("asked", "decided", "says"),
    [
        (
            40,
            "the first 33 decided whether x",
            "The run stopped after 40 of 90 prompts: the first 33",
        ),
        (90, None, "The run could stop once it was decided whether x, and went to its end"),
        (None, None, "decided whether x, and did not come to its end"),
    ],
)
def test_the_card_says_whether_the_run_stopped(
    asked: int | None, decided: str | None, says: str
) -> None:
    stopping = Stopping(
        rule="whether x", level=0.95, least=20, order_seed=0, prompts=90, asked=asked, decided=decided
    )  # fmt: skip
    run = Run(
        id="r", harness="inspect_ai", log="log", model="m", dataset="d", n_prompts=90, stopping=stopping
    )  # fmt: skip
    frame = from_rows(sequential(pairs("1" * (asked or 30), "0" * (asked or 30))), "r")
    text = card_markdown(make_card(Table(frame, (run,))))
    assert says in text
    assert "hold at every look" in text
    assert ("(stopped after 40)" in text) == (asked == 40)
