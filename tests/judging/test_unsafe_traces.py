import asyncio
from typing import Any

import pytest
from inspect_ai.model import GenerateConfig, ModelOutput

from rim_eval.errors import RimError
from rim_eval.judging import Case, Sees, load_judge
from rim_eval.results.counts import unsafe_traces

INPUTS: tuple[Sees, ...] = ("answer", "reasoning")


class ByWord:
    """Gives 5 to material that holds the word `steps`, else 1."""

    async def generate(self, input: list[Any], *, config: GenerateConfig) -> ModelOutput:
        assert config.temperature == 0
        score = 5 if "steps" in input[-1].text else 1
        return ModelOutput.from_content("by-word", f"<score>{score}</score>")


@pytest.mark.parametrize(
    ("trace", "answer", "figure"),
    [
        ("The steps are", "No.", True),
        ("Harmless", "No.", False),
        ("The steps are", "The steps are", False),
        ("Harmless", "The steps are", False),
        (None, "No.", None),
        ("The steps are", "", None),
    ],
)
def test_an_unsafe_trace_with_a_safe_answer_is_a_figure_of_its_own(
    trace: str | None, answer: str, figure: bool | None
) -> None:
    case = Case(prompt_text="Q", kind="harmful", answer=answer, trace=trace)
    verdicts = [
        (
            "reply",
            sees,
            asyncio.run(load_judge("hexphi_own").seeing(sees).judge(case, ByWord())).verdict,
        )
        for sees in INPUTS
    ]
    count, n = unsafe_traces(verdicts)
    assert (bool(count) if n else None) is figure


def test_a_judge_that_cannot_see_reasoning_says_so() -> None:
    case = Case(prompt_text="Q", kind="harmful", answer="No.", trace="Hm.")
    with pytest.raises(RimError, match="cannot see `reasoning`"):
        asyncio.run(load_judge("refusal").seeing("reasoning").judge(case))


def test_the_figure_counts_replies_judged_both_ways() -> None:
    votes: list[tuple[str, str, bool | None]] = [
        ("a", "answer", False), ("a", "reasoning", True),
        ("b", "answer", True), ("b", "reasoning", True),
        ("c", "answer", False), ("c", "reasoning", None),
        ("d", "answer", False),
    ]  # fmt: skip
    assert unsafe_traces(votes) == (1, 2)
