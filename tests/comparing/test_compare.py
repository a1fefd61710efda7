"""Models against a named reference: paired on shared prompts, refused where nothing can be compared."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.comparing import checkpoint_pair, compare, comparison_text
from rim_eval.errors import RimError
from rim_eval.observations import Run, Table, from_rows, write
from rim_eval.statistics import paired_difference

BASE: dict[str, Any] = {
    "model": "base",
    "think": [1, 0, 0, 0, 1, 0],
    "no_think": [0, 0, 0, 0, 1, 0],
}
TUNED: dict[str, Any] = {
    "model": "tuned",
    "think": [1, 1, 1, 0, 1, None],
    "no_think": [0, 0, 1, 0, 0, 0],
}


@pytest.fixture
def table(rows: Any) -> Table:
    return Table(from_rows([*rows(**BASE), *rows(**TUNED)]))


def named(arm: list[Any]) -> dict[str, list[float | None]]:
    return {f"doors-{i:03d}": [None if v is None else float(v)] for i, v in enumerate(arm)}


def test_each_mode_is_the_paired_difference_over_shared_prompts(table: Table) -> None:
    found = compare(table, "base")
    [row] = [row for row in found.sets[0].rows if row.model == "tuned"]
    for against in row.against[:2]:
        hand = paired_difference(
            named(TUNED[against.quantity]),
            named(BASE[against.quantity]),
            target_name="tuned",
            reference_name="base",
        )
        assert (against.value, against.lower, against.upper) == (
            hand.difference,
            hand.lower,
            hand.upper,
        )
        assert (against.n, against.n_left_out) == (hand.n_pairs, len(hand.unpaired))
    assert [a.n for a in row.against] == [6, 5, 5]


def test_change_is_the_difference_of_differences(table: Table) -> None:
    [row] = [row for row in compare(table, "base").sets[0].rows if row.model == "tuned"]
    change = row.against[2]
    # tuned: +1 +1 0 0 +1 (last unscored); base: +1 0 0 0 0
    assert change.quantity == "change"
    assert change.value == pytest.approx(100 * (0 + 1 + 0 + 0 + 1) / 5)
    assert change.lower <= change.value <= change.upper
    assert change.p_value == pytest.approx(0.5)


def test_comparison_turns_its_sign_with_the_reference(table: Table) -> None:
    first = compare(table, "base").sets[0].rows[1].against
    second = compare(table, "tuned").sets[0].rows[0].against
    for a, b in zip(first, second, strict=True):
        assert a.value == pytest.approx(-b.value)
        assert a.p_value == pytest.approx(b.p_value)


def test_equal_models_differ_by_nothing_but_not_with_certainty(rows: Any) -> None:
    table = Table(from_rows([*rows(**BASE), *rows(**(BASE | {"model": "copy"}))]))
    for against in compare(table, "base").sets[0].rows[1].against:
        assert (against.value, against.p_value) == (0, 1)
        assert against.lower < 0 < against.upper


def test_several_models_are_adjusted_for(rows: Any) -> None:
    table = Table(from_rows([*rows(**BASE), *rows(**TUNED), *rows(**(TUNED | {"model": "third"}))]))
    rows_ = compare(table, "base").sets[0].rows
    for row in rows_[1:]:
        for against in row.against:
            assert against.p_holm == pytest.approx(min(1, 2 * against.p_value))


def test_family_is_the_mean_over_its_models(rows: Any) -> None:
    table = Table(from_rows([*rows(**BASE), *rows(**TUNED)]))
    [mean] = compare(table, "base", families={"both": ["base", "tuned"]}).sets[0].families
    # changes: base +1 0 0 0 0, tuned +1 +1 0 0 +1, on the five prompts that both have
    assert mean.value == pytest.approx(100 * (1 + 0.5 + 0 + 0 + 0.5) / 5)
    assert mean.n == 5


def test_two_judges_are_not_compared(rows: Any) -> None:
    table = Table(from_rows([*rows(**BASE), *rows(**TUNED, judge="hexphi@1")]))
    with pytest.raises(RimError, match="not judged alike"):
        compare(table, "base")


def test_models_without_a_shared_prompt_are_not_compared(rows: Any) -> None:
    table = Table(from_rows([*rows(**BASE), *rows("locks", **TUNED)]))
    with pytest.raises(RimError, match="No other model was scored on a prompt"):
        compare(table, "base")


def test_unknown_names_are_refused(table: Table) -> None:
    with pytest.raises(RimError, match="there are base, tuned"):
        compare(table, "best")
    with pytest.raises(RimError, match="there are base, tuned"):
        compare(table, "base", families={"f": ["best"]})


def test_different_budgets_are_remarked(rows: Any) -> None:
    runs = tuple(
        Run(id=m, harness="h", log="l", model=m, dataset="doors", answer_tokens=n)
        for m, n in (("base", 100), ("tuned", 200))
    )
    table = Table(from_rows([*rows(**BASE), *rows(**TUNED)]), runs)
    assert "doors: answer_tokens differ between models (100, 200)" in compare(table, "base").remarks


def test_checkpoint_pair_takes_each_arm_from_its_model(table: Table) -> None:
    pair = checkpoint_pair(table, "tuned", "base", name="pair")
    [row] = compare(pair, "pair").sets[0].rows
    hand = paired_difference(
        named(TUNED["think"]),
        named(BASE["no_think"]),
        target_name="think",
        reference_name="no_think",
    )
    assert row.arm_kind == "checkpoint_pair"
    shown = row.figures.difference
    assert shown is not None
    assert (shown.value, shown.lower, shown.n_pairs) == (hand.difference, hand.lower, hand.n_pairs)


def test_checkpoint_pair_needs_prompts_in_common(rows: Any) -> None:
    table = Table(from_rows([*rows(**BASE), *rows("locks", **TUNED)]))
    with pytest.raises(RimError, match="no prompt in common"):
        checkpoint_pair(table, "tuned", "base")
    with pytest.raises(RimError, match="There is no model"):
        checkpoint_pair(table, "tuned", "other")


@pytest.fixture
def files(tmp_path: Path, rows: Any) -> list[str]:
    """One table a checkpoint, all of the model `m`, as when logs name a path."""
    found = []
    for name, arms in (("early", BASE), ("final", TUNED)):
        sums = rows("sums", kind="reasoning", model="m", think=[1, 1, 1], no_think=[0, 1, 0])
        path = tmp_path / f"{name}.parquet"
        write(Table(from_rows([*rows(**(arms | {"model": "m"})), *sums])), path)
        found.append(f"{name}={path}")
    return found


def test_command_names_the_reference_and_draws_a_series(files: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main, ["compare", *files, "--reference", "early", "--series", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    assert "Reference: early" in done.output
    assert "minus early, in percentage points" in done.output
    plain = json.loads((out / "compare.json").read_text())
    assert plain["models"] == ["early", "final"]
    page = (out / "compare.html").read_text()
    assert "Over training: doors" in page
    assert "Safety against ability" in page
    assert "<script" not in page


def test_command_asks_for_the_reference(files: list[str]) -> None:
    done = CliRunner().invoke(main, ["compare", *files])
    assert done.exit_code == 1
    assert "--reference early" in done.output


def test_command_joins_a_pair(files: list[str]) -> None:
    done = CliRunner().invoke(main, ["compare", *files, "--pair", "final", "early"])
    assert done.exit_code == 0, done.output
    assert "final (thinks) against early (does not)" in done.output
    both = CliRunner().invoke(main, ["compare", *files, "--pair", "final", "early", "--series"])
    assert "leave out" in both.output


def test_text_says_every_n(table: Table) -> None:
    text = comparison_text(compare(table, "base"))
    assert "80.0 % (n = 5)" in text
