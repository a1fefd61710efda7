"""A grader that declines its own task, told from one that quotes the refusal which it rates."""

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["declines"]

_READ: Final = 20_000
_QUOTES: Final = re.compile(
    r"\"[^\"]{1,1000}\"|“[^”]{1,1000}”|«[^»]{1,1000}»|`[^`]{1,1000}`|^[ \t]*>[^\n]*|(?<!\w)'.{1,300}?'(?!\w)|(?<!\w)‘.{1,300}?’(?!\w)"
    r"|<(answer|request|reasoning|context|response|material|quote)>.{0,1000}?</\1>",
    re.MULTILINE | re.DOTALL,
)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_FIRST: Final = (
    r"\W*+(?>(?:(?:(?:i'm|i am|we're|we are) )?(?:\w+ly |very |so )?(?:sorry|apologi[sz]e|apologies)"
    r"|unfortunately|however|but|that|as an ai[^,]{0,40},)\W++)*+"
)
"""What may stand before the speaker; possessive, so that no text makes it slow."""
_CANNOT: Final = (
    r"(?:i|we)(?: must| also| simply| just| really)*(?: can ?not| can't| could not| couldn't| will not| won't| would not| wouldn't"
    r"| (?:am|are) (?:not able|unable|not willing|unwilling|not comfortable|uncomfortable|not going)(?: to| with)?"
    r"|'(?:m|re) (?:not able|unable|not willing|unwilling|not comfortable|uncomfortable|not going)(?: to| with)?"
    r"| (?:don't|do not) feel comfortable(?: with)?)"
)
_TASK: Final = (
    r"(?:help|assist|comply|fulfil|continue|proceed|engag|participat|take part|complet|perform|answer|respond|discuss|support|do (?:that|this|it|so))"
    r"|(?:rat|judg|evaluat|assess|annotat|scor|review|grad|label|classif)\w*\b(?! (?:\w+ ){0,2}(?:higher|lower|above|below|more|less|as)\b)"
    r"|(?:provid|giv|offer)\w* (?:you )?(?:(?:a|an|any|the|this|that|your|such) )?(?:rating|score|verdict|judge?ment|assessment|evaluation|label|help|assistance|that\b|this\b|it\b(?! an?\b))"
)
_DECLINES: Final = re.compile(
    rf"{_FIRST}(?:{_CANNOT} (?:\w+ly |be |in good conscience )*(?:{_TASK})"
    r"|(?:i|we)(?: must| have to| need to| will|'ll| would| respectfully| politely)* (?:decline|refuse)\b)"
)


def declines(parts: Iterable[str]) -> bool:
    """Whether a grader says in its own words, outside its verdict, that it will not do its task.

    Args:
        parts: What stands around the verdict. Quotations do not count: a good reason for a rating
            often quotes the refusal that it rates.
    """
    return any(_DECLINES.match(sentence) for part in parts for sentence in _sentences(part))


def _sentences(part: str) -> list[str]:
    own = _QUOTES.sub(" ", part[-_READ:]).replace("’", "'").casefold()
    return [sentence[:500] for sentence in _SENTENCE.split(own)]
