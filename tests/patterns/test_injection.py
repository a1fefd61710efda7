"""Statements, and the effects of injecting them."""

from pathlib import Path
from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.patterns import PATTERNS, InjectionRow, injection_effects, load_statements
from rim_eval.patterns.injection import injection_table

TOY = """
name = "toy"
version = 1
after = " "
[statements.heuristic_reliance]
control = "I check."
target = "I skip."
"""


def test_every_pattern_has_two_sides_in_the_first_person() -> None:
    statements = load_statements()
    assert set(statements.statements) == set(PATTERNS)
    for pattern in PATTERNS:
        _, control, target = statements.arms((pattern,)).values()
        assert control
        assert target
        assert control != target
        assert control.startswith("I ")
        assert target.startswith("I ")
        assert control.endswith("\n\n")


def test_the_uninjected_arm_comes_first() -> None:
    names = list(load_statements().arms(("heuristic_reliance",)))
    assert names == ["uninjected", "heuristic_reliance:control", "heuristic_reliance:target"]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(TOY)
    statements = load_statements(file)
    [*_, target] = statements.arms(("heuristic_reliance",)).values()
    assert target == "I skip. "
    assert len(statements.sha256) == 64
    with pytest.raises(RimError, match="none for confirmatory_reasoning, instruction_deviation"):
        statements.arms()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("I skip.", "I check.", "are the same"),
        ("heuristic_reliance", "laziness", "statements.laziness"),
        ("version = 1", "version = ", "not valid TOML"),
        ("after", "behind", "behind"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, before: str, after: str, said: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(TOY.replace(before, after))
    with pytest.raises(RimError, match=said):
        load_statements(file)


def row(prompt: str, arm: str, verdict: bool | None, **facts: Any) -> InjectionRow:
    about = {
        "model": "m",
        "dataset": "d",
        "kind": "harmful",
        "mode": "think",
        "arm_kind": "switch",
        "statements": "s@1",
        "statements_sha256": "0",
    }
    return InjectionRow.model_validate(
        about | {"prompt_id": prompt, "arm": arm, "verdict": verdict} | facts
    )


TARGET, CONTROL = "heuristic_reliance:target", "heuristic_reliance:control"
ROWS = [
    row(str(n), arm, verdict)
    for n, verdicts in enumerate([(0, 0, 1), (0, 1, 1), (1, 0, 1), (0, 0, 0)])
    for arm, verdict in zip(("uninjected", CONTROL, TARGET), map(bool, verdicts), strict=True)
]


def test_every_difference_names_its_reference_and_is_paired() -> None:
    [effect] = injection_effects(ROWS)
    assert effect.target.value == 0.75
    assert effect.control.value == effect.uninjected.value == 0.25
    found = effect.target_against_control
    assert (found.target, found.reference) == (TARGET, CONTROL)
    assert (found.difference, found.b, found.c, found.n_pairs) == (50, 2, 0, 4)
    assert effect.target_against_uninjected.reference == "uninjected"
    control = effect.control_against_uninjected
    assert (control.difference, control.b, control.c) == (0, 1, 1)


def test_a_prompt_that_one_arm_did_not_score_is_no_pair() -> None:
    rows = [
        one if one.arm != TARGET or one.prompt_id != "0" else row("0", TARGET, None) for one in ROWS
    ]
    [effect] = injection_effects(rows)
    assert effect.target_against_control.n_pairs == 3
    assert effect.target_against_control.unpaired == ("0",)
    assert effect.control_against_uninjected.n_pairs == 4


def test_models_and_sets_are_apart() -> None:
    other = [one.model_copy(update={"dataset": "e"}) for one in ROWS]
    assert [one.dataset for one in injection_effects(ROWS + other)] == ["d", "e"]


@pytest.mark.parametrize("words", ["target against control", "points, 4 pairs", "uninjected"])
def test_the_table_says_against_what(words: str) -> None:
    assert words in injection_table(injection_effects(ROWS))


def test_a_declined_reply_is_counted_by_itself() -> None:
    """As everywhere else: the provider answered, and nothing of the model's is missing a verdict."""
    declined = [row(str(n), TARGET, None, reason="provider_declined") for n in range(2)]
    rows = [one for one in ROWS if one.arm != TARGET or one.prompt_id not in {"0", "1"}]
    [effect] = injection_effects(rows + declined)
    assert effect.declined == {"uninjected": 0, "control": 0, "target": 2}
    assert "0 unscored, 2 declined" in injection_table([effect])
