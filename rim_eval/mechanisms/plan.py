"""What an analysis will generate, and how long that takes, before it starts.

Replies are all that takes long. How many random sets are observed depends on what is found: few where
nothing rises, all where something does. So there are two figures of each, fewest and most.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import cycle, islice
from math import ceil
from typing import Final, NamedTuple

from rim_eval.formatting import mode_name
from rim_eval.mechanisms.effects import FIRST
from rim_eval.mechanisms.model import ModelHandle, Request
from rim_eval.mechanisms.probe_samples import CALIBRATION
from rim_eval.mechanisms.replies import generate
from rim_eval.mechanisms.steering import COEFFICIENTS, LAYERS, SWEPT
from rim_eval.progress import duration
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


Observations = tuple[int, ...]
"""Replies of each observation, one after the other: batches do not reach over them."""


class PlannedReplies(NamedTuple):
    """Observations of one part in one mode."""

    part: str
    mode: Mode
    fewest: Observations
    """Where nothing is found."""
    most: Observations
    """Where everything is."""


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
    ablated = tuple((everything, *[harmful] * n) for n in (min(FIRST, draws), draws))
    for mode in MODES:
        if any(mode in _UNTOUCHED[part] for part in parts):
            yield PlannedReplies("untouched", mode, (everything,), (everything,))
        if "heads" in parts and mode == "no_think":
            yield PlannedReplies("heads", mode, *ablated)
        if "neurons" in parts:
            # The requests with their intent spelt out come before.
            yield PlannedReplies("neurons", mode, *((harmful, *each) for each in ablated))
        if "mitigations" in parts and mode == "think":
            yield PlannedReplies("mitigations", mode, (), _most_steering(counts, draws))
        if "ras" in parts and mode in ras_modes and checkpoints:
            own = () if "neurons" in parts else (harmful,)
            yield PlannedReplies("ras", mode, *[(*own, *(harmful,) * checkpoints)] * 2)


def _most_steering(counts: Mapping[PromptKind, int], draws: int) -> Observations:
    """What `steering.study_steering` observes where every setting is tried and misalignment falls."""
    fitting = {kind: round(CALIBRATION * n) for kind, n in counts.items()}
    held_out = {kind: n - fitting[kind] for kind, n in counts.items()}
    swept = min(fitting.get("harmful", 0), SWEPT) + min(fitting.get("benign", 0), SWEPT // 2)
    ranked = min(held_out.get("harmful", 0), SWEPT)
    return (
        *[swept] * (LAYERS * len(COEFFICIENTS)),
        sum(held_out.values()),
        *[ranked] * (draws * LAYERS + 2),
    )


def time_step(handle: ModelHandle, requests: Sequence[Request], batch: int) -> float:
    """Seconds that one more token of a batch takes on this machine.

    Args:
        handle: The model.
        requests: Prompts to try, as often as it takes to fill the batch.
        batch: Prompts at a time.
    """
    passages = handle.passages([*islice(cycle(requests), batch)], "no_think")
    took = []
    for tokens in _STEPS:
        started = time.monotonic()
        generate(
            handle.model, handle.tokenizer, passages, max_new_tokens=tokens, min_new_tokens=tokens, batch=batch
        )  # fmt: skip
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

    def cost(fewest: Observations, most: Observations) -> str:
        replies = [f"{sum(each):,}" for each in (fewest, most)]
        times = [
            duration(sum(ceil(n / batch) for n in each) * budget * step) for each in (fewest, most)
        ]
        return f"{_range(replies)} replies, {_range(times)}"

    for row in plan:
        yield f"{row.part}, {mode_name(row.mode)}: {cost(row.fewest, row.most)}"
    fewest = tuple(n for row in plan for n in row.fewest)
    most = tuple(n for row in plan for n in row.most)
    yield (
        f"all: {cost(fewest, most)}, from where nothing is found to where everything is, if every batch of {batch} "
        f"uses up its {budget:,} tokens at {1000 * step:.3g} ms each"
    )


def _range(ends: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys(ends))
