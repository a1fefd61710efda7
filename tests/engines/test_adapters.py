"""LoRA adapters on a vLLM that Inspect starts: one server for all, and the replies of the merged weights."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval.observations import read_observations
from rim_eval.organism import RUNS, write_folder
from rim_eval.organism.checkpoints import changes_at, changes_path
from rim_eval.series import SeriesSettings, build_series, finished_logs, parse_models
from scripts.vllm_cpu import server_environment

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = "negative_tuned"
RANK = 8
"""vLLM takes no smaller one than this beside 1; the stored changes have 4."""

PROGRAM = """
import sys
from pathlib import Path
from rim_eval.series import SeriesSettings, open_series, run_series

folder, settings = Path(sys.argv[1]), SeriesSettings.model_validate_json(sys.argv[2])
open_series(folder, settings)
failures = run_series(folder, settings, lambda *_: None, print, max_connections=16)
sys.exit(str(failures) if failures else 0)
"""


def write_adapter(folder: Path, step: int) -> Path:
    """A checkpoint of the tuning run as a LoRA adapter of its base: it was stored as low-rank changes."""
    import torch
    from safetensors.torch import save_file

    weights: dict[str, Any] = {}
    for key, change in changes_at(changes_path(RUN), step).items():
        name, _, factor = key.partition(".weight:")
        missing = RANK - change.shape[0 if factor == "a" else 1]
        padding = (0, 0, 0, missing) if factor == "a" else (0, missing)
        padded = torch.nn.functional.pad(change.float(), padding)
        weights[f"base_model.model.{name}.lora_{factor.upper()}.weight"] = padded.contiguous()
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors")
    modules = sorted({key.split(".")[-3] for key in weights})
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": modules, "task_type": "CAUSAL_LM", "bias": "none"}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_adapters_on_one_server_answer_as_the_merged_weights(tmp_path: Path) -> None:
    environment = os.environ.get("RIM_EVAL_VLLM")
    if not environment:
        pytest.skip(
            "RIM_EVAL_VLLM names no environment made by scripts/vllm_cpu.py install --harness"
        )
    steps = RUNS[RUN].steps[-3::2]
    base = write_folder(tmp_path / "organism", run=RUN, step=0)
    words = [f"base=vllm/{base}"]
    words += [f"vllm/{base}:{write_adapter(tmp_path / f'step-{step}', step)}" for step in steps]
    budgets = {"answer_tokens": 96, "thinking_tokens": 160}
    settings = SeriesSettings(
        models=parse_models(words),
        tasks=("rim_eval/toy",),
        task_args=budgets,
        model_args={
            "host": "127.0.0.1",
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 2048,
        },
        limit=30,
    )
    folder, vllm = tmp_path / "series", Path(environment).absolute()
    done = subprocess.run(
        [str(vllm / "bin" / "python"), "-c", PROGRAM, str(folder), settings.model_dump_json()],
        env={**server_environment(vllm), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    logs = finished_logs(folder, settings)
    sources = [f"{label}={p}" for label in settings.labels for p in logs[label].values()]
    table = read_observations(sources)
    assert not table.frame["reason"].notna().any()

    for step in steps:
        merged = write_folder(tmp_path / f"organism-{step}", run=RUN, step=step)
        [log] = inspect_eval(
            "rim_eval/toy",
            model=f"hf/{merged}",
            model_args={"device": "cpu"},
            task_args=budgets,
            limit=30,
            log_dir=str(tmp_path / "merged"),
            display="none",
            max_connections=30,
        )
        by_hf = read_observations([f"step-{step}={log.location}"])
        assert verdicts(by_hf, f"step-{step}") == verdicts(table, f"step-{step}")
    assert verdicts(table, "base") != verdicts(table, f"step-{steps[-1]}")
    assert build_series(table, settings.labels).comparison.models == settings.labels


def verdicts(table: Any, model: str) -> dict[tuple[str, str], bool]:
    rows = table.frame[table.frame["model"] == model]
    return {(str(r.prompt_id), str(r.mode)): bool(r.verdict) for r in rows.itertuples()}
