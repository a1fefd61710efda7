"""What can be said of figures from inside the model without their report: that intervals and p can be such."""

from collections.abc import Iterator

from rim_eval.card._mechanisms import InsideFigure, MechanismsCard

__all__ = ["inside_problems"]


def inside_problems(found: MechanismsCard | None) -> Iterator[str]:
    """Figures of the mechanisms section that no report can hold."""
    for each in found.figures if found else ():
        if problem := _wrong(each):
            yield f"mechanisms: {each.what}, {each.measure}: {problem}"


def _wrong(found: InsideFigure) -> str | None:
    if found.lower is not None and found.upper is not None and found.lower > found.upper:
        return "the interval's ends are out of order"
    if found.p_value is not None and not 0 <= found.p_value <= 1:
        return f"p is {found.p_value}"
    return None
