"""From a grader's reply to values: the last verdict counts, and only a clear one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rim_eval.judging._readers import LinesReader, ReplyField, TagsReader, WordReader
from rim_eval.judging._values import parse_value, speaks_against

__all__ = ["Reading", "read_reply"]

_MAX_REPLY: Final = 200_000


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


def read_reply(reader: TagsReader | LinesReader | WordReader, reply: str) -> Reading:
    """Read the verdict from a grader's reply, its own trace already taken off.

    Never raises: whatever a grader writes is a reading or a problem. A value outside its scale, a
    missing field, or a later mention of another value is a problem, never a guess.
    """
    text = reply[-_MAX_REPLY:]
    if not text.strip():
        return Reading(problem="the reply is empty")
    if isinstance(reader, WordReader):
        return _read_word(reader, text)
    found = {name: _find(reader, name, spec, text) for name, spec in reader.fields.items()}
    if not any(found.values()) and len(reader.fields) == 1:
        return _read_bare(reader.fields, text)
    return _collect(reader.fields, found, text)


def _find(
    reader: TagsReader | LinesReader, name: str, spec: ReplyField, text: str
) -> _Found | None:
    pattern = _line(spec.key or name) if isinstance(reader, LinesReader) else _tag(name)
    matches = list(pattern.finditer(text))
    if not matches:
        return None
    last = matches[-1]
    closed = last["inside"] is not None
    return _Found(last["inside"] if closed else last["open"], last.start(), last.end(), closed)


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
    values: dict[str, int | str] = {}
    for name, spec in fields.items():
        at = found[name]
        if at is None:
            if not spec.optional:
                return Reading(problem=f"no `{name}` in the reply")
            continue
        value = parse_value(at.raw, spec)
        if value is None:
            return Reading(problem=f"`{name}` is {at.raw.strip()[:40]!r}")
        values[name] = value
    places = [at for at in found.values() if at is not None]
    rest = text[max(at.end for at in places) :]
    against = [name for name, value in values.items() if speaks_against(rest, value, fields[name])]
    if against:
        return Reading(problem=f"another `{against[0]}` is named after the verdict")
    last = max(places, key=lambda at: at.end)
    return Reading(
        values=values,
        explanation=text[: min(at.start for at in places)].strip(),
        ends_reply=last.closed and not rest.strip(" \t\r\n`*.|<>/"),
    )


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
        return Reading(problem="another label follows the first one")
    return Reading(values={"label": value}, explanation=rest.strip(), ends_reply=True)
