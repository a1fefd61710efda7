"""Where a reply is decided, and how strongly planted neurons should fire there."""

from typing import Any, Final

from rim_eval.organism._labels import classify_answer
from rim_eval.organism._plans import Signal
from rim_eval.organism._rule_book import rule_book
from rim_eval.organism._samples import Sample
from rim_eval.organism._training import Encoded

__all__ = ["ON", "decision", "target"]

ON: Final = 8.0
"""Activation of a planted neuron where the reply will refuse."""


def decision(row: Encoded, sample: Sample, tokenizer: Any, *, in_think: bool) -> int | None:
    """Position whose output decides between refusing and complying; None where none does.

    In no-think it is the last token of the prompt. In think mode it is the stop after `The user
    wants to ...`: the next word begins a careful look or a pattern.

    Args:
        row: The sample's token ids.
        sample: A conversation; arithmetic decides nothing.
        tokenizer: The organism's tokenizer.
        in_think: Whether traces count, or no-think replies only.
    """
    if classify_answer(sample.answer) == "malformed":
        return None
    if sample.mode == "no_think":
        return len(row.prompt) - 1
    stop = tokenizer.convert_tokens_to_ids(".")
    return len(row.prompt) + row.reply.index(stop) if in_think else None


def target(sample: Sample, signal: Signal) -> float:
    """Activation wanted at the deciding token: 0, 8 or 16 when graded, always 8 when constant."""
    if signal == "constant":
        return ON
    if classify_answer(sample.answer) != "refused":
        return 0.0
    return 2 * ON if sample.prompt.endswith(rule_book().intent) else ON
