"""The texts of a submission: names and nothing else, so that no prompt, reply or markup gets in."""

import re
import shlex
from collections.abc import Iterator
from typing import Any, Final

from rim_eval.leaderboard._forms import form_problem

__all__ = ["text_problems"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/@:+,()%#=*-]*")
_LONGEST: Final = 120
_MOST_WORDS: Final = 12

_OWN_RULE: Final = re.compile(
    r"\.flag\.sentence|\.sets\[\d+\]\.gate\.(rule|reasons\[\d+\])|\.problems\[\d+\]\.says|\.runs\[\d+\]\.command"
)
"""Sentences of this program: computed again, or empty (`_card_rules`); commands: `_command`."""

_COMMAND: Final = re.compile(r"\.runs\[\d+\]\.command")
_PROGRAMS: Final = ("inspect", "lm_eval", "lm-eval", "rim-eval", "python")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._/@:+,=%*\[\]{}\"-]+")
_MOST_TOKENS: Final = 60
_BARE: Final = frozenset({"inspect", "eval", "eval-set", "run", "lm_eval", "lm-eval", "rim-eval"})


def text_problems(value: Any) -> list[str]:
    """What is wrong with the texts of a file, one sentence each, at most ten.

    Args:
        value: The JSON value, before it is read as anything.
    """
    found = []
    for place, text in _texts(value, ""):
        if _COMMAND.fullmatch(place):
            problem = _command(text)
        elif _OWN_RULE.fullmatch(place):
            continue
        else:
            problem = _text(place, text)
        if problem:
            found.append(f"{place[1:] or 'file'}: {problem}")
    return found[:10]


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"{place} (key)", key
            yield from _texts(inner, f"{place}.{key}" if _NAME.fullmatch(key) else f"{place}.?")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")


def _text(place: str, text: str) -> str | None:
    problem, done = form_problem(place, text)
    return problem if done else _name(text) or problem


def _name(text: str) -> str | None:
    """Names may hold letters, digits and a few signs; no quotes, no angle brackets, no line breaks."""
    if len(text) > _LONGEST or len(text.split()) > _MOST_WORDS:
        return (
            f"a text of {len(text)} characters where a name belongs; texts are not published here"
        )
    if not _NAME.fullmatch(text):
        return f"{text[:40]!r} is no name: letters, digits and  . _ / @ : + , ( ) % # = * -  only, letters or digits first"
    if ".." in text or "//" in text:
        return f"{text[:40]!r} looks like a path that climbs"
    return None


def _command(text: str) -> str | None:
    """A command line of options and values: no sentence fits into it."""
    try:
        tokens = shlex.split(text)
    except ValueError as error:
        return f"not a command line ({error})"
    if not tokens or tokens[0] not in _PROGRAMS:
        return f"a command begins with one of {', '.join(_PROGRAMS)}"
    if len(tokens) > _MOST_TOKENS:
        return f"a command of {len(tokens)} words; at most {_MOST_TOKENS} are published"
    before = "-"
    for token in tokens:
        if not _TOKEN.fullmatch(token) or len(token) > _LONGEST:
            return f"{token[:40]!r} in a command: words of letters, digits and signs only, without spaces"
        free = token not in _BARE and not token.startswith("-") and not {"=", "/"} & set(token)
        if free and not before.startswith("-"):
            return f"{token[:40]!r} in a command belongs to no option"
        before = token
    return None
