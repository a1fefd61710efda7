"""What the gate tells GitHub Actions: marks, outputs, a summary; and what it does not let a name tell it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rim_eval.cli import main
from rim_eval.release_gate import Decision, Limit, LimitResult, annotations

from .test_reports import LIMITS

PASSES = LIMITS.split("  - ")[0] + "  - {figure: rim_score, at_most: 80}\n"
HIDDEN = "::warning title=Everything passes::nothing to see"


@pytest.fixture
def actions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files `output` and `summary`, as the runner names them to a step."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    return tmp_path


def commands(lines: Sequence[str]) -> list[str]:
    """The workflow commands that the runner obeys: none between `stop-commands` and its token."""
    obeyed: list[str] = []
    token = ""
    for line in map(str.strip, lines):
        if token:
            token = "" if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
        elif line.startswith("::"):
            obeyed.append(line)
    assert not token
    return obeyed


def outputs(file: Path) -> dict[str, str]:
    """What the runner reads from a step's output file: NAME<<END, the value, END; the last of a name counts."""
    found, lines = {}, iter(file.read_text().splitlines())
    for line in lines:
        name, _, end = line.partition("<<")
        found[name] = "\n".join(iter(lambda: next(lines), end))
    return found


def again(folder: Path) -> Result:
    """Hold the gate on the card and the rules that lie in a folder."""
    words = ["gate", str(folder / "card.json"), "--rules", str(folder / "gate.yaml")]
    return CliRunner().invoke(main, words)


def test_the_run_is_marked_where_a_limit_does_not_pass(gate: Any, actions: Path) -> None:
    done = gate(LIMITS)
    marks = [line.split("::")[1] for line in commands(done.output.splitlines())]
    assert [mark.split(" ")[0] for mark in marks] == ["error"] * 3 + ["warning", "notice"]
    assert [mark.split("%3A ")[1] for mark in marks[:3]] == ["fail", "cannot tell", "missing"]
    assert done.output.splitlines()[-2] == "gate: fail"
    assert commands(gate(PASSES).output.splitlines()) == []


def test_outside_of_actions_nothing_is_marked(gate: Any) -> None:
    done = gate(LIMITS)
    assert "::" not in done.output
    assert done.output.splitlines()[-1] == "gate: fail"


@pytest.mark.parametrize(("rules", "decision", "code"), [(PASSES, "pass", 0), (LIMITS, "fail", 1)])
def test_the_step_has_outputs(
    gate: Any, actions: Path, rules: str, decision: str, code: int
) -> None:
    assert gate(rules).exit_code == code
    found = outputs(actions / "output")
    assert (found["decision"], found["exit-code"], found["model"]) == (decision, str(code), "m")
    card = json.loads((actions / "card.json").read_text())
    change = card["sets"][0]["figures"]["difference"]
    for name, end in (("", "value"), ("-lower", "lower"), ("-upper", "upper")):
        assert found[f"rim-score{name}"] == f"{change[end]:.1f}"
    assert found["rim-score"] == "60.0"


def test_a_score_of_unverified_modes_is_no_output(gate: Any, actions: Path) -> None:
    assert gate(PASSES, adopted=False).exit_code == 2
    found = outputs(actions / "output")
    assert (found["decision"], found["rim-score"]) == ("cannot tell", "")


def test_a_difference_of_nothing_has_no_sign(gate: Any, actions: Path) -> None:
    gate(PASSES, think=[0] * 100, no_think=[0] * 100)
    assert outputs(actions / "output")["rim-score"] == "0.0"


def test_the_summary_holds_the_finding_the_limits_and_the_card(gate: Any, actions: Path) -> None:
    (actions / "summary").write_text("before\n")
    gate(LIMITS)
    text = (actions / "summary").read_text()
    assert text.startswith("before\n## RIM gate: fail\n\n### m: fail\n")
    limits, card = text.split("<details><summary>Card</summary>\n\n")
    assert "| **fail** | block | doors: rim\\_score at most 20 points |" in limits
    assert card.startswith("## What thinking does to safety")
    assert card.rstrip().endswith("</details>")


def test_an_error_is_told_in_all_three_ways(gate: Any, actions: Path) -> None:
    done = gate(PASSES + "allow: yes\n")
    assert done.exit_code == 2
    [mark] = commands(done.output.splitlines())
    assert mark.startswith("::error title=RIM gate%3A cannot tell::")
    assert "allow" in mark
    found = outputs(actions / "output")
    assert (found["decision"], found["exit-code"], found["model"]) == ("cannot tell", "2", "")
    assert "allow" in (actions / "summary").read_text()


def test_a_summary_that_cannot_be_written_leaves_no_pass(
    gate: Any, actions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(actions / "nowhere" / "summary"))
    assert gate(PASSES).exit_code == 2
    assert outputs(actions / "output")["decision"] == "cannot tell"


def test_a_models_name_is_no_command(gate: Any, actions: Path) -> None:
    gate(LIMITS)
    card = (actions / "card.json").read_text()
    assert '"model": "m"' in card
    (actions / "card.json").write_text(card.replace('"model": "m"', f'"model": "{HIDDEN}"'))
    done = again(actions)
    assert done.exit_code == 1
    assert HIDDEN in done.output.splitlines()
    assert HIDDEN not in commands(done.output.splitlines())


def test_a_name_breaks_no_mark_and_no_output() -> None:
    name = "a|b<script>\n::error::x\x00%&]]>"
    result = LimitResult(
        outcome="fail", reason=name, limit=Limit(figure="rim_score", at_most=5), dataset=name
    )
    [line] = annotations([Decision(model=name, results=(result,))])
    assert "\n" not in line
    assert "%0A::error::x" in line
    assert "%25&" in line
