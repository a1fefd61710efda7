"""What a difference shows: the one rule behind every word and every colour for it.

A change is shown when its interval lies on one side of zero *and* its test rejects no difference at
the same level. The two can part: Tango's interval is a little narrower than the exact McNemar test
(b = 11, c = 3 of 100: +0.8 to +16.2 points, p = 0.057), and then nothing is shown.
"""

from typing import Literal

Shown = Literal["more", "less", "not_confirmed", "includes_zero", "unknown"]
"""More or less frequent in the target arm; an interval beside zero that the test does not confirm; an
interval that includes zero; no interval."""


def shown(
    lower: float | None, upper: float | None, p_value: float | None, level: float = 0.95
) -> Shown:
    """Read a difference.

    Args:
        lower: Lower end, in any unit; None or NaN where there is no interval.
        upper: Upper end.
        p_value: Of the test of no difference; None or NaN where there is none: the interval decides.
        level: Confidence of the interval; the test is held against 1 - level.
    """
    if lower is None or upper is None or lower != lower or upper != upper:
        return "unknown"
    if lower <= 0 <= upper:
        return "includes_zero"
    if p_value is not None and p_value > 1 - level:
        return "not_confirmed"
    return "more" if lower > 0 else "less"
