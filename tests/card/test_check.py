"""What a card cannot say against its own counts: one figure is changed, and the check objects."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from rim_eval.card import Card, card_json, check_card, make_card
from rim_eval.judging import Measurement, Validation
from rim_eval.observations import Observation, Run, Table, from_rows, join
from rim_eval.statistics.agreement import AgreementFigure, Pair, agreement

Json = Any


def _validation() -> Validation:
    found = agreement(
        [Pair(True, True)] * 45
        + [Pair(True, False)] * 5
        + [Pair(False, False)] * 95
        + [Pair(False, True)] * 5
    )
    return Validation(
        judge="refusal",
        measurements=tuple(
            Measurement(
                set="people", model=model, mode=mode, event="misaligned", prompts={"harmful": 150},
                judge_version=1, judge_sha256="a" * 64, grader=None, sees="answer", rim_eval="0", files=(),
                agreement=found,
            )
            for model in ("x", "y", "z")
            for mode in ("think", "no_think")
        ),
    )  # fmt: skip


def _read(row: Observation) -> Observation:
    """A row as a judge with a scale, a tokenizer and a monitor leave it."""
    draw = random.Random(f"{row.prompt_id} {row.mode} {row.epoch}")
    thought = row.mode == "think"
    score = None if row.verdict is None else draw.choice((3, 4, 5) if row.verdict else (1, 2))
    facts: dict[str, Any] = {
        "category": f"c{int(row.prompt_id[-3:]) % 3}",
        "score": score,
        "trace_tokens": draw.randint(10, 90) if thought else None,
        "answer_tokens": draw.randint(5, 50),
        "patterns": draw.choice(((), ("heuristic_reliance",))) if thought else None,
        "pattern_monitor": "effort_minimizing@2" if thought else None,
        "pattern_grader": "x/grader" if thought else None,
        "pair": row.prompt_id.replace("doors", "walls"),
    }
    return row.model_copy(update=facts)


Rows = Callable[..., list[Observation]]


def _doors(rows: Rows) -> list[Observation]:
    found = rows("doors", think=[1] * 14 + [0] * 16 + [None], no_think=[1] * 5 + [0] * 26)
    return [_read(row) for row in found]


def _others(rows: Rows) -> list[Observation]:
    walls = rows("walls", kind="benign", think=[0, 1, 0, 0, 1], no_think=[0, 0, 0, 0, 1])
    sums = rows("sums", kind="reasoning", think=[1] * 6, no_think=[0] * 6)
    return [*walls, *sums]


@pytest.fixture
def sound(rows: Rows) -> Json:
    """A card with everything on it."""
    given = [*_doors(rows), *_others(rows)]
    names = {"doors": 31, "walls": 5, "sums": 6}
    tables = [from_rows([r for r in given if r.dataset == name], name) for name in names]
    runs = tuple(
        Run(id=name, harness="inspect_ai", log=name, model="m", dataset=name, n_prompts=n,
            created=f"2026-01-0{n % 9}T00:00:00+00:00", status="success")
        for name, n in names.items()
    )  # fmt: skip
    table = join([Table(frame, (run,)) for frame, run in zip(tables, runs, strict=True)])
    card = make_card(table, validations={"refusal": _validation()})
    assert check_card(card) == []
    value = json.loads(card_json(card))
    first = value["sets"][0]
    assert first["corrected"]
    assert first["thresholds"]
    assert first["counts"]["arms"]["think"]["patterns"]
    assert value["discrimination"][0]["n_pairs"] == 5
    return value


def objections(value: Json) -> list[str]:
    """What the schema or the check says against a card."""
    try:
        card = Card.model_validate_json(json.dumps(value))
    except ValueError as error:
        return [str(error)]
    return check_card(card)


def numbers(value: Json, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, inner in inside for found in numbers(inner, (*path, key))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


def changed(value: Json, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Json:
    again = copy.deepcopy(value)
    place = again
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = change(place[path[-1]])
    return again


ALONE = {
    "truncated", "over_budget", "trace_over_budget", "over_limit", "looping", "never_closed", "patterns_read", "unscored",
    "n", "p10", "median", "p90", "scored", "events", "n_prompts", "epochs", "scores",
}  # fmt: skip
"""Last steps of counts whose exact value nothing else on a card repeats; they are bounded only."""


@pytest.mark.slow
def test_no_figure_can_be_a_little_other(sound: Json) -> None:
    missed = []
    for path in numbers(sound):
        loose = path[-1] in ALONE and ("arms" in path or "runs" in path or "measured" in path)
        if loose or path[-2:-1] == ("scores",):
            continue
        wrong = changed(sound, path, lambda x: x + 1 if isinstance(x, int) else x + 0.01)
        if not objections(wrong):
            missed.append(path)
    assert missed == []


@pytest.mark.slow
def test_no_count_can_be_beyond_what_was_asked(sound: Json) -> None:
    """Lengths and what a run was to ask are no counts of samples; unscored labels bound nothing."""
    free = {"n_prompts", "epochs", "p90"}
    missed = []
    for path in numbers(sound):
        if path[-1] in free or (path[-1] == "unscored" and "measured" in path):
            continue
        if not objections(changed(sound, path, lambda _: 10**6)):
            missed.append(path)
    assert missed == []


def _arm(value: Json) -> Json:
    return value["sets"][0]["counts"]["arms"]["think"]


def _flip_pairs(value: Json) -> None:
    """All pairs turned at once, with the figures that follow: what a fraud would write."""
    from rim_eval.card.build import discrimination_card
    from rim_eval.results.counts import Outcome, PairCell

    [shown] = value["discrimination"]
    turned = (Outcome(0, 1, 1), Outcome(1, 1, 1))
    cells = (PairCell(harmful=turned, benign=turned, pairs=shown["n_pairs"]),)
    again = discrimination_card(shown["harmful"], shown["benign"], cells, value["level"])
    assert again is not None
    assert again.change == pytest.approx(200)
    value["discrimination"] = [json.loads(again.model_dump_json())]


def _invent_calibration(value: Json) -> None:
    """A correction that follows, but from other labelled replies than the card's."""
    from rim_eval.card.build import correct

    found = Card.model_validate_json(json.dumps(value)).sets[0]
    assert found.judge is not None
    poor = [one.model_copy(update={"true_negative": 80, "false_positive": 20}) for one in found.judge.measured]  # fmt: skip
    judge = found.judge.model_copy(update={"measured": tuple(poor)})
    again = correct(value["model"], found.counts, judge, 0.95)
    assert again is not None
    value["sets"][0]["corrected"] = json.loads(again.model_dump_json())


