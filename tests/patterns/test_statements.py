from pathlib import Path

import pytest

from rim_eval.errors import RimError
from rim_eval.patterns import PATTERNS, arms_of, load_statements

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
        control, target = statements.text(pattern, "control"), statements.text(pattern, "target")
        assert control != target
        assert control.startswith("I ")
        assert target.startswith("I ")
        assert control.endswith("\n\n")


def test_the_uninjected_arm_comes_first() -> None:
    names = [arm.name for arm in arms_of(load_statements(), ("heuristic_reliance",))]
    assert names == ["uninjected", "heuristic_reliance:control", "heuristic_reliance:target"]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "toy.toml"
    file.write_text(TOY)
    statements = load_statements(file)
    assert statements.text("heuristic_reliance", "target") == "I skip. "
    assert len(statements.sha256) == 64
    with pytest.raises(RimError, match="none for confirmatory_reasoning, instruction_deviation"):
        arms_of(statements)


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
