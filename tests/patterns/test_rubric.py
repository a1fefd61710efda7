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
    with pytest.raises(RimError, match="rubric, cues, the path of a rubric file"):
        load_monitor("oracle")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("rim_eval.nowhere:monitor", "cannot be imported"),
        ("rim_eval.patterns:no_such_object", "cannot be imported"),
        ("not a module:monitor", "cannot be imported"),
        ("rim_eval.patterns:load_monitor", "is no monitor"),
        ("rim_eval.patterns.cues:CueMonitor", "is no monitor"),
    ],
)
def test_an_import_path_that_leads_to_no_monitor_is_refused(name: str, problem: str) -> None:
    with pytest.raises(RimError, match=problem):
        load_monitor(name)


def test_a_monitor_is_loaded_by_its_import_path() -> None:
    from rim_eval.organism.monitor import exact

    assert load_monitor("rim_eval.organism.monitor:exact") is exact