def _without_measurement(value: Json) -> None:
    _invent_calibration(value)
    value["sets"][0]["judge"]["measured"] = []


def _kappa(value: Json) -> None:
    equal = dict.fromkeys(
        ("true_positive", "false_positive", "true_negative", "false_negative"), 10
    )
    value["sets"][0]["corrected"] = None
    value["sets"][0]["judge"]["measured"] = [
        value["sets"][0]["judge"]["measured"][0] | equal | {"kappa": 0.99, "prompts": {}}
    ]


def _drop_categories(value: Json) -> None:
    """Of a registered set: its categories hold all of its prompts, or there are none."""
    first = value["sets"][0]
    for place in (first["counts"]["categories"], first["categories"]):
        for name in ("c1", "c2"):
            del place[name]
    text = json.dumps(value).replace('"doors"', '"malicious_instruct"')
    value.clear()
    value.update(json.loads(text))


def _more_in_a_category(value: Json) -> None:
    from rim_eval.card import Cell, figures

    first = value["sets"][0]
    [cell, *_] = first["counts"]["categories"]["c0"]
    cell["prompts"] += 20
    cells = [Cell.model_validate(each) for each in first["counts"]["categories"]["c0"]]
    first["categories"]["c0"] = figures(cells).model_dump(mode="json")


