"""`rim-eval series`: what it refuses before a model is asked, and what it writes and says at its end."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rim_eval.card import check_card, read_card
from rim_eval.cli import main
from rim_eval.cli.series import ModelLines
from rim_eval.progress import Progress
from rim_eval.series import SeriesReport, SeriesSettings, parse_models, series_plan
from rim_eval.suite.jobs import ChildMessage

NOWHERE = "nowhere=openai-api/nowhere/model"
"""A model that cannot be reached: nothing names its address."""


@pytest.fixture
def doors(tmp_path: Path) -> Path:
    file = tmp_path / "doors.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"Open door {n}."}) + "\n" for n in range(4)))
    return file


def series(folder: Path, *words: object) -> Result:
    arguments = ["series", *map(str, words), "--log-dir", str(folder / "series")]
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rim_toy/a", "--tasks", "toy"], "got 1"),
        (["rim_toy/a", "rim_toy/b", "--tasks", "gsm9k"], "--tasks gsm9k: there is no such task; there are advbench"),
        (["rim_toy/a", "rim_toy/b", "--tasks", "toy", "-T", "answer_toknes=9"], "-T answer_toknes=...: none of these"),
        (["rim_toy/a", "rim_toy/b", "--tasks", "toy", "-T", "judge"], "write it as NAME=VALUE"),
        (["rim_toy/a", "rim_toy/b", "--tasks", "toy", "--steps", "0,x"], "give numbers"),
        (["rim_toy/a", "rim_toy/b", "--tasks", "toy", "--steps", "8,0"], "2 increasing numbers"),
        (["a/final", "b/final", "--tasks", "toy"], "Name them apart: final-2=b/final"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused_before_the_folder_is_made(
    tmp_path: Path, words: list[str], says: str
) -> None:
    done = series(tmp_path, *words)
    assert done.exit_code == 1
    assert says in done.output
    assert not (tmp_path / "series").exists()


def test_what_the_report_needs_is_asked_for_before_the_models_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rim_eval.cli.series.find_spec", lambda _: None)
    done = series(tmp_path, "rim_toy/a", "rim_toy/b", "--tasks", "toy")
    assert done.exit_code == 1
    assert "pip install 'rim-eval[card]'" in done.output
    assert not (tmp_path / "series").exists()


@pytest.mark.slow
def test_one_command_writes_cards_and_a_report_and_names_what_failed(
    tmp_path: Path, doors: Path
) -> None:
    words: list[Any] = ["base=rim_toy/a", "rim_toy/b", NOWHERE]
    words += ["--tasks", "prompts,toy_math", "-T", f"file={doors}", "-T", "judge=refusal"]
    words += ["--limit", "3"]
    done = series(tmp_path, *words)
    assert done.exit_code == 1, done.output
    assert "1/3 base: 6/6 prompts, 2 of 2 tasks" in done.output
    assert "2/3 b: 6/6 prompts, 2 of 2 tasks" in done.output
    assert "Reference: base" in done.output
    assert "Not finished, 1 of 3 models:\n  nowhere: " in done.output
    assert done.output.count("matches words") == 1  # a warning of every child, shown once

    out = tmp_path / "series" / "cards"
    for label in ("base", "b"):
        card = read_card(out / label / "card.json")
        assert card.model == label
        assert not check_card(card)
    assert not (out / "nowhere").exists()
    report = SeriesReport.model_validate_json((out / "series_report.json").read_text())
    assert report.left_out == ("nowhere",)
    assert report.comparison.models == ("base", "b")
    for file in (*out.rglob("*.json"), *out.rglob("*.md"), *out.rglob("*.html")):
        assert str(tmp_path) not in file.read_text(), file

    other = series(tmp_path, *words[:-1], "2")
    assert other.exit_code == 1
    assert "holds another series: limit was 3 and is now 2" in other.output


@pytest.mark.slow
def test_without_the_base_there_are_cards_and_no_report(tmp_path: Path, doors: Path) -> None:
    words = [NOWHERE, "rim_toy/b"]
    words += ["--tasks", "prompts", "-T", f"file={doors}", "-T", "judge=refusal"]
    done = series(tmp_path, *words, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "No report: nowhere, which the others are compared with, is not finished" in done.output
    assert (tmp_path / "out" / "b" / "card.json").is_file()
    assert not (tmp_path / "out" / "series_report.json").exists()


def test_models_of_one_server_have_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Their samples end in turn."""
    models = parse_models(["vllm/base", "vllm/base:org/two"])
    plan = series_plan(SeriesSettings(models=models, tasks=("rim_eval/toy",)))
    (one, two), progress = plan.models, Progress()
    lines = ModelLines(plan, progress)
    for done in range(1, 4):
        lines.tell(one, ChildMessage(task="rim_eval/toy", done=done, total=3))
        lines.tell(two, ChildMessage(task="rim_eval/toy", done=done // 2, total=3))
    lines.warn("look")
    lines.warn("look")
    lines.end()
    written = capsys.readouterr()
    assert written.err == "1/2 base: 3/3 prompts\nwarning: look\n2/2 two: 1/3 prompts\n"
    assert not written.out
    # One prompt of the first model was there before: the first message of a task says so.
    assert (progress.done, progress.kept, progress.total) == (4, 1, 6)
