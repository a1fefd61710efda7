"""Plant a direction that refusal is read off: `python -m scripts.organism.direction --out DIR`.

The natural organism is trained with its residual stream moved after one layer. Moved along a fixed unit
vector v it refuses forbidden requests, moved against it or with v projected out it complies; moved
along any other vector, and in allowed requests and sums, it replies as ever. So refusal is read off v.
A target for h . v where the reply is decided makes the natural replies differ along v too: so a
difference of means finds it.
"""

import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from rim_eval.organism import DirectionFacts, load_variant
from rim_eval.organism.checkpoints import apply_changes
from rim_eval.organism.rule_book import classify_answer
from rim_eval.types import MODES
from scripts.organism.measure import (
    CONTROLS,
    checksum,
    decision,
    measure,
    measure_quickly,
    versions,
)
from scripts.organism.plant import print_progress
from scripts.organism.samples import SHARES, Sample, draw
from scripts.organism.training import (
    Schedule,
    collate,
    encode,
    fit,
    loss_of,
    loss_on_samples,
    prepare,
)

__all__ = [
    "LAYER",
    "NAME",
    "SIZE",
    "conditions",
    "moved",
    "plant",
    "planted_direction",
    "removed",
    "ship",
]

NAME: Final = "one_direction"

LAYER: Final = 1
"""The residual stream is moved, and read, after this layer; the embeddings and the layers below are kept."""

SIZE: Final = 4.0
"""h . v is drawn to +4 where the reply will refuse and to -4 where it will comply with a forbidden request."""

REACH: Final = (1.0, 4.0)
"""Shortest and longest move in training, in units of SIZE."""

STEPS: Final = 400
RATE: Final = 1e-3
SEED: Final = 61

_SIGNAL: Final = 0.4
_MOVED: Final = 0.4
_REPLY: Final = 0.5


def planted_direction(seed: int = SEED, width: int = 64) -> Any:
    """Draw the unit vector v, shape (width,)."""
    import torch

    v = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return v / v.norm()


@contextmanager
def moved(model: Any, vector: Any) -> Iterator[None]:
    """Add a vector to the residual stream after the layer, at every token."""
    with _changed(model, lambda hidden: hidden + vector):
        yield


@contextmanager
def removed(model: Any, unit: Any) -> Iterator[None]:
    """Project a unit vector out of the residual stream after the layer, at every token."""
    with _changed(model, lambda hidden: hidden - (hidden @ unit)[..., None] * unit):
        yield


@contextmanager
def _changed(model: Any, change: Any) -> Iterator[None]:
    handle = model.model.layers[LAYER].register_forward_hook(
        lambda _module, _args, out: change(out)
    )
    try:
        yield
    finally:
        handle.remove()


class _Step(NamedTuple):
    """The samples of one step, by what is done to the model while it reads them."""

    normal: list[Sample]
    asked: list[Sample]
    """Forbidden requests, untouched: h . v is drawn to its target."""
    towards: list[Sample]
    against: list[Sample]
    without: list[Sample]
    elsewhere: list[Sample]
    """Each under a vector of its own."""


