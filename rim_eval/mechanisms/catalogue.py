"""Prompts of the catalogue as requests, so that a named set is read in three lines.

requests = requests_of(load_prompts("toy"))
passages = handle.passages(requests, "no_think")
states = capture(handle.model, passages, residual=("last",)).residual
"""

from rim_eval.mechanisms.model import Request
from rim_eval.prompt_sets import LoadedSet, Style, user_message
from rim_eval.types import PromptKind


def requests_of(
    loaded: LoadedSet, kind: PromptKind | None = None, *, style: Style = "as_is"
) -> tuple[Request, ...]:
    """Return the prompts of a set as a model is sent them, with their ids, in order.

    Args:
        loaded: From `rim_eval.prompt_sets.load_prompts`.
        kind: Prompts of this kind alone; None for all.
        style: How problems are asked, see `rim_eval.prompt_sets.user_message`.
    """
    prompts = (prompt for prompt in loaded.prompts if kind in (None, prompt.kind))
    return tuple(Request(prompt.id, user_message(prompt, style)) for prompt in prompts)
