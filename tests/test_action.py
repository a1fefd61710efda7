"""`action.yml`: its form is GitHub's, no input reaches the shell as code, and its steps do what docs/action.md says.

The steps run here as the runner runs them: each with bash, inputs in the environment, files for outputs and summary.
Left out are the steps that use another action, and the one that installs the package.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from inspect_ai import eval as inspect_eval

from rim_eval.observations import read_observations, write_observations
from rim_eval.paths import organism_dir

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


class Done(NamedTuple):
    """What a run of the action leaves."""

    failed: list[str]
    """Names of the steps that failed."""
    outputs: dict[str, str]
    summary: str
    printed: str


def holds(condition: str, inputs: Mapping[str, str], failed: bool) -> bool:
    """Evaluate a step's `if`, in the few forms that the action uses."""
    if failed and "cancelled()" not in condition:
        return False
    text = re.sub(r"inputs\.([\w-]+)", lambda found: repr(inputs[found[1]]), condition)
    text = text.replace("!cancelled()", "True").replace("&&", "and")
    return bool(eval(text or "True", {"__builtins__": {}}))


def fill(text: str, inputs: Mapping[str, str]) -> str:
    return EXPRESSION.sub(lambda found: inputs[found[1].removeprefix("inputs.")], text)


def read_outputs(file: Path) -> dict[str, str]:
    found, lines = {}, iter(file.read_text().splitlines() if file.exists() else [])
    for line in lines:
        name, heredoc, end = line.partition("<<")
        if heredoc:
            found[name] = "\n".join(iter(lines.__next__, end))
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found


