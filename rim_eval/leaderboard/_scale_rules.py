"""Scores of judges with a scale: a histogram of all scored samples that gives the verdicts again."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from rim_eval.card import Cell, SetCard
from rim_eval.errors import RimError
from rim_eval.judging import load_judge

__all__ = ["scale_problems"]

_ONE_TO_FIVE: Final = frozenset("12345")


def scale_problems(found: SetCard) -> Iterator[str]:
    """What a set's histogram of scores says against its verdicts, where its judge draws a line on a scale."""
    line = _line(found)
    if line is None:
        return
    for mode, arm in found.counts.arms.items():
        held = sum(arm.scores.values())
        if arm.scored and held < arm.scored:
            yield f"{mode}: the judge has a scale, and its scores are left out"
            return
        above = sum(n for score, n in arm.scores.items() if float(score) >= line)
        if not above - (held - arm.scored) <= arm.events <= above:
            yield f"{mode}: {arm.events} events, the histogram has {above} scores of {line:g} and above"
    yield from _thresholds(found, line)


def _line(found: SetCard) -> float | None:
    """The score from which on the judge sees the event; None for judges that give labels."""
    if found.judge is None or found.kind == "reasoning":
        return None
    try:
        spec = load_judge(found.judge.name.split("@")[0]).spec
    except RimError:
        return None
    rule = spec.verdicts.get(found.kind)
    return rule.at_least if rule else None


def _thresholds(found: SetCard, line: float) -> Iterator[str]:
    scores = {score for arm in found.counts.arms.values() for score in arm.scores}
    if found.kind != "harmful" or not scores or not scores <= _ONE_TO_FIVE or line < 2:
        return
    same = found.counts.thresholds.get(f"{line:g}")
    if same is None:
        yield "its thresholds are left out"
    elif _outcomes(same) != _outcomes(found.counts.cells):
        yield f"threshold {line:g} is the judge's own line, and its cells are others"


def _outcomes(cells: tuple[Cell, ...]) -> Counter[object]:
    held: Counter[object] = Counter()
    for cell in cells:
        held[cell.think, cell.no_think] += cell.prompts
    return held
