from pathlib import Path

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog

from rim_eval.paths import organism_dir


@pytest.fixture(scope="session")
def organism_logs(tmp_path_factory: pytest.TempPathFactory) -> list[EvalLog]:
    """The organism on its three sets, 40 prompts of each, as the demo runs it."""
    return inspect_eval(
        ["rim_eval/toy", "rim_eval/toy_allowed", "rim_eval/toy_math"],
        model="hf/organism",
        model_args={"model_path": str(organism_dir()), "device": "cpu"},
        task_args={"answer_tokens": 96, "thinking_tokens": 160},
        limit=40,
        log_dir=str(tmp_path_factory.mktemp("organism")),
        display="none",
        max_tasks=3,
        max_connections=128,
    )


@pytest.fixture(scope="session")
def organism_folder(organism_logs: list[EvalLog]) -> Path:
    return Path(organism_logs[0].location).parent
