"""The results file beside lm-eval's samples is foreign input: what cannot be read is one message."""

import json
from pathlib import Path
from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.observations import read_lm_eval_samples

DATE = "2026-01-01T00-00-00.000000"


@pytest.mark.parametrize(
    "results",
    [
        "{",
        "[]",
        '{"configs": []}',
        '{"config": "none"}',
        '{"configs": {"rim_toy": {"metadata": {"rim_eval_run": {"answer_tokens": "many"}}}}}',
        '{"n-samples": {"rim_toy": {"original": -1}}}',
    ],
)
def test_strange_results_file_is_one_message(tmp_path: Path, rows: Any, results: str) -> None:
    samples = tmp_path / f"samples_rim_toy_{DATE}.jsonl"
    records = [
        {"record": {"observation": row.model_dump(mode="json"), "generation": {}}}
        for row in rows(think=[1, 0])
    ]
    samples.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert read_lm_eval_samples(str(samples)).runs[0].status == "unknown"
    (tmp_path / f"results_{DATE}.json").write_text(results)
    with pytest.raises(RimError, match=r"samples_rim_toy.*results file beside it"):
        read_lm_eval_samples(str(samples))