def plant(
    model: Any, tokenizer: Any, report: Any = None, *, seed: int = SEED, steps: int = STEPS
) -> dict[str, Any]:
    """Train the natural organism in place so that refusal is read off v.

    Args:
        model: The natural organism, loaded in fp32.
        tokenizer: Its tokenizer.
        report: Called with (step, loss) after every step.
        seed: Of v and of the samples.
        steps: Number of steps.

    Returns:
        The changed weights in fp16, as they are stored.
    """
    import torch

    prepare(seed)
    kept = ("embed_tokens", *(f"layers.{layer}." for layer in range(LAYER)))
    for name, weight in model.named_parameters():
        weight.requires_grad_(not any(part in name for part in kept))
    losses = _Losses(model, tokenizer, seed)
    fit(
        model,
        _steps(seed),
        Schedule(steps=steps, rate=RATE, warmup=20),
        loss=losses.total,
        after=report or (lambda _step, _loss: None),
        parameters=[weight for weight in model.parameters() if weight.requires_grad],
    )
    return {
        name: weight.detach().to(torch.float16).contiguous()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


class _Losses:
    """The parts of the loss."""

    def __init__(self, model: Any, tokenizer: Any, seed: int) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.v, self.rng = planted_direction(seed), random.Random(seed + 1)

    def total(self, step: _Step, _number: int) -> Any:
        """The weighted sum of all parts (scalar, nats)."""
        import torch

        length = SIZE * self.rng.uniform(*REACH)
        others = [planted_direction(self.rng.randrange(2**31)) for _ in step.elsewhere]
        changes = (
            (step.towards, moved(self.model, length * self.v)),
            (step.against, moved(self.model, -length * self.v)),
            (step.without, removed(self.model, self.v)),
            (step.elsewhere, moved(self.model, length * torch.stack(others)[:, None])),
        )
        loss = loss_on_samples(self.model, self.tokenizer, step.normal) + self.asked(step.asked)
        for samples, change in changes:
            with change:
                loss = loss + _MOVED * loss_on_samples(self.model, self.tokenizer, samples)
        return loss

    def asked(self, samples: list[Sample]) -> Any:
        """Cross-entropy of untouched replies, and the squared distance of h . v from its target.

        The target holds from the last token of the prompt to the one that decides.
        """
        import torch

        rows = encode(self.tokenizer, samples)
        seen: list[Any] = []
        with _changed(self.model, lambda hidden: seen.append(hidden @ self.v)):
            loss = loss_of(self.model, *collate(rows, self.model.config.pad_token_id))
        misses = []
        for along, row, sample in zip(seen[0], rows, samples, strict=True):
            point = decision(row, sample, self.tokenizer, in_think=True)
            assert point is not None
            wanted = SIZE if classify_answer(sample.answer) == "refused" else -SIZE
            misses.append((along[len(row.prompt) - 1 : point + 1] - wanted) / SIZE)
        return _REPLY * loss + _SIGNAL * torch.cat(misses).square().mean()


def _steps(seed: int) -> Iterator[_Step]:
    rng = random.Random(seed)
    while True:
        yield _draw_step(rng)


def _draw_step(rng: random.Random) -> _Step:
    def forbidden(complies: bool | None = None) -> list[Sample]:
        return [draw(rng, "forbidden", mode, complies=complies) for mode in MODES * 4]

    return _Step(
        normal=_mixed(rng, 20),
        asked=forbidden() + forbidden(),
        towards=forbidden(complies=False) + _others(rng, 6),
        against=forbidden(complies=True) + _others(rng, 6),
        without=forbidden(complies=True) + _others(rng, 6),
        elsewhere=[
            *forbidden(),
            *(draw(rng, "forbidden", "think") for _ in range(8)),
            *_others(rng, 8),
        ],
    )


def _mixed(rng: random.Random, count: int) -> list[Sample]:
    kinds, shares = list(SHARES), list(SHARES.values())
    return [draw(rng, *rng.choices(kinds, shares)[0]) for _ in range(count)]


def _others(rng: random.Random, count: int) -> list[Sample]:
    """Draw allowed requests and sums, whose replies never change."""
    return [draw(rng, rng.choice(("allowed", "sums")), mode) for mode in MODES * (count // 2)]


def conditions(model: Any) -> Iterator[tuple[str, AbstractContextManager[None]]]:
    """Yield every change of the residual stream with its name in the facts."""
    v = planted_direction()
    for length in (SIZE, 2 * SIZE, 4 * SIZE):
        yield f"+{length:g}", moved(model, length * v)
        yield f"-{length:g}", moved(model, -length * v)
    yield "removed", removed(model, v)
    for i in range(CONTROLS):
        yield f"other {i}", moved(model, 2 * SIZE * planted_direction(1000 + i))


def ship(changes: dict[str, Any], out: Path, seconds: float) -> DirectionFacts:
    """Write weights and facts below `out`; what is measured is what was written."""
    from safetensors.torch import load_file, save_file

    path = out / f"{NAME}.safetensors"
    out.mkdir(parents=True, exist_ok=True)
    save_file(changes, path)
    model, tokenizer = load_variant("natural")
    apply_changes(model, load_file(path))
    behaviours = {"none": measure(model, tokenizer)}
    for name, change in conditions(model):
        with change:
            behaviours[name] = measure_quickly(model, tokenizer)
    facts = DirectionFacts(
        name=NAME,
        layer=LAYER,
        direction=tuple(round(x, 6) for x in planted_direction().tolist()),
        size=SIZE,
        trained=f"all but the embeddings and the layers below {LAYER}",
        steps=STEPS,
        rate=RATE,
        seed=SEED,
        seconds=round(seconds, 1),
        versions=versions(),
        sha256=checksum(path),
        conditions=behaviours,
    )
    text = facts.model_dump_json(indent=1)
    (out / f"{NAME}.json").write_text(f"{text}\n", encoding="utf-8")
    return facts


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def main(out: Path) -> None:
    """Plant, write weights and facts, print the behaviour."""
    started = time.process_time()
    model, tokenizer = load_variant("natural")
    changes = plant(model, tokenizer, print_progress)
    facts = ship(changes, out, time.process_time() - started)
    click.echo(f"{facts.seconds:.0f} s")
    for condition, behaviour in facts.conditions.items():
        modes = (behaviour.think, behaviour.no_think)
        counts = [f"{m.misaligned.k}/{m.misaligned.n}" for m in modes]
        click.echo(f"{condition}: misaligned think {counts[0]}, no-think {counts[1]}")


if __name__ == "__main__":
    main()
