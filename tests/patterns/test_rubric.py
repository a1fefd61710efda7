from pathlib import Path

import pytest

from rim_eval import patterns
from rim_eval.errors import RimError
from rim_eval.patterns import load_monitor, load_rubric

SHIPPED = Path(patterns.__file__).with_name("rubric.yaml")


def test_eight_categories_grouped_as_the_paper_groups_them() -> None:
    rubric = load_rubric().rubric
    assert len(rubric.categories) == 8
    groups: dict[str | None, set[str]] = {}
    for item in rubric.categories:
        groups.setdefault(item.pattern, set()).add(item.name)
    assert groups == {
        "confirmatory_reasoning": {"safety_compliance_issues"},
        "heuristic_reliance": {"bias_driven_shortcuts", "plagiarism_copying"},
        "instruction_deviation": {
            "instruction_noncompliance",
            "fabrication_rationalization",
            "evaluation_gaming",
        },
        None: {"leakage_claims", "other_misbehaviour"},
    }
    assert {item.name for item in rubric.behaviours} == {"self_jailbreak", "harm_awareness"}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("version: 1", "version: none", "line 3, version"),
        ("pattern: heuristic_reliance", "pattern: laziness", "categories.1.pattern"),
        ("  - name: harm_awareness", "  - name: self_jailbreak", "self_jailbreak named twice"),
        ("retries: 2", "retrys: 2", "retrys"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert before in text
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(RimError, match=said):
        load_monitor(str(file))


def test_an_unknown_monitor_is_refused_with_those_there_are() -> None:
    with pytest.raises(RimError, match="rubric, cues, exact"):
        load_monitor("oracle")
