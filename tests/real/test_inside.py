"""lm-eval's door and the analyses of weights, on a real model of 30 layers without a thinking switch."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.observations import read_observations
from rim_eval.paths import tasks_dir
from rim_eval.types import MODES

from .conftest import command, rows_of

pytestmark = [pytest.mark.real, pytest.mark.slow]

TASKS = "rim_hexphi_think,rim_hexphi_no_think"


def test_lm_eval_asks_both_tasks(
    real_model: Path, data: Path, switch_template: Path, tmp_path: Path
) -> None:
    settings = {"rim_eval": {"chat_template": str(switch_template), "answer_tokens": 16, "thinking_tokens": 8, "judge": "refusal", "data": str(data)}}  # fmt: skip
    command(
        "lm_eval", "run", "--include_path", tasks_dir(), "--tasks", TASKS, "--limit", 2, "--model", "hf",
        "--model_args", f"pretrained={real_model}", "--device", "cpu", "--apply_chat_template",
        "--metadata", json.dumps(settings), "--log_samples", "--output_path", tmp_path,
    )  # fmt: skip
    rows, runs = rows_of(tmp_path), read_observations([str(tmp_path)]).runs
    assert {(row.mode, row.arm_kind) for row in rows} == {(mode, "switch") for mode in MODES}  # fmt: skip
    assert len(rows) == 4
    assert all(row.output_tokens for row in rows)
    assert len({run.weights for run in runs}) == 1


@pytest.fixture(scope="module")
def report(
    real_model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("mech")
    done = CliRunner().invoke(
        main,
        ["mech", "all", "--model", str(real_model), "--harmful", "hexphi", "--benign", "", "--reasoning", "",
         "--data", str(data), "--limit", "2", "--draws", "0", "--max-new-tokens", "4", "--no-logistic",
         "--out", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def test_what_needs_no_empty_trace_is_measured(report: dict[str, Any]) -> None:
    assert report["switch"] == "prompted"
    assert report["neurons"] is not None


def test_heads_are_ranked_without_an_empty_trace_and_the_report_says_so(
    report: dict[str, Any],
) -> None:
    assert "no prompt holds both" in report["heads"]["how"]
    assert all(score["share"]["n"] == 0 for score in report["heads"]["scores"])
