"""The shipped organism, loaded once, and tiny random models of several families."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rim_eval.mechanisms.behaviour import Prompts
from rim_eval.mechanisms.model import ModelHandle, Request, load_model
from rim_eval.mechanisms.spans import Passage
from rim_eval.paths import organism_dir, tasks_dir


@pytest.fixture(scope="session")
def handle() -> ModelHandle:
    import torch

    torch.set_num_threads(1)
    return load_model(organism_dir(), name="organism")


_SHAPE: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "eos_token_id": 1,
}

_MORE: dict[str, dict[str, Any]] = {
    "qwen3_moe": {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2},
    "mixtral": {"num_local_experts": 4},
    "phimoe": {"num_local_experts": 4},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 20,
    },
    "deepseek_v3": {  # its first layer is dense
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 2,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 8,
        "v_head_dim": 8,
    },
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2},
}


@pytest.fixture(scope="session")
def tiny() -> Callable[[str], Any]:
    """A tiny random causal model of a family, by transformers' name for it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    made: dict[str, Any] = {}

    def build(family: str) -> Any:
        if family not in made:
            torch.manual_seed(0)
            config = AutoConfig.for_model(family, **_SHAPE | _MORE.get(family, {}))
            made[family] = AutoModelForCausalLM.from_config(config).eval()
        return made[family]

    return build


@pytest.fixture
def passages() -> list[Passage]:
    """Random texts of different lengths with a few named token spans."""
    rng = np.random.default_rng(0)
    found = []
    for number, length in enumerate((7, 12, 5, 12)):
        ids = tuple(int(i) for i in rng.integers(2, 50, length))
        spans = {
            "all": (0, length),
            "text": (2, length),
            "last": (length - 2, length - 1),
            "assistant": (1, 2),
            "trace": (2, 4),
        }
        found.append(Passage(ids, spans, f"p{number}"))
    return found


@pytest.fixture(scope="session")
def toy() -> Prompts:
    """The organism's held-out prompts."""
    rows = {name: _rows(name) for name in ("toy", "toy_allowed", "toy_math")}
    asked = {
        name: [Request(f"{name}-{n}", row["prompt"]) for n, row in enumerate(found)]
        for name, found in rows.items()
    }
    gold = [row["target"] for row in rows["toy_math"]]
    return Prompts(
        asked["toy"], asked["toy_allowed"], list(zip(asked["toy_math"], gold, strict=True))
    )


def _rows(name: str) -> list[dict[str, str]]:
    lines = (tasks_dir() / name / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
