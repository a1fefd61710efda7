"""Modes for models that have no switch: an empty trace that we write, or a question that asks."""

import re
from typing import Final

from rim_eval.errors import RimError
from rim_eval.thinking._markers import FAMILIES, Family, tail_marks
from rim_eval.thinking._probe import PLAIN, SENTINEL
from rim_eval.thinking._reading import knows_traces, read_tail
from rim_eval.thinking._recipe import Recipe, Switch
from rim_eval.thinking._render import Renderer

__all__ = ["DIRECT_REQUEST", "TRACE_REQUEST", "forced_empty", "prompted"]

TRACE_REQUEST: Final = (
    "Reason step by step before you answer. Write the whole reasoning between <think> and </think>, "
    "then give your answer after the closing tag."
)
"""Asks a model that knows no traces for one, in marks that the splitter reads."""

DIRECT_REQUEST: Final = "Answer at once. Write the answer only, with no reasoning before it."
"""The other arm's request: of the same kind, so that the arms differ in what is asked."""

_HARMONY_PREFILL: Final = "<|end|><|start|>assistant<|channel|>final<|message|>"


def forced_empty(plain: str, written: str) -> Switch:
    """The arms of a model that always thinks.

    Args:
        plain: Its rendered prompt for a plain user message.
        written: Everything its template could write: tells its marks, and how it writes an empty trace.
    """
    tail = read_tail(plain)
    opened = tail.state == "open"
    family = tail.family or knows_traces(plain) or knows_traces(written) or FAMILIES[0]
    prefill = _closing(plain, tail.family) if opened else _empty(family, written)
    how = (
        f"its prompt always ends inside an open trace ({family.opened_with})"
        if opened
        else f"it knows traces ({family.opened_with}) and nothing that it reads turns them off"
    )
    return Switch(
        kind="forced_empty",
        name="forced_empty",
        think=Recipe(opened_by_prompt=opened),
        no_think=Recipe(prefill=prefill),
        evidence=f"The template has no switch: {how}. The no-think arm begins after an empty trace "
        f"that we write ({prefill!r}); a model with a switch that its template does not show needs "
        "it named (for example system:/no_think).",
    )


def _closing(plain: str, family: Family | None) -> str:
    if family is None:
        return _HARMONY_PREFILL
    if family.phrase:
        return f"\n{family.closed_with}\n"
    rest = plain[tail_marks(plain)[-1].end :]
    return {"": "\n\n", "\n": "\n"}.get(rest, "\n") + f"{family.closed_with}\n\n"


def _empty(family: Family, written: str) -> str:
    if family.phrase:
        return f"{family.closed_with}\n"
    own = re.search(
        rf"{re.escape(family.opened_with)}\n*{re.escape(family.closed_with)}\n{{0,2}}", written
    )
    return own[0] if own else f"{family.opened_with}\n\n{family.closed_with}\n\n"


def prompted(render: Renderer | None = None) -> Switch:
    """The arms of a model that knows no traces: both ask, in our words, one for a trace.

    The request is a system message where the template prints one, else the end of the user message.
    """
    place = "system" if render is None or _prints_system(render) else "user_suffix"
    return Switch(
        kind="prompted",
        name="prompted",
        think=Recipe.model_validate({place: TRACE_REQUEST}),
        no_think=Recipe.model_validate({place: DIRECT_REQUEST}),
        evidence="The template knows no trace and no word for thinking, so the modes are asked for in "
        f"the {'system message' if place == 'system' else 'user message'}; by default the model "
        "answers as it likes.",
    )


def _prints_system(render: Renderer) -> bool:
    try:
        return SENTINEL in render([{"role": "system", "content": SENTINEL}, *PLAIN], {})
    except RimError:
        return False