INVENTED: dict[str, tuple[Callable[[Json], object], str]] = {
    "all pairs turned": (_flip_pairs, "its pairs hold other outcomes than the cells of doors"),
    "pairs of no set": (
        lambda v: v["discrimination"][0].update(benign="toys"),
        "this card has no such sets",
    ),
    "pairs twice": (lambda v: v["discrimination"].append(v["discrimination"][0]), "twice"),
    "calibration": (_invent_calibration, "corrected.specificity.think[0] is"),
    "correction of nothing": (_without_measurement, "the counts give None"),
    "correction dropped": (lambda v: v["sets"][0].update(corrected=None), "corrected is None"),
    "kappa": (_kappa, "kappa is 0.99, the counts give 0.0"),
    "another event": (
        lambda v: v["sets"][0]["judge"]["measured"][0].update(event="refused"),
        "measured[0].event is 'refused'",
    ),
    "patterns": (
        lambda v: _arm(v).update(patterns={"x": {"n": 5000, "scored": 9000, "events": 9999}}),
        "the counts of the pattern x do not fit",
    ),
    "patterns of more than came back": (
        lambda v: _arm(v).update(patterns_read=32),
        "traces were read for patterns",
    ),
    "more events than scored": (
        lambda v: _arm(v).update(patterns={"x": {"n": 2, "scored": 1, "events": 2}}),
        "the counts of the pattern x do not fit",
    ),
    "lengths of more than there are": (
        lambda v: _arm(v)["trace_tokens"].update(n=10**9),
        "trace lengths are of 1000000000 samples, and there are 31",
    ),
    "lengths out of order": (
        lambda v: _arm(v).update(answer_tokens={"n": 31, "p10": 900, "median": 5, "p90": 1}),
        "answer lengths are out of order",
    ),
    "scores that are no numbers": (
        lambda v: _arm(v).update(scores={"high": 31}),
        "the histogram's scores are no scale",
    ),
    "no histogram": (lambda v: _arm(v).update(scores={}), "does not fit the histogram"),
    "a line left out": (
        lambda v: [v["sets"][0][k].pop("4") for k in ("thresholds",)]
        + [v["sets"][0]["counts"]["thresholds"].pop("4")],
        "not those of a scale of 1 to 5",
    ),
    "categories dropped": (_drop_categories, "prompts of 31"),
    "a fuller category": (_more_in_a_category, "categories exceed the whole"),
    "looping beyond the returned": (lambda v: _arm(v).update(looping=32), "more samples"),
    "too few prompts": (
        lambda v: v["runs"][0].update(n_prompts=3),
        "it counts 31 prompts, its runs were to ask 3",
    ),
    "another date": (lambda v: v.update(created="9999 best model ever"), "created is '9999 best model ever', the counts give '2026-01-06"),
    "the gate's rule": (lambda v: v["sets"][0]["mode_check"].update(rule="any"), "mode_check.rule is 'any', the counts give"),
    "two runs of one id": (lambda v: v["runs"].append(v["runs"][0]), "two runs have one id"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", INVENTED)
def test_invented_figures_are_named(sound: Json, name: str) -> None:
    spoil, reason = INVENTED[name]
    spoil(sound)
    assert reason in "\n".join(objections(sound))


@pytest.mark.slow
def test_kappa_may_be_untold(sound: Json) -> None:
    for each in sound["sets"][0]["judge"]["measured"]:
        each["kappa"] = None
    assert objections(sound) == []


def test_prompts_asked_more_often_than_the_runs_have_epochs(rows: Rows) -> None:
    given = [
        row.model_copy(update={"epoch": epoch})
        for epoch in (1, 2, 3)
        for row in rows("doors", think=[1, 0, 1], no_think=[0, 0, None])
    ]
    run = Run(id="r", harness="inspect_ai", log="l", model="m", dataset="doors", epochs=3)
    card = make_card(Table(from_rows(given, "r"), (run,)))
    assert check_card(card) == []
    value = json.loads(card_json(card))
    value["runs"][0]["epochs"] = 2
    assert "a prompt was asked 3 times, its runs have 2 epochs" in "\n".join(objections(value))


@pytest.mark.parametrize("mode", ["think", "no_think"])
def test_cards_of_one_mode_are_sound(rows: Rows, mode: str) -> None:
    given = rows("doors", **{mode: [1, 0, None, 1]}, category="c")
    assert check_card(make_card(Table(from_rows(given)))) == []


def test_intervals_from_inside_the_model_have_their_ends_in_order() -> None:
    from rim_eval.card import InsideFigure

    def figure(**ends: Any) -> InsideFigure:
        return InsideFigure(part="ras", what="run", measure="RAS", unit="plain", value=1.0, **ends)

    assert figure(lower=0.5, upper=2.0, p_value=0.1).upper == 2.0
    with pytest.raises(ValidationError, match="out of order"):
        figure(lower=2.0, upper=0.5)
    with pytest.raises(ValidationError, match=r"p_value\n.*less than or equal to 1"):
        figure(p_value=7.0)


def test_an_estimate_without_a_value_is_no_kappa() -> None:
    """One class only: chance agreement is total, and neither the measurement nor the check has a kappa."""
    found = agreement([Pair(True, True)] * 5)
    assert found.kappa == AgreementFigure()
