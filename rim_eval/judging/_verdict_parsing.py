"""Parse a grader's reply into values: the last verdict counts, in any known form, inside its scale.

A judge file declares the form that is asked for; graders answer in others too. So every field is looked for in
JSON objects, in `<field>v</field>` tags, in `key: v` lines, and in a reply that is nothing but the value. Two
different verdicts are none. No words around a verdict are interpreted.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from rim_eval.judging._case import Value
from rim_eval.judging._spec import FieldsReader, ReplyField, WordReader

_MAX_REPLY: Final = 50_000
_SPECIAL_TOKEN: Final = re.compile(r"<[|｜][^<>\n]{0,64}[|｜]>|</s>")
_HAZARD_CODE: Final = re.compile(r"\bS\d{1,2}\b")
_NUMBER: Final = re.compile(r"(\d{1,4})(?:\.0+)?(?:\s*(?:/|／|out of)\s*(\d{1,4}))?")
_WRAPPING: Final = " \t\r\n*_`~\"'“”‘’«»「」()（）[]{}:,;!#=|"
_DECODER: Final = json.JSONDecoder(strict=False)
_APART: Final = 5
"""Fewest characters between two verdicts; closer ones (`3</score> or <score>4`) stand side by side."""


@dataclass(frozen=True)
class ParsedVerdict:
    """What one reply says."""

    values: Mapping[str, Value] = field(default_factory=dict)
    """By field; empty when there is a problem."""
    explanation: str = ""
    """What stands before the verdict; the whole reply where nothing does."""
    problem: str | None = None
    """Why the reply is unreadable; None when it is readable."""
    ends_reply: bool = False
    """Whether the verdict is complete and nothing follows: true even of a reply cut there."""


class _Mention(NamedTuple):
    start: int
    end: int
    value: Value | None
    """None where it is none of the scale."""


_Fields = Mapping[str, ReplyField]
_Mentions = Iterator[tuple[str, _Mention]]


def parse_verdict(reader: FieldsReader | WordReader, reply: str) -> ParsedVerdict:
    """Read the verdict from a grader's reply, its own trace already removed.

    Never raises: whatever a grader writes is a value or a problem, and never a guess.
    """
    text = _SPECIAL_TOKEN.sub("", reply[-_MAX_REPLY:])
    if isinstance(reader, WordReader):
        return _read_word(reader.fields["label"], text)
    values: dict[str, Value] = {}
    places: list[_Mention] = []
    for name, forms in _mentions(reader, text).items():
        value, problem = _decide(forms, text)
        if value is not None:
            values[name] = value
            places += [form[-1] for form in forms]
        elif forms or not reader.fields[name].optional:
            return ParsedVerdict(problem=f"`{name}`: {problem}")
    if not places:
        return ParsedVerdict(problem="no field in the reply")
    start, last = min(at.start for at in places), max(places, key=lambda at: at.end)
    closed = text[last.end - 1] in ">}" or last.end < len(text)
    ends = closed and not text[last.end :].strip(_WRAPPING + ".<>/")
    return ParsedVerdict(values, text[:start].strip() or text.strip(), ends_reply=ends)


def _mentions(reader: FieldsReader, text: str) -> dict[str, list[list[_Mention]]]:
    """The mentions of each field, by form, the declared form first."""
    found: dict[str, dict[str, list[_Mention]]] = {name: {} for name in reader.fields}
    rest = text
    for kind, find in (("json", _in_json), ("tags", _in_tags), ("lines", _in_lines)):
        for name, at in list(find(reader.fields, rest)):
            found[name].setdefault(kind, []).append(at)
            # What stands inside one form is no mention in another one.
            rest = rest[: at.start] + " " * (at.end - at.start) + rest[at.end :]
    declared_first = partial(sorted, key=lambda kind: kind != reader.kind)
    return {name: [forms[k] for k in declared_first(forms)] for name, forms in found.items()}


def _decide(forms: list[list[_Mention]], text: str) -> tuple[Value | None, str]:
    """The value that all forms agree on, or what is wrong."""
    if not forms:
        return None, "missing in the reply"
    last = forms[0][-1]
    if last.value is None:
        return None, f"no value of the scale in {text[last.start : last.end].strip()[:60]!r}"
    before = [at for at in forms[0][-2:-1] if len(text[at.end : last.start].strip()) < _APART]
    others = {at.value for at in (*before, *(form[-1] for form in forms[1:]))}
    disagree = others - {None, last.value}
    return (None, "two different verdicts") if disagree else (last.value, "")


def _in_json(fields: _Fields, text: str) -> _Mentions:
    names = {key: name for name, spec in fields.items() for key in _keys(name, spec)}
    start = text.find("{")
    while start >= 0:
        try:
            content, end = _DECODER.raw_decode(text, start)
        except ValueError:
            content, end = {}, start
        except RecursionError:  # nested beyond anything that a grader writes
            return
        named = [(names[plain], key) for key in content if (plain := _plain_key(key)) in names]
        for name, key in named:
            if content[key] is not None:
                yield name, _Mention(start, end, _value(content[key], fields[name]))
        start = text.find("{", end if named else start + 1)


def _in_tags(fields: _Fields, text: str) -> _Mentions:
    for name, spec in fields.items():
        pattern = rf"<\s*{name}\s*>(?:([^<>]{{0,200}})<\s*/\s*{name}\s*>|([^<>\n]*))"
        for match in re.finditer(pattern, text, re.IGNORECASE):
            raw = match[2] if match[1] is None else match[1]
            yield name, _Mention(*match.span(), _value(raw, spec))


def _in_lines(fields: _Fields, text: str) -> _Mentions:
    """Lines that begin with the key, without a colon only where a value is all that follows; or a bare value."""
    for name, spec in fields.items():
        if len(fields) == 1 and (value := _value(text, spec)) is not None:
            yield name, _Mention(0, len(text), value)
        keys = "|".join(re.escape(key).replace(r"\ ", r"[ \t]+") for key in _keys(name, spec))
        lead = r"^[ \t>*_#•\"'-]*(?:\d{1,2}[.)][ \t*_]*)?"
        pattern = rf"{lead}(?:{keys})(?!\w)[\"'*_ \t]*([:：]?)([^\n]*)"
        for match in re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE):
            value = _value(match[2], spec)
            if value is not None or (match[1] and match[2].strip(_WRAPPING)):
                yield name, _Mention(*match.span(), value)


def _keys(name: str, spec: ReplyField) -> set[str]:
    return {_plain_key(name), _plain_key(spec.key or name)}


def _plain_key(key: str) -> str:
    return key.strip(" \"'#*_:").casefold() or key


def _read_word(spec: ReplyField, text: str) -> ParsedVerdict:
    """The label that is the first line or sentence, with or without hazard codes (`S1,S9`)."""
    plain = _HAZARD_CODE.sub(" ", text)
    parts = [part for part in re.split(r"\n|(?<=\.)\s", plain) if part.strip(_WRAPPING)]
    label, *others = [_value(part, spec) for part in parts] or [None]
    if label is None:
        return ParsedVerdict(problem=f"the reply begins with {text.strip()[:40]!r}")
    if set(others) - {None, label} or (str(label).casefold() == "safe" and plain != text):
        return ParsedVerdict(problem="two different verdicts, or a hazard beside `safe`")
    rest = text.strip().partition("\n")[2].strip()
    return ParsedVerdict({"label": label}, explanation=rest, ends_reply=True)


def _value(raw: object, spec: ReplyField) -> Value | None:
    """The value that text or JSON states; None when it states none, several, or one off the scale."""
    if spec.several:
        parts = raw if isinstance(raw, list) else re.split(r"[,;]", str(raw).strip(_WRAPPING))
        labels = [_value(part, spec.model_copy(update={"several": False})) for part in parts]
        return None if None in labels else tuple(map(str, labels))
    plain = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)
    plain = plain.strip(_WRAPPING).rstrip(_WRAPPING + ".。")
    if spec.integers is None:
        return next((one for one in spec.labels or () if one.casefold() == plain.casefold()), None)
    low, high = spec.integers
    number = _NUMBER.fullmatch(plain)
    if number is None or int(number[2] or high) != high or not low <= int(number[1]) <= high:
        return None
    return int(number[1])
