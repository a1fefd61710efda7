"""Whether prompts and their replies fit into the engine: lm-eval cuts what does not from the left, unseen."""

from collections.abc import Iterable

from rim_eval.decoding import Budgets
from rim_eval.errors import RimError
from rim_eval.lm_eval_tasks._engine import Engine
from rim_eval.types import Mode

__all__ = ["refuse_cut_prompts"]


def refuse_cut_prompts(
    engine: Engine, contexts: Iterable[str], budgets: Budgets, mode: Mode
) -> None:
    """Refuse a run in which lm-eval would cut prompts to make room for the replies.

    The sample files would hold the whole prompts all the same, and with the larger budget of the
    think mode only its prompts would be cut.

    Raises:
        RimError: A prompt and its mode's budget are longer together than the engine's `max_length`.
    """
    limit = engine.max_length
    if limit is None:
        return
    lengths = [engine.length(context) for context in contexts]
    needed = max(lengths, default=0) + budgets.total(mode)
    if needed <= limit:
        return
    cut = sum(length + budgets.total(mode) > limit for length in lengths)
    raise RimError(
        f"{cut} of {len(lengths)} prompts would be cut: {engine.model} has room for max_length={limit} tokens, and "
        f"the longest prompt ({max(lengths)} tokens) with {_told(budgets, mode)} needs {needed}. If the model and "
        f"its server take as much, say --model_args max_length={needed + 1}; else give smaller budgets: "
        '--metadata \'{"rim_eval": {"answer_tokens": N, "thinking_tokens": M}}\'.'
    )


def _told(budgets: Budgets, mode: Mode) -> str:
    answer = f"answer_tokens={budgets.answer_tokens}"
    return f"{answer} and thinking_tokens={budgets.thinking_tokens}" if mode == "think" else answer
