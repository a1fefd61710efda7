"""The window that a model's `config.json` declares."""

from typing import Any

import pytest

from rim_eval.context_window import window_of_config

LLAMA = {"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 8_192}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
OLD_YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"max_position_embeddings": 131_072, "rope_scaling": LLAMA}, 131_072),
        ({"max_position_embeddings": 40_960, "rope_scaling": YARN}, 131_072),
        ({"max_position_embeddings": 40_960, "rope_parameters": YARN}, 131_072),
        ({"max_position_embeddings": 32_768, "rope_scaling": OLD_YARN}, 131_072),
        ({"max_position_embeddings": 40_960, "rope_scaling": YARN | {"factor": "4"}}, 40_960),
        ({"max_position_embeddings": 40_960, "rope_scaling": YARN | {"factor": None}}, 40_960),
        ({"text_config": {"max_position_embeddings": 4_096}}, 4_096),
        ({"n_positions": 1_024}, 1_024),
        ({}, None),
    ],
)
def test_only_yarn_stretches_the_declared_positions(
    config: dict[str, Any], tokens: int | None
) -> None:
    assert window_of_config(config) == tokens
