"""The model organism as default model of `rim-eval mech`: the one place where the command knows it."""

from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rim_eval.mechanisms import ModelHandle, TrainingRun

ORGANISMS: Final = ("natural", "planted", "hidden", "guarded", "locked")

SERIES: Final = {"negative": "guarded", "positive": "locked"}
"""Checkpoint series to the organism that is their base."""


def load_organism(name: str, device: str) -> "ModelHandle":
    """Load an organism.

    Args:
        name: One of `ORGANISMS`.
        device: torch device of the weights.
    """
    from rim_eval.mechanisms import wrap_model
    from rim_eval.organism import load_variant

    model, tokenizer = load_variant(name)
    title = "organism" if name == "natural" else f"organism ({name})"
    return wrap_model(model.to(device), tokenizer, title)


def series_runs(series: str, device: str) -> list["TrainingRun"]:
    """List the training runs of one of the organism's series, the target run first.

    Args:
        series: One of `SERIES`.
        device: torch device of the checkpoints.
    """
    from rim_eval.mechanisms import TrainingRun, wrap_model
    from rim_eval.organism import RUNS, load_checkpoint

    def load(run: str, step: int) -> "ModelHandle":
        model, tokenizer = load_checkpoint(run, step)
        return wrap_model(model.to(device), tokenizer, name=f"{run}, step {step}")

    return [
        TrainingRun(name, {step: partial(load, name, step) for step in run.steps})
        for name, run in RUNS.items()
        if name.startswith(series)
    ]
