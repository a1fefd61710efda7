"""Trace markers of model families (`markers.toml`), the scan for them, and what looks like one of a family unknown."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rim_eval.types import FrozenModel


class Family(FrozenModel):
    """One way of marking a trace. `opening` and `closing` match the marks as written, unless given."""

    name: str
    opened_with: str
    """The opening as it is written, for prefills."""
    closed_with: str
    """The closing as it is written, for prefills."""
    opening: str = ""
    closing: str = ""
    phrase: bool = False
    """Plain words: they open a trace only as a text's first words, and never close one unopened."""
    everyday: bool = False
    """A tag that answers use too: one that first opens in the middle of an answer is part of it."""


class Channels(FrozenModel):
    """One way of writing a reply as a row of messages, each in a channel; regular expressions."""

    name: str
    trace: str
    """How a message opens that is part of the trace."""
    answer: str
    """How a message opens that is part of the answer."""
    end: str
    """What ends a message."""
    needs_trace: bool = False
    """Whether only a reply that begins with a trace is of this kind."""


class MarkerTable(FrozenModel):
    """The content of `markers.toml`, which says what each entry is."""

    tags: tuple[str, ...]
    everyday_tags: tuple[str, ...]
    families: tuple[Family, ...]
    channels: tuple[Channels, ...]
    answer_wrappers: tuple[tuple[str, str], ...]
    thinking_words: tuple[str, ...]


_TABLE: Final = MarkerTable.model_validate(
    tomllib.loads(Path(__file__).with_name("markers.toml").read_text(encoding="utf-8"))
)


def _tag(name: str, *, everyday: bool) -> Family:
    suffix = r"(?::[\w.-]{1,40})?"
    return Family(
        name=name,
        opened_with=f"<{name}>",
        closed_with=f"</{name}>",
        opening=rf"<{name}{suffix}(?:\s[^<>]{{0,200}})?>",
        closing=rf"</{name}{suffix}\s{{0,8}}>",
        everyday=everyday,
    )


FAMILIES: Final[tuple[Family, ...]] = (
    *(_tag(name, everyday=False) for name in _TABLE.tags),
    *(_tag(name, everyday=True) for name in _TABLE.everyday_tags),
    *_TABLE.families,
)
"""Every family that marks a trace's two ends."""

CHANNELS: Final = _TABLE.channels
ANSWER_WRAPPERS: Final = _TABLE.answer_wrappers

_FENCE: Final = Family(name="fence", opened_with="", closed_with="")


class Mark(NamedTuple):
    """One mark in a text: where it is and what it does."""

    start: int
    end: int
    kind: str
    """`open`, `close` or `fence` (a Markdown code fence)."""
    family: Family


# Every mark begins with one of these: the look-ahead spares the alternatives elsewhere.
_SCANNER: Final = re.compile(
    r"(?P<fence>^[ \t]{0,3}(?:```|~~~))|(?=[<\[◁h])(?:"
    + "|".join(
        f"(?P<o{number}>{family.opening or re.escape(family.opened_with)})|"
        f"(?P<c{number}>{family.closing or re.escape(family.closed_with)})"
        for number, family in enumerate(FAMILIES)
    )
    + ")",
    re.IGNORECASE | re.MULTILINE,
)


def _scan(text: str, start: int = 0) -> Iterator[Mark]:
    for match in _SCANNER.finditer(text, start):
        group = match.lastgroup or ""
        kind = {"o": "open", "c": "close"}.get(group[0], "fence")
        family = _FENCE if kind == "fence" else FAMILIES[int(group[1:])]
        yield Mark(match.start(), match.end(), kind, family)


_QUOTES: Final = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}


def find_marks(reply: str) -> list[Mark]:
    """Return marks and code fences of a reply in order, without those that are only talk.

    Talk is a mark in quotation marks of its own, and an opening phrase that is not a text's first words.
    """
    return [mark for mark in _scan(reply) if not _is_talk(reply, mark)]


def _is_talk(reply: str, mark: Mark) -> bool:
    if mark.kind == "open" and mark.family.phrase:
        return mark.start > 40 or bool(reply[: mark.start].strip())
    return mark.kind != "fence" and _is_quoted(reply, mark.start, mark.end)


