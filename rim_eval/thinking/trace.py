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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from rim_eval.thinking.markers import (
    ANSWER_WRAPPERS,
    CHANNELS,
    NO_FAMILY,
    Channels,
    Mark,
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
    field = split_trace(reasoning)  # some servers leave marks in it
    field_trace = (reasoning if field.answer else field.trace or "").strip()
    if not field_trace:
        return content
    parts = [field_trace] if field_trace == content.trace else [field_trace, content.trace or ""]
    closed = content.closed is not False and bool(content.answer or content.closed)
    return Split(_join(parts), content.answer, True, closed, content.markers)


# ---- marked traces ----


def _split_tagged(text: str, opened_by_prompt: bool) -> Split:
    spans = list(_spans(text, opened_by_prompt))
    ends = [0, *(closing.end for _, closing in spans)]
    starts = [*(opening.start for opening, _ in spans), len(text)]
    answers = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    traces = [text[opening.end : closing.start] for opening, closing in spans]
    if not spans:
        return Split(None, _unwrapped(text.strip(), whole=True), False, None, None)
    opened = opened_by_prompt or spans[0][0].kind == "open"
    family = next((mark.family.name for span in spans for mark in span if mark.family.name), None)
    if spans[-1][1].kind == "cut":
        pieces = (piece for pair in zip(answers, traces, strict=False) for piece in pair)
        return Split(_join(pieces), "", True, False, family)
    return Split(_join(traces), _unwrapped(_join(answers), whole=False), opened, True, family)


def _spans(text: str, opened_by_prompt: bool) -> Iterator[tuple[Mark, Mark]]:
    """The marks around each trace; `prompt` and `cut` stand for an opening and a closing that are not there."""
    marks = find_marks(text, opened_by_prompt=opened_by_prompt)
    partners = _partners(marks)
    prompt, cut = (
        Mark(at, at, kind, NO_FAMILY) for at, kind in ((0, "prompt"), (len(text), "cut"))
    )
    first = next((mark.start for mark in marks if mark.kind == "open"), None)
    index, begun = 0, False
    if opened_by_prompt and (first is None or text[:first].strip()):
        closings = [index for index, mark in enumerate(marks) if mark.kind == "close"]
        paired = set(partners.values())
        unpaired = (index for index in closings if index not in paired)
        closing = next(unpaired, next(iter(closings), len(marks)))
        yield prompt, [*marks, cut][closing]
        index, begun = closing + 1, True
    while index < len(marks):
        mark, partner = marks[index], partners.get(index, index)
        if mark.kind == "close" and not (begun or mark.family.phrase):
            yield prompt, mark
        elif mark.kind == "open" and partner == index:
            yield mark, cut
            return
        elif mark.kind == "open" and not _in_code(text, mark, marks[partner]):
            yield mark, marks[partner]
        begun = begun or mark.kind != "fence"
        index = partner + 1


def _partners(marks: list[Mark]) -> dict[int, int]:
    """Index of the closing mark for each opening one, and of the other fence for each fence."""
    partners: dict[int, int] = {}
    nearest: dict[str, int] = {}
    unpaired: defaultdict[str, list[int]] = defaultdict(list)
    for index, mark in reversed(list(enumerate(marks))):
        name = mark.family.name
        if mark.kind == "close":
            unpaired[name].append(index)
        elif unpaired[name] or name in nearest:
            partners[index] = unpaired[name].pop() if unpaired[name] else nearest[name]
        if mark.kind != "open":
            nearest[name] = index
    return partners


def _in_code(text: str, opening: Mark, closing: Mark) -> bool:
    before, after = text[opening.start - 1 : opening.start], text[closing.end : closing.end + 1]
    return before == after == "`" and "\n" not in text[opening.end : closing.start]


# Wrappers that no answer is written with are taken off wherever they stand.
_TOKENS: Final = "|".join(
    re.escape(mark) for mark in sum(ANSWER_WRAPPERS, ()) if not re.fullmatch(r"</?\w+>", mark)
)


def _unwrapped(answer: str, *, whole: bool) -> str:
    """The answer without its wrapper; `whole` asks that the wrapper also closes at the end."""
    answer = re.sub(_TOKENS, "", answer).strip()
    for opening, closing in ANSWER_WRAPPERS:
        if answer.startswith(opening) and (not whole or answer.endswith(closing)):
            body, closed, rest = answer[len(opening) :].rpartition(closing)
            return _join([body, rest]) if closed else rest.strip()
    return answer


# ---- channels: a reply is a row of messages, each in a channel; only some channels are the answer ----


class _Message(NamedTuple):
    """One message of a reply: where its header begins and ends, and where the next one's begins."""

    is_trace: bool
    start: int
    begin: int
    stop: int


def _split_channels(text: str, opened_by_prompt: bool) -> Split | None:
    """Split a reply of channels, also one that begins inside its trace; None when the text is none."""
    if (found := _messages(text, opened_by_prompt)) is None:
        return None
    channels, messages = found
    trace, answer = (
        [
            re.sub(channels.end, "", text[message.begin : message.stop])
            for message in messages
            if message.is_trace is is_trace
        ]
        for is_trace in (True, False)
    )
    first = messages[0]
    opened = opened_by_prompt or (first.is_trace and first.begin > first.start)
    if messages[-1].is_trace:
        return Split(_join(trace + answer), "", opened, False, channels.name)
    if not trace and not opened:
        return Split(None, _join(answer), False, None, channels.name)
    return Split(_join(trace), _join(answer), opened, True, channels.name)


def _messages(text: str, opened_by_prompt: bool) -> tuple[Channels, list[_Message]] | None:
    """The messages of a reply of channels; what stands before the first header is a trace without one."""
    for channels in CHANNELS:
        if not any(word in text for word in channels.words):
            continue
        header = rf"(?P<trace>{channels.trace})|(?P<answer>{channels.answer})"
        openings = list(re.finditer(header, text, re.MULTILINE))
        kinds = [opening.lastgroup for opening in openings]
        # A trace that the prompt opened may end in words that mean nothing else.
        ends = opened_by_prompt and kinds and openings[0][0][:2] == "<|" and "</" not in text
        if not kinds or (channels.needs_trace and kinds[0] == "answer" and not ends):
            continue
        starts = [opening.start() for opening in openings]
        before = re.sub(channels.end, "", text[: starts[0]]).strip()
        messages = [_Message(True, 0, 0, starts[0])] if before else []
        for opening, stop in zip(openings, [*starts[1:], len(text)], strict=True):
            is_trace = opening.lastgroup == "trace"
            messages.append(_Message(is_trace, *opening.span(), stop))
        return channels, messages
    return None


# ---- where traces stand ----


class TraceSpan(NamedTuple):
    """Where one trace stands in a text, in characters."""

    start: int
    """Where its opening mark begins."""
    begin: int
    """Where that mark ends; the same as `start` where none is shown."""
    end: int
    """Where its closing mark begins; the text's end for a trace that never closes."""
    stop: int
    """Where that mark ends; the same as `end` where none is shown."""


def trace_spans(text: str, *, opened_by_prompt: bool = False) -> list[TraceSpan]:
    """Find the traces of a reply by the rules of `split_trace`, in order.

    In a reply of channels each message that is no answer is one, its header the opening mark. It is
    closed by the mark that ends a message, or else by the next header.

    Args:
        text: The reply, or all that follows the role name in a prompt together with it.
        opened_by_prompt: Whether the text begins inside a trace.
    """
    if (found := _messages(text, opened_by_prompt)) is None:
        marks = _spans(text, opened_by_prompt)
        return [TraceSpan(a.start, a.end, b.start, b.end) for a, b in marks]
    channels, messages = found
    headers = [*(message.begin for message in messages[1:]), len(text)]
    spans = []
    for message, header in zip(messages, headers, strict=True):
        closing = re.search(channels.end, text[message.begin : message.stop])
        edges = [message.begin + edge for edge in closing.span()] if closing else [0, 0]
        if edges[0] == edges[1]:
            edges = [message.stop, header]
        if message.is_trace:
            spans.append(TraceSpan(message.start, message.begin, *edges))
    return spans
