"""Trace markers of model families: one table, and the scan that finds the marks in a text."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple


class Family(NamedTuple):
    """One way of marking a trace.

    `opening` and `closing` are regular expressions of bounded reach, so that a scan is linear. Unless
    given, they match the marks as written.
    """

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


def _tags(names: str, *, everyday: bool = False) -> Iterator[Family]:
    for name in names.split():
        opening, closing = rf"<{name}(?:\s[^<>]{{0,200}})?>", rf"</{name}\s{{0,8}}>"
        yield Family(name, f"<{name}>", f"</{name}>", opening, closing, everyday=everyday)


_HERE_IS: Final = r"here(?:'s|\ is)\ my"

FAMILIES: Final[tuple[Family, ...]] = (
    *_tags("think thinking seed:think mm:think longcat_think"),
    *_tags("thought thoughts reasoning ponder pondering deliberation scratchpad", everyday=True),
    Family("[THINK]", "[THINK]", "[/THINK]"),
    Family("kimi", "◁think▷", "◁/think▷"),
    Family("kimi-k3", "<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    Family("gemma", "<|channel>thought", "<channel|>", r"<\|channel>[ \t]{0,4}thought\b"),
    Family("cohere", "<|START_THINKING|>", "<|END_THINKING|>"),
    Family("begin_of_thought", "<|begin_of_thought|>", "<|end_of_thought|>"),
    Family("think_start", "<|think_start|>", "<|think_end|>"),
    Family("apertus", "<|inner_prefix|>", "<|inner_suffix|>"),
    Family("medgemma", "<unused94>thought", "<unused95>"),
    Family(
        "granite-3.2",
        "Here is my thought process:",
        "Here is my response:",
        rf"{_HERE_IS}\ thought\ process:",
        rf"{_HERE_IS}\ response:",
        phrase=True,
    ),
    Family("apriel", "Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]", phrase=True),
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

_FENCE: Final = Family("fence", "", "")


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
