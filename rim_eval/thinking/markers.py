"""Trace markers of model families (`markers.toml`), the scan for them, and what looks like one of no known family."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rim_eval.types import FrozenModel


class Family(NamedTuple):
    """One way of marking a trace's two ends, as written (for prefills) and as regular expressions."""

    name: str
    opened_with: str
    closed_with: str
    opening: str = ""
    closing: str = ""
    phrase: bool = False
    everyday: bool = False


class Channels(NamedTuple):
    """One way of writing a reply as a row of messages, each in a channel; regular expressions."""

    name: str
    words: tuple[str, ...]
    """One of them stands in every such reply, so that others need not be searched."""
    trace: str
    answer: str
    end: str
    needs_trace: bool = False


class MarkerTable(FrozenModel):
    """The content of `markers.toml`, which says what each entry is."""

    tags: tuple[str, ...]
    everyday_tags: tuple[str, ...]
    families: tuple[Family, ...]
    channels: tuple[Channels, ...]
    answer_wrappers: tuple[tuple[str, str], ...]
    thinking_words: tuple[str, ...]


def _tag(name: str) -> Family:
    opening, closing = (rf"<{slash}{name}(?::[\w.-]{{1,40}})?" for slash in ("", "/"))
    ends = (rf"{opening}(?:\s[^<>]{{0,200}})?>", rf"{closing}\s{{0,8}}>")
    return Family(name, f"<{name}>", f"</{name}>", *ends, everyday=name in _TABLE.everyday_tags)


_TABLE: Final = MarkerTable.model_validate(
    tomllib.loads(Path(__file__).with_name("markers.toml").read_text(encoding="utf-8"))
)
FAMILIES: Final = (*map(_tag, _TABLE.tags + _TABLE.everyday_tags), *_TABLE.families)
CHANNELS: Final = _TABLE.channels
ANSWER_WRAPPERS: Final = _TABLE.answer_wrappers


class Mark(NamedTuple):
    """One mark in a text: where it is, and whether it is `open`, `close` or `fence` (a Markdown code fence)."""

    start: int
    end: int
    kind: str
    family: Family


NO_FAMILY: Final = Family("", "", "")

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
        family = NO_FAMILY if kind == "fence" else FAMILIES[int(group[1:])]
        yield Mark(match.start(), match.end(), kind, family)


_QUOTES: Final = {"`": "`", '"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}


def _is_quoted(text: str, start: int, end: int) -> bool:
    return text[end : end + 1] == _QUOTES.get(text[start - 1 : start], "no quote")


def _is_talk(reply: str, mark: Mark) -> bool:
    if mark.kind == "open" and mark.family.phrase:
        return mark.start > 40 or bool(reply[: mark.start].strip())
    return mark.kind != "fence" and _is_quoted(reply, mark.start, mark.end)


def find_marks(reply: str, *, opened_by_prompt: bool = False) -> list[Mark]:
    """Return marks and code fences of a reply in order, without those that are only talk.

    Talk is a mark in quotation marks of its own, an opening phrase that is not a text's first words, and
    an everyday tag that an answer uses for itself: one that marks traces closes first (the prompt opened
    it), or first opens at the reply's start or right after another trace.

    Args:
        reply: The text.
        opened_by_prompt: Whether it begins inside a trace; everyday tags may then close that.
    """
    marks = [mark for mark in _scan(reply) if not _is_talk(reply, mark)]
    first: dict[str, bool] = {}
    end, before = 0, "close"
    for mark in marks:
        at_once = before == "close" and not reply[end : mark.start].strip()
        first.setdefault(mark.family.name, mark.kind == "close" or at_once)
        end, before = mark.end, mark.kind
    reserved = [mark for mark in marks if not mark.family.everyday or first[mark.family.name]]
    closes = any(mark.kind == "close" for mark in reserved)
    return marks if opened_by_prompt and not closes else reserved


def tail_marks(prompt: str) -> list[Mark]:
    """Return marks in the last 4,000 characters of a prompt; positions count from its start."""
    return [mark for mark in _scan(prompt, max(0, len(prompt) - 4000)) if mark.kind != "fence"]


def tail_channel(prompt: str) -> str | None:
    """Return the channel, `trace` or `answer`, whose header a prompt ends in; None where it ends in none."""
    for channels in CHANNELS:
        headers = f"(?P<trace>{channels.trace})|(?P<answer>{'(?!)' if channels.needs_trace else channels.answer})"
        if header := re.search(rf"(?:{headers})\s{{0,40}}\Z", prompt[-400:]):
            return header.lastgroup
    return None


_TOPIC: Final = f"(?:{'|'.join(_TABLE.thinking_words)})"
_NAMED: Final = rf"(?=[^\s<>|]{{0,40}}{_TOPIC})[^\s<>\[\]◁▷⟨⟩【】]{{1,60}}"
_LOOK_ALIKE: Final = re.compile(
    # A special token named for thinking, or with the label of a message so named after it; a tag; a bracketed
    # word; and at the very start a code block, a label or a tag's attribute so named.
    rf"(?P<token><[|｜]{_NAMED}>|<[|｜][^<>|｜\n]{{0,40}}{_TOPIC}[^<>|｜\n]{{0,40}}[|｜]>|<{_NAMED}[|｜]>|[◁⟨]{_NAMED}[▷⟩]|"
    rf"<[|｜][^\s<>]{{1,40}}>(?:assistant[/_ ])?{_TOPIC}\w{{0,20}}(?=\s{{0,8}}\n|<[|｜]))|"
    rf"<{_NAMED}(?:\s[^<>]{{0,200}})?(?<!/)>|[\[【]{_NAMED}[\]】](?![(\[:])|"
    rf"[\[【]/?(?:begin|start|end|stop|internal) (?:of )?{_TOPIC}[a-z]{{0,20}}[\]】](?![(\[:])|"
    rf"\A(?:(?:```|~~~)[ \t]?{_TOPIC}\w{{0,20}}\s|(?-i:thought)\n|<\w{{1,20}} (?:type|name)=[\"']?{_TOPIC})",
    re.IGNORECASE,
)
_NAMED_END: Final = re.compile(r"(?:\b|_)(?:end|close|stop)(?:\b|_)", re.IGNORECASE)
_CODE: Final = re.compile(
    r"^[ \t]{0,3}(?P<fence>```|~~~)[\s\S]*?(?:^[ \t]{0,3}(?P=fence)|\Z)|`[^`\n]{1,200}`",
    re.MULTILINE,
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
    text = answer.lstrip()
    plain = _CODE.sub("`", text)
    at_start = _LOOK_ALIKE.match(text)
    for match in ([at_start] if at_start else []) + list(_LOOK_ALIKE.finditer(plain)):
        mark = match[0].split()[0]
        family_mark = _SCANNER.match(f"{mark}>")
        if (family_mark and not family_mark["fence"]) or _is_quoted(plain, *match.span()):
            continue
        opening = mark.replace("/", "", 1).rstrip(">]")
        closes = mark[1] == "/" and plain.find(opening, 0, match.start()) < 0
        if match is at_start or match["token"] or closes or _NAMED_END.search(mark):
            return mark[:60]
    return None
