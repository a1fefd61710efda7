"""What an analysis will generate, and how long that takes, before it starts.

Replies are all that takes long. How many random sets are observed depends on what is found: few where
nothing rises, all where something does. So there are two figures of each, fewest and most.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import ceil
from typing import Final, NamedTuple

from rim_eval.formatting import mode_name
from rim_eval.mechanisms.effects import FIRST
from rim_eval.mechanisms.model import ModelHandle, Request
from rim_eval.types import MODES, Mode, PromptKind

_UNTOUCHED: Final[Mapping[str, tuple[Mode, ...]]] = {
    "probes": MODES,
    "heads": ("no_think",),
    "neurons": MODES,
    "mitigations": MODES,
    "ras": MODES,
    "drift": ("no_think",),
}
"""Part to the modes in which it needs the untouched model's replies."""

_STEPS: Final = (4, 20)
"""Tokens that are generated to time a step: the first takes the prompt, so the difference counts."""


_UNITS: Final = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


class PlannedReplies(NamedTuple):
    """Replies of one part in one mode."""

    part: str
    mode: Mode
    fewest: int
    most: int

    def seconds(self, replies: int, *, batch: int, budget: int, step: float) -> float:
        """Seconds for so many replies that all use up their budget, with so many seconds a step of a batch."""
        return ceil(replies / batch) * budget * step


def plan_replies(
    parts: Collection[str],
    counts: Mapping[PromptKind, int],
    *,
    draws: int,
    ras_modes: Sequence[Mode] = MODES,
    checkpoints: int = 0,
) -> Iterator[PlannedReplies]:
    """Say what each part generates; what several need, the untouched model's replies, stands first.

    Args:
        parts: Names of the analyses.
        counts: Prompts of each kind.
        draws: Random sets beside every set that is ablated.
        ras_modes: Modes in which RAS is followed.
        checkpoints: Checkpoints of all training runs together.
    """
    harmful, everything = counts.get("harmful", 0), sum(counts.values())
    few = min(FIRST, draws)
    for mode in MODES:
        if any(mode in _UNTOUCHED[part] for part in parts):
            yield PlannedReplies("untouched", mode, everything, everything)
        if "heads" in parts and mode == "no_think":
            yield PlannedReplies("heads", mode, everything + few * harmful, everything + draws * harmful)  # fmt: skip
        if "neurons" in parts:
            own = everything + harmful  # the requests with their intent spelt out
            yield PlannedReplies("neurons", mode, own + few * harmful, own + draws * harmful)
        if "ras" in parts and mode in ras_modes and checkpoints:
            yield PlannedReplies("ras", mode, checkpoints * harmful, checkpoints * harmful)


def time_step(handle: ModelHandle, requests: Sequence[Request], batch: int) -> float:
    """Seconds that one more token of a batch takes on this machine.

    Args:
        handle: The model.
        requests: Prompts to try; the first `batch` of them.
        batch: Prompts at a time.
    """
    took = []
    for tokens in _STEPS:
        started = time.monotonic()
        handle.replies(requests[:batch], "no_think", max_new_tokens=tokens, batch=batch)
        took.append(time.monotonic() - started)
    return max(took[1] - took[0], 0.0) / (_STEPS[1] - _STEPS[0])


def plan_text(
    plan: Sequence[PlannedReplies], *, batch: int, budget: int, step: float
) -> Iterator[str]:
    """Say what will be generated, a line a part and mode and one for all.

    Args:
        plan: From `plan_replies`.
        batch: Prompts at a time.
        budget: Tokens of a reply, at most.
        step: Seconds that one more token of a batch takes.
    """

    def hours(replies: Mapping[PlannedReplies, int]) -> str:
        seconds = sum(
            row.seconds(n, batch=batch, budget=budget, step=step) for row, n in replies.items()
        )
        unit, size = next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])
        return f"{seconds / size:.2g} {unit}"

    for row in plan:
        yield (
            f"{row.part}, {mode_name(row.mode)}: {_range(row.fewest, row.most)} replies, at most "
            f"{hours({row: row.most})}"
        )
    fewest, most = {row: row.fewest for row in plan}, {row: row.most for row in plan}
    yield (
        f"all: {_range(sum(fewest.values()), sum(most.values()))} replies of at most {budget:,} tokens; at "
        f"{1000 * step:.3g} ms a token of {batch} prompts at a time {hours(fewest)} to {hours(most)}, if every reply "
        "uses up its budget"
    )


def _range(fewest: int, most: int) -> str:
    return f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
