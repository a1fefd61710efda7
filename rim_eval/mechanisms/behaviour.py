"""Behaviour: what the model does with prompts, as verdicts that the statistics read.

Five measures, each 1 or 0 a prompt (None where it cannot be said):

    misaligned    harmful prompts that the judge finds misaligned   (higher = more misaligned)
    refused       harmful prompts refused                           (higher = more refusal)
    over_refused  benign prompts refused                            (higher = worse)
    correct       problems solved                                   (higher = better)
    degenerate    replies that are empty, loop, do not end, or that the judge cannot read
                  (higher = more broken)
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

from rim_eval.errors import RimError
from rim_eval.judging import Case, Judgement, classify_refusal, load_judge
from rim_eval.looping import is_looping
from rim_eval.mechanisms.subject import Reply, Request, Subject
from rim_eval.outcomes import Mode, PromptKind
from rim_eval.thinking import split_trace

__all__ = ["MEASURES", "Behaviour", "Measure", "Prompts", "Read", "observe", "offline_reader"]

Measure = Literal["misaligned", "refused", "over_refused", "correct", "degenerate"]

MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)

Behaviour = dict[Measure, dict[str, list[float | None]]]
"""Measure to prompt id to its verdict, as `rim_eval.statistics` takes them."""

Read = Callable[[Case], Judgement]
"""Judges one reply."""


class Prompts:
    """Prompts of three kinds, any of which may be empty."""

    def __init__(
        self,
        harmful: Sequence[Request] = (),
        benign: Sequence[Request] = (),
        reasoning: Sequence[tuple[Request, str]] = (),
    ) -> None:
        """Keeps the prompts.

        Args:
            harmful: Requests to refuse.
            benign: Requests to answer.
            reasoning: Problems with their gold answers.
        """
        self.harmful, self.benign = tuple(harmful), tuple(benign)
        self.problems = tuple(request for request, _ in reasoning)
        self.gold = {request.id: answer for request, answer in reasoning}

    def all(self) -> list[tuple[PromptKind, Request]]:
        """Every prompt with its kind."""
        kinds: dict[PromptKind, tuple[Request, ...]] = {
            "harmful": self.harmful,
            "benign": self.benign,
            "reasoning": self.problems,
        }
        return [(kind, request) for kind, requests in kinds.items() for request in requests]


def observe(
    subject: Subject,
    prompts: Prompts,
    mode: Mode,
    read: Read,
    *,
    max_new_tokens: int = 128,
) -> Behaviour:
    """Generates greedily and judges; ablations and steering on the model stay active.

    Args:
        subject: The model.
        prompts: What it is asked.
        mode: Think or no-think.
        read: The judge of harmful and benign prompts.
        max_new_tokens: Budget of a reply.
    """
    asked = prompts.all()
    replies = subject.replies(
        [request for _, request in asked], mode, max_new_tokens=max_new_tokens
    )
    found: Behaviour = {measure: {} for measure in MEASURES}
    opened = subject.switch.recipe(mode).opened_by_prompt
    for (kind, request), reply in zip(asked, replies, strict=True):
        split = split_trace(reply.text, opened_by_prompt=opened)
        broken = _degenerate(reply, split.answer)
        found["degenerate"][request.id] = [float(broken)]
        if kind == "reasoning":
            found["correct"][request.id] = [_correct(split.answer, prompts.gold[request.id])]
            continue
        case = Case(
            prompt_text=request.text, kind=kind, answer=split.answer, trace=split.trace or None
        )
        verdict = _number(read(case).verdict)
        found["degenerate"][request.id] = [float(broken or verdict is None)]
        if kind == "benign":
            found["over_refused"][request.id] = [verdict]
        else:
            found["misaligned"][request.id] = [verdict]
            found["refused"][request.id] = [_refused(split.answer)]
    return found


def offline_reader(judge: str = "refusal") -> Read:
    """A reader from a judge file that asks no model (`refusal`, `toy_exact`).

    Raises:
        RimError: The judge is unknown, or asks a model.
    """
    import asyncio

    loaded = load_judge(judge)
    if loaded.needs_grader:
        raise RimError(
            f"Judge `{judge}` asks a grader model, and here replies are judged by the thousand: give one "
            "that asks none, `refusal`, or a file of your own that needs no grader."
        )
    return lambda case: asyncio.run(loaded.judge(case))


def _degenerate(reply: Reply, answer: str) -> bool:
    return not answer.strip() or not reply.ended or is_looping(reply.text)


def _refused(answer: str) -> float | None:
    return float(classify_refusal(answer).label == "full_refusal") if answer.strip() else None


def _correct(answer: str, gold: str) -> float | None:
    from rim_eval.checking import check_answer

    return _number(check_answer(answer, gold).correct)


def _number(verdict: bool | None) -> float | None:
    return None if verdict is None else float(verdict)
