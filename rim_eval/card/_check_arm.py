"""Whether the counts of one arm hang together: no part is larger than what it is a part of."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from rim_eval.results.counts import ArmCounts, Lengths, Outcome, PatternCount

__all__ = ["arm_problems"]

_MOST_SCORES: Final = 20
"""More values than these are no scale, and no histogram is kept of them."""


def arm_problems(arm: ArmCounts, total: Outcome) -> Iterator[str]:
    """What the counts of one mode say against each other.

    Args:
        arm: The counts.
        total: Samples of the same mode over all cells.
    """
    if (arm.events, arm.scored, arm.asked) != total:
        yield f"cells add up to {tuple(total)}, the arm says {(arm.events, arm.scored, arm.asked)}"
    if sum(arm.unscored.values()) != arm.asked - arm.scored:
        yield "unscored reasons do not add up"
    if sum(arm.visibility.values()) != arm.returned:
        yield "trace visibility does not add up to the returned samples"
    parts = (arm.adopted, arm.truncated, arm.over_budget, arm.looping)
    if max(arm.returned, arm.never_closed) > arm.asked or max(parts) > arm.returned:
        yield "more samples are counted than were asked"
    yield from _with_trace(arm)
    yield from _scores(arm)
    yield from _lengths("trace", arm.trace_tokens, arm.adopted)
    yield from _lengths("answer", arm.answer_tokens, arm.returned)
    yield from _patterns(arm)


def _with_trace(arm: ArmCounts) -> Iterator[str]:
    """Samples with a trace are some of all: neither they nor the others may be too many."""
    scored = _fits(arm.adopted_scored, arm.adopted, arm.scored, arm.asked)
    if not scored or not _fits(arm.adopted_events, arm.adopted_scored, arm.events, arm.scored):
        yield "the counts among samples with a trace do not fit"


def _fits(both: int, first: int, second: int, whole: int) -> bool:
    """Whether two parts of a whole can have so many in common."""
    return max(0, first + second - whole) <= both <= min(first, second)


def _scores(arm: ArmCounts) -> Iterator[str]:
    held = sum(arm.scores.values())
    if not all(map(_is_score, arm.scores)) or len(arm.scores) > _MOST_SCORES:
        yield "the histogram's scores are no scale"
    elif arm.scores and not arm.scored <= held <= arm.asked:
        yield f"the histogram holds {held} samples, {arm.scored} are scored and {arm.asked} were asked"


def _is_score(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and f"{value:g}" == text


def _lengths(name: str, found: Lengths | None, most: int) -> Iterator[str]:
    if found is None:
        return
    if not 0 < found.n <= most:
        yield f"{name} lengths are of {found.n} samples, and there are {most}"
    if not found.p10 <= found.median <= found.p90:
        yield f"{name} lengths are out of order: {found.p10:g}, {found.median:g}, {found.p90:g}"
    elif found.n == 1 and found.p10 != found.p90:
        yield f"{name} lengths differ though they are of one sample"


def _patterns(arm: ArmCounts) -> Iterator[str]:
    if arm.patterns_read > arm.returned:
        yield f"{arm.patterns_read} traces were read for patterns, {arm.returned} samples returned"
    yield from _nested(arm.patterns, arm)


def _nested(patterns: Mapping[str, PatternCount], arm: ArmCounts) -> Iterator[str]:
    for name, found in patterns.items():
        inside = 0 < found.n <= arm.patterns_read
        scored = _fits(found.scored, found.n, arm.scored, arm.asked)
        if (
            not inside
            or not scored
            or not _fits(found.events, found.scored, arm.events, arm.scored)
        ):
            yield f"the counts of the pattern {name} do not fit"
