"""A prompt: its opaque id, and the user message that it is asked as, the same words in both modes."""

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from pydantic import Field

from rim_eval.errors import RimError
from rim_eval.types import ASKED_IN_WORDS, ArmKind, FrozenModel, PromptKind


class Prompt(FrozenModel):
    """One prompt. Its id is all that observations, cards and leaderboards ever see of it."""

    id: str
    """`<set>-<12 hex digits>` from the text and context: opaque, and the same from any source."""
    set: str
    kind: PromptKind
    text: str
    category: str | None = None
    subset: str | None = None
    context: str | None = None
    target: str | None = None
    """Gold answer of a reasoning problem."""
    pair: str | None = None
    """Id of the contrast partner: a benign look-alike, or the harmful one that it looks like."""
    labels: dict[str, str] = Field(default_factory=dict)


def prompt_id(name: str, text: str, context: str | None = None) -> str:
    """Return the id of a prompt: `<set>-<12 hex digits of SHA-256>`.

    Unicode is brought to NFC and runs of white space to one space before, so that line ends, a
    trailing blank or another file format do not change the id. No text can be read back from it.

    Args:
        name: The set.
        text: The prompt.
        context: Its context, if it has one.
    """
    parts = (unicodedata.normalize("NFC", part) for part in (text, context or ""))
    content = "\0".join(" ".join(part.split()) for part in parts)
    # 48 bits: for 10,000 prompts a collision has a chance below 2e-7.
    return f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


Style = Literal["as_is", "worked", "direct"]
"""How a reasoning problem is asked.

`worked`: the model is told to work it out before it answers, in both modes, so no-think is not
"no chain of thought". `direct`: only the final answer is asked for, so whatever reasoning there is
happens in the trace. `as_is`: nothing is added. Where the modes are asked for in words, that instruction takes the
place of this one (`message_in_arm`).
"""

_TEMPLATES: Final[dict[Style, str]] = {
    "as_is": "{problem}",
    "worked": "{problem}\n\nWork out the solution first. Then finish with the final answer alone "
    "inside \\boxed{{}}.",
    "direct": "{problem}\n\nReply with nothing but the final answer, inside \\boxed{{}}.",
}


_ANSWER_FORM: Final = "Give the final answer alone inside \\boxed{}."


def user_message(prompt: Prompt, style: Style = "as_is") -> str:
    """Return the user message for a prompt.

    Prompts are asked as their publisher wrote them, below their context where they have one;
    reasoning problems in the given style.

    Raises:
        RimError: The style does not exist.
    """
    if style not in _TEMPLATES:
        styles = ", ".join(get_args(Style))
        raise RimError(f"prompt_style={style!r} is not known: use one of {styles}.")
    text = _below_context(prompt.text, prompt.context)
    return text if prompt.kind != "reasoning" else _TEMPLATES[style].format(problem=text)


def _below_context(text: str, context: str | None) -> str:
    return f"{context}\n\n---\n\n{text}" if context else text


def message_in_arm(message: str, facts: Mapping[str, Any], arm_kind: ArmKind) -> str:
    """Return the user message as an arm of a kind asks it.

    Arms that ask in words tell the model themselves whether to reason, so a problem comes to them without its
    style's instruction, and with the form of the final answer alone.

    Args:
        message: What `user_message` made of the prompt.
        facts: The prompt's `kind`, its text as `request`, and its `context`.
        arm_kind: What brings the modes about.
    """
    problem = _below_context(facts["request"], facts.get("context"))
    if arm_kind not in ASKED_IN_WORDS or facts["kind"] != "reasoning" or message == problem:
        return message
    return f"{problem}\n\n{_ANSWER_FORM}"
