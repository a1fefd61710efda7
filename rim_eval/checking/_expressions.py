"""Equality of mathematical expressions, by math-verify, under guards of our own.

math-verify's timeouts work only in the main thread, so they are off. In their place: short
inputs (`LONGEST_FINAL_ANSWER`), no expression whose value has more than `_MOST_DIGITS` digits (a
tower of powers would block the process inside C), one evaluation at a time (the parser's caches
are shared), and a deadline on each comparison.
"""

import logging
import re
import threading
from functools import lru_cache
from math import inf, log10
from typing import Any

from rim_eval.checking._deadline import DeadlinePassedError, deadline

_SECONDS = 3.0
"""For one comparison. Parsing the gold and answers of MATH-500 takes milliseconds."""

_MOST_DIGITS = 2_000.0

_LARGEST_EXPANSION = 64
"""Exponent of a sum: simplifying a larger power would expand it into too many terms."""

_COMBINATORIAL = re.compile(r"\\(?:binom|dbinom|tbinom|choose)\b|!")
_LARGE = re.compile(r"\d{5}|\^")

_ONE_AT_A_TIME = threading.Lock()


class CannotCompareError(Exception):
    """The expressions are too large or too slow to compare: neither equal nor different."""


def readable(text: str) -> bool:
    """Whether math-verify reads the text as mathematics.

    Raises:
        CannotCompareError: If reading it takes too long or it is too large.
    """
    return bool(_guarded(lambda: _parse_whole(text)))


def equal(gold: str, answer: str, *, whole: bool) -> bool:
    """Whether the answer equals the gold as mathematics.

    Args:
        gold: The whole gold answer, LaTeX or plain.
        answer: The whole answer, or a piece of reply that ends in it.
        whole: Which of the two it is; from a piece, math-verify picks the expression.

    Raises:
        CannotCompareError: If that takes too long or one of them is too large.
    """
    return bool(_guarded(lambda: _verify(gold, answer, whole)))


def value(text: str) -> float | None:
    """The real number that the whole text evaluates to; None when it is no such number.

    Raises:
        CannotCompareError: If that takes too long or it is too large.
    """
    number: float | None = _guarded(lambda: _evaluate(text))
    return number


def _guarded(action: Any) -> Any:
    import math_verify  # noqa: F401  (its import must not count against the deadline)

    with _ONE_AT_A_TIME:
        try:
            with deadline(_SECONDS):
                return action()
        except DeadlinePassedError:
            raise CannotCompareError(f"not compared within {_SECONDS:g} s") from None
        except (CannotCompareError, MemoryError):
            raise
        except Exception:
            return None


def _verify(gold: str, answer: str, whole: bool) -> bool:
    from math_verify import verify

    references = _parse_whole(gold)
    candidates = _parse_whole(answer) if whole else _parse_piece(answer)
    same: bool = verify(list(references), list(candidates), timeout_seconds=None)
    return same


def _evaluate(text: str) -> float | None:
    parsed = [each for each in _parse_whole(text) if not isinstance(each, str)]
    return float(parsed[0].doit().evalf()) if parsed else None


@lru_cache(maxsize=4096)
def _parse_whole(text: str) -> tuple[Any, ...]:
    return _parse(f"${text}$")


def _parse_piece(text: str) -> tuple[Any, ...]:
    return _parse(text)


def _parse(text: str) -> tuple[Any, ...]:
    from math_verify import parse

    if _COMBINATORIAL.search(text) and _LARGE.search(text):
        raise CannotCompareError("too large to evaluate")
    # It warns once that timeouts are off; the deadline above is what it asks for.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    parsed = [each for each in parse(text, parsing_timeout=None) if not isinstance(each, str)]
    if any(_digits(each) > _MOST_DIGITS for each in parsed):
        raise CannotCompareError("too large to evaluate")
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
