"""Read how a rendered prompt ends, and compare two prompts by how much thinking they ask for."""

import re
from collections import Counter
from typing import Final, Literal, NamedTuple

from rim_eval.thinking.markers import FAMILIES, Family, tail_marks


class Tail(NamedTuple):
    """How a prompt ends: inside a trace, after one, or neither."""

    state: Literal["open", "none", "closed"]
    family: Family | None = None


class Difference(NamedTuple):
    """How two prompts differ concerning thinking; the first one asks for more."""

    strength: float
    """4 open against closed tail, 3 one of them, 2 instructions, 1 degree; 0 not about thinking."""
    reason: str


_HARMONY_TAIL: Final = re.compile(r"<\|channel\|>(analysis|final)<\|message\|>\s{0,40}\Z")
_EMPTY_BLOCK: Final = re.compile(r"<([\w:|-]{2,40})>\s{0,40}</\1>\s{0,40}\Z")
_AFTER_CLOSE: Final = re.compile(r"\s*(?:<answer>|<response>|<\|open\|>response<\|sep\|>)?\s*\Z")


def read_tail(prompt: str) -> Tail:
    """Read the end of a rendered prompt.

    A trace is open when an opening mark stands last and no other tag or role follows it; it is
    closed when a closing mark stands last, whether or not the prompt shows where it began.
    """
    harmony = _HARMONY_TAIL.search(prompt[-400:])
    if harmony:
        return Tail("open" if harmony[1] == "analysis" else "closed")
    marks = tail_marks(prompt)
    if marks:
        last, rest = marks[-1], prompt[marks[-1].end :]
        if last.kind == "close" and _AFTER_CLOSE.match(rest):
            return Tail("closed", last.family)
        if last.kind == "open" and len(rest) < 200 and not re.search(r"[<\[{|]", rest):
            return Tail("open", last.family)
    return Tail("closed" if _EMPTY_BLOCK.search(prompt[-200:]) else "none")


def trace_opening(prompt: str, template: str) -> str | None:
    """Return what to write after a rendered prompt so that the model is inside its trace.

    Args:
        prompt: The think-mode prompt as the model reads it.
        template: Its chat template, which shows the marks where the prompt does not.

    Returns:
        "" when the prompt ends inside a trace already; None for a model that knows no traces.
    """
    tail = read_tail(prompt)
    if tail.state == "open":
        return ""
    if "<|channel|>" in template and "<|start|>" in template:
        return "<|channel|>analysis<|message|>"
    family = tail.family or marker_family(template)
    return None if family is None else f"{family.opened_with}\n"


def marker_family(text: str) -> Family | None:
    """Return the first marker family that a text shows (a template's literals, an instruction)."""
    lowered = text.lower()
    for family in FAMILIES:
        if family.opened_with.lower() in lowered or family.closed_with.lower() in lowered:
            return family
    return None


_TOPIC: Final = r"(?:think\w*|thought\w*|reasoning|reason_\w+|ponder\w*|deliberat\w+|chain[- ]of[- ]thought|\bcot\b)"
_OFF: Final = re.compile(
    r"no[_ -]?think|"
    rf"{_TOPIC}[\w ]{{0,20}}[\"'`]?\s*(?:[:=]|\bis\b|\bare\b)?\s*[\"'`]?(?:off|none|disabled|false|no|0|zero)\b",
    re.IGNORECASE,
)
_ON: Final = re.compile(
    rf"(?:^|\s)/{_TOPIC}|<\|{_TOPIC}\|>|"
    rf"{_TOPIC}[\w ]{{0,20}}[\"'`]?\s*(?:[:=]|\bis\b)?\s*[\"'`]?(?:on|enabled|true|yes)\b",
    re.IGNORECASE,
)
_DISCOURAGED: Final = re.compile(
    rf"\b(?:without|skip\w*|omit|disabl\w+|avoid|don't|do not|never|no need)\b.{{0,40}}{_TOPIC}",
    re.IGNORECASE | re.DOTALL,
)
_PROCESS: Final = re.compile(
    r"(?:thinking|thought|reasoning)\s+(?:process|section|phase|mode|block|step)", re.IGNORECASE
)


def stance(text: str) -> int:
    """Return whether a text asks for thinking (1), against it (-1), or is about other things (0)."""
    if _OFF.search(text) or _DISCOURAGED.search(text):
        return -1
    return 1 if re.search(_TOPIC, text, re.IGNORECASE) or marker_family(text) else 0


_OPENNESS: Final = {
    "open": (2, "ends inside an open trace"),
    "none": (1, "leaves the trace to the model"),
    "closed": (0, "ends after a closed trace"),
}


def compare_prompts(more: str, less: str, *, traces_known: bool) -> Difference:
    """Return how far the first prompt asks for thinking where the second one does not.

    Args:
        more: Prompt that may ask for thinking.
        less: Prompt that may ask for none.
        traces_known: Whether the template knows trace marks at all; instructions in plain words
            count for a switch only then, since "think" is an everyday word.
    """
    (openness, ending), (other_openness, other_ending) = (
        _OPENNESS[read_tail(prompt).state] for prompt in (more, less)
    )
    gap = openness - other_openness
    if gap > 0:
        reason = f"the think prompt {ending} and the no-think prompt {other_ending}"
        return Difference(2.0 + gap, reason)
    if gap < 0 or openness != 1:
        return Difference(0, "")
    in_more, in_less = unique_text(more, less)
    # A command or a trace mark; in a template that knows traces, everyday words too.
    plain = _ON.search(in_more) or marker_family(in_more) or _OFF.search(in_less)
    prose = _PROCESS.search(in_more) or _DISCOURAGED.search(in_less)
    if stance(in_more) <= stance(in_less) or not (plain or (traces_known and prose)):
        return Difference(0, "")
    one_line = (" ".join(text.split()) for text in (in_more, in_less))
    short = (text if len(text) <= 60 else f"{text[:57]}..." for text in one_line)
    quote, other_quote = (repr(text) if text else "nothing" for text in short)
    reason = f"only the think prompt says {quote}, only the no-think prompt says {other_quote}"
    return Difference(2.5 if stance(in_less) == -1 and stance(in_more) == 1 else 2.0, reason)


_SENTENCE_END: Final = re.compile(r"\n+|(?<=[.!?;]) +")


def unique_text(first: str, second: str) -> tuple[str, str]:
    """Return the sentences and lines of each of two prompts that the other one does not have."""
    one, two = (Counter(_SENTENCE_END.split(text)) for text in (first, second))
    return "\n".join(one - two).strip(), "\n".join(two - one).strip()
