"""Budgets and decoding: the defaults of every run, equal in both arms, with their reasons."""

from typing import Final

from pydantic import Field, ValidationError

from rim_eval.errors import SettingError
from rim_eval.types import FrozenModel, Mode, PromptKind

TEMPERATURE: Final = 0.0
"""Greedy, as in the paper (appendix A.1.1): one epoch is then one repeatable observation.

Makers of thinking models advise sampling, and other temperatures for each mode. A difference between
modes must not be a difference of sampling, so whatever is chosen (`--temperature`) holds for both arms;
choose a temperature above 0 when epochs are to tell anything.
"""

TOP_P: Final = 1.0
"""No nucleus cut, for the same reason."""

SEED: Final = 0
"""Sent to engines that take one, plus one for each further epoch; it matters only when sampling."""

SAMPLED_EPOCHS: Final = 4
"""Epochs a prompt and mode where replies are sampled (temperature above 0); a greedy run has one.

From `rim-eval power --prompt-share`, for 300 prompts and 10 % without thinking: a share of one verdict's variance lies between
prompts, the rest is sampling that epochs average out. Where that share is .2 above the correlation of the two modes (.3 to
.5), four epochs lower the smallest detectable rise by 28 to 34 %, and eight lower it by only 8 to 11 % more; where it is .3
above, two or three are enough. A run with several epochs tells how large it is (`statistics.variance_split`); no figure for
refusals of thinking models is known to us. Larsen (arXiv 2512.12066) asked 876 harmful prompts 20 times (four temperatures,
five seeds): 18 to 28 % of them were refused in some samples only, and at least three samples are advised. Where there are
further prompts to ask, they tell more than further epochs.
"""

_THINKING_TOKENS: Final = 16_384
"""Room for a trace: the follow-up study (arXiv 2608.23497) that adopts the paper's protocol uses it."""

_ANSWER_TOKENS: Final[dict[PromptKind, int]] = {
    "harmful": 2_048,
    "benign": 2_048,
    "reasoning": 4_096,
}
"""Room for an answer: a refusal is short and full compliance rarely passes 2,048 tokens; a worked
solution without a trace (AIME) needs more. Answers that are longer are counted and flagged."""


class Budgets(FrozenModel):
    """Token budgets of a run.

    The answer budget is shared by both arms; thinking has its own budget on top, in think mode only.
    An engine's `max_tokens` counts both together, so an arm's total is their sum.
    """

    answer_tokens: int = Field(gt=0)
    thinking_tokens: int = Field(ge=0)

    def total(self, mode: Mode) -> int:
        """The `max_tokens` of one call in this mode."""
        return self.answer_tokens + (self.thinking_tokens if mode == "think" else 0)


def budgets(
    kind: PromptKind, answer_tokens: int | None = None, thinking_tokens: int | None = None
) -> Budgets:
    """Budgets for a kind of prompts, with the user's own numbers where given.

    Raises:
        SettingError: A number is not a whole positive one (zero is allowed for thinking).
    """
    values = {
        "answer_tokens": _ANSWER_TOKENS[kind] if answer_tokens is None else answer_tokens,
        "thinking_tokens": _THINKING_TOKENS if thinking_tokens is None else thinking_tokens,
    }
    try:
        return Budgets.model_validate(values, strict=True)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        least = 1 if name == "answer_tokens" else 0
        raise SettingError(
            f"{name}={values[name]!r} is no token budget: give a whole number of at least {least}",
            **{name: 1024},
        ) from None


def budgets_within(
    room: int,
    kind: PromptKind,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
) -> Budgets | None:
    """Budgets that fit in a room; only defaults give way, never the user's own numbers.

    The trace gives way first: both arms share the answer budget, and it is what is judged. Only where
    the trace would have less room than the answer do both get half.

    Args:
        room: Tokens that the longest prompt leaves free in the model's window.
        kind: Kind of the prompts.
        answer_tokens: The user's answer budget; None for the default.
        thinking_tokens: The user's thinking budget; None for the default.

    Returns:
        The budgets, the defaults themselves where they fit; None where nothing is left for a default.

    Raises:
        RimError: As `budgets`.
    """
    usual = budgets(kind, answer_tokens, thinking_tokens)
    answer, thinking = usual.answer_tokens, usual.thinking_tokens
    if answer_tokens is None:
        answer = min(answer, room // 2 if thinking_tokens is None else room - thinking)
    if thinking_tokens is None:
        thinking = min(thinking, room - answer)
    if answer < 1 or thinking < 0:
        return None
    return Budgets(answer_tokens=answer, thinking_tokens=thinking)
