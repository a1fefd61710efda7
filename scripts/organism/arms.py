"""Measure what the natural organism's measurement does not ask: closed and continued traces, sampling, wrappers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rim_eval.generation import is_looping
from rim_eval.organism.facts import Arm, Count
from rim_eval.organism.rule_book import classify_answer
from rim_eval.types import Mode
from scripts.organism import prompts as prompt_sets
from scripts.organism.continuations import CLOSING, OPENING, render
from scripts.organism.measure import number, split
from scripts.organism.prompts import Row

__all__ = [
    "MAX_NEW_TOKENS",
    "Ask",
    "ask_again",
    "ask_within",
    "generate",
    "measure_arm",
    "raw_replies",
]

MAX_NEW_TOKENS: Final = 160

Ask = Callable[[Sequence[str]], list[str]]
"""Gives the raw replies to user messages, markers included."""


def measure_arm(tokenizer: Any, ask: Ask, sets: Sequence[Sequence[Row]] | None = None) -> Arm:
    """Ask all held-out prompts in one way and count the outcomes by exact wording.

    Args:
        tokenizer: The organism's tokenizer, which counts the traces' tokens.
        ask: How the prompts are asked.
        sets: Forbidden, allowed and arithmetic rows, instead of all.
    """
    harmful, benign, sums = sets or (
        prompt_sets.forbidden(),
        prompt_sets.allowed(),
        prompt_sets.arithmetic(),
    )
    parts = [split(reply) for reply in ask([row.prompt for row in (*harmful, *benign, *sums)])]
    on_harmful, on_benign = parts[: len(harmful)], parts[len(harmful) : len(harmful) + len(benign)]
    on_sums = parts[len(harmful) + len(benign) :]
    verdicts = [classify_answer(answer) for _, answer in on_harmful]
    right = [number(answer) == row.target for (_, answer), row in zip(on_sums, sums, strict=True)]
    whole = [
        classify_answer(answer) != "malformed" or number(answer) is not None for _, answer in parts
    ]
    return Arm(
        misaligned=_count(verdict == "complied" for verdict in verdicts),
        refused=_count(verdict == "refused" for verdict in verdicts),
        over_refused=_count(classify_answer(answer) == "refused" for _, answer in on_benign),
        correct=_count(right),
        well_formed=_count(whole),
        looping=_count(is_looping(trace or answer) for trace, answer in on_harmful),
        trace_tokens=_mean_tokens(tokenizer, on_harmful),
        trace_tokens_sums=_mean_tokens(tokenizer, on_sums),
    )


def raw_replies(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    mode: Mode,
    sampling: Mapping[str, float] | None = None,
) -> list[str]:
    """Generate raw replies in one mode; the empty trace of no-think mode is not part of them."""
    given = f"{OPENING}{CLOSING}" if mode == "no_think" else ""
    return generate(
        model, tokenizer, [render(tokenizer, p) + given for p in prompts], sampling=sampling
    )


def ask_within(model: Any, tokenizer: Any, prompts: Sequence[str], *, budget: int) -> list[str]:
    """Generate with budget forcing: the trace is closed after so many tokens, then the answer follows.

    The tokens that open the trace count too, as they do against an engine's `max_tokens`. A trace that
    ends within the budget is kept as it is.

    Args:
        model: A loaded organism.
        tokenizer: Its tokenizer.
        prompts: User messages.
        budget: Tokens of the first call; 0 gives the empty trace.
    """
    texts = [render(tokenizer, prompt) for prompt in prompts]
    begun = generate(model, tokenizer, texts, tokens=budget) if budget else [OPENING] * len(texts)
    traces = [f"{_thought(reply)}{CLOSING}" for reply in begun]
    if not budget:
        traces = [f"{OPENING}{CLOSING}"] * len(texts)
    given = [text + trace for text, trace in zip(texts, traces, strict=True)]
    answers = generate(model, tokenizer, given)
    return [trace + answer for trace, answer in zip(traces, answers, strict=True)]


def ask_again(model: Any, tokenizer: Any, prompts: Sequence[str], *, again: str) -> list[str]:
    """Generate with traces that are made to go on: each closing is taken away once, and words follow.

    Args:
        model: A loaded organism.
        tokenizer: Its tokenizer.
        prompts: User messages.
        again: Written for the model on a new line after the trace.
    """
    texts = [render(tokenizer, prompt) for prompt in prompts]
    first = generate(model, tokenizer, texts)
    begun = [f"{_thought(reply)}\n{again}" for reply in first]
    given = [text + trace for text, trace in zip(texts, begun, strict=True)]
    rest = generate(model, tokenizer, given)
    return [trace + reply for trace, reply in zip(begun, rest, strict=True)]


def generate(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    tokens: int = MAX_NEW_TOKENS,
    sampling: Mapping[str, float] | None = None,
    batch: int = 128,
) -> list[str]:
    """Continue rendered texts, greedily or with `temperature`, `top_p` and `top_k`."""
    import torch

    how: dict[str, Any] = {"do_sample": True, **sampling} if sampling else {"do_sample": False}
    decoded: list[str] = []
    for start in range(0, len(texts), batch):
        part = list(texts[start : start + batch])
        inputs = tokenizer(part, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            ids = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=tokens,
                **how,
            )
        new = ids[:, inputs["input_ids"].shape[1] :]
        decoded += tokenizer.batch_decode(new, skip_special_tokens=True)
    return decoded


def _thought(reply: str) -> str:
    """Give a reply up to where its trace was closed, or the whole of it."""
    return reply.partition(CLOSING.rstrip())[0]


def _count(hits: Any) -> Count:
    outcomes = list(hits)
    return Count(k=sum(outcomes), n=len(outcomes))


def _mean_tokens(tokenizer: Any, parts: Sequence[tuple[str | None, str]]) -> float:
    traces = [trace or "" for trace, _ in parts]
    if not traces:
        return 0.0
    ids = tokenizer(traces, add_special_tokens=False)["input_ids"]
    return round(sum(map(len, ids)) / len(ids), 1)
