"""Which served names mean the asked model."""

import pytest

from rim_eval.model_names import is_same_model

SAME = [
    ("gpt-4o", "gpt-4o-2024-08-06"),
    ("gpt-4", "gpt-4-0613"),
    ("gpt-4", "gpt-4-1106-preview"),
    ("gpt-5", "openai/gpt-5"),
    ("openai/gpt-5", "openai/gpt-5-2025-08-07"),
    ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
    ("claude-3-7-sonnet-latest", "claude-3-7-sonnet-20250219"),
    ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
    ("anthropic/claude-sonnet-4.5", "anthropic/claude-4.5-sonnet-20250929"),
    ("gemini-2.5-pro", "gemini-2.5-pro-preview-06-05"),
    ("gemini-2.0-flash", "gemini-2.0-flash-001"),
    ("deepseek/deepseek-r1:free", "deepseek/deepseek-r1"),
    ("deepseek-ai/DeepSeek-R1:fireworks-ai", "accounts/fireworks/models/deepseek-r1"),
    ("qwen3", "qwen3:latest"),
    ("Qwen/Qwen3-4B", "/models/Qwen3-4B/"),
    ("tiny", "/srv/weights/tiny"),
    ("mistral-large-latest", "mistral-large-2411"),
    ("o1-preview", "o1-preview-2024-09-12"),
    ("deepseek-ai/DeepSeek-V3.1:fireworks-ai", "accounts/fireworks/models/deepseek-v3p1"),
    ("Llama-3.3-70B-Instruct", "llama-v3p3-70b-instruct"),
    ("claude-sonnet-4-20250514", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
    ("qwen3-8b", "Qwen3-8B.gguf"),
    ("gemini-2.0-flash-thinking-exp", "gemini-2.0-flash-thinking-exp-01-21"),
]

OTHER = [
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4o", "gpt-4o-mini-2024-07-18"),
    ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"),
    ("gpt-4.5", "gpt-5.4"),
    ("claude-opus-4-0", "claude-opus-4-1-20250805"),
    ("claude-opus-4-1", "claude-sonnet-4-1"),
    ("gemini-2.5-pro", "gemini-2.5-flash"),
    ("qwen3:4b", "qwen3:8b"),
    ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B-Base"),
    ("deepseek-r1", "deepseek-r1-distill-qwen-7b"),
    ("o3", "o4"),
    ("Qwen/Qwen3-235B-A22B", "qwen3-235b-a22b-2507"),
    ("o1", "o1-preview"),
    ("gemini-2.0-flash", "gemini-2.0-flash-exp"),
    ("qwen3-max-2025-09-23", "qwen3-max-preview"),
]


@pytest.mark.parametrize(("requested", "served"), SAME)
def test_aliases_and_snapshots_are_one_model(requested: str, served: str) -> None:
    assert is_same_model(requested, served)
    assert is_same_model(served, requested)


@pytest.mark.parametrize(("requested", "served"), OTHER)
def test_sizes_versions_and_other_snapshots_are_other_models(requested: str, served: str) -> None:
    assert not is_same_model(requested, served)
    assert not is_same_model(served, requested)
