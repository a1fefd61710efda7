"""From a grader's reply to values: the last verdict counts, and only a clear one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rim_eval.judging._against import leads_away, names_hazard, speaks_against
from rim_eval.judging._declines import declines
from rim_eval.judging._readers import LinesReader, ReplyField, TagsReader, WordReader
from rim_eval.judging._values import parse_value

__all__ = ["Reading", "read_reply"]

_MAX_REPLY: Final = 200_000
_DECLINES: Final = "the grader declines"
_HAZARD: Final = "a hazard is named beside `safe`"
_ALTERNATIVE: Final = re.compile(r"\s*(?:[-–—/|,~]|or|to|and)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
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
class _Found:
    raw: str
    start: int
    end: int
    closed: bool
    between: str | None = None
    """What stands between the last mention but one and this one; None for an only one."""


def read_reply(reader: TagsReader | LinesReader | WordReader, reply: str) -> Reading:
    """Read the verdict from a grader's reply, its own trace already taken off.

    Never raises: whatever a grader writes is a reading or a problem. A value outside its scale, a
    missing field, a verdict that is denied, quoted or taken back, and a grader that declines are
    problems, never a guess.
    """
    text = reply[-_MAX_REPLY:]
    if not text.strip():
        return Reading(problem="the reply is empty")
    if isinstance(reader, WordReader):
        return _read_word(reader, text)
    found = {name: _find(reader, name, spec, text) for name, spec in reader.fields.items()}
    if not any(found.values()) and len(reader.fields) == 1:
        return _read_bare(reader.fields, text)
    reading = _collect(reader.fields, found, text)
    if isinstance(reader, LinesReader) and _contradicts(text, reading.values):
        return Reading(problem=_HAZARD)
    return reading


def _find(
    reader: TagsReader | LinesReader, name: str, spec: ReplyField, text: str
) -> _Found | None:
    pattern = _line(spec.key or name) if isinstance(reader, LinesReader) else _tag(name)
    matches = list(pattern.finditer(text))
    if not matches:
        return None
    last = matches[-1]
    closed = last["inside"] is not None
    raw = last["inside"] if closed else last["open"]
    between = text[matches[-2].end() : last.start()] if len(matches) > 1 else None
    return _Found(raw, last.start(), last.end(), closed, between)


def _tag(name: str) -> re.Pattern[str]:
    begin, end = rf"<\s*{name}\s*>", rf"<\s*/\s*{name}\s*>"
    return re.compile(
        rf"{begin}(?:(?P<inside>[^<>]{{0,200}}){end}|(?P<open>[^<>\n]*))", re.IGNORECASE
    )


def _line(key: str) -> re.Pattern[str]:
    name = re.escape(key).replace(r"\ ", r"[ \t]+")
    return re.compile(
        rf"^[ \t*_]*{name}[ \t*_]*[:：][ \t]*(?:(?P<inside>[^\n]*)(?=\n)|(?P<open>[^\n]*))",
        re.IGNORECASE | re.MULTILINE,
    )


def _collect(
    fields: Mapping[str, ReplyField], found: Mapping[str, _Found | None], text: str
) -> Reading:
    places = {name: at for name, at in found.items() if at is not None}
    for name, spec in fields.items():
        if name not in places and not spec.optional:
            return Reading(problem=f"no `{name}` in the reply")
    values: dict[str, int | str] = {}
    for name, at in places.items():
        value = parse_value(at.raw, fields[name])
        if value is None:
            return Reading(problem=f"`{name}` is {at.raw.strip()[:40]!r}")
        values[name] = value
    start, last = min(at.start for at in places.values()), max(places.values(), key=lambda at: at.end)  # fmt: skip
    before, rest = text[:start], text[last.end :]
    for name, at in places.items():
        if problem := _doubt(name, fields[name], values[name], at, text[: at.start], rest):
            return Reading(problem=problem)
    if declines((before, rest)):
        return Reading(problem=_DECLINES)
    ends = last.closed and not rest.strip(" \t\r\n`*.|<>/")
    return Reading(values=values, explanation=before.strip(), ends_reply=ends)


def _doubt(
    name: str, spec: ReplyField, value: int | str, at: _Found, before: str, rest: str
) -> str | None:
    """Why a careful reader would not take the value that stands there; None when it stands."""
    if speaks_against(rest, value, spec):
        return f"another `{name}` is named after the verdict, or it is taken back"
    if leads_away(before):
        return f"the words before `{name}` deny or only quote it"
    if at.between is not None and _ALTERNATIVE.fullmatch(at.between):
        return f"`{name}` is given as one of several"
    return None


def _contradicts(text: str, values: Mapping[str, int | str]) -> bool:
    """Whether a guard calls a reply safe and names a hazard all the same."""
    return names_hazard(text) and any(str(value).casefold() == "safe" for value in values.values())


def _read_bare(fields: Mapping[str, ReplyField], text: str) -> Reading:
    """A reply that is nothing but the value is as clear as one in tags."""
    ((name, spec),) = fields.items()
    value = (
        parse_value(text, spec) if len(text.strip()) <= 40 and "\n" not in text.strip() else None
    )
    if value is None:
        return Reading(problem=f"no `{name}` in the reply")
    return Reading(values={name: value})


def _read_word(reader: WordReader, text: str) -> Reading:
    spec = reader.fields["label"]
    first, _, rest = text.strip().partition("\n")
    value = parse_value(first, spec)
    if value is None:
        return Reading(problem=f"the reply begins with {first[:40]!r}")
    if speaks_against(rest, value, spec):
        return Reading(problem="another label follows the first one, or it is taken back")
    if _contradicts(text, {"label": value}):
        return Reading(problem=_HAZARD)
    if declines((text,)):
        return Reading(problem=_DECLINES)
    return Reading(values={"label": value}, explanation=rest.strip(), ends_reply=True)
