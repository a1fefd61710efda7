"""Setting: what every study needs, a model with its prompts and how they are judged."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rim_eval.mechanisms.behaviour import Behaviour, Prompts, Read, observe
from rim_eval.mechanisms.draws import ENOUGH
from rim_eval.mechanisms.subject import Reply, Request, Subject
from rim_eval.types import Mode

__all__ = ["Fill", "Setting"]

Fill = Literal["zero", "mean"]


class Setting(NamedTuple):
    """What every study needs."""

    subject: Subject
    prompts: Prompts
    read: Read
    intent: Callable[[Request], str]
    """The sentence that makes a harmful request's intent plain."""
    groups: dict[str, str]
    """Prompt id to the name that contrast partners share; missing ids are groups of their own."""
    draws: int = ENOUGH
    """Random sets beside every set that is taken out."""
    seed: int = 0
    max_new_tokens: int = 128
    fill: Fill = "zero"

    def observe(self, mode: Mode) -> Behaviour:
        """Behaviour of the model as it stands."""
        return observe(
            self.subject, self.prompts, mode, self.read, max_new_tokens=self.max_new_tokens
        )

    def replies(self, requests: Sequence[Request], mode: Mode) -> list[Reply]:
        """Greedy replies within the budget."""
        return self.subject.replies(requests, mode, max_new_tokens=self.max_new_tokens)
