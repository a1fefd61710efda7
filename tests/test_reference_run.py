"""The command that makes a leaderboard entry: what it would run, and how it refuses wrong use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rim_eval.leaderboard.check import MIN_SAMPLE, SAMPLE_SEED

SCRIPT = Path(__file__).parents[1] / "scripts" / "reference_run.sh"
SMALL = ("--model", "hf/vendor/name", "--family", "name", "--parameters", "135e6")


def reference_run(*options: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    return subprocess.run([SCRIPT, *options], capture_output=True, text=True, env=environment)


def test_a_dry_run_prints_every_command_and_runs_none(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = reference_run("--dry-run", "--out", str(out))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[1:3] for line in lines] == [
        ["rim-eval", "data"], ["inspect", "eval-set"], ["inspect", "eval-set"], ["rim-eval", "card"],
        ["rim-eval", "leaderboard"],
    ]  # fmt: skip
    assert "vllm/Qwen/Qwen3-4B" in lines[1]
    assert "judge=qwen3guard" in lines[1]
    assert not any("judge=" in word for word in lines[2])
    assert not out.exists()


def test_options_reach_the_commands() -> None:
    done = reference_run(*SMALL, "--dry-run", "--judge", "refusal", "--grader", "-", "--limit", "120", "--answer-tokens", "256", "--weights", "open_weights", "--", "-M", "model_path=here")  # fmt: skip
    judged, problems = (line for line in done.stdout.splitlines() if "eval-set" in line)
    for line in (judged, problems):
        assert f"--limit 120 --sample-shuffle {SAMPLE_SEED} -T answer_tokens=256" in line
        assert "--model hf/vendor/name --retry-attempts 0 -M model_path=here" in line
        assert "vllm" not in line
        assert "grader" not in line
    assert done.stdout.splitlines()[-1].endswith(" --weights open_weights")


def test_what_nobody_said_is_left_to_the_leaderboard() -> None:
    """Whether weights are open, who deployed the model and who measured it."""
    command = reference_run("--dry-run").stdout.splitlines()[-1]
    assert "leaderboard add" in command
    assert not {"--weights", "--deployment", "--evaluator"} & set(command.split())


def test_a_failed_set_is_not_tried_again_by_itself() -> None:
    done = reference_run("--dry-run", "--", "--retry-attempts", "3")
    asked = [line for line in done.stdout.splitlines() if "eval-set" in line]
    assert all("--retry-attempts 0 --retry-attempts 3" in line for line in asked)


def test_inspects_command_line_reads_the_seed_as_a_seed() -> None:
    """It reads 1 as `true` and 0 as `false`: a shuffle that nobody can repeat, and none."""
    from inspect_ai._util.flag_values import int_or_bool_value

    assert int_or_bool_value(str(SAMPLE_SEED), -1, 0) == SAMPLE_SEED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            ["--limit", str(MIN_SAMPLE - 1)],
            f"samples of at least {MIN_SAMPLE} prompts of each kind",
        ),
        (["--limit", "119"], "xstest has two kinds of prompts"),
        (["--weights"], "--weights needs a value"),
        (["--limit", "many"], "a whole number"),
        (["--limit"], "--limit needs a value"),
        (["--temperature", "1"], "options of Inspect stand after --"),
        (["--model", "Qwen3-4B"], "names no engine"),
        (["--model", "hf/vendor/name"], "needs --family and --parameters"),
        ([*SMALL, "--public", "vendor/other"], "does not end with"),
        (["--sets", "xstest"], "a set of harmful prompts and a set of problems"),
        (["--sets", "xstest gsm9k"], "gsm9k is no prompt set"),
        (["--data", "nowhere"], "nowhere is no folder"),
    ],
)
def test_wrong_use_is_refused_before_anything_runs(options: list[str], reason: str) -> None:
    done = reference_run("--dry-run", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert "--help" in done.stderr
