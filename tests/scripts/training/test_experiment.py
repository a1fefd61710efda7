import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.training.experiment import main

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
