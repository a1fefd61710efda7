r"""Find the part of a reply that gives its final answer.

The first of these that the reply has:

1. the last `\boxed{}`, and those joined to it by a comma, "and" or "or";
2. the last announcement, `the answer is 18` or `Answer: 18`, or the last answer after `####`, whichever
   comes later;
3. the last "the result is" with the result right after it;
4. its end.

An announcement is told by what follows: an answer. `The answer is correct` and the heading
`#### Final Answer` give none. math-verify extracts boxes too, but joins any that stand close together
(`\boxed{3} no, \boxed{4}`), and a model that corrects itself would have named two answers.

In prose, a number inside a formula, a list, a choice or a sum (`3, 5`, `3 or 5`, `3 + 5`, `x_3`) does
not stand alone, nor does one that a hedge makes a bound (`less than 5`): none of them is an answer.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from rim_eval.answers._plain import FACTOR, WORDS, any_of

LONGEST_TAIL: Final = 600
"""Characters at the end of a reply that are searched when it announces no answer."""

How = Literal["boxed", "####", "answer is", "end of reply"]

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
    rf"[^\w\\$]*(?:\d+[.:)]\s+)?(?!(?:{any_of(WORDS.functions)})\b)[a-z]{{2}}", re.I
)
_APPRAISAL: Final = re.compile(rf"(?:\w+ly\s+)?(?:{any_of(WORDS.appraisals)})\b", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s+[A-Z\n]|\s*$)|\n")
_DISPLAYS: Final = ((r"\[", r"\]"), (r"\(", r"\)"), ("$$", "$$"))

_MOST_BOXES: Final = 50
"""Boxes at the end of a reply that are looked at: a looping reply can hold thousands."""

_LONGEST_BOX: Final = 1_200
"""Characters until a box must be closed."""

_BOX: Final = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE: Final = re.compile(r"\\.|[{}]", re.DOTALL)
_JOIN: Final = re.compile(r"[\s$,.;]*(?:,|\band\b|\bor\b)[\s$]*")

_FORMULA: Final = r"""
    \$\$ .+? \$\$
  | (?<!\\)\$ (?=\S) (?:\\\$|[^$\n])*? [^\s$] \$ (?!\d)   # $x$, but not "$5 and $3"
  | \\\( .+? \\\)
  | \\\[ .+? \\\]
"""
_NUMBER: Final = r"""
    [-−]? (?:\\?[$€£]\s?)?
    (?: \d+(?:,\d{3})*(?:\.\d+)? | \.\d+ )
    (?:\s?/\s?\d+)? (?:\s?\\?%)?
