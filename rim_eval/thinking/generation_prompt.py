"""Read how a rendered prompt ends, and compare two prompts by how much thinking they ask for."""

import re
from collections import Counter
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from rim_eval.thinking.markers import ANSWER_WRAPPERS, FAMILIES, Family, tail_channel, tail_marks


class Tail(NamedTuple):
    """How a prompt ends: inside a trace, after one, or neither."""

    state: Literal["open", "none", "closed"]
    family: Family | None = None


class Difference(NamedTuple):
    """How two prompts differ concerning thinking; the first one asks for more."""

    strength: float
    """4 open against closed tail, 3 one of them, 2 instructions, 1 degree; 0 not about thinking."""
    reason: str


_TOPIC: Final = r"(?:think\w*|thought\w*|reasoning|reason_\w+|ponder\w*|deliberat\w+|chain[- ]of[- ]thought|\bcot\b)"
_EMPTY_TRACE: Final = re.compile(
    # A tag and its end, or a mark of any family that is named for thinking and an end right after it.
    r"(?:<([\w:|-]{2,40})>\s{0,40}</\1>|"
    rf"[<\[][^<>\[\]/\s]{{0,40}}{_TOPIC}[^<>\[\]\s]{{0,40}}[>\]]\s{{0,40}}"
    r"[<\[][^<>\[\]\s]{0,40}(?:/|end|eot|close|stop)[^<>\[\]\s]{0,40}[>\]])"
    # The header of a turn for the answer alone may follow.
    r"\s{0,40}(?:[<\[][^<>\[\]\s]{1,40}[>\]]\w{0,40})?\s{0,40}\Z",
    re.IGNORECASE,
)
_ANSWER_OPENED: Final = re.compile(
    rf"(?:{'|'.join(re.escape(opening) for opening, _ in ANSWER_WRAPPERS)})\s{{0,40}}\Z"
)


@lru_cache(maxsize=1024)
def read_tail(prompt: str) -> Tail:
    """Read the end of a rendered prompt.

    A trace is open when an opening mark stands last and no other tag or role follows it. It is closed
    when a closing mark stands last, whether or not the prompt shows where it began, after an empty
    trace, and inside an answer that the prompt has begun.
    """
    if channel := tail_channel(prompt):
        return Tail("open" if channel == "trace" else "closed")
    end = prompt[-400:]
    answer = _ANSWER_OPENED.search(end)
    if marks := tail_marks(prompt):
        last, rest = marks[-1], prompt[marks[-1].end :]
        if last.kind == "close" and (answer or not rest.strip()):
            return Tail("closed", last.family)
        if last.kind == "open" and len(rest) < 200 and not re.search(r"[<\[{|]", rest):
            return Tail("open", last.family)
    return Tail("closed" if answer or _EMPTY_TRACE.search(end) else "none")


def has_unknown_empty_trace(prompt: str) -> bool:
    """Return whether a prompt ends after an empty trace whose marks are of no known family."""
    return bool(_EMPTY_TRACE.search(prompt[-400:])) and read_tail(prompt).family is None


def marker_family(text: str) -> Family | None:
    """Return the first marker family that a text shows (a template's literals, an instruction)."""
    lowered = text.lower()
    for family in FAMILIES:
        if family.opened_with.lower() in lowered or family.closed_with.lower() in lowered:
            return family
    return None


_OFF: Final = re.compile(
    rf"\bno[_ -]?{_TOPIC}|"
    rf"{_TOPIC}[\w ]{{0,20}}[\"'`]?\s*(?:[:=]|\bis\b|\bare\b)?\s*[\"'`]?(?:off|none|disabled|false|no|0|zero)\b",
    re.IGNORECASE,
)
_DISCOURAGED: Final = re.compile(
    rf"\b(?:without|skip\w*|omit|disabl\w+|avoid|don't|do not|never|no need)\b.{{0,40}}{_TOPIC}",
    re.IGNORECASE | re.DOTALL,
)


def stance(text: str) -> int:
    """Return whether a text or a name asks for thinking (1), against it (-1), or for other things (0)."""
    words = re.sub(r"[_.]", " ", text)
    if _OFF.search(words) or _DISCOURAGED.search(words):
        return -1
    return 1 if re.search(_TOPIC, words, re.IGNORECASE) or marker_family(text) else 0


_OPENNESS: Final = {
    "open": (2, "ends inside an open trace"),
    "none": (1, "leaves the trace to the model"),
    "closed": (0, "leaves no room for a trace"),
}


def compare_prompts(more: str, less: str, *, is_named: bool = False) -> Difference:
    """Return how far the first prompt asks for thinking where the second one does not.

    Args:
        more: Prompt that may ask for thinking.
        less: Prompt that may ask for none.
        is_named: Whether what switches between them says by its name and values that the first is
            the think prompt. Only then do plain words count: "think" is an everyday word.
    """
    (openness, ending), (other_openness, other_ending) = (
        _OPENNESS[read_tail(prompt).state] for prompt in (more, less)
    )
    gap = openness - other_openness
    if gap > 0:
        reason = f"the think prompt {ending} and the no-think prompt {other_ending}"
        return Difference(2.0 + gap, reason)
    in_more, in_less = unique_text(more, less)
    commands = marker_family(in_more) or _OFF.search(in_less)
    if (
        gap < 0
        or openness != 1
        or not ((is_named and more != less) or (commands and stance(in_more) > stance(in_less)))
    ):
        return Difference(0, "")
    return Difference(2.0, describe_texts(in_more, in_less))


def describe_texts(in_more: str, in_less: str) -> str:
    """Return what only the think prompt and what only the no-think prompt says, in at most 60 characters each."""
    one_line = (" ".join(text.split()) for text in (in_more, in_less))
    quotes = (repr(text if len(text) <= 60 else f"{text[:57]}...") for text in one_line)
    return "only the think prompt says {}, only the no-think prompt says {}".format(*quotes)


_SENTENCE_END: Final = re.compile(r"\n+|(?<=[.!?;]) +")


def unique_text(first: str, second: str) -> tuple[str, str]:
    """Return the sentences and lines of each of two prompts that the other one does not have."""
    one, two = (Counter(_SENTENCE_END.split(text)) for text in (first, second))
    return "\n".join(one - two).strip(), "\n".join(two - one).strip()
