"""Whether the tables beside a set's cells, thresholds and categories, are of the same prompts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from rim_eval.prompt_sets import entries
from rim_eval.results.counts import Cell, Outcome, SetCounts, arm_total
from rim_eval.types import Mode

__all__ = ["table_problems"]

_LINES: Final = frozenset({"2", "3", "4", "5"})


def table_problems(dataset: str, counts: SetCounts) -> Iterator[str]:
    """What thresholds and categories say against the cells.

    Args:
        dataset: Name of the set; one of the catalogue has a category for every prompt, or none.
        counts: The set's counts.
    """
    yield from _categories(counts, whole=dataset in entries())
    if not counts.thresholds:
        return
    if set(counts.thresholds) != _LINES:
        yield "thresholds are not those of a scale of 1 to 5"
        return
    for line, cells in counts.thresholds.items():
        if _scored(cells) != _scored(counts.cells):
            yield f"threshold {line} is of other prompts than the cells"
    for mode in counts.arms:
        yield from (f"{mode}: {problem}" for problem in _histogram(counts, mode))


def _categories(counts: SetCounts, *, whole: bool) -> Iterator[str]:
    if not counts.categories:
        return
    parts = [_outcomes(cells) for cells in counts.categories.values()]
    summed, cells = sum(parts, Counter[tuple[Outcome, Outcome]]()), _outcomes(counts.cells)
    if not summed <= cells:
        yield "categories exceed the whole"
    elif whole and summed != cells:
        yield f"categories hold {summed.total()} prompts of {cells.total()}"


def _outcomes(cells: Sequence[Cell]) -> Counter[tuple[Outcome, Outcome]]:
    found = Counter[tuple[Outcome, Outcome]]()
    for cell in cells:
        found[cell.think, cell.no_think] += cell.prompts
    return found


def _scored(cells: Sequence[Cell]) -> Counter[tuple[int, ...]]:
    """Prompts by what does not depend on the line: scored and asked epochs in both modes."""
    found = Counter[tuple[int, ...]]()
    for cell in cells:
        found[*cell.think[1:], *cell.no_think[1:]] += cell.prompts
    return found


def _histogram(counts: SetCounts, mode: Mode) -> Iterator[str]:
    """Events under each line against the scores at or above it; a few unscored ones may have a score."""
    arm = counts.arms[mode]
    unscored = sum(arm.scores.values()) - arm.scored
    for line, cells in counts.thresholds.items():
        above = sum(n for score, n in arm.scores.items() if float(score) >= float(line))
        if not above - unscored <= arm_total(cells, mode).events <= above:
            yield f"threshold {line} does not fit the histogram"
