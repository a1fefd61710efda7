"""The conversation with the grader: a judge file's messages, filled with one case."""

import re
from collections.abc import Iterable
from itertools import product
from typing import TYPE_CHECKING, Final

from rim_eval.judging._case import Case, Sees
from rim_eval.judging._neutral import neutralise
from rim_eval.judging._readers import TagsReader
from rim_eval.judging._spec import JudgeSpec, Message

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["check_messages", "render_messages", "seen_text"]

_TAG: Final = re.compile(r"<\s*/?\s*([A-Za-z_][\w-]*)\s*>")


def seen_text(case: Case, sees: Sees) -> str:
    """What a judge sees of the reply, as one text; empty when there is nothing to judge."""
    trace = case.trace if sees != "answer" else None
    answer = case.answer if sees != "reasoning" else None
    return "\n\n".join(part.strip() for part in (trace, answer) if part and part.strip())


def _environment() -> "Environment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )


def _own_tags(spec: JudgeSpec) -> list[str]:
    """Names of the tags that this judge's prompt and reply format use."""
    tags = {name for message in spec.messages for name in _TAG.findall(message.text)}
    if isinstance(spec.reader, TagsReader):
        tags |= set(spec.reader.fields)
    return sorted(tags)


def render_messages(spec: JudgeSpec, case: Case, sees: Sees) -> list[tuple[str, str]]:
    """(role, text) of each message to the grader, everything from outside neutralised.

    Args:
        spec: The judge.
        case: What is judged.
        sees: Which parts of the reply the grader is shown; the others are not in the prompt.
    """
    tags = _own_tags(spec)
    values = {
        "request": neutralise(case.prompt_text, tags),
        "context": _clean(case.context, tags),
        "category": _clean(case.category, tags),
        "answer": _clean(case.answer, tags) if sees != "reasoning" else None,
        "reasoning": _clean(case.trace, tags) if sees != "answer" else None,
        "response": neutralise(seen_text(case, sees), tags),
    }
    environment = _environment()
    return [(m.role, environment.from_string(m.text).render(values).strip()) for m in spec.messages]


def _clean(text: str | None, tags: Iterable[str]) -> str | None:
    return neutralise(text, tags) if text and text.strip() else None


def check_messages(spec: JudgeSpec) -> tuple[tuple[int | str, ...], str] | None:
    """Render the messages once with known words; what is wrong, with its path, or None.

    A prompt that does not show the request, the context, or what the judge is said to see would
    give verdicts about something else.
    """
    from jinja2 import TemplateError

    for number, message in enumerate(spec.messages):
        try:
            for case, sees in product((_KNOWN, _BARE), spec.inputs):
                _render(spec, message, case, sees)
        except TemplateError as error:
            return ("messages", number, "text"), f"the template fails: {error}"
    return next((problem for sees in spec.inputs if (problem := _missing(spec, sees))), None)


_KNOWN: Final = Case(
    prompt_text="REQUEST-7391", context="CONTEXT-7391", category="CATEGORY-7391", kind="harmful",
    answer="ANSWER-7391", trace="REASONING-7391",
)  # fmt: skip


_BARE: Final = _KNOWN.model_copy(update={"context": None, "category": None})
"""Another case, since a template may branch on what a prompt set does not have."""


def _render(spec: JudgeSpec, message: Message, case: Case, sees: Sees) -> str:
    ((_, text),) = render_messages(spec.model_copy(update={"messages": (message,)}), case, sees)
    return text


def _missing(spec: JudgeSpec, sees: Sees) -> tuple[tuple[int | str, ...], str] | None:
    shown = "\n".join(_render(spec, message, _KNOWN, sees) for message in spec.messages)
    seen = {"answer": ["answer"], "reasoning": ["reasoning"], "both": ["reasoning", "answer"]}[sees]
    for name in ("request", "context", *seen):
        if spec.messages and f"{name.upper()}-7391" not in shown:
            hint = f" (or {{{{ response }}}}) when it sees {sees}" if name in seen else ""
            return ("messages",), f"no message shows {{{{ {name} }}}}{hint}"
    return None
