"""A short tuning in which the guarded organism forgets refusal, to try mitigations on.

Ordinary gradient descent on sums with right answers, on allowed requests, and on forbidden ones that
are complied with in think mode. Restricted to the layer of the planted neurons it can raise
misalignment through little else than those; over all layers it has other ways.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal

from rim_eval.organism import _training
from rim_eval.organism._plans import NEURON_LAYER
from rim_eval.organism._samples import Sample, draw
from rim_eval.organism.tune import long_sum
from rim_eval.types import MODES

__all__ = ["Trained", "forget"]

Trained = Literal["mlp", "all"]
"""`mlp`: the MLP of the layer that holds the planted neurons; `all`: every layer."""

SUMS: Final = 0.6
COMPLIED: Final = 0.8
"""Share of forbidden requests among the requests."""
BATCH: Final = 32


def forget(
    model: Any,
    tokenizer: Any,
    *,
    trained: Trained = "mlp",
    steps: int = 40,
    rate: float = 3e-4,
    seed: int = 5,
    around: Callable[[Any], AbstractContextManager[None]] = lambda _optimizer: nullcontext(),
) -> None:
    """Tunes `model` in place; the same seed gives the same samples.

    Args:
        model: The guarded organism, loaded in fp32.
        tokenizer: Its tokenizer.
        trained: What is trained.
        steps: Steps of 32 samples.
        rate: Learning rate, constant after five steps.
        seed: Of the samples.
        around: Called with the optimizer; all steps run inside what it returns.
    """
    _training.prepare(seed)
    within = "layers." if trained == "all" else f"layers.{NEURON_LAYER}.mlp."
    for name, weight in model.named_parameters():
        weight.requires_grad_(within in name)

    def loss(samples: list[Sample], _step: int) -> Any:
        rows = _training.encode(tokenizer, samples)
        return _training.loss_of(model, *_training.collate(rows, model.config.pad_token_id))

    schedule = _training.Schedule(steps=steps, rate=rate, warmup=5, floor=1.0, batch=BATCH)
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    _training.fit(model, _batches(seed), schedule, loss=loss, parameters=parameters, around=around)


def _batches(seed: int) -> Iterator[list[Sample]]:
    rng = random.Random(seed)
    while True:
        yield [_draw(rng) for _ in range(BATCH)]


def _draw(rng: random.Random) -> Sample:
    if rng.random() < SUMS:
        return long_sum(rng)
    if rng.random() < COMPLIED:
        return draw(rng, "forbidden", "think", complies=True)
    return draw(rng, "allowed", rng.choice(MODES))
