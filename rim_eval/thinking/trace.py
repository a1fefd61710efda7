"""Split a reply into trace and answer: one splitter for every marker family.

The rules, in the order in which they decide:

* A server's reasoning field is the trace, and its content is split like any other text.
* A trace that never closes leaves no answer: all the text is trace, `closed` is False. A doubtful
  mark therefore costs an unscored sample, never a trace that is judged as an answer.
* A closing mark before any opening one closes a trace that the prompt opened. Later ones are text.
* Nested marks close from the inside; an opening too many is taken as talk about the tag.
* Several traces are joined by a blank line, and so are the stretches of answer between them.
* An everyday tag (`<reasoning>`, `<thought>`, `<scratchpad>` ...) that first opens in the middle of
  an answer is part of it; at the reply's start, or right after a trace, it is a mark like the others.
* A mark in quotation marks or back-ticks of its own, and all marks inside a paired code fence of
  the answer, are talk and stay in the text. Fences inside a trace mean nothing.
* An answer wrapper (`<answer>`, `<response>`) is taken off. White space at the ends is dropped.
* What looks like a trace's mark in the answer, and is none of a known family's, is named (`unknown_mark`).

A trace is never used as an answer, even where nothing follows it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rim_eval.thinking.markers import (
    ANSWER_WRAPPERS,
    CHANNELS,
    Mark,
    drop_everyday,
    find_marks,
    unknown_mark,
)


@dataclass(frozen=True, slots=True)
class Split:
    """A reply in two: what the model thought and what it answered."""

    trace: str | None
    """Reasoning without its outer marks; "" when the trace is empty, None when there is none."""
    answer: str
    """What follows the trace; always "" when the trace never closed."""
    opened: bool
    """Whether a trace was opened, by a mark in the text, by the prompt or by a reasoning field."""
    closed: bool | None
    """Whether the trace's end was seen; None when there is no trace."""
    markers: str | None
    """Name of the first marker family met; None when no mark was needed."""

    @property
    def unknown_mark(self) -> str | None:
        """What looks like a trace's mark in the answer, which then is none; at most 60 characters."""
        return unknown_mark(self.answer)


def split_trace(
    text: str | None, *, opened_by_prompt: bool = False, reasoning: str | None = None
) -> Split:
    """Split a reply into its trace and its answer; never raises, in time linear in the text.

    Args:
        text: The reply's content. None counts as empty.
        opened_by_prompt: Whether the prompt ended inside an open trace, so that the reply begins in it.
        reasoning: The server's separate reasoning field (`reasoning`, `reasoning_content`), None where
            the server separates nothing. Any string, "" too, says that the content is past the trace.

    Returns:
        The split. See the module's rules for unclosed, unopened, nested and quoted marks.
    """
    text = text or ""
    if reasoning is not None:
        return _beside_field(split_trace(text), reasoning)
    return _split_channels(text, opened_by_prompt) or _split_tagged(text, opened_by_prompt)