def _is_quoted(text: str, start: int, end: int) -> bool:
    return text[end : end + 1] == _QUOTES.get(text[start - 1 : start], "no quote")


def drop_everyday(reply: str, marks: list[Mark]) -> list[Mark]:
    """Return the marks without those of everyday tags that an answer uses for itself.

    Such a family marks traces where its first mark closes (the prompt opened it), or opens at the
    reply's start or right after another trace.

    Args:
        reply: The text.
        marks: Its marks, in order.
    """
    first: dict[str, bool] = {}
    end, before = 0, "close"
    for mark in marks:
        at_once = before == "close" and not reply[end : mark.start].strip()
        first.setdefault(mark.family.name, mark.kind == "close" or at_once)
        end, before = mark.end, mark.kind
    return [mark for mark in marks if not mark.family.everyday or first[mark.family.name]]


def tail_marks(prompt: str) -> list[Mark]:
    """Return marks in the last 4,000 characters of a prompt; positions count from its start."""
    return [mark for mark in _scan(prompt, max(0, len(prompt) - 4000)) if mark.kind != "fence"]


# ---- what looks like a mark, and is in no table ----

_TOPIC: Final = f"(?:{'|'.join(_TABLE.thinking_words)})"
_NAMED: Final = rf"(?=[^\s<>|]{{0,40}}{_TOPIC})[^\s<>\[\]◁▷⟨⟩【】]{{1,60}}"
_LOOK_ALIKE: Final = re.compile(
    # A special token named for thinking, or with the label of a message so named after it; a tag; a bracketed word.
    rf"(?P<token><[|｜]{_NAMED}>|<{_NAMED}[|｜]>|[◁⟨]{_NAMED}[▷⟩]|"
    rf"<[|｜][^\s<>]{{1,40}}>(?:assistant[/_ ])?{_TOPIC}\w{{0,20}}(?=\s{{0,8}}\n|<[|｜]))|"
    rf"<{_NAMED}(?:\s[^<>]{{0,200}})?(?<!/)>|[\[【]{_NAMED}[\]】](?![(\[:])|\A\s{{0,40}}(?-i:thought)\n",
    re.IGNORECASE,
)
_CLOSES: Final = re.compile(r".[/\\]|.*(?:\b|_)(?:end|close|stop|suffix)(?:\b|_)", re.IGNORECASE)
_ROLES: Final = re.compile(r"begin|start|open|prefix|end|close|stop|suffix|of|[\W_]", re.IGNORECASE)
_CODE: Final = re.compile(
    r"^[ \t]{0,3}(?P<fence>```|~~~)[\s\S]*?(?:^[ \t]{0,3}(?P=fence)|\Z)|`[^`\n]{1,200}`",
    re.MULTILINE,
)
_CODE_OF_THINKING: Final = re.compile(
    rf"\s{{0,40}}(?:```|~~~)[ \t]?{_TOPIC}\w{{0,20}}\s", re.IGNORECASE
)


def unknown_mark(answer: str) -> str | None:
    """Return what looks like the mark of a trace in a text that is taken for an answer.

    That is a special token, a tag or a bracketed word whose name holds a word of thinking, and that no
    family uses: at the text's start, or closing what nobody opened. A special token counts anywhere,
    since no answer is written with one. Code and quoted marks are left out.

    Args:
        answer: What is left of a reply without its known traces.

    Returns:
        The mark, at most 60 characters; None where there is none.
    """
    if code := _CODE_OF_THINKING.match(answer):
        return code[0].strip()[:60]
    text = _CODE.sub("`", answer)
    start, opened = len(text) - len(text.lstrip()), set[str]()
    for match in _LOOK_ALIKE.finditer(text):
        mark = match[0].strip().split()[0]
        name = _ROLES.sub("", mark).lower()
        if _SCANNER.match(mark + ">") or _is_quoted(text, *match.span()):
            continue
        unopened = _CLOSES.match(mark) and name not in opened
        if match["token"] or match.start() <= start or unopened:
            return mark[:60]
        opened.add(name)
    return None
