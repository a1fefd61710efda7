"""Windows that docs/engines.md serves models with hold the default budgets; figures of engines are in reports."""

import re
from pathlib import Path

import pytest

from rim_eval.context_window import ContextWindow, DeclaredWindow
from rim_eval.decoding import budgets
from rim_eval.types import PROMPT_KINDS, PromptKind

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_tables_of_figures_are_reports_that_name_their_command() -> None:
    text = (DOCS / "compare_engines.md").read_text()
    assert "| verdicts differ" not in text
    reports = re.findall(r"\]\((\.\./benchmarks/reports/engines_\w+\.md)\)", text)
    assert len(reports) == 2
    for report in reports:
        content = (DOCS / report).read_text()
        assert "`python scripts/engine_table.py " in content
        assert "| verdicts differ" in content


@pytest.mark.parametrize("kind", PROMPT_KINDS)
def test_documented_windows_hold_the_default_budgets(kind: PromptKind) -> None:
    served = re.findall(
        r"(?:-M max_model_len=|--max-model-len )(\d+)", (DOCS / "engines.md").read_text()
    )
    assert len(served) == 3
    for tokens in map(int, served):
        declared = DeclaredWindow(tokens, source="", remedy="")
        window = ContextWindow(model="m", declared=declared, prompt_tokens=4_096)
        assert window.fit(kind) == budgets(kind)
