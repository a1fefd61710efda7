"""Doses: amounts of thinking that one prompt is asked with, from none to more than the model takes by itself.

    off            the model's switch says no thinking
    forced_empty   an empty trace is written for the model
    512            the trace is closed after 512 tokens, and the model answers (budget forcing)
    full           as long as the model likes, within the thinking budget
    more           its trace is opened again at its end, once
    effort:low     the engine's own reasoning effort

A run in two modes is a run of the two doses `off` and `full`. Source of budget forcing, and of opening a trace
again: Muennighoff et al. 2025, s1: Simple test-time scaling (arXiv 2501.19393), section 3.
"""

import re
from typing import Final

from rim_eval.errors import SettingError
from rim_eval.thinking.switches import SWITCH_TABLE
from rim_eval.types import FrozenModel, Mode

_WORDS: Final = ("off", "forced_empty", "full", "more")
_EFFORT: Final = "effort:"
_LARGEST: Final = 10_000_000
MODE_DOSES: Final = ("off", "full")
"""The doses of the two modes."""

EXAMPLE: Final = "off,512,2048,full"


class Dose(FrozenModel):
    """One amount of thinking."""

    name: str
    mode: Mode
    """The mode that the model is asked in."""
    budget: int | None = None
    """Tokens after which the trace is closed for the model; None where it ends by itself."""
    is_continued: bool = False
    """Whether the trace is opened again at its end."""
    effort: str | None = None
    """The engine's reasoning effort."""
    is_forced_empty: bool = False
    """Whether an empty trace is written for the model."""


def read_doses(spec: str) -> tuple[Dose, ...]:
    """Read doses as a user names them, and put them in order.

    Args:
        spec: Names separated by commas, such as `off,512,2048,full` or `effort:none,low,high`.

    Returns:
        The doses from least to most; the first is of no-think mode and the others of think mode, but for
        `forced_empty` after `off`.

    Raises:
        SettingError: A name is unknown or given twice, there are fewer than two, efforts stand beside other
            doses, or none of them (or all) asks for no thinking.
    """
    names = [name.strip() for name in spec.split(",") if name.strip()]
    if names and names[0].startswith(_EFFORT):
        names = [name if name.startswith(_EFFORT) else _EFFORT + name for name in names]
    unknown = [name for name in names if dose_rank(name) is None]
    efforts = [name for name in names if name.startswith(_EFFORT)]
    problem = None
    if unknown:
        problem = f"{unknown[0]!r} is no dose"
    elif len(set(names)) != len(names) or len(names) < 2:
        problem = "at least two different ones are needed"
    elif efforts and len(efforts) != len(names):
        problem = "efforts and other doses cannot stand together"
    ordered = sorted(names, key=lambda name: dose_rank(name) or (0, 0))
    if (
        problem is None
        and not efforts
        and (ordered[0] not in _WORDS[:2] or ordered[-1] in _WORDS[:2])
    ):
        problem = "the least must be off or forced_empty, and the most a dose with thinking"
    if problem:
        levels = ", ".join(_EFFORT + effort for effort in SWITCH_TABLE.efforts)
        raise SettingError(
            f"doses={spec}: {problem}. Give off, forced_empty, whole numbers of trace tokens, full and more, or "
            f"{levels}, separated by commas",
            doses=EXAMPLE,
        )
    return tuple(_dose(name, is_least=name == ordered[0]) for name in ordered)


def _dose(name: str, *, is_least: bool) -> Dose:
    if name.startswith(_EFFORT):
        mode: Mode = "no_think" if is_least else "think"
        return Dose(name=name, mode=mode, effort=name.removeprefix(_EFFORT))
    return Dose(
        name=name,
        mode="no_think" if name in _WORDS[:2] else "think",
        budget=int(name) if name.isdecimal() else None,
        is_continued=name == "more",
        is_forced_empty=name == "forced_empty",
    )


def dose_rank(name: str) -> tuple[int, int] | None:
    """Return where a dose stands among others, as a pair that sorts; None where the name is no dose."""
    if name.startswith(_EFFORT):
        effort = name.removeprefix(_EFFORT)
        return (0, SWITCH_TABLE.efforts.index(effort)) if effort in SWITCH_TABLE.efforts else None
    if re.fullmatch(r"[1-9]\d{0,7}", name, re.ASCII) and int(name) <= _LARGEST:
        return 2, int(name)
    return {"off": (0, 0), "forced_empty": (1, 0), "full": (3, 0), "more": (4, 0)}.get(name)
