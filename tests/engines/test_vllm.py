"""A real vLLM gives the verdicts that transformers gives. Minutes; docs/engines.md says how to run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.engines
@pytest.mark.slow
def test_same_verdicts_by_every_way(tmp_path: Path) -> None:
    folder = os.environ.get("RIM_EVAL_VLLM")
    if not folder:
        pytest.skip(
            "RIM_EVAL_VLLM names no environment made by scripts/vllm_cpu.py install --harness"
        )
    script = REPOSITORY / "scripts" / "vllm_table.py"
    command = [sys.executable, str(script), folder, "--limit", "30", "--logs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [
        line
        for line in done.stdout.splitlines()
        if line.startswith(("| vllm/", "| openai-api/", "| lm-eval"))
    ]
    assert len(rows) == 16
