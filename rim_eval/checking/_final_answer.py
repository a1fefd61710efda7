r"""Where in a reply the final answer stands.

In this order: the last `\boxed{}` (and boxes joined to it by a comma, "and" or "or", so that
naming two answers is not read as naming one); the last line after `####`; what follows the last
"the answer is" or "Answer:"; and, when a reply announces nothing, its end.
"""

import re
from typing import NamedTuple

LONGEST_FINAL_ANSWER = 400
"""Characters. The longest gold of MATH-500 has 53; a longer "final answer" is not one."""

LONGEST_TAIL = 600
"""Characters at the end of a reply that are searched when it announces no answer."""

_MOST_BOXES = 50
"""Boxes at the end of a reply that are looked at: a looping reply can hold thousands."""


class FinalAnswer(NamedTuple):
    """A piece of a reply and how it was found."""

    text: str
    how: str
    """`boxed`, `####`, `answer is` or `end of reply`."""

    @property
    def whole(self) -> bool:
        """Whether the text is the answer and nothing else."""
        return self.how in ("boxed", "####")


_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_JOIN = re.compile(r"[\s$,.;]*(?:,|\band\b|\bor\b)[\s$]*")
_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_ANNOUNCED = re.compile(
    r"\b(?:final\s+)?(?:answers?|result|solution)\b[\s*_]*(?:\([^()\n]{0,20}\)[\s*_]*)?"
    r"(?:[:=]|\b(?:is|are)\b\s*:?)[\s*_]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s+[A-Z\n]|\s*$)|\n")


def find_final_answer(reply: str) -> FinalAnswer:
    """The part of the reply that gives its final answer; the text may be empty."""
    if boxes := _boxes(reply):
        return FinalAnswer(_last_boxes(reply, boxes), "boxed")
    if marked := _HASHES.findall(reply):
        return FinalAnswer(marked[-1].strip(), "####")
    for announcement in reversed(list(_ANNOUNCED.finditer(reply))):
        if said := _sentence(reply[announcement.end() :]):
            return FinalAnswer(said, "answer is")
    return FinalAnswer(reply[-LONGEST_TAIL:].strip(), "end of reply")


def _boxes(reply: str) -> list[tuple[int, int, int]]:
    """Start, content start and content end of the last boxes: outermost and closed ones."""
    found: list[tuple[int, int, int]] = []
    for match in list(_BOX.finditer(reply))[-_MOST_BOXES:]:
        if found and match.start() < found[-1][2]:
            continue
        end = _closing_brace(reply, match.end())
        if end is not None:
            found.append((match.start(), match.end(), end))
    return found


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for match in re.finditer(r"\\.|[{}]", text[start : start + 2 * LONGEST_TAIL], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return start + match.start()
    return None


def _last_boxes(reply: str, boxes: list[tuple[int, int, int]]) -> str:
    start, content, end = boxes[-1]
    answers = [reply[content:end]]
    for before_start, before_content, before_end in reversed(boxes[:-1]):
        if not _JOIN.fullmatch(reply, before_end + 1, start):
            break
        answers.insert(0, reply[before_content:before_end])
        start = before_start
    return ", ".join(answer.strip() for answer in answers)


def _sentence(text: str) -> str:
    """What is said up to the end of the sentence or line, outside of math."""
    head = text.lstrip()[: LONGEST_FINAL_ANSWER + 1]
    for opening, closing in ((r"\[", r"\]"), (r"\(", r"\)"), ("$$", "$$")):
        if head.startswith(opening) and closing in head[2:]:
            return head[2 : head.index(closing, 2)].strip()
    end = _SENTENCE_END.search(head)
    return (head[: end.start()] if end else head).strip()


_MATH = r"\$\$.+?\$\$|(?<!\\)\$(?=\S)(?:\\\$|[^$\n])*?[^\s$]\$(?!\d)|\\\(.+?\\\)|\\\[.+?\\\]"
_NUMBER = r"(?>[-−]?(?:\\?[$€£]\s?)?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?(?:\s?\\?%)?)"
_ALONE_BEFORE = r"(?<![\w.{^_(\[,/+*\\])(?<![-+*/^] )(?<!\d, )(?<!\d or )(?<!\d and )"
_ALONE_AFTER = r"(?![\w}]|\s*[-+*/^_\\({\[=]\s*\S|\s*,\s*-?[\d.]|\s*(?:or|and)\s+[-\d])"
_TOKEN = re.compile(rf"{_MATH}|{_ALONE_BEFORE}{_NUMBER}{_ALONE_AFTER}", re.DOTALL)
_EMPHASIS = re.compile(r"\*\*|__|`")
_LEADING_MATH = re.compile(rf"[^$\d]{{0,60}}?({_MATH})", re.DOTALL)


def pick_expression(found: FinalAnswer) -> str | None:
    """The formula or the number standing alone that a piece of prose gives; None without one.

    After an announcement it is the first (or what follows the last equals sign); at the end of a
    reply it is the last. Numbers inside a formula, a list or a sum do not stand alone.
    """
    text = _EMPHASIS.sub("", found.text)
    if found.how == "end of reply":
        tokens = [match[0] for match in _TOKEN.finditer(text)]
        return tokens[-1] if tokens else None
    if formula := _LEADING_MATH.match(text):
        return formula[1]
    token = _TOKEN.search(text.rpartition("=")[2])
    return token[0] if token else None