def run_action(folder: Path, *, left_out: Sequence[str] = (), **given: str) -> Done:
    """Run the action's own steps in a folder, as a composite action's are run.

    Args:
        folder: Where the job works.
        left_out: Names of steps that other tests run.
        given: Inputs.
    """
    inputs = {name: str(each["default"]) for name, each in ACTION["inputs"].items()}
    inputs |= {"install": "false"} | given
    outputs: dict[str, dict[str, str]] = {}
    failed: list[str] = []
    printed = ""
    environment = os.environ | {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "RUNNER_TEMP": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for number, step in enumerate(STEPS):
        if "run" not in step or step["name"] in left_out:
            continue
        if not holds(step.get("if", ""), inputs, bool(failed)):
            continue
        file = folder / f"output-{number}"
        own = {name: fill(value, inputs) for name, value in step.get("env", {}).items()}
        script = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(
            script,
            cwd=folder,
            env=environment | own | {"GITHUB_OUTPUT": str(file)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        printed += done.stdout
        outputs[step.get("id", "")] = read_outputs(file)
        if done.returncode:
            failed.append(step["name"])
    summary = folder / "summary"
    text = summary.read_text() if summary.exists() else ""
    return Done(failed, _outputs_of_the_action(outputs), text, printed)


def _outputs_of_the_action(steps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    found = {}
    for name, each in ACTION["outputs"].items():
        [expression] = EXPRESSION.fullmatch(each["value"]).groups()  # type: ignore[union-attr]
        choices = [choice.split(".") for choice in expression.split(" || ")]
        values = [steps.get(step, {}).get(output, "") for _, step, _, output in choices]
        found[name] = next(filter(None, values), "")
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `logs` with a finished log of the organism, and its rows as `rows.parquet`."""
    folder = tmp_path_factory.mktemp("finished")
    inspect_eval(
        "rim_eval/toy",
        model="hf/organism",
        model_args={"model_path": str(organism_dir()), "device": "cpu"},
        task_args={"answer_tokens": 96, "thinking_tokens": 160},
        limit=16,
        log_dir=str(folder / "logs"),
        display="none",
        max_connections=32,
    )
    write_observations(read_observations([str(folder / "logs")]), folder / "rows.parquet")
    return folder


def limits(folder: Path, at_most: int) -> None:
    limit = f"{{figure: rim_score, at_most: {at_most}}}"
    part = "validity: {complete: false}"
    (folder / "gate.yaml").write_text(f"version: 1\n{part}\nlimits:\n  - {limit}\n")


def test_no_input_is_written_into_a_script() -> None:
    assert not [step["name"] for step in STEPS if "${{" in step.get("run", "")]
    for step in STEPS:
        for value in step.get("env", {}).values():
            assert EXPRESSION.fullmatch(value), value


def test_every_input_and_output_is_on_its_page() -> None:
    page = (ROOT / "docs" / "action.md").read_text()
    names = [*ACTION["inputs"], *ACTION["outputs"]]
    assert [name for name in names if f"`{name}`" not in page] == []
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])


def test_a_model_beyond_a_limit_fails_the_job(finished: Path, tmp_path: Path) -> None:
    limits(tmp_path, at_most=5)
    done = run_action(tmp_path, logs=f"\n{finished / 'logs'}\n\n", left_out=["Card"])
    assert done.failed == ["Gate"], done.printed
    assert (done.outputs["decision"], done.outputs["exit-code"]) == ("fail", "1")
    assert done.outputs["model"] == "hf/organism"
    ends = [float(done.outputs[f"rim-score{end}"]) for end in ("-lower", "", "-upper")]
    assert 5 < ends[0] < ends[1] < ends[2]
    assert "::error title=RIM gate%3A fail::hf/organism: toy RIM score" in done.printed
    assert done.summary.startswith("## RIM gate: fail\n")


def test_a_model_within_the_limits_lets_the_job_go_on(finished: Path, tmp_path: Path) -> None:
    limits(tmp_path, at_most=95)
    done = run_action(tmp_path, logs=str(finished / "rows.parquet"), out="kept $(touch here)")
    assert done.failed == []
    assert (done.outputs["decision"], done.outputs["exit-code"]) == ("pass", "0")
    assert done.outputs["card"] == "kept $(touch here)/cards"
    kept = tmp_path / done.outputs["card"]
    assert sorted(file.name for file in kept.iterdir()) == [
        "card.html",
        "card.json",
        "card.md",
        "card.png",
        "card.short.md",
        "card.svg",
    ]
    assert {"gate.json", "gate.xml"} <= {file.name for file in kept.parent.iterdir()}
    assert not (tmp_path / "here").exists()
    assert "::error" not in done.printed
    assert done.summary.startswith("## RIM gate: pass\n")


def test_what_cannot_be_told_holds_the_job(finished: Path, tmp_path: Path) -> None:
    limits(tmp_path, at_most=50)
    done = run_action(tmp_path, logs=str(finished / "rows.parquet"), left_out=["Card"])
    assert done.failed == ["Gate"]
    assert (done.outputs["decision"], done.outputs["exit-code"]) == ("cannot tell", "2")
    assert "::error title=RIM gate%3A cannot tell::" in done.printed


def test_logs_that_are_not_there_are_no_pass(tmp_path: Path) -> None:
    limits(tmp_path, at_most=95)
    done = run_action(tmp_path, logs="nowhere")
    assert done.failed == ["Card", "Gate"]
    assert done.outputs["decision"] == "cannot tell"
    assert "nowhere" in done.summary


def suite(folder: Path, *, gate: str = "") -> None:
    """A suite of the organism, a few prompts of one set."""
    model = {"model": "hf/organism", "args": {"model_path": str(organism_dir()), "device": "cpu"}}
    budgets = {"answer_tokens": 96, "thinking_tokens": 160}
    content = {"version": 1, "models": [model], "sets": [{"task": "toy", "limit": 16}], "args": budgets}  # fmt: skip
    (folder / "suite.yaml").write_text(yaml.safe_dump(content | ({"gate": gate} if gate else {})))


@pytest.mark.slow
def test_a_suite_ends_in_its_gates_decision(tmp_path: Path) -> None:
    limits(tmp_path, at_most=5)
    suite(tmp_path, gate="gate.yaml")
    done = run_action(tmp_path, suite="suite.yaml")
    assert done.failed == ["Run the suite"], done.printed
    assert (done.outputs["decision"], done.outputs["exit-code"]) == ("fail", "1")
    assert done.outputs["model"] == "organism"
    assert float(done.outputs["rim-score-lower"]) > 5
    assert "::error title=RIM gate%3A fail::organism: toy RIM score" in done.printed
    assert done.summary.startswith("## RIM gate: fail\n")
    assert list((tmp_path / done.outputs["card"]).rglob("card.html"))


def test_a_suite_without_a_gate_decides_nothing_and_is_no_green_job(tmp_path: Path) -> None:
    suite(tmp_path)
    done = run_action(tmp_path, suite="suite.yaml")
    assert done.failed == ["Run the suite"]
    assert "The suite names no limits" in done.printed
    assert not (tmp_path / "rim").exists(), "no model was asked"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Give one of suite and logs"),
        ({"suite": "s.yaml", "logs": "logs"}, "Give one of suite and logs"),
        ({"suite": "s.yaml", "rules": "strict.yaml"}, "rules and judge are for logs"),
        ({"suite": "s.yaml", "judge": "hexphi"}, "rules and judge are for logs"),
    ],
)
def test_inputs_that_contradict_each_other_are_refused(
    tmp_path: Path, given: dict[str, str], says: str
) -> None:
    done = run_action(tmp_path, **given)
    assert done.failed[0] == "Check the inputs"
    assert says in done.printed
    assert done.outputs["decision"] != "pass"
