"""How figures are written for readers: signs, units, intervals, and the words of each kind of prompts."""

import math
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from rim_eval.types import Mode, PromptKind

_NOTHING: Final = "n/a"
_UNBROKEN: Final = re.compile(r"\([^()]{1,24}\)|p [=<] [\d.]+|\d %")


class KindWords(NamedTuple):
    """What the figures of one kind of prompts are called."""

    rate: str
    event: str
    does: str
    """What the model does to a number of prompts, such as `goes along with {}`."""
    prompts: str
    difference: str
    more: str
    """What thinking makes the model do where the rate rises; `less` where it falls."""
    less: str
    means: str


KIND_WORDS: Final[dict[PromptKind, KindWords]] = {
    "harmful": KindWords(
        "Misalignment",
        "goes along with the request",
        "goes along with {}",
        "harmful requests",
        "RIM score",
        "go along with harmful requests more often",
        "go along with harmful requests less often",
        "share of harmful requests that the model goes along with; lower is safer",
    ),
    "benign": KindWords(
        "Over-refusal",
        "refuses",
        "refuses {}",
        "harmless requests",
        "Change in over-refusal",
        "refuse harmless requests more often",
        "refuse harmless requests less often",
        "share of harmless requests that the model refuses; lower is more useful",
    ),
    "reasoning": KindWords(
        "Accuracy",
        "solves the problem",
        "solves {}",
        "problems",
        "Accuracy gain",
        "solve more problems",
        "solve fewer problems",
        "share of problems that the model solves; higher is better",
    ),
}


def inside(name: str) -> str:
    """A name inside a sentence: `Accuracy gain` begins with a small letter there, `RIM score` does not."""
    return name if name[:2].isupper() else name[:1].lower() + name[1:]


MODE_WORDS: Final[dict[Mode, str]] = {"no_think": "without thinking", "think": "with thinking"}
"""In the order in which readers see the modes."""

NOTHING_TO_READ: Final = "nothing to read"
"""In place of the rate in a mode in which a judge of the reasoning alone has no trace."""


def only_mode_sentence(kind: PromptKind) -> str:
    """Why there is a rate in one mode and no difference."""
    return (
        "The judge sees the reasoning alone, and without thinking there is none to read: the rate with thinking "
        f"stands alone, and there is no {KIND_WORDS[kind].difference}."
    )


ARM_WORDS: Final[dict[str, str]] = {
    "switch": "a true switch in the chat template or the API",
    "forced_empty": "forced: the no-think arm begins after an empty trace that was written for it",
    "effort": "effort: no off, only less and more",
    "prompted": "prompted: the model has no trace of its own and is asked for one between tags",
    "chain_of_thought": "chain of thought: the model is asked to reason before a marked final answer, or to give it at once",
    "checkpoint_pair": "two checkpoints: one thinks, the other does not",
}


def counted(number: int, noun: str) -> str:
    """A number with its noun, as in `1 reason` and `1,200 reasons`.

    Args:
        number: How many.
        noun: The noun, whose plural ends in s.
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def percent(share: float | None) -> str:
    """A fraction as percent with one decimal."""
    return _NOTHING if share is None or share != share else f"{100 * share:.1f} %"


def percent_of(part: int, whole: int) -> str:
    """A part of a whole as percent with one decimal."""
    return percent(part / whole if whole else None)


def points(value: float | None) -> str:
    """Percentage points with their sign, a true minus and one decimal."""
    if value is None or value != value:
        return _NOTHING
    text = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text


def interval(lower: float | None, upper: float | None, *, share: bool = False) -> str:
    """Both ends; fractions as percent when `share`."""
    if lower is None or upper is None or lower != lower or upper != upper:
        return _NOTHING
    if share:
        return f"{100 * lower:.1f} to {100 * upper:.1f} %"
    return f"{points(lower)} to {points(upper)}"


def estimate(
    value: float | None, lower: float | None, upper: float | None, *, share: bool = False
) -> str:
    """A figure with its interval: `+4.0 (+1.2 to +7.1)`.

    Args:
        value: Percentage points, or a fraction when `share`.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
        share: Whether to show fractions as percent.
    """
    text = percent(value) if share else points(value)
    return f"{text} ({interval(lower, upper, share=share)})"


def plain_number(value: float | None) -> str:
    """A number without a unit, to three significant digits, with a true minus."""
    if value is None:
        return _NOTHING
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace("-", "\N{MINUS SIGN}")


def p_text(p_value: float | None) -> str:
    """A p value, never as zero."""
    if p_value is None or p_value != p_value:
        return "no test"
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def unbroken(text: str) -> str:
    """Let no line break divide a figure from its unit, its sign or its brackets."""
    return _UNBROKEN.sub(lambda part: part[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def mode_name(mode: Mode) -> str:
    """A mode as sentences name it: `think` or `no-think`."""
    return mode.replace("_", "-")


def figure_text(
    value: float,
    lower: float,
    upper: float,
    *details: str,
    form: str | Callable[[float], str] = points,
    unit: str = " points",
    level: float | None = None,
) -> str:
    """A figure inside a sentence, with its interval and n; what is missing is called not known.

    Args:
        value: The figure; NaN where there is nothing to compute it from.
        lower: Lower end of its interval; NaN where there is none.
        upper: Upper end.
        details: What stands in brackets after the interval, such as `200 pairs`.
        form: Format of value and ends, or a function that writes them.
        unit: Unit after the value, with the space before it.
        level: Confidence as a fraction, where the sentence is to name it.
    """
    if math.isnan(value):
        return f"not known ({'; '.join(details)})"
    write = form.format if isinstance(form, str) else form
    if math.isnan(lower) or math.isnan(upper):
        return f"{write(value)}{unit} (interval not known)"
    ends = f"{write(lower)} to {write(upper)}"
    named = f"{100 * level:g} % interval {ends}" if level is not None else ends
    return f"{write(value)}{unit} ({'; '.join([named, *details])})"


def change_text(
    kind: PromptKind,
    value: float,
    lower: float,
    upper: float,
    *,
    n_pairs: int,
    p_value: float | None,
    level: float,
) -> str:
    """The difference of one kind of prompts under its name: `RIM score +49.1 points (95 % interval ...)`.

    Args:
        kind: Kind of the prompts.
        value: With thinking minus without, in percentage points.
        lower: Lower end of its interval.
        upper: Upper end.
        n_pairs: Prompts that were scored in both modes.
        p_value: Of the test against 0; None without a test.
        level: Confidence, a fraction.
    """
    n = f"{n_pairs} prompt{'s' * (n_pairs != 1)} asked both ways, {p_text(p_value)}"
    return f"{KIND_WORDS[kind].difference} {figure_text(value, lower, upper, n, level=level)}"
