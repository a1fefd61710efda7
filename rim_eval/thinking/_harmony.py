"""Harmony (gpt-oss): a reply is a row of messages, each in a channel; only `final` is the answer."""

import re
from typing import Final, NamedTuple

__all__ = ["Channels", "read_channels"]

_HEADER: Final = re.compile(
    r"(?:<\|start\|>[^<|]{0,120})?(?:<\|channel\|>)?[ \t]{0,4}\b(?P<channel>analysis|commentary|final)\b"
    r"[^<|]{0,120}(?:<\|constrain\|>[^<|]{0,40})?<\|message\|>"
)
_END: Final = re.compile(r"<\|(?:end|return|call)\|>(?:\s{0,8}<\|start\|>\w{0,20}\s{0,8}\Z)?")
_BARE_OPENING: Final = re.compile(r"\s{0,40}(?:assistant)?analysis(?=[A-Z\"'“\s])")
_BARE_FINAL: Final = "assistantfinal"


class Channels(NamedTuple):
    """What a harmony reply holds: trace parts (analysis, commentary), answer parts (final)."""

    trace: list[str]
    answer: list[str]
    opened: bool
    """Whether the reply itself opens the analysis channel."""
    finished: bool
    """Whether the final channel was reached."""


def read_channels(text: str) -> Channels | None:
    """Channels of a harmony reply, or None when the text is not harmony.

    Also reads replies whose special tokens a tokenizer dropped (`analysis…assistantfinal…`), and
    replies that begin inside the analysis channel because the prompt opened it.
    """
    headers = list(_HEADER.finditer(text)) if "<|message|>" in text else []
    return _with_tokens(text, headers) if headers else _without_tokens(text)


def _with_tokens(text: str, headers: list[re.Match[str]]) -> Channels:
    before = _END.sub("", text[: headers[0].start()])
    trace = [before] if before.strip() else []
    answer: list[str] = []
    ends = [*(header.start() for header in headers[1:]), len(text)]
    for header, end in zip(headers, ends, strict=True):
        body = _END.sub("", text[header.end() : end])
        (answer if header["channel"] == "final" else trace).append(body)
    opened = headers[0]["channel"] != "final" and not before.strip()
    return Channels(trace, answer, opened, headers[-1]["channel"] == "final")


def _without_tokens(text: str) -> Channels | None:
    opening = _BARE_OPENING.match(text)
    if opening is None:
        return None
    trace, final, answer = text[opening.end() :].partition(_BARE_FINAL)
    if not final and text[opening.end()].isspace():
        return None
    return Channels([trace], [answer] if final else [], opened=True, finished=bool(final))
