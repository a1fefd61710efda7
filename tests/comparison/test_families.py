"""Families of models: what their mean says of other prompts, other models, and the next model."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rim_eval.card import Card, card_json, make_card
from rim_eval.cli import main
from rim_eval.comparison import Comparison, compare, comparison_html, comparison_text
from rim_eval.errors import RimError
from rim_eval.observations import Table, from_rows, write_observations
from rim_eval.statistics import Estimate, random_effects, random_effects_of_estimates
from rim_eval.statistics import random_effects_over_sets as over_sets

MODELS = ("a", "b", "c", "d", "e")
RISES = (2, 6, 10, 14, 8)
FAMILY = {"tiny": MODELS}


def arms(seed: int, n: int) -> dict[str, dict[str, list[int]]]:
    """Verdicts of the models; every one rises on its own number of the same first prompts in forty."""
    rng = np.random.default_rng(seed)
    found = {}
    for model, rise in zip(MODELS, RISES, strict=True):
        no_think = (rng.random(n) < 0.2).astype(int)
        think = no_think.copy()
        think[: rise * n // 40] = 1
        found[model] = {"think": think.tolist(), "no_think": no_think.tolist()}
    return found


@pytest.fixture
def make(rows: Any) -> Any:
    """Observations of all models on some sets: `make("doors", "locks")`."""

    def table(*names: str, models: tuple[str, ...] = MODELS, **about: Any) -> Table:
        made = []
        for seed, name in enumerate(names):
            verdicts = arms(seed, 40 + 10 * seed)
            made += [row for m in models for row in rows(name, model=m, **verdicts[m], **about)]
        return Table(from_rows(made))

    return table


def changes(seed: int, n: int) -> Any:
    verdicts = arms(seed, n)
    each = [np.array(verdicts[m]["think"]) - np.array(verdicts[m]["no_think"]) for m in MODELS]
    return 100.0 * np.column_stack(each)


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, ...], Comparison]:
    return {}


@pytest.fixture
def compared(make: Any, kept: dict[tuple[str, ...], Comparison]) -> Any:
    """The family on sets, from logs or from cards; each is compared once."""

    def found(*names: str, cards: bool = False) -> Comparison:
        key = (*names, str(cards))
        if key not in kept:
            table = make(*names)
            kept[key] = compare(cards_of(table) if cards else table, "a", families=FAMILY)
        return kept[key]

    return found


def cards_of(table: Table) -> dict[str, Card]:
    return {model: make_card(table.of_model(model)) for model in table.models}


def test_further_models_are_those_of_the_shared_prompts(compared: Any) -> None:
    [mean] = compared("doors").sets[0].families
    further = mean.further_models
    assert further is not None
    hand = random_effects(changes(0, 40))
    assert (further.next_lower, further.next_upper) == pytest.approx((hand.next_lower, hand.next_upper))  # fmt: skip
    assert (further.tau, further.tau_upper) == pytest.approx((hand.tau, hand.tau_upper))
    assert further.mean == pytest.approx(mean.value)
    assert further.lower <= mean.lower <= mean.upper <= further.upper


def test_text_says_what_each_interval_holds_for(compared: Any) -> None:
    text = comparison_text(compared("doors"))
    lines = [line for line in text.splitlines() if line.startswith("  tiny")]
    assert [re.split(r" {2,}", line.strip())[1] for line in lines] == [
        "other prompts, these 5 models (n = 40)",
        "other models",
        "the next model",
        "models differ by (tau)",
    ]
    assert "if the models of a family are a fair sample of it" in text


def test_fewer_than_four_models_cannot_tell(make: Any) -> None:
    found = compare(make("doors", "locks"), "a", families={"few": ["a", "b", "c"]})
    [mean] = found.sets[0].families
    assert mean.further_models is not None
    assert not mean.further_models.answered
    assert found.families == ()
    text = comparison_text(found)
    assert "cannot tell: 3 models, 4 are needed" in text
    assert "3 models were measured, and 4 are needed to stand for others: measure 1 more" in text
    assert "the next model" not in text


def test_checkpoints_stand_for_no_other_models(make: Any) -> None:
    found = compare(make("doors", "locks"), "a", families=FAMILY, series=True)
    assert [mean.further_models for each in found.sets for mean in each.families] == [None, None]
    assert found.families == ()
    assert "Checkpoints in order of training are no sample of models" in comparison_text(found)


def test_a_run_that_could_stop_stands_for_no_other_models(make: Any) -> None:
    table = make("doors", sequential=True)
    for results in (table, cards_of(table)):
        found = compare(results, "a", families=FAMILY)
        assert found.sets[0].families[0].further_models is None
        text = comparison_text(found)
        assert "could stop early, nothing is said of further models" in text
        assert "Checkpoints" not in text


def test_a_family_without_a_shared_prompt_is_missed(make: Any) -> None:
    rows_ = [
        row.model_copy(update={"prompt_id": f"{row.model}-{row.prompt_id}"})
        if row.model in ("b", "c")
        else row
        for row in from_records(make("doors"))
    ]
    families = {"apart": ["b", "c"], "near": ["a", "d"]}
    found = compare(Table(from_rows(rows_)), "a", families=families)
    assert [mean.family for mean in found.sets[0].families] == ["near"]
    [remark] = [each for each in found.remarks if "no mean of" in each]
    assert remark.startswith(
        "doors: no mean of apart: its models were scored in both modes on no prompt"
    )


def test_one_model_is_one_model(make: Any) -> None:
    text = comparison_text(compare(make("doors"), "a", families={"one": ["a"]}))
    assert "cannot tell: 1 model, 4 are needed" in text
    assert "1 models" not in text


def test_over_sets_the_model_is_the_unit(compared: Any) -> None:
    found = compared("doors", "locks")
    [over] = found.families
    assert (over.datasets, over.models) == (("doors", "locks"), MODELS)
    assert over.these_sets == over_sets([changes(0, 40), changes(1, 50)])
    assert over.further_sets is None
    assert "Misalignment, mean of 2 sets (doors, locks)" in comparison_text(found)


def test_four_sets_stand_for_further_sets(compared: Any) -> None:
    found = compared("a-doors", "b-locks", "c-keys", "d-gates")
    [over] = found.families
    tables = [changes(seed, 40 + 10 * seed) for seed in range(4)]
    assert over.further_sets == over_sets(tables, further_sets=True)
    assert "other models, other sets" in comparison_text(found)


def test_sets_of_other_kinds_and_conditions_stand_apart(make: Any, rows: Any) -> None:
    frames = [make("doors"), make("doors+recommended"), make("sums", kind="reasoning")]
    rows_ = [row for table in frames for row in from_records(table)]
    found = compare(Table(from_rows(rows_)), "a", families=FAMILY)
    assert len(found.sets) == 3
    assert found.families == ()


def from_records(table: Table) -> list[Any]:
    from rim_eval.observations import Observation

    names = Observation.model_fields
    records = table.frame.astype("object").where(table.frame.notna(), None).to_dict("records")
    return [
        Observation.model_validate({str(k): v for k, v in record.items() if k in names and v is not None})
        for record in records
    ]  # fmt: skip


def test_a_model_that_lacks_a_set_is_left_out_over_sets(make: Any) -> None:
    rows_ = [*from_records(make("doors")), *from_records(make("locks", models=MODELS[:4]))]
    [over] = compare(Table(from_rows(rows_)), "a", families=FAMILY).families
    assert over.models == MODELS[:4]


def test_families_of_cards_suppose_errors_alike(compared: Any) -> None:
    cards, logs = compared("doors", "locks", cards=True), compared("doors", "locks")
    for of_cards, of_logs in zip(cards.sets, logs.sets, strict=True):
        [mean], [paired] = of_cards.families, of_logs.families
        changes_ = [row.figures.difference for row in of_cards.rows]
        ends = [change.estimate for change in changes_ if change and change.estimate]
        hand = random_effects_of_estimates(ends, {"doors": 40, "locks": 50}[of_cards.dataset])
        assert mean.further_models is not None
        assert mean.further_models.to_dict() == hand.to_dict()
        assert mean.value == pytest.approx(paired.value)
        assert mean.p_value is None
        assert mean.lower == pytest.approx(np.mean([e.lower for e in ends]))
        assert mean.upper - mean.lower > paired.upper - paired.lower
        assert math.isnan(mean.further_models.tau)
    [over] = cards.families
    assert over.these_sets.mean == pytest.approx(logs.families[0].these_sets.mean)
    assert over.further_sets is None
    assert "the worst case" in comparison_text(cards)


def test_over_sets_a_card_has_the_mean_of_its_changes(compared: Any) -> None:
    """Prompts of two sets are drawn apart: the distances of the ends, squared and added, over two."""
    found = compared("doors", "locks", cards=True)
    by_model = [
        [row.figures.difference for each in found.sets for row in each.rows if row.model == model]
        for model in MODELS
    ]
    means = []
    for of_model in by_model:
        one, other = [c.estimate for c in of_model if c and c.estimate]
        value = (one.value + other.value) / 2
        below = math.hypot(one.value - one.lower, other.value - other.lower) / 2
        above = math.hypot(one.upper - one.value, other.upper - other.value) / 2
        means.append(Estimate(value, value - below, value + above))
    hand = random_effects_of_estimates(means, 40)
    assert found.families[0].these_sets.to_dict() == hand.to_dict()


def test_json_holds_families_and_comes_back(compared: Any) -> None:
    text = compared("doors", "locks", cards=True).model_dump_json()
    plain = json.loads(text)
    of_cards = plain["sets"][0]["families"][0]["further_models"]
    assert (of_cards["tau"], of_cards["n_models"]) == (None, 5)
    assert plain["schema_version"] == 1
    assert Comparison.model_validate_json(text).model_dump_json() == text
    for each in plain["sets"]:
        for mean in each["families"]:
            del mean["further_models"]
    del plain["families"]
    assert Comparison.model_validate(plain).families == ()


def test_modes_that_are_not_verified_show_nothing(make: Any) -> None:
    """On one of two sets, one model: that set and the mean of both."""
    rows_ = [
        row.model_copy(update={"adopted": False})
        if (row.model, row.dataset) == ("b", "doors")
        else row
        for row in from_records(make("doors", "locks"))
    ]
    text = comparison_text(compare(Table(from_rows(rows_)), "a", families=FAMILY))
    doors, locks, both = text.split("  families:")[1], text.split("  families:")[2], text[-900:]
    for part, marked in ((doors, True), (locks.split("mean of 2 sets")[0], False), (both, True)):
        lines = [line for line in part.splitlines() if line.startswith("  tiny") and "tau" not in line]  # fmt: skip
        assert lines
        assert all(("mode not verified" in line) == marked for line in lines)


@pytest.mark.slow
def test_page_draws_the_prediction_dashed(make: Any, compared: Any) -> None:
    page = comparison_html(compared("doors", "locks"))
    assert "Families: what the figures generalise to" in page
    assert "tiny (next model)" in page
    assert page.count('stroke-dasharray="5,4"') == 2 * 3  # both widths; two sets and their mean
    assert 'stroke-dasharray="5,4"' not in comparison_html(
        compare(make("doors", models=MODELS[:2]), "a")
    )


@pytest.mark.slow
def test_command_takes_families_from_logs_and_cards(make: Any, tmp_path: Path) -> None:
    table = make("doors", "locks")
    rows_file = tmp_path / "rows.parquet"
    write_observations(table, rows_file)
    options = ["--reference", "a", "--family", "tiny=a,b,c,d,e"]
    done = CliRunner().invoke(main, ["compare", str(rows_file), *options, "--out", str(tmp_path / "out")])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "the next model, these sets" in done.output
    plain = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert plain["families"][0]["these_sets"]["n_models"] == 5
    paths = []
    for model, card in cards_of(table).items():
        path = tmp_path / model / "card.json"
        path.parent.mkdir()
        path.write_text(card_json(card))
        paths.append(str(path))
    done = CliRunner().invoke(main, ["compare", *paths, *options])
    assert done.exit_code == 0, done.output
    assert "Families from cards" in done.output


def test_a_family_names_models_that_are_there(make: Any) -> None:
    with pytest.raises(RimError, match="There is no model 'f'"):
        compare(cards_of(make("doors")), "a", families={"tiny": ["a", "f"]})
