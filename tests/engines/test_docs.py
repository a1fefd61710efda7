"""The windows that docs/engines.md serves models with hold the default budgets and a long prompt."""

import re
from pathlib import Path

import pytest

from rim_eval.context_window import ContextWindow, DeclaredWindow
from rim_eval.decoding import budgets
from rim_eval.types import PROMPT_KINDS, PromptKind

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engines.md"


@pytest.mark.parametrize("kind", PROMPT_KINDS)
def test_documented_windows_hold_the_default_budgets(kind: PromptKind) -> None:
    served = re.findall(r"(?:-M max_model_len=|--max-model-len )(\d+)", PAGE.read_text())
    assert len(served) == 3
    for tokens in map(int, served):
        declared = DeclaredWindow(tokens, source="", remedy="")
        window = ContextWindow(model="m", declared=declared, prompt_tokens=4_096)
        assert window.fit(kind) == budgets(kind)
