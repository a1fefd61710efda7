"""Compare mathematical expressions by math-verify, in a child process that is killed when it takes too long.

A question is a line of JSON: `["equal", [gold, answer, whole]]` gives `{"value": true}`, or
`{"problem": "..."}` where the expressions are too large to evaluate.
"""

import json
import logging
import re
from collections.abc import Callable
from functools import lru_cache
from math import inf, log10
from typing import Any, Final, Literal

from rim_eval.child_process import ChildEndedError, ChildProcess, serve

_SECONDS = 3.0
"""For one comparison. Parsing the gold and answers of MATH-500 takes milliseconds."""

_MOST_DIGITS: Final = 2_000.0
"""Of a value; a tower of powers has more than memory can hold."""

_LARGEST_EXPANSION: Final = 64
"""Exponent of a sum: simplifying a larger power would expand it into too many terms."""

_COMBINATORIAL: Final = re.compile(r"\\(?:binom|dbinom|tbinom|choose)\b|!")
_LARGE: Final = re.compile(r"\d{5}|\^")


class CannotCompareError(Exception):
    """The expressions are too large or too slow to compare: neither equal nor different."""


def ask(question: Literal["readable", "equal", "value"], *arguments: str | bool) -> Any:
    """Ask the child about mathematics, LaTeX or plain.

    Args:
        question: `readable`: whether math-verify reads a text. `equal`: whether an answer equals the gold.
            `value`: the real number that a text evaluates to, or None.
        arguments: The text; for `equal` the gold, the answer, and whether that is the answer and nothing
            else, or a piece of reply that math-verify picks the expression from.

    Raises:
        CannotCompareError: If that takes too long or an expression is too large.
    """
    try:
        reply = json.loads(_child.ask(json.dumps([question, arguments]), _SECONDS))
    except ChildEndedError as ended:
        raise CannotCompareError(
            f"not compared within {_SECONDS:g} s"
            if ended.timed_out
            else f"the comparison broke off (exit code {ended.exit_code})"
        ) from None
    if "problem" in reply:
        raise CannotCompareError(reply["problem"])
    return reply["value"]


_SERVE: Final = "from rim_eval.answers import _mathematics; _mathematics.serve_questions()"
_child = ChildProcess(["-c", _SERVE], "compares answers by math-verify")


# ---- in the child ----


class _TooLargeError(Exception):
    """The value of the expression would fill the memory."""


def _equal(gold: str, answer: str, whole: bool) -> bool:
    """Whether they are equal; unless the answer is `whole`, the expression is picked from it."""
    from math_verify import verify

    references = _parse_whole(gold)
    candidates = _parse_whole(answer) if whole else _parse(answer)
    return bool(verify(list(references), list(candidates), timeout_seconds=None))


def _value(text: str) -> float | None:
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
    # math-verify's own timeouts need the main thread's alarm; the parent bounds all of it.
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


_QUESTIONS: Final[dict[str, Callable[..., Any]]] = {
    "readable": lambda text: bool(_parse_whole(text)),
    "equal": _equal,
    "value": _value,
}


def _answer(line: str) -> str:
    name, arguments = json.loads(line)
    try:
        return json.dumps({"value": _QUESTIONS[name](*arguments)})
    except (_TooLargeError, MemoryError):
        return json.dumps({"problem": "too large to evaluate"})
    except Exception:  # math-verify and sympy raise all kinds; what they cannot read has no value
        return json.dumps({"value": None})


def serve_questions() -> None:
    """Answer questions until the parent closes the pipe; the child's main function."""
    import math_verify  # noqa: F401  (its import must not count against the first question)

    logging.disable(logging.CRITICAL)
    serve(_answer)
