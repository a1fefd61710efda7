"""The conversation with the grader: a judge file's messages filled with one case, all of it escaped."""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import product
from typing import Final

from rim_eval.judging._case import Case, Sees
from rim_eval.judging._spec import JudgeSpec, TagsReader
from rim_eval.judging._yaml import FieldPath

_LOOK_ALIKES: Final = str.maketrans("<>[]◁▷", "‹›⟦⟧‹›")
"""One character each: a reader sees the same text, a tokenizer no special token."""

_MARKER_TAGS: Final = (
    "s", "bos", "eos", "pad", "unk", "start_of_turn", "end_of_turn", "start_of_image", "think", "thinking", "channel", "turn",
    "reasoning", "seed:[a-z_]+", "start_of_role", "end_of_role", "tool_call", "tool_response",
)  # fmt: skip
_MARKERS: Final = (
    r"<[|｜/]?[|｜][^<>\n]{0,64}>",  # <|im_end|>, <|eot_id|>, <｜User｜>
    r"<[^<>\n]{0,64}[|｜]>",
    r"◁/?[a-z]+▷",
    r"<<\s*/?\s*SYS\s*>>",
    r"\[\s*/?\s*(?:INST|SYSTEM_PROMPT|THINK|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\s*\]",
    r"\[(?:BEGIN|END) (?:DATA|CONVERSATION)\]",
    r"</?(?:begin|end)[ _-]?of[ _-]?(?:text|sentence|turn)>",
)
_TAG: Final = re.compile(r"<\s*/?\s*([A-Za-z_][\w-]*)\s*>")
_SENTINEL: Final = "7391"
_SAMPLE: Final = Case(
    prompt_text=f"REQUEST-{_SENTINEL}",
    context=f"CONTEXT-{_SENTINEL}",
    category=f"CATEGORY-{_SENTINEL}",
    kind="harmful",
    answer=f"ANSWER-{_SENTINEL}",
    trace=f"REASONING-{_SENTINEL}",
)
_BARE_SAMPLE: Final = _SAMPLE.model_copy(update={"context": None, "category": None})
"""Another case, since a template may branch on what a prompt set does not have."""


def seen_text(case: Case, sees: Sees) -> str:
    """What a judge sees of the reply, as one text; empty when there is nothing to judge."""
    trace = case.trace if sees != "answer" else None
    answer = case.answer if sees != "reasoning" else None
    return "\n\n".join(part.strip() for part in (trace, answer) if part and part.strip())


def escape_markers(text: str, tags: Iterable[str] = ()) -> str:
    """Replace the brackets of chat markers and of `tags`, so that text stays data in a judge's prompt.

    Such delimiters could end the prompt or fake a verdict. The text keeps its length and every other
    character, so a grader still sees what was there (`[/INST]` becomes `⟦/INST⟧`). Escaping twice
    changes nothing.

    Args:
        text: Anything that a model or a data set wrote.
        tags: Names of the tags that the judge's own prompt and reply format use.

    Returns:
        The text without any chat marker, and without any opening or closing tag of `tags`.
    """
    pattern, before = _marker_pattern(tuple(tags)), ""
    while text != before:  # markers can be nested in markers
        before, text = text, pattern.sub(lambda match: match[0].translate(_LOOK_ALIKES), text)
    return text


@lru_cache(maxsize=64)
def _marker_pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join((*_MARKER_TAGS, *(re.escape(tag) for tag in tags)))
    # A tag is taken with or without attributes, spaces and its closing bracket: models that read
    # the prompt are as lenient as that.
    tag = rf"<\s*/?\s*(?:{names})(?![\w-])[^<>\n]{{0,64}}>?"
    return re.compile("|".join((*_MARKERS, tag)), re.IGNORECASE)


def render_messages(spec: JudgeSpec, case: Case, sees: Sees) -> list[tuple[str, str]]:
    """(role, text) of each message to the grader, everything from outside escaped.

    Args:
        spec: The judge.
        case: What is judged.
        sees: Which parts of the reply the grader is shown; the others are not in the prompt.
    """
    from rim_eval.sandbox import render_template

    values = _values(spec, case, sees)
    return [
        (message.role, render_template(message.text, values, strict=True).strip())
        for message in spec.messages
    ]


def _values(spec: JudgeSpec, case: Case, sees: Sees) -> dict[str, str | None]:
    """What the templates may use, without the tags of the judge's own prompt and reply format."""
    tags = {name for message in spec.messages for name in _TAG.findall(message.text)}
    if isinstance(spec.reader, TagsReader):
        tags |= set(spec.reader.fields)

    def escaped(text: str | None) -> str:
        return escape_markers(text, sorted(tags)) if text and text.strip() else ""

    return {
        "request": escape_markers(case.prompt_text, sorted(tags)),
        "context": escaped(case.context) or None,
        "category": escaped(case.category) or None,
        "answer": escaped(case.answer if sees != "reasoning" else None) or None,
        "reasoning": escaped(case.trace if sees != "answer" else None) or None,
        "response": escaped(seen_text(case, sees)),
    }


def message_problem(spec: JudgeSpec) -> tuple[FieldPath, str] | None:
    """Render the messages once with sample words; where and what is wrong, or None.

    A prompt that does not show the request, the context, or what the judge is said to see would
    give verdicts about something else.
    """
    from rim_eval.sandbox import TemplateRenderError, render_template

    for number, message in enumerate(spec.messages):
        try:
            for case, sees in product((_SAMPLE, _BARE_SAMPLE), spec.inputs):
                render_template(message.text, _values(spec, case, sees), strict=True)
        except TemplateRenderError as error:
            return ("messages", number, "text"), f"the template fails: {error}"
    parts = {"answer": ["answer"], "reasoning": ["reasoning"], "both": ["reasoning", "answer"]}
    for sees in spec.inputs if spec.messages else ():
        prompt = "\n".join(text for _, text in render_messages(spec, _SAMPLE, sees))
        for name in ("request", "context", *parts[sees]):
            if f"{name.upper()}-{_SENTINEL}" not in prompt:
                hint = f" (or {{{{ response }}}}) when it sees {sees}" * (name in parts[sees])
                return ("messages",), f"no message shows {{{{ {name} }}}}{hint}"
    return None
