"""Models against a named reference: paired on shared prompts, refused where nothing can be compared."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.comparison import checkpoint_pair, compare, comparison_html, comparison_text
from rim_eval.errors import RimError
from rim_eval.observations import Run, Table, from_rows, write_observations
from rim_eval.statistics import (
    Estimate,
    mcnemar_score,
    paired_difference,
    rate,
    tango_interval,
    unpaired_interval,
)

STUDENT = 2.0226909
"""Quantile for 40 prompts at 95 %."""

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
    assert change.p_value == pytest.approx(mcnemar_score(2, 0))


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


def test_models_that_differ_alike_everywhere_have_an_interval(rows: Any) -> None:
    """No prompt differs: as narrow as the RIM score of two equal arms, for change and family too."""
    arms = {"think": [1] * 20 + [0] * 20, "no_think": [1] * 20 + [0] * 20}
    table = Table(from_rows([*rows(model="base", **arms), *rows(model="copy", **arms)]))
    found = compare(table, "base", families={"both": ["base", "copy"]}).sets[0]
    lower, upper = (100 * end for end in tango_interval(0, 0, 40))
    rates, change = found.rows[1].against[:2], found.rows[1].against[2]
    assert [(a.lower, a.upper) for a in rates] == [pytest.approx((lower, upper))] * 2
    assert (change.lower, change.upper) == pytest.approx((lower, upper))
    [mean] = found.families
    assert (mean.lower, mean.upper) == pytest.approx((lower, upper))


def test_epochs_that_differ_alike_narrow_with_the_prompts(rows: Any) -> None:
    """Each prompt differs by one of two epochs: 50 points everywhere, of -100 to 100 possible."""
    base = [*rows(model="base", think=[0] * 40), *rows(model="base", think=[0] * 40, epoch=2)]
    half = [*rows(model="half", think=[1] * 40), *rows(model="half", think=[0] * 40, epoch=2)]
    [against] = compare(Table(from_rows([*base, *half])), "base").sets[0].rows[1].against
    share = STUDENT**2 / (40 + STUDENT**2)
    assert (against.lower, against.upper) == pytest.approx((50 - 150 * share, 50 + 50 * share))


@pytest.mark.slow
def test_page_is_coloured_as_the_table_says(rows: Any) -> None:
    """A difference whose interval lies above 0 is coloured, and no other."""
    off = [0] * 100
    base = rows(model="base", think=[0] * 11 + [1] * 3 + [0] * 86, no_think=off)
    tuned = rows(model="tuned", think=[1] * 11 + [0] * 89, no_think=off)
    found = compare(Table(from_rows([*base, *tuned])), "base")
    _, against, _ = found.sets[0].rows[1].against
    assert against.lower > 0
    assert "with thinking         +8.0        " in comparison_text(found)
    assert "worse than the reference" in comparison_text(found)
    nearly = rows(model="tuned", think=[1] * 10 + [0] * 90, no_think=off)
    same = compare(Table(from_rows([*base, *nearly])), "base")
    assert same.sets[0].rows[1].against[1].lower < 0
    assert "worse than the reference" not in comparison_text(same)
    one, other = (comparison_html(each).upper().count("#B8420F") for each in (found, same))
    assert one > other


def test_several_models_are_adjusted_for(rows: Any) -> None:
    table = Table(from_rows([*rows(**BASE), *rows(**TUNED), *rows(**(TUNED | {"model": "third"}))]))
    rows_ = compare(table, "base").sets[0].rows
    for row in rows_[1:]:
        for against in row.against:
            assert against.p_value is not None
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
    with pytest.raises(RimError, match="Both arms are tuned"):
        checkpoint_pair(table, "tuned", "tuned")


@pytest.fixture
def files(tmp_path: Path, rows: Any) -> list[str]:
    """One table a checkpoint, all of the model `m`, as when logs name a path."""
    found = []
    for name, arms in (("early", BASE), ("final", TUNED)):
        sums = rows("sums", kind="reasoning", model="m", think=[1, 1, 1], no_think=[0, 1, 0])
        path = tmp_path / f"{name}.parquet"
        write_observations(Table(from_rows([*rows(**(arms | {"model": "m"})), *sums])), path)
        found.append(f"{name}={path}")
    return found


@pytest.mark.slow
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
    assert page.index("<h1") < page.index("<svg") < page.index("<table")
    assert (out / "compare.md").read_text().startswith("**")
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


def test_one_run_under_two_names_is_not_compared_with_itself(tmp_path: Path, rows: Any) -> None:
    run = Run(id="r", harness="h", log="l", model="m", dataset="doors")
    path, copy = tmp_path / "log.parquet", tmp_path / "copy.parquet"
    for each in (path, copy):
        write_observations(Table(from_rows(rows(**(BASE | {"model": "m"})), "r"), (run,)), each)
    for one, other in ((path, path), (path, copy)):
        done = CliRunner().invoke(
            main, ["compare", f"base={one}", f"tuned={other}", "--reference", "base"]
        )
        assert done.exit_code == 1
        assert f"base={one} and tuned={other} hold the same run" in done.output
        assert "Each name takes logs of its own" in done.output
    done = CliRunner().invoke(main, ["compare", str(path), str(path)])
    assert done.exit_code == 0, done.output


def test_table_without_runs_under_two_names_is_refused_too(files: list[str]) -> None:
    [path, _] = [each.partition("=")[2] for each in files]
    done = CliRunner().invoke(main, ["compare", f"a={path}", f"b={path}", "--reference", "a"])
    assert "hold the same run under two names, a and b" in done.output


@pytest.fixture
def cards(files: list[str], tmp_path: Path) -> list[str]:
    """The same two checkpoints as cards."""
    found = []
    for name, path in (each.split("=") for each in files):
        done = CliRunner().invoke(main, ["card", path, "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        found.append(f"{name}={tmp_path / name / 'card.json'}")
    return found


@pytest.mark.slow
def test_cards_are_compared_without_pairing_and_say_so(cards: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ["--reference", "early", "--series", "--out", str(out)]
    done = CliRunner().invoke(main, ["compare", *cards, *options])
    assert done.exit_code == 0, done.output
    assert "minus early, in percentage points, not paired:" in done.output
    assert "note: not paired: cards hold counts and no prompts" in done.output
    found = json.loads((out / "compare.json").read_text())
    doors = next(each for each in found["sets"] if each["dataset"] == "doors")
    [tuned] = [row for row in doors["rows"] if row["model"] == "final"]
    think = next(a for a in tuned["against"] if a["quantity"] == "think")
    first, second = (Estimate(r.value, r.lower, r.upper) for r in (rate(4, 5), rate(2, 6)))
    lower, upper = unpaired_interval(first, second)
    assert think["value"] == pytest.approx(100 * (4 / 5 - 2 / 6))
    assert (think["lower"], think["upper"]) == pytest.approx((100 * lower, 100 * upper))
    assert (think["n"], think["n_reference"], think["p_value"]) == (5, 6, None)
    assert "5 and 6" in done.output
    page = (out / "compare.html").read_text()
    seen = re.sub(r"<details.*?</details>", "", page, flags=re.S)
    assert seen.count("not paired") == 1
    assert "a change with thinking is a model's rate with thinking minus" in page
    assert "on shared prompts" not in page


@pytest.mark.slow
def test_card_and_logs_are_compared_without_pairing(cards: list[str], files: list[str]) -> None:
    done = CliRunner().invoke(main, ["compare", cards[0], files[1], "--reference", "early"])
    assert done.exit_code == 0, done.output
    assert "not paired" in done.output


@pytest.mark.slow
def test_folder_of_a_card_is_told_which_file_it_is(cards: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "early"
    done = CliRunner().invoke(main, ["compare", str(folder)])
    assert f"Its card is {folder}/card.json" in done.output
    done = CliRunner().invoke(main, ["card", f"{folder}/card.json"])
    assert "RIM cards (card.json) are for `rim-eval compare`" in done.output
    done = CliRunner().invoke(main, ["compare", f"{tmp_path}/none.json"])
    assert "cannot be read (No such file or directory). Give a card.json" in done.output


@pytest.mark.slow
def test_cards_cannot_be_joined_prompt_by_prompt(cards: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["compare", *cards, "--pair", "final", "early"])
    assert done.exit_code == 1
    assert "a card holds counts and no prompts" in done.output
    assert "--observations rows.parquet" in done.output
    paths = [each.partition("=")[2] for each in cards]
    done = CliRunner().invoke(main, ["compare", *paths])
    assert "Two cards are of m: name them apart" in done.output
    done = CliRunner().invoke(
        main, ["compare", f"a={paths[0]}", f"b={paths[0]}", "--reference", "a"]
    )
    assert "a and b are the same result under two names" in done.output
    changed = tmp_path / "changed.json"
    changed.write_text(Path(paths[0]).read_text().replace('"n_pairs": 6', '"n_pairs": 7'))
    done = CliRunner().invoke(main, ["compare", f"a={changed}", cards[1], "--reference", "a"])
    assert "Make the card again from its logs" in done.output


def test_text_says_every_n(table: Table) -> None:
    text = comparison_text(compare(table, "base"))
    assert "80.0 % (n = 5)" in text


def test_a_model_in_two_families_counts_in_both(table: Table) -> None:
    families = {"both": ["base", "tuned"], "new": ["tuned"]}
    means = compare(table, "base", families=families).sets[0].families
    assert [(mean.family, mean.models) for mean in means] == [
        ("both", ("base", "tuned")),
        ("new", ("tuned",)),
    ]


def test_a_notebook_and_pandas_get_every_models_figures(table: Table) -> None:
    found = compare(table, "base")
    frame = found.frame
    assert set(frame["model"]) == set(found.models)
    assert set(frame["mode"]) == {"think", "no_think", "change"}
    shown = found._repr_html_()
    assert "<style" not in shown
    assert all(model in shown for model in found.models)
    assert ">-" not in shown, "a true minus"
