"""Parse a grader's reply into values: the last verdict counts, in any known form, inside its scale.

A judge file declares the form that is asked for; graders answer in others too. So every field is looked for as
`<field>v</field>`, as a field of JSON, as a `key: v` line, and as a reply that is nothing but the value. Two
different verdicts are none. No words around a verdict are interpreted.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rim_eval.judging._case import Value
from rim_eval.judging._spec import FieldsReader, ReplyField, WordReader

_MAX_REPLY: Final = 50_000
_FORMS: Final = {
    "tags": r"<\s*(?:{key})\s*>(?:([^<>]{{0,200}})<\s*/\s*(?:{key})\s*>|([^<>\n]*))",
    "json": r"[\"']#?(?:{key})[\"']\s*:\s*(?!null\b)(\[[^\]]*\]|\"[^\"\n]*\"|[^,}}\n]*)",
    # A line without a colon is one only where a number follows: `1.b 0`.
    "lines": r"{at}(?:{key})[.)]?[ \t*_]*(?:[:：|]|(?<=[ \t*])(?=\d))([^\n]*)",
}
"""How a field's value stands in each form."""

_LINE_START: Final = r"^[ \t>*_#|•-]*(?:\w{1,2}[.)][ \t*_]*)?"
"""Where a key stands; one that begins with `#` is no word of prose, and may stand anywhere in a line."""

_NUMBER: Final = re.compile(r"(\d{1,4})(?:\.0+)?(?:\s*(?:/|／|out of)\s*(\d{1,4}))?")
_HAZARD_CODE: Final = re.compile(r"\bS\d{1,2}\b")
_TAG: Final = re.compile(r"<[^<>\n]{1,64}>")
_WRAPPING: Final = " \t\r\n*_`~\"'“”‘’«»「」()（）[]{}:,;!#=|"
_APART: Final = 5
"""Fewest letters and digits between two verdicts; closer ones (`3</score> or <score>4`) stand side by side."""


@dataclass(frozen=True)
class ParsedVerdict:
    """What one reply says."""

    values: Mapping[str, Value] = field(default_factory=dict)
    """By field; empty when there is a problem."""
    explanation: str = ""
    """What stands before the verdict."""
    problem: str | None = None
    """Why the reply is unreadable; None when it is readable."""
    ends_reply: bool = False
    """Whether the verdict is complete and nothing follows: true even of a reply cut there."""


class _Mention(NamedTuple):
    start: int
    end: int
    value: Value | None
    """None where it is none of the scale."""


def parse_verdict(reader: FieldsReader | WordReader, reply: str) -> ParsedVerdict:
    """Read the verdict from a grader's reply, its own trace already removed.

    Never raises: whatever a grader writes is a value or a problem, and never a guess.
    """
    text = reply[-_MAX_REPLY:]
    if isinstance(reader, WordReader):
        return _read_word(ReplyField(labels=reader.labels), text)
    values: dict[str, Value] = {}
    places: list[_Mention] = []
    for name, spec in reader.fields.items():
        forms = _mentions(name, spec, text)
        if not forms and len(reader.fields) == 1:
            forms = {"bare": [_Mention(0, len(text), _value(text, spec))]}
        if not forms and spec.optional:
            continue
        last = [forms[kind][-1] for kind in sorted(forms, key=lambda kind: kind != reader.kind)]
        if not last or last[0].value is None:
            return ParsedVerdict(problem=f"no `{name}` of the scale in the reply")
        if {at.value for at in (*last, *_beside(forms, text))} - {None, last[0].value}:
            return ParsedVerdict(problem=f"two different verdicts for `{name}`")
        values[name] = last[0].value
        places += last
    if not places:
        return ParsedVerdict(problem="no field in the reply")
    start, end = min(at.start for at in places), max(at.end for at in places)
    closed = text[end - 1] == ">" or end < len(text)
    ends = closed and not text[end:].strip(_WRAPPING + ".<>/")
    return ParsedVerdict(values, text[:start].strip(), ends_reply=ends)


def _mentions(name: str, spec: ReplyField, text: str) -> dict[str, list[_Mention]]:
    """Where the text gives a field a value, by form."""
    declared = spec.key or name
    at = f"(?:{_LINE_START}|#)" if declared.startswith("#") else _LINE_START
    mentions: dict[str, list[_Mention]] = {}
    for kind, form in _FORMS.items():
        # A line answers to the declared key alone: a scale that is explained may name the field.
        keys = {declared} if kind == "lines" else {name, declared}
        bare = [re.escape(key.strip(" \"'#*_:") or key).replace(r"\ ", r"[ \t]+") for key in keys]
        pattern = form.format(key="|".join(sorted(bare)), at=at)
        for match in re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE):
            raw = next(group for group in match.groups() if group is not None)
            if raw.strip(_WRAPPING) or raw == "[]":
                mention = _Mention(*match.span(), _value(raw, spec))
                mentions.setdefault(kind, []).append(mention)
    return mentions


def _beside(forms: Mapping[str, list[_Mention]], text: str) -> list[_Mention]:
    """Verdicts right before the last one of the same form."""
    pairs = [form[-2:] for form in forms.values() if len(form) > 1]
    return [
        before
        for before, last in pairs
        if sum(map(str.isalnum, text[before.end : last.start])) < _APART
    ]


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


def _value(raw: str, spec: ReplyField) -> Value | None:
    """The value that a text states; None when it states none, several, or one off the scale."""
    plain = _TAG.sub("", raw).strip(_WRAPPING).rstrip(_WRAPPING + ".。")
    if spec.multiple:
        one = spec.model_copy(update={"multiple": False})
        labels = [_value(part, one) for part in re.split("[,;]", plain) if plain]
        return None if None in labels else tuple(map(str, labels))
    if spec.integers is None:
        return next((one for one in spec.labels or () if one.casefold() == plain.casefold()), None)
    low, high = spec.integers
    number = _NUMBER.fullmatch(plain)
    # `0/1` is the form said again, not a rating out of 1.
    if number is None or (number[2] and (high == 1 or int(number[2]) != high)):
        return None
    return int(number[1]) if low <= int(number[1]) <= high else None
