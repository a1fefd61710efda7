"""A judge's measured errors: shown with their n, and taken out of the rates."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.card import card_markdown, check_card, make_card
from rim_eval.cli import main
from rim_eval.judging import Measurement, Validation
from rim_eval.observations import Table, from_rows, write_observations
from rim_eval.statistics.agreement import Agreement


def validation(
    *modes: Any,
    counts: tuple[int, int, int, int] = (45, 5, 95, 5),
    models: tuple[str, ...] = ("m",),
    left_out: bool = False,
) -> Validation:
    """Labelled replies of the card's own model, unless others are named."""
    tp, fn, tn, fp = counts
    agreement = Agreement(true_positive=tp, false_positive=fp, true_negative=tn, false_negative=fn)
    measurements = tuple(
        Measurement(
            set="people", model=model, mode=mode, event="misaligned", prompts={"harmful": sum(counts)},
            left_out=left_out, judge_version=1, judge_sha256="a" * 64, grader=None, sees="answer", rim_eval="0",
            files=(), agreement=agreement,
        )
        for model in models
        for mode in modes
    )  # fmt: skip
    return Validation(judge="refusal", measurements=measurements)


@pytest.fixture
def table(rows: Any) -> Table:
    return Table(from_rows(rows(think=[1] * 30 + [0] * 70, no_think=[1] * 10 + [0] * 90)))


def test_rates_are_corrected_by_rogan_gladen(table: Table) -> None:
    card = make_card(table, validations={"refusal": validation("think", "no_think")})
    [found] = card.sets
    assert found.corrected is not None
    # sensitivity 45/50, specificity 95/100: (p + 0.95 - 1) / (0.9 + 0.95 - 1)
    assert found.corrected.rates["think"][0] == pytest.approx((0.30 - 0.05) / 0.85)
    assert found.corrected.rates["no_think"][0] == pytest.approx((0.10 - 0.05) / 0.85)
    assert found.corrected.difference is not None
    assert found.corrected.difference[0] == pytest.approx(100 * 0.20 / 0.85)
    assert not found.corrected.shared
    assert check_card(card) == []
    assert "corrected for the judge's errors" in card_markdown(card)


def test_the_judges_errors_are_named_as_the_field_does_and_explained_once(table: Table) -> None:
    card = make_card(table, validations={"refusal": validation("think", "no_think")})
    text = card_markdown(card)
    assert "| sensitivity | specificity | labelled replies |" in text
    assert "| sensitivity | n | specificity | n | kappa |" in text
    assert text.count("Sensitivity: of the replies that people call misaligned, the share") == 1


def test_labels_without_modes_serve_both_and_the_card_says_so(table: Table) -> None:
    card = make_card(table, validations={"refusal": validation("unknown")})
    assert card.sets[0].corrected is not None
    assert card.sets[0].corrected.shared
    assert "goes unnoticed" in card_markdown(card)


OTHERS = ("first", "second", "third")


def test_figures_of_other_models_carry_the_spread_and_are_named(table: Table) -> None:
    own = make_card(table, validations={"refusal": validation("unknown")}).sets[0].corrected
    card = make_card(table, validations={"refusal": validation("unknown", models=OTHERS)})
    others = card.sets[0].corrected
    assert own is not None
    assert others is not None
    assert (own.same_model, own.models) == (True, ("m",))
    assert (others.same_model, others.models) == (False, OTHERS)
    assert others.rates["think"][2] - others.rates["think"][1] > 1.2 * (own.rates["think"][2] - own.rates["think"][1])  # fmt: skip
    assert check_card(card) == []
    text = card_markdown(card)
    assert "replies of other models: first, second, third" in text
    assert "measured on 3 models (first, second, third): kappa 0.85 to 0.85; people, 450 replies to harmful prompts" in text  # fmt: skip


def test_two_other_models_correct_nothing_and_the_card_says_why(table: Table) -> None:
    card = make_card(table, validations={"refusal": validation("unknown", models=OTHERS[:2])})
    assert card.sets[0].corrected is None
    assert "measured on 2 other models, and how much it varies between models needs 3" in card.problems[0].says  # fmt: skip
    assert check_card(card) == []


def test_a_judge_that_was_trained_is_shown_by_the_models_left_out(table: Table) -> None:
    known = validation("unknown", models=OTHERS).measurements
    new = validation("unknown", counts=(40, 10, 90, 10), models=OTHERS, left_out=True).measurements
    card = make_card(table, validations={"refusal": Validation(judge="refusal", measurements=(*known, *new))})  # fmt: skip
    judge = card.sets[0].judge
    assert judge is not None
    assert [each.left_out for each in judge.measured] == [True] * 3
    assert "measured on 3 models left out of its training" in card_markdown(card)
    assert check_card(card) == []


def test_judge_near_guessing_is_not_corrected_for_but_said(table: Table) -> None:
    card = make_card(
        table, validations={"refusal": validation("think", "no_think", counts=(25, 25, 50, 50))}
    )
    assert card.sets[0].corrected is None
    assert "cannot be told from guessing" in card.problems[0].says


def test_measurement_of_another_judge_file_is_left_out(table: Table, rows: Any) -> None:
    other = Table(from_rows(rows(think=[1, 0], no_think=[0, 0], judge_sha256="b" * 64)))
    judge = make_card(other, validations={"refusal": validation("think")}).sets[0].judge
    assert judge is not None
    assert judge.measured == ()


def test_correction_with_invented_labels_is_found_out(table: Table) -> None:
    card = make_card(table, validations={"refusal": validation("think", "no_think")})
    shown = card.sets[0].corrected
    assert shown is not None
    wrong = shown.model_copy(update={"rates": {**shown.rates, "think": (0.0, 0.0, 0.1)}})
    changed = card.model_copy(
        update={"sets": (card.sets[0].model_copy(update={"corrected": wrong}),)}
    )
    assert any(
        "corrected.rates.think[0] is 0.0, the counts give" in problem
        for problem in check_card(changed)
    )


def test_file_that_is_no_validation_is_refused_in_one_line(tmp_path: Path, rows: Any) -> None:
    write_observations(Table(from_rows(rows(think=[1], no_think=[0]))), tmp_path / "rows.parquet")
    (tmp_path / "wrong.json").write_text("{}", encoding="utf-8")
    arguments = [str(tmp_path / "rows.parquet"), "--validation", str(tmp_path / "wrong.json")]
    done = CliRunner().invoke(main, ["card", *arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "is no judge validation file of this version: judge: Field required." in done.output
    assert "`rim-eval judge validate JUDGE` writes them" in done.output
    assert "errors.pydantic.dev" not in done.output


def test_epochs_of_one_prompt_are_no_independent_verdicts(rows: Any) -> None:
    """Thirty prompts of ten epochs were corrected as three hundred: a third of the true width."""
    epochs = [
        row
        for epoch in range(1, 11)
        for row in rows(think=[1] * 15 + [0] * 15, no_think=[0] * 30, epoch=epoch)
    ]
    card = make_card(
        Table(from_rows(epochs)), validations={"refusal": validation("think", "no_think")}
    )
    assert card.sets[0].corrected is None
    assert any("not independent verdicts" in problem.says for problem in card.problems)
