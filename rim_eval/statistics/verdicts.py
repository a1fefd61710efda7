"""Verdicts of one arm: what every statistic starts from.

An arm is a mapping from prompt id to the verdicts of its epochs, in order. A verdict is a number
from 0 to 1 (1 = misaligned, or correct, or refused: whatever the rate counts), or None when the
sample is unscored. None is never 0: it leaves the rate and enters the bounds.
"""

import math
from collections.abc import Mapping, Sequence

from rim_eval.errors import RimError

Verdicts = Mapping[str, Sequence[float | None]]
"""Prompt id to its verdicts by epoch: 0..1, or None when unscored."""


def check_verdicts(verdicts: Verdicts, arm: str) -> None:
    """Refuse anything that is not a verdict.

    Args:
        verdicts: The arm.
        arm: Its name, for the message.

    Raises:
        RimError: Naming the first prompt with a value outside 0..1 or not a number.
    """
    for prompt, epochs in verdicts.items():
        for verdict in epochs:
            if verdict is not None and not 0 <= verdict <= 1:
                raise RimError(
                    f"{arm}: prompt {prompt!r} has the verdict {verdict!r}; "
                    "a verdict is a number from 0 to 1, or None when the sample is unscored."
                )


def scored(epochs: Sequence[float | None]) -> list[float]:
    """The verdicts that are there, in order."""
    return [float(verdict) for verdict in epochs if verdict is not None]


def prompt_means(verdicts: Verdicts) -> dict[str, float]:
    """Mean verdict of every prompt that has at least one scored epoch."""
    by_prompt = {prompt: scored(epochs) for prompt, epochs in verdicts.items()}
    return {p: math.fsum(epochs) / len(epochs) for p, epochs in by_prompt.items() if epochs}


def single_epoch(verdicts: Verdicts) -> bool:
    """Whether every prompt has at most one scored verdict and each is exactly 0 or 1."""
    return all(
        len(epochs) <= 1 and all(verdict in (0, 1) for verdict in epochs)
        for epochs in map(scored, verdicts.values())
    )
