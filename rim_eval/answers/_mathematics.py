"""Compare mathematical expressions by math-verify, in a child process that is killed when it takes too long.

A question is a line of JSON, `[gold, answer, absolute error]`; the reply is `true`, `false` or the reason why
they cannot be compared.
"""

import contextlib
import json
import re
from functools import lru_cache
from typing import Any, Final

from rim_eval.child_process import ChildEndedError, ChildProcess, serve

# For one comparison. MATH-500's take milliseconds; a tower of powers has more digits than memory holds.
_SECONDS = 3.0
_BYTES: Final = 2 << 30

# math-verify adds the first up, and leaves the dots out.
_MISREAD: Final = re.compile(r"\d\s+[\d.]|\\[lc]?dots")


class CannotCompareError(Exception):
    """The expressions are too large or too slow to compare: neither equal nor different."""


def equal(gold: str, answer: str, absolute_error: float | None = None) -> bool:
    """Ask the child whether an answer equals the gold; a gold that it cannot read equals nothing.

    Args:
        gold: LaTeX.
        answer: LaTeX.
        absolute_error: Compare real values, which must differ by less.

    Raises:
        CannotCompareError: If that takes too long or an expression is too large.
    """
    try:
        reply = json.loads(_child.ask(json.dumps([gold, answer, absolute_error]), _SECONDS))
    except ChildEndedError as ended:
        raise CannotCompareError(
            f"not compared within {_SECONDS:g} s"
            if ended.timed_out
            else f"the comparison broke off (exit code {ended.exit_code})"
        ) from None
    if isinstance(reply, str):
        raise CannotCompareError(reply)
    return bool(reply)


_SERVE: Final = "from rim_eval.answers import _mathematics; _mathematics.serve_questions()"
_child = ChildProcess(["-c", _SERVE], "compares answers by math-verify")


def _compare(gold: str, answer: str, absolute_error: float | None) -> bool:
    from math_verify import verify
    from sympy import Eq  # type: ignore[import-untyped]

    references, candidates = _parse(gold), _parse(answer)
    if absolute_error is not None:
        gold_value, value = (
            float((each.rhs if isinstance(each, Eq) else each).doit().evalf())
            for (each,) in (references, candidates)
        )
        return abs(gold_value - value) < absolute_error
    return verify(  # type: ignore[no-any-return]
        references,
        candidates,
        numeric_precision=60,  # with 15 digits 2^-60 and 2^-61 would be equal
        allow_set_relation_comp=True,  # `x <= 3` is the gold `(-\infty, 3]`
        timeout_seconds=None,
    )


@lru_cache(maxsize=4096)
def _parse(text: str) -> list[Any]:
    """What math-verify reads the whole text as; nothing when it cannot read all of it."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse
    from sympy import Float, Rational, evaluate

    if _MISREAD.search(text):
        return []
    # Without its list of units, which has single letters: `5t` would be 5.
    form = NormalizationConfig(malformed_operators=True, boxed="none")
    form = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=form)
    # math-verify's own timeouts need the main thread's alarm; the parent bounds all of it.
    if text.count(r"\pm") == 1 and r"\{" not in text:  # in a fraction it would have one value
        text = ", ".join(text.replace(r"\pm", sign) for sign in "+-")
    readings = parse(f"${text}$", [form], fallback_mode="no_fallback", parsing_timeout=None)
    with evaluate(False):  # `1.5 \\cdot 2 = 3` stays an equation
        return [
            each.xreplace({decimal: Rational(str(decimal)) for decimal in each.atoms(Float)})
            for each in readings
        ]


def _answer(line: str) -> str:
    try:
        return json.dumps(bool(_compare(*json.loads(line))))
    except MemoryError:
        return json.dumps("too large to evaluate")
    except Exception:  # math-verify and sympy raise all kinds; what they cannot read has no value
        return "false"


def serve_questions() -> None:
    """Answer questions until the parent closes the pipe; the child's main function."""
    import math_verify  # noqa: F401  (its import must not count against the first question)

    with contextlib.suppress(ImportError):  # Windows has none
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    serve(_answer)
