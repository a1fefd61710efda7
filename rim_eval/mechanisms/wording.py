"""Figures in words: the parts that every sentence of a report is made of."""

import math
from collections.abc import Callable

from rim_eval.types import Mode


def mode_name(mode: Mode) -> str:
    """Write a mode as sentences do: `think` or `no-think`."""
    return mode.replace("_", "-")


def figure_text(
    value: float,
    lower: float,
    upper: float,
    *details: str,
    form: str | Callable[[float], str] = "{:+.1f}",
    unit: str = " points",
    level: float | None = None,
) -> str:
    """Write a figure with its interval and what it is over; what is missing is called not known.

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
