"""`rim-eval mech` that is stopped: nothing finished is lost, and nothing is generated twice."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rim_eval import mechanisms
from rim_eval.cli import main
from rim_eval.mechanisms import card_section, replies

ALL = ("mech", "all", "--limit", "6", "--draws", "1", "--no-logistic", "--out")


def run(out: Path, *more: str) -> Result:
    return CliRunner().invoke(main, [*ALL, str(out), *more])


def sections(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than all analyses of so few prompts."""
    monkeypatch.setattr(card_section, "section_pictures", lambda _report: ())


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many replies each call generates."""
    counts: list[int] = []
    original = replies.generate

    def counting(model: Any, tokenizer: Any, passages: Any, **settings: Any) -> Any:
        counts.append(len(passages))
        return original(model, tokenizer, passages, **settings)

    monkeypatch.setattr("rim_eval.mechanisms.behaviour.generate", counting)
    return counts


def starved(study: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The same analysis, in which memory runs out after the first call that generates."""
    import torch

    original, calls = replies.generate, [0]

    def generate(*arguments: Any, **settings: Any) -> Any:
        calls[0] += 1
        if calls[0] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        return original(*arguments, **settings)

    def starving(*arguments: Any, **settings: Any) -> Any:
        with monkeypatch.context() as broken:
            broken.setattr("rim_eval.mechanisms.behaviour.generate", generate)
            return study(*arguments, **settings)

    return starving


def test_memory_that_runs_out_in_the_third_analysis_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generated: list[int]
) -> None:
    with monkeypatch.context() as broken:
        study = starved(mechanisms.study_neurons, monkeypatch)
        broken.setattr(mechanisms, "study_neurons", study)
        done = run(tmp_path)
    assert done.exit_code == 1
    assert "neurons: left out: it broke off (OutOfMemoryError: CUDA out of memory" in done.output
    assert "The same command takes up the others" in done.output
    report = sections(tmp_path)
    assert report["probes"]
    assert report["heads"]
    assert not report["neurons"]
    assert "broke off" in report["left_out"]["neurons"]

    generated.clear()
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert "probes: is in" in done.output
    assert "heads: is in" in done.output
    report = sections(tmp_path)
    assert report["neurons"]
    assert report["left_out"] == {}
    before = sum(generated)
    run(tmp_path, "--again")
    assert sum(generated) == before


@pytest.mark.slow
def test_a_killed_process_loses_no_finished_analysis(tmp_path: Path) -> None:
    script = (
        "import os, signal; from rim_eval import mechanisms; from rim_eval.cli import main\n"
        "mechanisms.study_neurons = lambda config: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main()"
    )
    killed = subprocess.run([sys.executable, "-c", script, *ALL, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    report = sections(tmp_path)
    assert report["probes"]
    assert report["heads"]
    assert not report["neurons"]
    # A line that was not written to its end is passed over.
    with (tmp_path / "replies.jsonl").open("a", encoding="utf-8") as file:
        file.write('\n["0123", [[1, 2')
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    assert "heads: is in" in done.output
    assert sections(tmp_path)["neurons"]


def test_a_dry_run_says_what_would_be_generated_and_generates_no_reply(
    tmp_path: Path, generated: list[int]
) -> None:
    done = run(tmp_path, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "heads, no-think: 24 replies, " in done.output
    assert "uses up its 128 tokens at" in done.output
    assert generated == []
    assert not (tmp_path / "report.json").exists()


def test_a_part_that_was_measured_with_other_options_is_measured_again(tmp_path: Path) -> None:
    command = ["mech", "neurons", "--limit", "6", "--draws", "1", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, [*command, "-m", "3", "--over", "last"])
    assert done.exit_code == 0, done.output
    assert sections(tmp_path)["neurons"]["over"] == "last"
    done = run(tmp_path)
    assert "neurons: is in" not in done.output
    assert sections(tmp_path)["neurons"]["over"] == "text"
    assert "neurons: is in" in run(tmp_path).output
