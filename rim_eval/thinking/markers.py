"""Trace markers of model families: one table, and the scan that finds the marks in a text."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple


class Family(NamedTuple):
    """One way of marking a trace.

    `opening` and `closing` are regular expressions of bounded reach, so that a scan is linear.
    """

    name: str
    opening: str
    closing: str
    opened_with: str
    """The opening as it is written, for prefills."""
    closed_with: str
    """The closing as it is written, for prefills."""
    phrase: bool = False
    """Plain words: they open a trace only as a text's first words, and never close one unopened."""
    everyday: bool = False
    """A tag that answers use too: one that first opens in the middle of an answer is part of it."""


def _tag(name: str, *, everyday: bool = False) -> Family:
    body = re.escape(name)
    opening, closing = rf"<{body}(?:\s[^<>]{{0,200}})?>", rf"</{body}\s{{0,8}}>"
    return Family(name, opening, closing, f"<{name}>", f"</{name}>", everyday=everyday)


def _literal(name: str, opening: str, closing: str) -> Family:
    return Family(name, re.escape(opening), re.escape(closing), opening, closing)


_TAGS: Final = ["think", "thinking", "seed:think", "mm:think", "longcat_think"]
_EVERYDAY_TAGS: Final = [
    "thought",
    "thoughts",
    "reasoning",
    "ponder",
    "pondering",
    "deliberation",
    "scratchpad",
]

FAMILIES: Final[tuple[Family, ...]] = (
    *(_tag(name) for name in _TAGS),
    *(_tag(name, everyday=True) for name in _EVERYDAY_TAGS),
    _literal("[THINK]", "[THINK]", "[/THINK]"),
    _literal("kimi", "◁think▷", "◁/think▷"),
    _literal("kimi-k3", "<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    Family(
        "gemma",
        r"<\|channel>[ \t]{0,4}thought\b",
        r"<channel\|>",
        "<|channel>thought",
        "<channel|>",
    ),
    _literal("cohere", "<|START_THINKING|>", "<|END_THINKING|>"),
    _literal("begin_of_thought", "<|begin_of_thought|>", "<|end_of_thought|>"),
    _literal("think_start", "<|think_start|>", "<|think_end|>"),
    _literal("apertus", "<|inner_prefix|>", "<|inner_suffix|>"),
    _literal("medgemma", "<unused94>thought", "<unused95>"),
    Family(
        "granite-3.2",
        r"here(?:'s|\ is)\ my\ thought\ process:",
        r"here(?:'s|\ is)\ my\ response:",
        "Here is my thought process:",
        "Here is my response:",
        phrase=True,
    ),
    Family(
        "apriel",
        r"here\ are\ my\ reasoning\ steps:",
        r"\[BEGIN\ FINAL\ RESPONSE\]",
        "Here are my reasoning steps:",
        "[BEGIN FINAL RESPONSE]",
        phrase=True,
    ),
)
"""Every marker family; harmony's channels have a grammar of their own (`trace`)."""

ANSWER_WRAPPERS: Final[tuple[tuple[str, str], ...]] = (
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<|open|>response<|sep|>", "<|close|>response<|sep|>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
)
"""What some families put around the answer: Hunyuan, Granite 3.3, Kimi K3, Command A, OpenThinker."""

_FENCE: Final = Family("fence", "", "", "", "")


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
    + "|".join(f"(?P<o{i}>{one.opening})|(?P<c{i}>{one.closing})" for i, one in enumerate(FAMILIES))
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
    quote = _QUOTES.get(reply[mark.start - 1 : mark.start], "no quote")
    return mark.kind != "fence" and reply[mark.end : mark.end + 1] == quote


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
