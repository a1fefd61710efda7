"""Making text harmless as data: delimiters that could end a judge's prompt or fake its verdict."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

__all__ = ["neutralise"]

_BRACKETS: Final = str.maketrans("<>[]◁▷", "‹›⟦⟧‹›")
"""Look-alikes of one character each: a reader sees the same text, a tokenizer no special token."""

_WORDS: Final = (
    "s", "bos", "eos", "pad", "unk", "start_of_turn", "end_of_turn", "start_of_image", "think", "thinking", "channel", "turn",
    "reasoning", "seed:[a-z_]+", "start_of_role", "end_of_role", "tool_call", "tool_response",
)  # fmt: skip
_SPECIAL: Final = (
    r"<[|｜/]?[|｜][^<>\n]{0,64}>",  # <|im_end|>, <|eot_id|>, <｜User｜>
    r"<[^<>\n]{0,64}[|｜]>",
    r"◁/?[a-z]+▷",
    r"<<\s*/?\s*SYS\s*>>",
    r"\[\s*/?\s*(?:INST|SYSTEM_PROMPT|THINK|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\s*\]",
    r"\[(?:BEGIN|END) (?:DATA|CONVERSATION)\]",
    r"</?(?:begin|end)[ _-]?of[ _-]?(?:text|sentence|turn)>",
)


def neutralise(text: str, tags: Iterable[str] = ()) -> str:
    """Replace the brackets of chat markers and of `tags` by look-alikes.

    The text keeps its length and every other character, so a grader still sees what was there
    (`[/INST]` becomes `⟦/INST⟧`). Doing it twice changes nothing.

    Args:
        text: Anything that a model or a data set wrote.
        tags: Names of the tags that the judge's own prompt and reply format use.

    Returns:
        The text without any chat marker, and without any opening or closing tag of `tags`.
    """
    pattern, before = _pattern(tuple(tags)), ""
    while text != before:  # markers can be nested in markers
        before, text = text, pattern.sub(lambda match: match[0].translate(_BRACKETS), text)
    return text


@lru_cache(maxsize=64)
def _pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join((*_WORDS, *(re.escape(tag) for tag in tags)))
    # A tag is taken with or without attributes, spaces and its closing bracket: models that read
    # the prompt are as lenient as that.
    tag = rf"<\s*/?\s*(?:{names})(?![\w-])[^<>\n]{{0,64}}>?"
    return re.compile("|".join((*_SPECIAL, tag)), re.IGNORECASE)
