"""Places in a reply that announce the answer: `the answer is 18`, `Final answer: 18`, `#### 18`.

What announces is told by the words before, and that it is an announcement by what follows: an
answer. `The answer is correct` and the heading `#### Final Answer` give none.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from rim_eval.answers._prose import has_expression, without_emphasis, without_hedged
from rim_eval.answers._vocabulary import APPRAISALS, FUNCTIONS, any_of

LONGEST_FINAL_ANSWER: Final = 400
"""Characters. The longest gold of MATH-500 has 53; a longer "final answer" is not one."""

_MARKS: Final = r"[\s*_]*"
_ANSWER: Final = re.compile(
    rf"""
      \b(?:answers?|final\s+results?)\b {_MARKS} (?: \([^()\n]{{0,20}}\) {_MARKS} )?
      (?: [:=] | \b(?:is|are)\b\s*:? ) {_MARKS}
    | ^[ \t#*_]* (?:the\s+)? (?:final\s+)? answer [ \t#*_]* $ {_MARKS}  # a heading of its own
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_RESULT: Final = re.compile(
    rf"""
    \b(?: results?{_MARKS}[:=] | (?:results?|solutions?)\s+(?:is|are)\b\s*:? ) {_MARKS}
    (?= [-−+\d.$(\[{{\\] | [a-z]\s*= )  # at once the number or the formula
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MARKED: Final = re.compile(r"(?<!\#)\#{4}(?!\#)[ \t]*([^\n]+)")
_TITLE: Final = re.compile(
    rf"[^\w\\$]*(?:\d+[.:)]\s+)?(?!(?:{any_of(FUNCTIONS)})\b)[a-z]{{2}}", re.I
)
_APPRAISAL: Final = re.compile(rf"(?:\w+ly\s+)?(?:{any_of(APPRAISALS)})\b", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s+[A-Z\n]|\s*$)|\n")
_DISPLAYS: Final = ((r"\[", r"\]"), (r"\(", r"\)"), ("$$", "$$"))


class Announced(NamedTuple):
    """An announcement: where it stands and the answer it gives."""

    start: int
    text: str


def last_marked(reply: str) -> Announced | None:
    """The last line after `####` that is an answer; headings of that level are titles in words."""
    for match in reversed(list(_MARKED.finditer(reply))):
        line = without_emphasis(match[1]).strip()
        if has_expression(line) and not _TITLE.match(line):
            return Announced(match.start(), match[1].strip())
    return None


def last_answer(reply: str, *, words: bool) -> Announced | None:
    """What the last "the answer is" says; one that only bounds the answer counts when no other is.

    Args:
        reply: The reply.
        words: Whether the answer is a word, which then needs no figure and no formula.
    """
    said = [each for each in _said(_ANSWER, reply) if words or has_expression(each.text)]
    exact = [each for each in said if words or has_expression(without_hedged(each.text))]
    return next(reversed(exact or said), None)


def last_result(reply: str) -> Announced | None:
    """What the last "the result is" says; results of steps are announced as well, so it is weaker."""
    return next(reversed(list(_said(_RESULT, reply))), None)


def _said(announcing: re.Pattern[str], reply: str) -> Iterator[Announced]:
    for match in announcing.finditer(reply):
        sentence = _sentence(reply[match.end() : match.end() + 2 * LONGEST_FINAL_ANSWER])
        if sentence and not _APPRAISAL.match(sentence):
            yield Announced(match.start(), sentence)


def _sentence(text: str) -> str:
    """What is said up to the end of the sentence or line, outside of math."""
    head = text.lstrip()[: LONGEST_FINAL_ANSWER + 1]
    for opening, closing in _DISPLAYS:
        if head.startswith(opening) and closing in head[2:]:
            return head[2 : head.index(closing, 2)].strip()
    end = _SENTENCE_END.search(head)
    return (head[: end.start()] if end else head).strip()
