"""What math-verify says of expressions; runs in a process of its own, which `_expressions` starts.

`python -m rim_eval.answers._mathematics` says `ready`, then answers a question a line, in JSON:
`["equal", [gold, answer, whole], seconds]` gives `{"value": true}`, or `{"problem": "..."}` where
the expressions are too large. A question that takes longer than its seconds ends the process.
"""

import faulthandler
import json
import logging
import re
import signal
import sys
from collections.abc import Callable
from functools import lru_cache
from math import inf, log10
from typing import Any

_MOST_DIGITS = 2_000.0
"""Of a value; a tower of powers has more than memory can hold."""

_LARGEST_EXPANSION = 64
"""Exponent of a sum: simplifying a larger power would expand it into too many terms."""

_COMBINATORIAL = re.compile(r"\\(?:binom|dbinom|tbinom|choose)\b|!")
_LARGE = re.compile(r"\d{5}|\^")


class _TooLargeError(Exception):
    """The value of the expression would fill the memory."""


def readable(text: str) -> bool:
    """Whether math-verify reads the text as mathematics."""
    return bool(_parse_whole(text))


def equal(gold: str, answer: str, whole: bool) -> bool:
    """Whether they are equal; unless the answer is `whole`, the expression is picked from it."""
    from math_verify import verify

    references = _parse_whole(gold)
    candidates = _parse_whole(answer) if whole else _parse(answer)
    return bool(verify(list(references), list(candidates), timeout_seconds=None))


def value(text: str) -> float | None:
    """The real number that the whole text evaluates to; None when it is no such number."""
    parsed = _parse_whole(text)
    return float(parsed[0].doit().evalf()) if parsed else None


@lru_cache(maxsize=4096)
def _parse_whole(text: str) -> tuple[Any, ...]:
    return _parse(f"${text}$")


def _parse(text: str) -> tuple[Any, ...]:
    from math_verify import parse

    if _COMBINATORIAL.search(text) and _LARGE.search(text):
        raise _TooLargeError
    # math-verify's own timeouts need the main thread's alarm; the watchdog below bounds all of it.
    parsed = [each for each in parse(text, parsing_timeout=None) if not isinstance(each, str)]
    if any(_digits(each) > _MOST_DIGITS for each in parsed):
        raise _TooLargeError
    return tuple(parsed)


def _digits(expression: Any) -> float:
    """About how many digits the value has, at most, without computing it; symbols count as 2."""
    if getattr(expression, "is_Number", False):
        return log10(abs(float(expression)) + 1) if expression.is_finite else 0.0
    parts = [_digits(part) for part in getattr(expression, "args", ())]
    if getattr(expression, "is_Pow", False):
        if expression.base.is_Add and parts[1] > log10(_LARGEST_EXPANSION + 1):
            return inf
        return parts[0] * 10 ** parts[1] if parts[1] < 300 else inf
    kind = type(expression).__name__
    if kind in ("factorial", "gamma", "factorial2", "subfactorial"):
        return parts[0] * 10 ** parts[0] if parts[0] < 300 else inf
    return sum(parts) if parts else log10(2)


_QUESTIONS: dict[str, Callable[..., Any]] = {"readable": readable, "equal": equal, "value": value}


def _reply(name: str, arguments: list[Any]) -> dict[str, Any]:
    try:
        return {"value": _QUESTIONS[name](*arguments)}
    except (_TooLargeError, MemoryError):
        return {"problem": "too large to evaluate"}
    except Exception:  # math-verify and sympy raise all kinds; what they cannot read has no value
        return {"value": None}


def _end_in(seconds: float) -> None:
    """Have the system end this process, also while it is inside a call into C; 0 calls that off."""
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def _serve() -> None:
    import math_verify  # noqa: F401  (its import must not count against the first question)

    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is meant for the parent
    replies, sys.stdout = sys.stdout, sys.stderr  # nothing that a library prints is a reply
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        name, arguments, seconds = json.loads(line)
        _end_in(seconds)
        reply = _reply(name, arguments)
        _end_in(0)
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    _serve()
