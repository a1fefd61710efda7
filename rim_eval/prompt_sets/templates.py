"""Prompt templates: the user message of a prompt, the same words in both modes."""

from typing import Final, Literal, get_args

from rim_eval.errors import RimError
from rim_eval.prompt_sets import Prompt

Style = Literal["as_is", "worked", "direct"]
"""How a reasoning problem is asked.

`worked`: the model is told to work it out before it answers, in both modes, so no-think is not
"no chain of thought". `direct`: only the final answer is asked for, so whatever reasoning there is
happens in the trace. `as_is`: nothing is added.
"""

STYLES: Final[tuple[Style, ...]] = get_args(Style)

_TEMPLATES: Final[dict[Style, str]] = {
    "as_is": "{problem}",
    "worked": "{problem}\n\nWork out the solution first. Then finish with the final answer alone "
    "inside \\boxed{{}}.",
    "direct": "{problem}\n\nReply with nothing but the final answer, inside \\boxed{{}}.",
}


def user_message(prompt: Prompt, style: Style = "as_is") -> str:
    """The user message for a prompt.

    Harmful and benign prompts are asked as their publisher wrote them, below their context where
    they have one. Reasoning problems are asked in the given style.

    Args:
        prompt: The prompt.
        style: How a reasoning problem is asked; without effect on other prompts.

    Raises:
        RimError: The style does not exist.
    """
    if style not in STYLES:
        raise RimError(f"prompt_style={style!r} is not known: use one of {', '.join(STYLES)}.")
    if prompt.kind != "reasoning":
        return f"{prompt.context}\n\n---\n\n{prompt.text}" if prompt.context else prompt.text
    return _TEMPLATES[style].format(problem=prompt.text)
