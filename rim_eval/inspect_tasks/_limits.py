"""Inspect's limits on a sample: those that count both modes together would cut them unequally."""

from inspect_ai.util import sample_limits

from rim_eval.errors import RimError

__all__ = ["refuse_shared_limits"]

_SHARED = ("token", "cost", "turn", "message")


def refuse_shared_limits() -> None:
    """Refuse limits on what a sample may use: the mode that answers last would pay for the first.

    A reply that crosses such a limit is thrown away by Inspect although it had come. Limits on time
    are let through: they end a hung request, and a reply that came before stays.

    Raises:
        RimError: The running sample has a limit on tokens, cost, turns or messages.
    """
    limits = sample_limits()
    for name in _SHARED:
        given = getattr(limits, name).limit
        if given is not None:
            raise RimError(
                f"--{name}-limit {given:g} counts the replies of all modes together, so it would cut the mode that "
                "answers last. Leave it out; `-T answer_tokens=N` and `-T thinking_tokens=N` bound each "
                "reply, and --time-limit ends a hung sample."
            )
