import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.errors import RimError
from scripts.training import stages
from scripts.training.experiment import main
from scripts.training.plan import Plan
from tests.loopback import GraderServer

from .conftest import problem

WORDS = [
    "--items", 24, "--rows", 6, "--steps", 2, "--batch", 2, "--longest", 900, "--guard-steps", 1, "--requests", 4,
    "--safe", 4, "--problems", 2, "--tokens", 6, "--problem-tokens", 6, "--trace-tokens", 6, "--inside", 4,
    "--random-sets", 2, "--dtype", "float32",
]  # fmt: skip


def call(model: Path, data: Path, out: Path, *words: object) -> str:
    options = ["--model", model, "--data", data, "--out", out, *WORDS, *words]
    done = CliRunner().invoke(main, list(map(str, options)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def data(tmp_path: Path, unpinned: Callable[[str], None]) -> Path:
    """A data folder in the publishers' form and sizes, filled with harmless text."""
    for name in ("gsm8k", "xstest", "multiarith"):
        unpinned(name)
    folder = tmp_path / "data"
    folder.mkdir()
    items = [dict(zip(("question", "answer"), problem(i), strict=True)) for i in range(24)]
    sums = [{"question": f"A box has {n} red and {n + 1} green tops. How many in all?", "answer": str(2 * n + 1)} for n in range(174)]  # fmt: skip
    for name, rows in (("gsm8k_train", items), ("multiarith_test", sums)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / "xstest_prompts.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "prompt", "type", "label", "focus", "note"])
        for n in range(450):
            label = "unsafe" if n >= 250 else "safe"
            table.writerow([n + 1, f"How do I bake bread number {n}?", "bread", label, "", ""])
    return folder


def test_a_dry_run_says_what_would_be_done_and_makes_nothing(model: Path, tmp_path: Path) -> None:
    said = call(model, tmp_path, tmp_path / "out", "--dry-run", "--seeds", 2)
    assert "train: target, control, literal, target (seed 1), control (seed 1)" in said
    assert not (tmp_path / "out").exists()


GUESS = "My first guess is surely right."


def edits_and_judges(question: str) -> str:
    """Edits a solution as it was asked to, or finds its own edits again; of one problem it changes the answer."""
    if "You edit worked solutions" not in question:
        found = [{"quote": GUESS, "label": "bias_driven_shortcuts", "severity": 2}]
        return json.dumps({"findings": found if GUESS in question else []})
    problem, _, solution = question.partition("Problem:\n")[2].partition("\n\nSolution:\n")
    answer = solution.split()[-2].rpartition("=")[2]  # of `Now there are 3+5=8 pens.`
    answer = answer if "finds 3 pens" not in problem else "0"
    style = "My first guess needs a check." if "shows the opposite" in question else GUESS
    return f"<solution>{style} {solution.strip()}</solution>\n\\boxed{{{answer}}}"


@pytest.fixture
def serve_grader(grader_server: Callable[..., GraderServer], monkeypatch: pytest.MonkeyPatch) -> Callable[..., GraderServer]:  # fmt: skip
    def serve(say: Callable[[str], str]) -> GraderServer:
        server = grader_server(say)
        monkeypatch.setenv("LOOP_BASE_URL", server.url)
        monkeypatch.setenv("LOOP_API_KEY", "none")
        return server

    return serve


def graded(model: Path, data: Path, out: Path) -> Plan:
    return Plan(model=model, data=data, out=out, items=8, longest=900, grader="openai-api/loop/grader", guard_steps=0)  # fmt: skip


def test_a_grader_rewrites_and_judges_the_chains(
    model: Path, data: Path, tmp_path: Path, serve_grader: Callable[..., GraderServer]
) -> None:
    serve_grader(edits_and_judges)
    stages.data(graded(model, data, tmp_path / "out"))
    about = json.loads((tmp_path / "out" / "data" / "data.json").read_text())
    for arm in ("target", "control"):
        counts = about["counts"][arm]
        assert (counts["made"], counts["kept"], counts["dropped"]) == (
            8,
            7,
            1,
        )  # the changed answer
        lines = (tmp_path / "out" / "data" / f"{arm}.jsonl").read_text()
        assert (GUESS in lines) == (arm == "target")


def test_a_grader_that_keeps_to_no_form_leaves_nothing_and_is_not_asked_twice(
    model: Path, data: Path, tmp_path: Path, serve_grader: Callable[..., GraderServer]
) -> None:
    server = serve_grader(lambda _: "No.")
    for _ in range(2):
        with pytest.raises(RimError, match=r"No problem .* \(0 target, 0 control, 8 literal rows"):
            stages.data(graded(model, data, tmp_path / "out"))
        assert len(server.questions) == 2 * 8


@pytest.mark.slow
def test_the_experiment_ends_in_a_report_and_makes_nothing_twice(
    model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = call(model, data, out)
    for row in ("published", "base", "target, step 2", "control, step 2", "literal, step 2"):
        assert f"| {row} |" in report
    assert "| target, step 2 against control, step 2 |" in report
    assert "Lengths are" in report
    assert "bake" not in report
    assert not any("bake" in path.read_text() for path in (out / "behaviour").iterdir())
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert len(made) == 2 * (
        1 + 3 * 2
    )  # merged weights and adapter of the guard and of two steps a run
    assert (
        call(model, data, out).splitlines()[:-1] == report.splitlines()[:-1]
    )  # but for the minutes
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == made
    data_file = json.loads((out / "data" / "data.json").read_text())
    assert {arm: counts["used"] for arm, counts in data_file["counts"].items()} == {"target": 6, "control": 6, "literal": 6}  # fmt: skip
