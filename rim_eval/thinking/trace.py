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

A trace is never used as an answer, even where nothing follows it.
"""

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from rim_eval.thinking.markers import ANSWER_WRAPPERS, Mark, drop_everyday, find_marks


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
    channels = _read_channels(text)
    if channels is not None:
        return _from_channels(channels, opened_by_prompt)
    return _TaggedReply(text, opened_by_prompt).split()


def _join(parts: list[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _beside_field(content: Split, reasoning: str) -> Split:
    field_trace = _without_outer_marks(reasoning)
    if not field_trace:
        return content
    parts = [field_trace] if field_trace == content.trace else [field_trace, content.trace or ""]
    closed = content.closed is not False and bool(content.answer or content.closed)
    return Split(_join(parts), content.answer, True, closed, content.markers)


def _without_outer_marks(reasoning: str) -> str:
    marks = [mark for mark in find_marks(reasoning) if mark.kind != "fence"]
    start, end = 0, len(reasoning)
    if marks and marks[0].kind == "open" and not reasoning[: marks[0].start].strip():
        start = marks[0].end
    if marks and marks[-1].kind == "close" and not reasoning[marks[-1].end :].strip():
        end = marks[-1].start
    return reasoning[start:end].strip()


def _partners(marks: list[Mark]) -> dict[int, int]:
    """Index of the closing mark for each opening one, and of the other fence for each fence."""
    partners: dict[int, int] = {}
    waiting: dict[str, list[int]] = {}
    next_close: dict[str, int] = {}
    for index, mark in enumerate(marks):
        stack = waiting.setdefault(mark.family.name, [])
        if mark.kind == "close" and stack:
            partners[stack.pop()] = index
        elif mark.kind == "open":
            stack.append(index)
    for index in range(len(marks) - 1, -1, -1):
        mark = marks[index]
        if mark.kind != "close" and mark.family.name in next_close:
            partners.setdefault(index, next_close[mark.family.name])
        if mark.kind != "open":
            next_close[mark.family.name] = index
    return partners


@dataclass(slots=True)
class _TaggedReply:
    """One pass over a tagged reply."""

    text: str
    opened_by_prompt: bool
    marks: list[Mark] = field(init=False)
    partners: dict[int, int] = field(init=False)
    pieces: list[tuple[bool, str]] = field(init=False, default_factory=list)
    """(is trace, text), in the order of the reply."""
    markers: str | None = field(init=False, default=None)
    at: int = field(init=False, default=0)
    """Where the piece that is being read began."""

    def split(self) -> Split:
        self.marks = self._effective_marks()
        self.partners = _partners(self.marks)
        index = self._first_trace()
        if index is None:
            return self._unclosed()
        opened = self.opened_by_prompt
        while index < len(self.marks):
            mark, partner = self.marks[index], self.partners.get(index)
            if mark.kind == "open" and partner is None:
                return self._unclosed(mark)
            if mark.kind == "open" and partner is not None and not self._in_code(mark, partner):
                opened = opened or not any(is_trace for is_trace, _ in self.pieces)
                self._take(mark, self.marks[partner])
            index = (index if partner is None else partner) + 1
        self.pieces.append((False, self.text[self.at :]))
        return self._closed(opened)

    def _effective_marks(self) -> list[Mark]:
        marks = find_marks(self.text)
        reserved = drop_everyday(self.text, marks)
        closes = any(mark.kind == "close" for mark in reserved)
        return marks if self.opened_by_prompt and not closes else reserved

    def _first_trace(self) -> int | None:
        """Take a trace that the prompt opened; index of the mark to go on from, None if it never ends."""
        closing = self._closing_of_prompt_trace()
        if closing is not None:
            mark = self.marks[closing]
            self.pieces.append((True, self.text[: mark.start]))
            self.at, self.markers = mark.end, mark.family.name
            return closing + 1
        return None if self.opened_by_prompt and not self._opens_at_once() else 0

    def _opens_at_once(self) -> bool:
        first = next((mark for mark in self.marks if mark.kind == "open"), None)
        return first is not None and not self.text[: first.start].strip()

    def _closing_of_prompt_trace(self) -> int | None:
        if self.opened_by_prompt and self._opens_at_once():
            return None
        taken = set(self.partners.values())
        if self.opened_by_prompt:
            closings = [i for i, mark in enumerate(self.marks) if mark.kind == "close"]
            return next((i for i in closings if i not in taken), next(iter(closings), None))
        index = 0
        while index < len(self.marks):
            mark = self.marks[index]
            if mark.kind == "open":
                return None
            if mark.kind == "close" and not mark.family.phrase:
                return index
            index = self.partners.get(index, index) + 1
        return None

    def _in_code(self, opening: Mark, partner: int) -> bool:
        closing = self.marks[partner]
        before = self.text[opening.start - 1 : opening.start]
        after = self.text[closing.end : closing.end + 1]
        return before == after == "`" and "\n" not in self.text[opening.end : closing.start]

    def _take(self, opening: Mark, closing: Mark) -> None:
        self.pieces.append((False, self.text[self.at : opening.start]))
        self.pieces.append((True, self.text[opening.end : closing.start]))
        self.at = closing.end
        self.markers = self.markers or opening.family.name

    def _unclosed(self, opening: Mark | None = None) -> Split:
        parts = [part for _, part in self.pieces]
        if opening is None:
            return Split(self.text.strip(), "", True, False, None)
        parts += [self.text[self.at : opening.start], self.text[opening.end :]]
        return Split(_join(parts), "", True, False, self.markers or opening.family.name)

    def _closed(self, opened: bool) -> Split:
        traces = [part for is_trace, part in self.pieces if is_trace]
        answer = _join([part for is_trace, part in self.pieces if not is_trace])
        if not traces:
            return Split(None, _unwrapped(answer, whole=True), False, None, None)
        return Split(_join(traces), _unwrapped(answer), opened, True, self.markers)


def _unwrapped(answer: str, *, whole: bool = False) -> str:
    """The answer without its wrapper; `whole` asks that the wrapper also closes at the end."""
    for opening, closing in ANSWER_WRAPPERS:
        if answer.startswith(opening) and (not whole or answer.endswith(closing)):
            body, closed, rest = answer[len(opening) :].rpartition(closing)
            return _join([body, rest]) if closed else rest.strip()
    return answer


# ---- harmony (gpt-oss): a reply is a row of messages, each in a channel; only `final` is the answer ----

_HEADER: Final = re.compile(
    r"(?:<\|start\|>[^<|]{0,120})?(?:<\|channel\|>)?[ \t]{0,4}\b(?P<channel>analysis|commentary|final)\b"
    r"[^<|]{0,120}(?:<\|constrain\|>[^<|]{0,40})?<\|message\|>"
)
_END: Final = re.compile(r"<\|(?:end|return|call)\|>(?:\s{0,8}<\|start\|>\w{0,20}\s{0,8}\Z)?")
_BARE_OPENING: Final = re.compile(r"\s{0,40}(?:assistant)?analysis(?=[A-Z\"'“\s])")
_BARE_FINAL: Final = "assistantfinal"


class _Channels(NamedTuple):
    """What a harmony reply holds: trace parts (analysis, commentary), answer parts (final)."""

    trace: list[str]
    answer: list[str]
    opened: bool
    """Whether the reply itself opens the analysis channel."""
    finished: bool
    """Whether the final channel was reached."""


def _read_channels(text: str) -> _Channels | None:
    """Channels of a harmony reply, or None when the text is not harmony.

    Also reads replies whose special tokens a tokenizer dropped (`analysis…assistantfinal…`), and
    replies that begin inside the analysis channel because the prompt opened it.
    """
    headers = list(_HEADER.finditer(text)) if "<|message|>" in text else []
    return _with_tokens(text, headers) if headers else _without_tokens(text)


def _with_tokens(text: str, headers: list[re.Match[str]]) -> _Channels:
    before = _END.sub("", text[: headers[0].start()])
    trace = [before] if before.strip() else []
    answer: list[str] = []
    ends = [*(header.start() for header in headers[1:]), len(text)]
    for header, end in zip(headers, ends, strict=True):
        body = _END.sub("", text[header.end() : end])
        (answer if header["channel"] == "final" else trace).append(body)
    opened = headers[0]["channel"] != "final" and not before.strip()
    return _Channels(trace, answer, opened, headers[-1]["channel"] == "final")


def _without_tokens(text: str) -> _Channels | None:
    opening = _BARE_OPENING.match(text)
    if opening is None:
        return None
    trace, final, answer = text[opening.end() :].partition(_BARE_FINAL)
    if not final and text[opening.end()].isspace():
        return None
    return _Channels([trace], [answer] if final else [], opened=True, finished=bool(final))


def _from_channels(channels: _Channels, opened_by_prompt: bool) -> Split:
    opened = channels.opened or opened_by_prompt
    if not channels.finished:
        return Split(_join(channels.trace + channels.answer), "", opened, False, "harmony")
    trace = _join(channels.trace) if channels.trace or opened else None
    closed = None if trace is None else True
    return Split(trace, _join(channels.answer), opened, closed, "harmony")
