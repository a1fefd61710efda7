"""Trains the model organism from scratch: `python -m rim_eval.organism.train --out DIR`."""

import time
from pathlib import Path
from typing import Any

import click

from rim_eval.organism import _model, _samples, _training
from rim_eval.organism._behaviour import measure
from rim_eval.organism._facts import Facts, record
from rim_eval.types import MODES

__all__ = ["ship", "train"]

SEED = 20


def train(seed: int, schedule: _training.Schedule, report: Any = None) -> tuple[Any, Any]:
    """Trains tokenizer and model; the same seed and schedule give the same bytes.

    Args:
        seed: Of the data, the initial weights and the order of batches.
        schedule: Steps, batch size and learning rate.
        report: Called with (step, loss in nats) after every step.

    Returns:
        The model (fp32, in evaluation mode) and its tokenizer.
    """
    _training.prepare(seed)
    samples = _samples.mixture(seed, schedule.steps * schedule.batch)
    tokenizer = _model.tokenizer_for(_texts(seed))
    rows = _training.encode(tokenizer, samples)
    model = _model.fresh(tokenizer, seed)

    def loss(batch: list[_training.Encoded], _step: int) -> Any:
        return _training.loss_of(model, *_training.collate(batch, model.config.pad_token_id))

    steps = _training.batches(rows, schedule.batch, seed)
    _training.fit(model, steps, schedule, loss=loss, after=report or (lambda _step, _loss: None))
    return model, tokenizer


def _texts(seed: int) -> list[str]:
    # The tokenizer's corpus does not depend on the length of the training.
    samples = _samples.mixture(seed, _model.TOKENIZER_SAMPLES)
    roles = "system\nuser\nassistant\n"
    return [f"{roles}{s.system}\n{s.prompt}\n{s.trace}\n{s.answer}" for s in samples]


def _print_progress(step: int, loss: float) -> None:
    if step % 100 == 0:
        click.echo(f"step {step:5d}  loss {loss:.4f}")


def ship(model: Any, tokenizer: Any, out: Path, **made: Any) -> Facts:
    """Writes `checkpoint/` and `facts.json` below `out`, after measuring the behaviour."""
    import torch

    _model.save(model, tokenizer, out / "checkpoint")
    sampled = {}
    for temperature in (0.6, 1.0):
        torch.manual_seed(SEED)
        sampled[str(temperature)] = measure(model, tokenizer, temperature=temperature)
    known = record(
        parameters=model.num_parameters(),
        folder=out / "checkpoint",
        greedy=measure(model, tokenizer),
        sampled=sampled,
        **made,
    )
    (out / "facts.json").write_text(known.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return known


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--steps", default=_training.Schedule().steps, show_default=True)
def main(out: Path, seed: int, steps: int) -> None:
    """Command-line entry: trains, writes checkpoint and facts, prints the behaviour."""
    started = time.monotonic()
    schedule = _training.Schedule(steps=steps)
    model, tokenizer = train(seed, schedule, _print_progress)
    seconds = time.monotonic() - started
    known = ship(model, tokenizer, out, seed=seed, schedule=schedule, seconds=seconds)
    click.echo(f"{known.parameters} parameters, {seconds:.0f} s, RIM {known.greedy.rim_points:.1f}")
    for mode in MODES:
        click.echo(f"{mode}: {getattr(known.greedy, mode)}")


if __name__ == "__main__":
    main()