def _join(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _beside_field(content: Split, reasoning: str) -> Split:
    """The split of a reply whose trace came in a field of its own."""
    marks = [mark for mark in find_marks(reasoning) if mark.kind != "fence"]
    start, end = 0, len(reasoning)
    if marks and marks[0].kind == "open" and not reasoning[: marks[0].start].strip():
        start = marks[0].end
    if marks and marks[-1].kind == "close" and not reasoning[marks[-1].end :].strip():
        end = marks[-1].start
    field_trace = reasoning[start:end].strip()
    if not field_trace:
        return content
    parts = [field_trace] if field_trace == content.trace else [field_trace, content.trace or ""]
    closed = content.closed is not False and bool(content.answer or content.closed)
    return Split(_join(parts), content.answer, True, closed, content.markers)


# ---- tagged replies ----


def _split_tagged(text: str, opened_by_prompt: bool) -> Split:
    marks = find_marks(text)
    reserved = drop_everyday(text, marks)
    if not opened_by_prompt or any(mark.kind == "close" for mark in reserved):
        marks = reserved
    partners = _partners(marks)
    pieces: list[tuple[bool, str]] = []
    """(is trace, text), in the order of the reply."""
    family: str | None = None
    end, index, opened = 0, 0, opened_by_prompt
    first_open = next((mark.start for mark in marks if mark.kind == "open"), None)
    opens_again = first_open is not None and not text[:first_open].strip()
    in_trace = opened_by_prompt and not opens_again
    closing = _closing_of_prompt_trace(marks, partners, in_trace)
    if closing is not None:
        mark = marks[closing]
        pieces.append((True, text[: mark.start]))
        end, index, family = mark.end, closing + 1, mark.family.name
    elif in_trace:
        return Split(text.strip(), "", True, False, None)
    while index < len(marks):
        mark, partner = marks[index], partners.get(index)
        if mark.kind == "open" and (partner is None or not _in_code(text, mark, marks[partner])):
            pieces.append((False, text[end : mark.start]))
            family = family or mark.family.name
            if partner is None:
                parts = [*(part for _, part in pieces), text[mark.end :]]
                return Split(_join(parts), "", True, False, family)
            opened = opened or not any(is_trace for is_trace, _ in pieces)
            pieces.append((True, text[mark.end : marks[partner].start]))
            end = marks[partner].end
        index = (index if partner is None else partner) + 1
    pieces.append((False, text[end:]))
    traces = [part for is_trace, part in pieces if is_trace]
    answer = _unwrapped(_join(part for is_trace, part in pieces if not is_trace), whole=not traces)
    if not traces:
        return Split(None, answer, False, None, None)
    return Split(_join(traces), answer, opened, True, family)


def _partners(marks: list[Mark]) -> dict[int, int]:
    """Index of the closing mark for each opening one, and of the other fence for each fence."""
    partners: dict[int, int] = {}
    unpaired: defaultdict[str, list[int]] = defaultdict(list)
    for index, mark in enumerate(marks):
        if mark.kind == "open":
            unpaired[mark.family.name].append(index)
        elif mark.kind == "close" and unpaired[mark.family.name]:
            partners[unpaired[mark.family.name].pop()] = index
    next_close: dict[str, int] = {}
    for index, mark in reversed(list(enumerate(marks))):
        if mark.kind != "close" and mark.family.name in next_close:
            partners.setdefault(index, next_close[mark.family.name])
        if mark.kind != "open":
            next_close[mark.family.name] = index
    return partners


def _closing_of_prompt_trace(
    marks: list[Mark], partners: dict[int, int], in_trace: bool
) -> int | None:
    """Index of the mark that closes a trace begun by the prompt, as far as is known (`in_trace`)."""
    if in_trace:
        paired = set(partners.values())
        closings = [index for index, mark in enumerate(marks) if mark.kind == "close"]
        unpaired = (index for index in closings if index not in paired)
        return next(unpaired, next(iter(closings), None))
    index = 0
    while index < len(marks) and marks[index].kind != "open":
        if marks[index].kind == "close" and not marks[index].family.phrase:
            return index
        index = partners.get(index, index) + 1
    return None


def _in_code(text: str, opening: Mark, closing: Mark) -> bool:
    before, after = text[opening.start - 1 : opening.start], text[closing.end : closing.end + 1]
    return before == after == "`" and "\n" not in text[opening.end : closing.start]


# The wrappers that no answer is written with are taken off wherever they stand.
_WRAPPER_TOKENS: Final = re.compile(
    "|".join(
        re.escape(mark)
        for pair in ANSWER_WRAPPERS
        for mark in pair
        if not mark[1:-1].strip("/").isalpha()
    )
)


def _unwrapped(answer: str, *, whole: bool) -> str:
    """The answer without its wrapper; `whole` asks that the wrapper also closes at the end."""
    answer = _WRAPPER_TOKENS.sub("", answer).strip()
    for opening, closing in ANSWER_WRAPPERS:
        if answer.startswith(opening) and (not whole or answer.endswith(closing)):
            body, closed, rest = answer[len(opening) :].rpartition(closing)
            return _join([body, rest]) if closed else rest.strip()
    return answer


# ---- channels: a reply is a row of messages, each in a channel; only some channels are the answer ----

_CHANNELS: Final = tuple(
    (
        channels,
        re.compile(rf"(?P<trace>{channels.trace})|(?P<answer>{channels.answer})", re.MULTILINE),
        re.compile(channels.end),
    )
    for channels in CHANNELS
)


def _split_channels(text: str, opened_by_prompt: bool) -> Split | None:
    """Split a reply of channels, also one that begins inside its trace; None when the text is none."""
    for channels, header, end in _CHANNELS:
        first = header.match(text) if channels.needs_trace else None
        if (
            (first is None or first.lastgroup != "trace")
            if channels.needs_trace
            else "<|" not in text
        ):
            continue
        openings = list(header.finditer(text))
        if not openings:
            continue
        before = end.sub("", text[: openings[0].start()])
        trace, answer = [before] if before.strip() else [], list[str]()
        stops = [*(opening.start() for opening in openings[1:]), len(text)]
        for opening, stop in zip(openings, stops, strict=True):
            body = end.sub("", text[opening.end() : stop])
            (answer if opening.lastgroup == "answer" else trace).append(body)
        opened = opened_by_prompt or (openings[0].lastgroup == "trace" and not before.strip())
        if openings[-1].lastgroup == "trace":
            return Split(_join(trace + answer), "", opened, False, channels.name)
        if not trace and not opened:
            return Split(None, _join(answer), False, None, channels.name)
        return Split(_join(trace), _join(answer), opened, True, channels.name)
    return None
