"""The card's section on the inside of the model: what `rim-eval mech` found, in short.

It comes from a report of its own, not from the counts on the card, so `check_card` cannot compute it
again; the report's checksum says which it was.
"""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from rim_eval.card._grid import Grid
from rim_eval.formatting import percent, points
from rim_eval.types import Name, PromptKind, Sentence

__all__ = [
    "InsideFigure",
    "InsideFinding",
    "InsideSet",
    "MechanismsCard",
    "inside_findings",
    "inside_grids",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Part = Literal["probes", "heads", "neurons", "ras", "drift", "mitigations"]

_TITLES: Final[dict[Part, str]] = {
    "probes": "Probes, the best layer of each question, mode and position",
    "heads": "Refusal heads, and the model without them",
    "neurons": "The model without its safety-critical neurons",
    "ras": "RAS at the end of each training run",
    "drift": "Base against tuned, layer by layer",
    "mitigations": "Mitigations, with against without",
}

_NOTES: Final[dict[Part, str]] = {
    "probes": "On held-out samples; the best of several layers is chosen on the same ones, so it stands a little high.",
    "heads": "Random sets: as many heads elsewhere, in the same layers where those have enough.",
    "neurons": "Random sets: as many neurons of the same layers.",
    "ras": "RAS has no scale and compares within one model only. Random sets: as many neurons of the same layers.",
    "drift": "CKA ratio above 1: harmful prompts changed more than harmless ones. Drift below 0: away from refusal. Intervals are not adjusted for the number of layers.",
    "mitigations": "On prompts that the mitigation was not fitted on.",
}


class InsideSet(BaseModel):
    """A prompt set that was read."""

    model_config = _FROZEN

    name: Name
    kind: PromptKind
    n: NonNegativeInt


class InsideFinding(BaseModel):
    """One finding in words."""

    model_config = _FROZEN

    part: Part
    verdict: Name | None
    """`found`, `not_specific`, `no_effect`, `consistent`, `not_the_route`, `cannot_tell`, ...; None
    where the sentence is a remark."""
    says: Sentence


class InsideFigure(BaseModel):
    """One figure with its interval, and random sets beside it where there are any."""

    model_config = _FROZEN

    part: Part
    what: Name
    measure: Name
    unit: Literal["points", "share", "plain"]
    """Percentage points, a fraction from 0 to 1, or a number without a unit."""
    value: float | None
    lower: float | None = None
    upper: float | None = None
    n: Name | None = None
    random: tuple[float, ...] = Field(default=(), max_length=1000)
    """The same figure for each random set."""
    p_value: float | None = None
    """Rank among the random sets."""


class MechanismsCard(BaseModel):
    """What was found inside the model."""

    model_config = _FROZEN

    report_sha256: Name
    model: Name
    """As the report calls it."""
    judge: Name
    """Judge of the replies; `refusal` counts every reply that does not refuse as misaligned."""
    ablation: Literal["zero", "mean"]
    seed: int
    max_new_tokens: int = Field(gt=0)
    sets: tuple[InsideSet, ...]
    versions: dict[Name, Name]
    findings: tuple[InsideFinding, ...]
    figures: tuple[InsideFigure, ...]


def inside_findings(found: MechanismsCard) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each part that something was found in, with its sentences."""
    said = {part: tuple(f.says for f in found.findings if f.part == part) for part in _HEADINGS}
    return tuple((_HEADINGS[part], sentences) for part, sentences in said.items() if sentences)


_HEADINGS: Final[dict[Part, str]] = {
    "probes": "Probes",
    "heads": "Refusal heads",
    "neurons": "Safety-critical neurons",
    "ras": "What training overwrote (RAS)",
    "drift": "Where training changed the model",
    "mitigations": "Mitigations",
}


def inside_grids(found: MechanismsCard) -> tuple[Grid, ...]:
    """One table a part, in the order of the parts."""
    return tuple(_grids(found))


def _grids(found: MechanismsCard) -> Iterator[Grid]:
    for part, title in _TITLES.items():
        mine = [each for each in found.figures if each.part == part]
        drawn = any(each.random for each in mine)
        if mine:
            head = ("what", "measure", "value", "95 % interval", "n")
            more = ("random sets: median (range)", "rank p") if drawn else ()
            rows = tuple(_row(each, drawn) for each in mine)
            yield Grid(title, _NOTES[part], (*head, *more), rows)


def _row(each: InsideFigure, drawn: bool) -> tuple[str, ...]:
    write = _WRITE[each.unit]
    known = each.lower is not None and each.upper is not None
    ends = f"{write(each.lower)} to {write(each.upper)}" if known else ""
    cells = (each.what, each.measure, write(each.value), ends, each.n or "")
    return (*cells, *_beside(each, write)) if drawn else cells


def _beside(each: InsideFigure, write: Callable[[float | None], str]) -> tuple[str, str]:
    if not each.random:
        return "", ""
    drawn = each.random
    p_value = "" if each.p_value is None else f"{each.p_value:.2g}"
    return (
        f"{len(drawn)}: {write(median(drawn))} ({write(min(drawn))} to {write(max(drawn))})",
        p_value,
    )


def _plain(value: float | None) -> str:
    if value is None:
        return "n/a"
    shown = f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return shown.replace("-", "\N{MINUS SIGN}")


_WRITE: Final[dict[str, Callable[[float | None], str]]] = {
    "points": points,
    "share": percent,
    "plain": _plain,
}
