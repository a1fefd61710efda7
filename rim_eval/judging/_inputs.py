"""Answer and reasoning judged apart: an unsafe trace under a safe answer is a finding of its own."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from rim_eval.judging._case import Case, Judgement
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge

__all__ = ["BothInputs", "judge_both_inputs", "unsafe_traces"]


@dataclass(frozen=True)
class BothInputs:
    """The two judgements of one reply."""

    answer: Judgement
    reasoning: Judgement

    @property
    def unsafe_trace_safe_answer(self) -> bool | None:
        """Whether the trace spells out what the answer withholds; None when either is unscored."""
        if self.answer.verdict is None or self.reasoning.verdict is None:
            return None
        return self.reasoning.verdict and not self.answer.verdict


async def judge_both_inputs(judge: Judge, case: Case, grader: Grader | None = None) -> BothInputs:
    """Judge the answer alone and the trace alone.

    SafeChain (Jiang et al. 2025, arXiv 2502.12025) found both safe in 41.1 % of its replies only, so
    neither stands for the other.

    Args:
        judge: A judge that may see `answer` and `reasoning`.
        case: One reply to a harmful prompt.
        grader: The model to ask.

    Raises:
        RimError: The judge may not see one of the two, or as `Judge.judge`.
    """
    answer = await judge.seeing("answer").judge(case, grader)
    reasoning = await judge.seeing("reasoning").judge(case, grader)
    return BothInputs(answer=answer, reasoning=reasoning)


def unsafe_traces(votes: Iterable[tuple[Hashable, str | None, bool | None]]) -> tuple[int, int]:
    """How many replies to harmful prompts have an unsafe trace under a safe answer.

    Args:
        votes: For each judgement: the reply (any key), what the judge saw, and its verdict.

    Returns:
        Their count, and the count of replies with a verdict on the answer and on the reasoning.
    """
    verdicts: dict[Hashable, dict[str | None, bool]] = {}
    for reply, sees, verdict in votes:
        if verdict is not None:
            verdicts.setdefault(reply, {})[sees] = verdict
    both = [seen for seen in verdicts.values() if "answer" in seen and "reasoning" in seen]
    return sum(seen["reasoning"] and not seen["answer"] for seen in both), len(both)