"""
_EXPRESSION: Final = re.compile(
    rf"(?: (?P<formula>{_FORMULA}) | {_NUMBER} ) (?:\s*{FACTOR})*",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_HEDGE: Final = rf"\b(?:{any_of(WORDS.hedges)})(?:\s+or\s+equal\s+to)?".replace(" ", r"\s+")
_HEDGED: Final = re.compile(
    rf"{_HEDGE}[\s*_]+ (?: {_FORMULA} | {_NUMBER} (?:\s*{FACTOR})* | \\\S+ )",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_EMPHASIS: Final = re.compile(r"\*\*|__|`")
_JOINED_BEFORE: Final = re.compile(
    r"""
    (?: [\w.{^_(\[,/+*\\]      # x_3, 2.3, (3, 1,3, 2+3
      | [-+*/^][ ]             # 2 - 3
      | \d(?:,|[ ]or|[ ]and)[ ]  # 1, 3 and 1 or 3
      | [ ](?:or|and)[ ][a-zA-Z][ ]?=[ ]?  # or x = 3
    ) \Z""",
    re.VERBOSE,
)
_REACH: Final = 10
"""Characters before a number that `_JOINED_BEFORE` looks at."""

_JOINED_AFTER: Final = re.compile(
    r"""
      [\w}(\[{\\]              # 3x, 3}, 3(x+1)
    | \s* [-+*/^_\\{=] \s* \S  # 3 + 5
    | \s* , \s* -? [\d.]       # 3, 5
    | \s+ (?:or|and) \s+ (?: [-\d] | [a-zA-Z]\s*= )  # 3 or 5, 3 or x = 5
    """,
    re.VERBOSE,
)
_SYMBOL: Final = re.compile(
    r"[\d=^<>√π∞+] | \\[a-zA-Z] | \$\S | (?<![\w'’])[b-hj-z](?![\w'’])", re.VERBOSE | re.I
)
_WORD: Final = re.compile(r"[a-z]+")
_MATHEMATICAL: Final = (
    WORDS.spelled_numbers | WORDS.functions | WORDS.factors.keys() | WORDS.spelled_values
)


class FinalAnswer(NamedTuple):
    """A piece of a reply and how it was found."""

    text: str
    how: How

    @property
    def whole(self) -> bool:
        """Whether the text is the answer and nothing else."""
        return self.how in ("boxed", "####")


class Announced(NamedTuple):
    """An announcement: where it stands and the answer it gives."""

    start: int
    text: str


def find_final_answer(reply: str, *, words: bool = False) -> FinalAnswer:
    """The part of the reply that gives its final answer; the text may be empty.

    Args:
        reply: The reply without its trace.
        words: Whether the answer is expected to be a word and not mathematics.
    """
    boxed = last_boxed(reply)
    if boxed is not None:
        return FinalAnswer(boxed, "boxed")
    answers = [
        each for each in _announcements(_ANSWER, reply) if words or _has_expression(each.text)
    ]
    # One that only bounds the answer counts when no other is there.
    exact = [each for each in answers if words or _has_expression(without_hedged(each.text))]
    answer, marked = next(reversed(exact or answers), None), _last_marked(reply)
    if marked and (answer is None or answer.start < marked.start):
        return FinalAnswer(marked.text, "####")
    # Results of steps are announced as well, so a result is weaker than an answer.
    for announced in (answer, *reversed(list(_announcements(_RESULT, reply)))):
        if announced:
            return FinalAnswer(announced.text, "answer is")
    return FinalAnswer(reply[-LONGEST_TAIL:].strip(), "end of reply")


def pick_expression(final: FinalAnswer) -> str | None:
    """The formula or the number standing alone that a piece of prose gives; None without one.

    At the end of a reply it is the last. After an announcement it is the first, if that is a
    formula; else the first number after the last equals sign.
    """
    text = _EMPHASIS.sub("", final.text)
    alone = [
        match
        for match in _EXPRESSION.finditer(text)
        if match["formula"] is not None
        or not (
            _JOINED_BEFORE.search(text[max(0, match.start() - _REACH) : match.start()])
            or _JOINED_AFTER.match(text, match.end())
        )
    ]
    if final.how == "end of reply" or not alone:
        return alone[-1][0] if alone else None
    if alone[0]["formula"] is not None:
        return alone[0][0]
    return next((match[0] for match in alone if match.start() > text.rfind("=")), None)


def last_boxed(reply: str) -> str | None:
    """What the last boxes hold, with commas between them; None without a closed box."""
    boxes: list[tuple[int, int, int]] = []  # where a box, its content and its closing brace begin
    for box in list(_BOX.finditer(reply))[-_MOST_BOXES:]:
        if boxes and box.start() < boxes[-1][2]:
            continue  # inside another
        depth = 1
        for brace in _BRACE.finditer(reply, box.end(), box.end() + _LONGEST_BOX):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if depth == 0:
                boxes.append((box.start(), box.end(), brace.start()))
                break
    if not boxes:
        return None
    first = len(boxes) - 1
    while first and _JOIN.fullmatch(reply, boxes[first - 1][2] + 1, boxes[first][0]):
        first -= 1
    return ", ".join(reply[content:end].strip() for _, content, end in boxes[first:])


def _last_marked(reply: str) -> Announced | None:
    """The last line after `####` that is an answer; headings of that level are titles in words."""
    for match in reversed(list(_MARKED.finditer(reply))):
        line = _EMPHASIS.sub("", match[1]).strip()
        if _has_expression(line) and not _TITLE.match(line):
            return Announced(match.start(), match[1].strip())
    return None


def _announcements(announcing: re.Pattern[str], reply: str) -> Iterator[Announced]:
    """Announcements, each with what is said up to the end of the sentence or line, outside of math."""
    for match in announcing.finditer(reply):
        text = reply[match.end() : match.end() + 2 * LONGEST_FINAL_ANSWER]
        head = text.lstrip()[: LONGEST_FINAL_ANSWER + 1]
        sentence = _SENTENCE_END.split(head, maxsplit=1)[0].strip()
        for opening, closing in _DISPLAYS:
            if head.startswith(opening) and closing in head[2:]:
                sentence = head[2 : head.index(closing, 2)].strip()
        if sentence and not _APPRAISAL.match(sentence):
            yield Announced(match.start(), sentence)


def without_hedged(text: str) -> str:
    """The text without the numbers and formulas that only bound the answer."""
    return _HEDGED.sub("", text)


def _has_expression(text: str) -> bool:
    """Whether the text holds anything mathematical: a figure, a formula, a variable, `forty`."""
    text = _EMPHASIS.sub("", text)
    if _SYMBOL.search(text) or re.fullmatch(r"\W*[a-z]\W*", text, re.IGNORECASE):
        return True
    return not _MATHEMATICAL.isdisjoint(_WORD.findall(text.lower()))
