"""Parse a grader's reply into values: the last verdict counts, and only a clear one.

Values are read as a careful person would: `**4**` is 4, `3-4` is nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rim_eval.judging._spec import LinesReader, ReplyField, TagsReader, WordReader
from rim_eval.judging._verdict_doubt import (
    FULL_WIDTH,
    NUMBER_WORDS,
    explains,
    leads_away,
    names_hazard,
    refuses_to_grade,
    speaks_against,
)

_MAX_REPLY: Final = 200_000
_DECLINES: Final = "the grader declines"
_HAZARD: Final = "a hazard is named beside `safe`"
_ALTERNATIVE: Final = re.compile(r"\s*(?:[-–—/|,~]|or|to|and)\s*", re.IGNORECASE)
_WRAPPING: Final = " \t\r\n*_`~\"'“”‘’«»()[]{}.,:;!#=|"
_OUT_OF: Final = re.compile(r"([0-9]{1,4})(?:\.0)?\s*(?:/|out of)\s*([0-9]{1,4})")
_EXPLAINED: Final = re.compile(r"([0-9]{1,4})(?:\.0)?\s*(?:$|[-–—:,;(.]\s*[^\W\d].*)", re.DOTALL)


@dataclass(frozen=True)
class ParsedVerdict:
    """What one reply says."""

    values: Mapping[str, int | str] = field(default_factory=dict)
    """By field; empty when there is a problem."""
    explanation: str = ""
    """What stands before the verdict."""
    problem: str | None = None
    """Why the reply is unreadable; None when it is readable."""
    ends_reply: bool = False
    """Whether the verdict is complete and nothing follows: true even of a reply cut there."""


@dataclass(frozen=True)
class _Mention:
    raw: str
    start: int
    end: int
    closed: bool
    between: str | None = None
    """What stands between the last mention but one and this one; None for an only one."""


def parse_verdict(reader: TagsReader | LinesReader | WordReader, reply: str) -> ParsedVerdict:
    """Read the verdict from a grader's reply, its own trace already removed.

    Never raises: whatever a grader writes is a value or a problem. A value outside its scale, a
    missing field, a verdict that is denied, quoted or taken back, and a grader that declines are
    problems, never a guess.
    """
    text = reply[-_MAX_REPLY:]
    if not text.strip():
        return ParsedVerdict(problem="the reply is empty")
    if isinstance(reader, WordReader):
        return _read_word(reader, text)
    mentions = {name: _find(reader, name, spec, text) for name, spec in reader.fields.items()}
    if not any(mentions.values()) and len(reader.fields) == 1:
        return _read_bare(reader.fields, text)
    parsed = _collect(reader.fields, mentions, text)
    if isinstance(reader, LinesReader) and _contradicts(text, parsed.values):
        return ParsedVerdict(problem=_HAZARD)
    return parsed


def _find(
    reader: TagsReader | LinesReader, name: str, spec: ReplyField, text: str
) -> _Mention | None:
    if isinstance(reader, LinesReader):
        key = re.escape(spec.key or name).replace(r"\ ", r"[ \t]+")
        pattern = rf"^[ \t*_]*{key}[ \t*_]*[:：][ \t]*(?:(?P<inside>[^\n]*)(?=\n)|(?P<open>[^\n]*))"
    else:
        closing = rf"<\s*/\s*{name}\s*>"
        pattern = rf"<\s*{name}\s*>(?:(?P<inside>[^<>]{{0,200}}){closing}|(?P<open>[^<>\n]*))"
    matches = list(re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE))
    if not matches:
        return None
    last = matches[-1]
    closed = last["inside"] is not None
    raw = last["inside"] if closed else last["open"]
    between = text[matches[-2].end() : last.start()] if len(matches) > 1 else None
    return _Mention(raw, last.start(), last.end(), closed, between)


def _collect(
    fields: Mapping[str, ReplyField], mentions: Mapping[str, _Mention | None], text: str
) -> ParsedVerdict:
    places = {name: at for name, at in mentions.items() if at is not None}
    for name, spec in fields.items():
        if name not in places and not spec.optional:
            return ParsedVerdict(problem=f"no `{name}` in the reply")
    values: dict[str, int | str] = {}
    for name, at in places.items():
        value = _parse_value(at.raw, fields[name])
        if value is None:
            return ParsedVerdict(problem=f"`{name}` is {at.raw.strip()[:40]!r}")
        values[name] = value
    last = max(places.values(), key=lambda at: at.end)
    before, rest = text[: min(at.start for at in places.values())], text[last.end :]
    for name, at in places.items():
        problem = None
        if speaks_against(rest, values[name], fields[name]):
            problem = f"another `{name}` is named after the verdict, or it is taken back"
        elif leads_away(text[: at.start]):
            problem = f"the words before `{name}` deny or only quote it"
        elif at.between is not None and _ALTERNATIVE.fullmatch(at.between):
            problem = f"`{name}` is given as one of several"
        if problem:
            return ParsedVerdict(problem=problem)
    if refuses_to_grade((before, rest)):
        return ParsedVerdict(problem=_DECLINES)
    ends = last.closed and not rest.strip(" \t\r\n`*.|<>/")
    return ParsedVerdict(values=values, explanation=before.strip(), ends_reply=ends)


def _contradicts(text: str, values: Mapping[str, int | str]) -> bool:
    """Whether a guard calls a reply safe and names a hazard all the same."""
    return names_hazard(text) and any(str(value).casefold() == "safe" for value in values.values())


def _read_bare(fields: Mapping[str, ReplyField], text: str) -> ParsedVerdict:
    """A reply that is nothing but the value is as clear as one in tags."""
    [(name, spec)] = fields.items()
    text = text.strip()
    value = _parse_value(text, spec) if len(text) <= 40 and "\n" not in text else None
    if value is None:
        return ParsedVerdict(problem=f"no `{name}` in the reply")
    return ParsedVerdict(values={name: value})


def _read_word(reader: WordReader, text: str) -> ParsedVerdict:
    spec = reader.fields["label"]
    first, _, rest = text.strip().partition("\n")
    value = _parse_value(first, spec)
    if value is None:
        return ParsedVerdict(problem=f"the reply begins with {first[:40]!r}")
    if speaks_against(rest, value, spec):
        return ParsedVerdict(problem="another label follows the first one, or it is taken back")
    if _contradicts(text, {"label": value}):
        return ParsedVerdict(problem=_HAZARD)
    if refuses_to_grade((text,)):
        return ParsedVerdict(problem=_DECLINES)
    return ParsedVerdict(values={"label": value}, explanation=rest.strip(), ends_reply=True)


def _parse_value(text: str, field: ReplyField) -> int | str | None:
    """The value that `text` states, or None when it states none, another one, or several.

    Markdown, quotes, a closing full stop, full-width digits, `4/5`, number words and an
    explanation after the value are read through; numbers outside the scale, fractions and
    alternatives (`3-4`, `4 or 5`) are not.
    """
    plain = text.translate(FULL_WIDTH).strip(_WRAPPING)
    return _label(plain, field) if field.integers is None else _number(plain, field)


def _number(plain: str, field: ReplyField) -> int | None:
    low, high = field.integers or (0, 0)
    lowered = plain.casefold()
    if lowered in NUMBER_WORDS:
        value = NUMBER_WORDS.index(lowered)
    elif match := _OUT_OF.fullmatch(lowered):
        if int(match[2]) != high:
            return None
        value = int(match[1])
    elif match := _EXPLAINED.fullmatch(plain):
        value, words = int(match[1]), plain[match.end(1) :]
        if re.search("[0-9]", words[2:]) or not explains(words, value, field):
            return None
    else:
        return None
    return value if low <= value <= high else None


def _label(plain: str, field: ReplyField) -> str | None:
    for label in sorted(field.labels or (), key=len, reverse=True):
        behind = r"(?![\w-])(?:\s*$|\s*(?P<rest>[^\w\s?/|].*))"
        match = re.match(re.escape(label) + behind, plain, re.IGNORECASE | re.DOTALL)
        if match:
            rest = match["rest"] or ""
            # A sentence of its own is read as what follows a verdict.
            doubted = (
                speaks_against(rest, label, field)
                if rest.startswith(".")
                else not explains(rest, label, field)
            )
            return None if doubted else label
    return None
