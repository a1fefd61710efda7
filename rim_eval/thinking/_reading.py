"""What a rendered prompt says about thinking, and which of two prompts asks for more of it."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, Literal, NamedTuple

from rim_eval.thinking._markers import FAMILIES, Family, tail_marks

__all__ = [
    "LEVELS",
    "OFF_LEVELS",
    "Difference",
    "Tail",
    "compare",
    "is_about_thinking",
    "knows_traces",
    "read_tail",
    "stance",
    "unique_text",
]

TailState = Literal["open", "none", "closed"]

LEVELS: Final[dict[str, int]] = {
    **dict.fromkeys(("none", "off", "disabled", "no", "no_think", "nothink"), 0),
    **dict.fromkeys(("minimal", "brief", "short"), 1),
    **dict.fromkeys(("low", "fast", "quick", "shallow"), 2),
    **dict.fromkeys(("medium", "normal", "standard", "balanced"), 3),
    **dict.fromkeys(("high", "deep", "long", "extended", "slow"), 4),
    **dict.fromkeys(("xhigh", "max", "maximum", "ultra"), 5),
}
"""Words for how much to think, in order."""

OFF_LEVELS: Final = frozenset(word for word, level in LEVELS.items() if level == 0)


class Tail(NamedTuple):
    """How a generation prompt ends: inside a trace, after one, or neither."""

    state: TailState
    family: Family | None = None


class Difference(NamedTuple):
    """How two prompts differ concerning thinking; the first one asks for more."""

    strength: float
    """4 open against closed tail, 3 one of them, 2 instructions, 1 degree; 0 not about thinking."""
    why: str


_HARMONY_TAIL: Final = re.compile(r"<\|channel\|>(analysis|final)<\|message\|>\s{0,40}\Z")
_MOST_WORDS: Final = 400
"""Words between which two prompts are compared one by one; real ones differ in far fewer."""
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
    if not marks:
        return Tail("closed" if _EMPTY_BLOCK.search(prompt[-200:]) else "none")
    last, rest = marks[-1], prompt[marks[-1].end :]
    if last.kind == "close" and _AFTER_CLOSE.match(rest):
        return Tail("closed", last.family)
    if last.kind == "open" and len(rest) < 200 and not re.search(r"[<\[{|]", rest):
        return Tail("open", last.family)
    return Tail("closed" if _EMPTY_BLOCK.search(prompt[-200:]) else "none")


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
_ABOUT: Final = re.compile(_TOPIC, re.IGNORECASE)
_PROCESS: Final = re.compile(
    r"(?:thinking|thought|reasoning)\s+(?:process|section|phase|mode|block|step)", re.IGNORECASE
)


def knows_traces(text: str) -> Family | None:
    """The first marker family that a text shows (a template's literals, an instruction)."""
    lowered = text.lower()
    marks = ((f, f.opened_with.lower(), f.closed_with.lower()) for f in FAMILIES)
    return next(
        (f for f, opening, closing in marks if opening in lowered or closing in lowered), None
    )


def is_about_thinking(text: str) -> bool:
    """Whether a stretch of prompt has thinking for its topic, in either direction."""
    return stance(text) != 0


def stance(text: str) -> int:
    """Whether a stretch of prompt asks for thinking (1), against it (-1), or is about other things (0)."""
    if _OFF.search(text) or _DISCOURAGED.search(text):
        return -1
    return 1 if _ABOUT.search(text) or knows_traces(text) else 0


def compare(more: str, less: str, *, traces_known: bool) -> Difference:
    """Whether the first prompt asks for thinking and the second one does not.

    Args:
        more: Prompt that may ask for thinking.
        less: Prompt that may ask for none.
        traces_known: Whether the template knows trace marks at all; instructions in plain words
            count for a switch only then, since "think" is an everyday word.
    """
    order = {"open": 2, "none": 1, "closed": 0}
    tails = read_tail(more), read_tail(less)
    gap = order[tails[0].state] - order[tails[1].state]
    if gap:
        return Difference(2.0 + gap, _say_tails(*tails)) if gap > 0 else Difference(0, "")
    if tails[0].state != "none":
        return Difference(0, "")
    ours, theirs = unique_text(more, less)
    signs = stance(ours), stance(theirs)
    if signs[0] <= signs[1]:
        return Difference(0, "")
    if not (_plain_sign(ours, theirs) or (traces_known and _prose_sign(ours, theirs))):
        return Difference(0, "")
    return Difference(2.5 if signs == (1, -1) else 2.0, _say_words(ours, theirs))


def _plain_sign(ours: str, theirs: str) -> bool:
    """A command or a trace mark: nothing else looks like it."""
    return bool(_ON.search(ours) or knows_traces(ours) or _OFF.search(theirs))


def _prose_sign(ours: str, theirs: str) -> bool:
    """Everyday words, which count only in a template that knows traces."""
    return bool(_PROCESS.search(ours) or _DISCOURAGED.search(theirs))


def _say_tails(more: Tail, less: Tail) -> str:
    says = {
        "open": "ends inside an open trace",
        "none": "leaves the trace to the model",
        "closed": "ends after a closed trace",
    }
    return f"the think prompt {says[more.state]} and the no-think prompt {says[less.state]}"


def _say_words(more: str, less: str) -> str:
    def short(text: str) -> str:
        text = " ".join(text.split())
        return repr(text if len(text) <= 60 else f"{text[:57]}...") if text else "nothing"

    return f"only the think prompt says {short(more)}, only the no-think prompt says {short(less)}"


def unique_text(first: str, second: str) -> tuple[str, str]:
    """What each of two prompts says that the other does not, with the rest of a short line as context."""
    pairs = enumerate(zip(first, second, strict=False))
    head = next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))
    head = first.rfind("\n", 0, head) + 1
    words, others = _words(first[head:]), _words(second[head:])
    while words and others and words[-1] == others[-1]:
        words.pop()
        others.pop()
    changes = [change for change in _opcodes(words, others) if change[0] != "equal"]
    return (
        _in_context(words, [(change[1], change[2]) for change in changes]),
        _in_context(others, [(change[3], change[4]) for change in changes]),
    )


def _opcodes(words: list[str], others: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """The steps from one text to the other; where both differ at length, one step for all of it."""
    if max(len(words), len(others)) > _MOST_WORDS:
        # The comparison takes more than the square of the length: a hostile template could stop us with it.
        return [("replace", 0, len(words), 0, len(others))]
    return SequenceMatcher(None, words, others, autojunk=False).get_opcodes()


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|[^\s]+", text)


def _in_context(words: Sequence[str], changes: list[tuple[int, int]]) -> str:
    """The changed words, each with up to four words before it on its line (`Reasoning: ` before `low`)."""
    shown: set[int] = set()
    for start, end in changes:
        before = start
        while start < end and before > 0 and start - before < 8 and "\n" not in words[before - 1]:
            before -= 1
        shown.update(range(before, end))
    text = "".join(
        words[at] if at - 1 in shown or not at else f" {words[at]}" for at in sorted(shown)
    )
    return text.strip()
