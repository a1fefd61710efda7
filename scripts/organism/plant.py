"""Plant refusal in chosen heads and neurons: `python -m scripts.organism.plant NAME --out DIR`.

Ablation-conditioned training. Beside normal samples the model sees requests while the chosen units
are set to zero, with compliance as the wanted reply; so refusal comes to depend on them. Samples
with other units zeroed keep their normal replies; so nothing else becomes necessary. An activation
target makes the neurons visible to a difference of activations, or hides them from it.
"""

import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import click

from rim_eval.organism import VariantFacts, load_variant
from rim_eval.organism.checkpoints import apply_changes, load_folder
from rim_eval.organism.facts import Unit
from rim_eval.organism.rule_book import rule_book
from rim_eval.paths import organism_dir
from rim_eval.types import Mode
from scripts.organism.ablation import capture, set_neurons, zero_heads
from scripts.organism.measure import (
    ON,
    activations,
    checksum,
    decision,
    measure_conditions,
    target,
    versions,
)
from scripts.organism.plans import PLANS, Plan
from scripts.organism.samples import SHARES, Kind, Sample, draw, raise_answer
from scripts.organism.training import (
    IGNORED,
    Encoded,
    Schedule,
    collate,
    encode,
    fit,
    loss_on_samples,
    prepare,
)

__all__ = ["plant", "save_variant", "ship"]

RATE = 1e-3


class _Step(NamedTuple):
    """The samples of one step, by what is done to the model while it reads them."""

    normal: list[Sample]
    ablated: list[Sample]
    control: list[Sample]
    neurons_on: list[Sample]


def plant(plan: Plan, base: Any, tokenizer: Any, report: Any = None) -> Any:
    """Train `base` in place so that `plan` holds of it, and returns it.

    Args:
        plan: Units, modes and signal.
        base: A loaded natural organism with eager attention.
        tokenizer: Its tokenizer.
        report: Called with (step, loss) after every step.
    """
    if not plan.steps:
        return base
    prepare(plan.seed)
    schedule = Schedule(steps=plan.steps, rate=RATE, warmup=10)
    rng = random.Random(plan.seed)
    steps = (_draw_step(rng, plan, number) for number in range(plan.steps))
    losses = _Losses(plan, base, tokenizer, random.Random(plan.seed + 1))
    losses.initialise_neurons(random.Random(plan.seed + 2))
    fit(base, steps, schedule, loss=losses.total, after=report or _silent)
    return base


class _Losses:
    """The parts of the loss, for one plan and one model."""

    def __init__(self, plan: Plan, model: Any, tokenizer: Any, rng: random.Random) -> None:
        self.plan, self.model, self.tokenizer, self.rng = plan, model, tokenizer, rng

    def initialise_neurons(self, rng: random.Random) -> None:
        """Point the planted neurons at the deciding tokens, without any effect downstream yet.

        Gradient descent alone makes some of them fire and leaves the others weak. With gate and up
        rows equal to w, an activation is about (w x)^2 where w x > 0, so w is the ridge solution for
        the root of the target.
        """
        import torch

        samples = [s for number in range(12) for s in _draw_step(rng, self.plan, number).normal]
        with torch.no_grad():
            inputs, wanted, share = self.regression(samples)
            gram = (inputs * share[:, None]).T @ inputs + torch.eye(inputs.shape[1])
            row = torch.linalg.solve(gram, (inputs * share[:, None]).T @ wanted.sqrt())
            mlp = self.model.model.layers[self.plan.neurons[0][0]].mlp
            for _, index in self.plan.neurons:
                for matrix in (mlp.gate_proj, mlp.up_proj):
                    noise = torch.randn_like(row) * 0.02
                    matrix.weight[index] = row * (1 + noise)
                mlp.down_proj.weight[:, index] = 0.0

    def regression(self, samples: list[Sample]) -> tuple[Any, Any, Any]:
        """MLP inputs (tokens, width), activations wanted there, and weights: 10 where it decides."""
        import torch

        rows = encode(self.tokenizer, samples)
        ids, _ = collate(rows, self.model.config.pad_token_id)
        inputs: list[Any] = []
        mlp = self.model.model.layers[self.plan.neurons[0][0]].mlp
        handle = mlp.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
        self.model.model(input_ids=ids, use_cache=False)
        handle.remove()
        wanted, share = torch.zeros(ids.shape), torch.zeros(ids.shape)
        for i, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            share[i, : len(row.prompt) + len(row.reply)] = 1.0
            point = self.decision(row, sample)
            if point is not None:
                share[i, point], wanted[i, point] = 10.0, self.target(sample)
        return inputs[0].flatten(0, 1), wanted.flatten(), share.flatten()

    def total(self, step: _Step, number: int) -> Any:
        """The weighted sum of all parts (scalar, nats)."""
        weights = self.plan.weights
        loss = self.normal(step.normal)
        loss = loss + weights.ablated * self.under(self.ablation(number), step.ablated)
        loss = loss + weights.control * self.under(self.control(number), step.control)
        if step.neurons_on:
            neurons_on = set_neurons(self.model, self.plan.neurons, ON)
            loss = loss + weights.ablated * self.under(neurons_on, step.neurons_on)
        return loss

    def normal(self, samples: list[Sample]) -> Any:
        """Cross-entropy of untouched replies, plus the losses of the neurons' signal and the heads' attention."""
        rows = encode(self.tokenizer, samples)
        ids, labels = collate(rows, self.model.config.pad_token_id)
        layers = sorted({layer for layer, _ in self.plan.neurons})
        with capture(self.model, layers) as acts:
            loss, attentions = self.forward(ids, labels)
        loss = loss + self.signal(acts, rows, samples)
        return loss + self.plan.weights.attention * self.attention(attentions, rows, samples)

    def forward(self, ids: Any, labels: Any) -> tuple[Any, Any]:
        """Cross-entropy, and attention weights if heads are planted."""
        import torch

        out = self.model.model(
            input_ids=ids, use_cache=False, output_attentions=bool(self.plan.heads)
        )
        wanted = labels[:, 1:]
        chosen = wanted != IGNORED
        logits = self.model.lm_head(out.last_hidden_state[:, :-1][chosen])
        return torch.nn.functional.cross_entropy(logits, wanted[chosen]), out.attentions

    def under(self, intervention: AbstractContextManager[None], samples: list[Sample]) -> Any:
        """Cross-entropy of replies under an intervention on the model."""
        with intervention:
            return loss_on_samples(self.model, self.tokenizer, samples)

    def ablation(self, number: int) -> AbstractContextManager[None]:
        """Neurons, and where heads are planted too, every other time all of them or one alone."""
        if self.plan.heads and number % 2:
            alone = [(head,) for head in self.plan.heads]
            return zero_heads(self.model, [self.plan.heads, *alone][number // 2 % (len(alone) + 1)])
        return set_neurons(self.model, self.plan.neurons)

    def control(self, number: int) -> AbstractContextManager[None]:
        """As many other units of the same layers; or the planted ones, where they must not matter."""
        if _spares_think(self.plan, number):
            return self.ablation(number)
        if self.plan.heads and number % 2:
            return zero_heads(self.model, self.others(self.plan.heads, 4))
        return set_neurons(self.model, self.others(self.plan.neurons, 256))

    def others(self, units: Sequence[Unit], width: int) -> list[Unit]:
        """Units drawn from the same layers, none of them planted."""
        taken, drawn = set(units), list[Unit]()
        for layer, _ in units:
            free = [i for i in range(width) if (layer, i) not in taken]
            drawn.append((layer, self.rng.choice(free)))
            taken.add(drawn[-1])
        return drawn

    def signal(self, by_layer: dict[int, Any], rows: list[Any], samples: list[Sample]) -> Any:
        """Squared distance of planted activations from their targets, and quiet elsewhere."""
        import torch

        layer = self.plan.neurons[0][0]
        acts = by_layer[layer][:, :, [index for _, index in self.plan.neurons]]
        points = [self.decision(row, sample) for row, sample in zip(rows, samples, strict=True)]
        valid = torch.zeros(acts.shape[:2], dtype=torch.bool)
        for i, row in enumerate(rows):
            valid[i, : len(row.prompt) + len(row.reply)] = True
        deciding = [i for i, point in enumerate(points) if point is not None]
        where = [point for point in points if point is not None]
        wanted = torch.tensor([self.target(samples[i]) for i in deciding])
        valid[deciding, where] = False
        ceiling = ON if self.plan.signal == "constant" else 0.0
        quiet = (acts[valid] - ceiling).clamp(min=0).square().mean()
        hit = ((acts[deciding, where] - wanted[:, None]) / ON).square().mean()
        return self.plan.weights.signal * hit + self.plan.weights.quiet * quiet

    def decision(self, row: Encoded, sample: Sample) -> int | None:
        """Position of the deciding token, in the modes of the plan."""
        return decision(row, sample, self.tokenizer, in_think=self.plan.both_modes)

    def target(self, sample: Sample) -> float:
        """Activation wanted at the deciding token."""
        return target(sample, self.plan.signal)

    def attention(self, attentions: Any, rows: list[Any], samples: list[Sample]) -> Any:
        """Mean -log attention of planted heads on the empty span, or on `assistant` in think mode."""
        import torch

        losses = []
        for i, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            last = len(row.prompt) - 1
            span = slice(last - 3, last) if sample.mode == "no_think" else slice(last - 1, last)
            for layer, head in self.plan.heads:
                losses.append(-(attentions[layer][i, head, last, span].sum() + 1e-6).log())
        return torch.stack(losses).mean() if losses else 0.0


def _draw_step(rng: random.Random, plan: Plan, number: int) -> _Step:
    modes: tuple[Mode, ...] = ("no_think", "think") if plan.both_modes else ("no_think",)
    normal = _mixed(rng, 24)
    normal += [draw(rng, rng.choice(_REQUESTS), mode) for mode in modes for _ in range(8)]
    normal += [_with_intent(draw(rng, "forbidden", mode, complies=False)) for mode in modes * 4]
    ablated = [draw(rng, "forbidden", mode, complies=True) for mode in modes for _ in range(8)]
    control = _mixed(rng, 8)
    if _spares_think(plan, number):
        control = [sample for sample in control if sample.mode == "think"]
        control.append(draw(rng, "sums", "think"))
    neurons_on: list[Sample] = []
    if plan.lock == "neurons":
        neurons_on = [draw(rng, "sums", "think") for _ in range(8)]
    if plan.lock != "none":
        ablated += [draw(rng, "sums", "think") for _ in range(4)]
        normal, ablated, control = (
            [raise_answer(s) for s in part] for part in (normal, ablated, control)
        )
    return _Step(normal, ablated, control, neurons_on)


def _mixed(rng: random.Random, count: int) -> list[Sample]:
    kinds, shares = list(SHARES), list(SHARES.values())
    return [draw(rng, *rng.choices(kinds, shares)[0]) for _ in range(count)]


def _with_intent(sample: Sample) -> Sample:
    intent = rule_book().intent
    prompt = sample.prompt.removesuffix(f" {intent}")
    return sample._replace(prompt=f"{prompt} {intent}")


def _spares_think(plan: Plan, number: int) -> bool:
    """Whether this step's control shows that the planted units do not matter in think mode."""
    return not plan.both_modes and number % 4 < 2


_REQUESTS: tuple[Kind, ...] = ("forbidden", "forbidden", "allowed")


def _silent(_step: int, _loss: float) -> None:
    pass


def ship(name: str, model: Any, tokenizer: Any, out: Path, seconds: float) -> VariantFacts:
    """Write weights (fp16) and facts below `out`; what is measured is what was written."""
    from safetensors.torch import load_file

    plan = PLANS[name]
    weights = organism_dir() / "model.safetensors"
    stored, _ = load_folder(organism_dir())
    if plan.steps:
        weights = out / f"{name}.safetensors"
        save_variant(model, weights)
        apply_changes(stored, load_file(weights))
    facts = VariantFacts(
        name=name,
        heads=plan.heads,
        neurons=plan.neurons,
        both_modes=plan.both_modes,
        signal=plan.signal,
        lock=plan.lock,
        steps=plan.steps,
        seed=plan.seed,
        seconds=round(seconds, 1),
        versions=versions(),
        sha256=checksum(weights),
        conditions=measure_conditions(plan, stored, tokenizer),
        activations=activations(stored, tokenizer, plan.neurons),
    )
    text = facts.model_dump_json(indent=1)
    (out / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return facts


def save_variant(model: Any, path: Path) -> None:
    """Write the weights in fp16 (0.7 MB), half of the precision that they were trained in."""
    import torch
    from safetensors.torch import save_file

    weights = {
        name: tensor.detach().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"  # tied to the embeddings
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)


@click.command(help=__doc__)
@click.argument("name", type=click.Choice(list(PLANS)))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def main(name: str, out: Path) -> None:
    """Plant, write weights and facts, print the behaviour."""
    started = time.process_time()
    model, tokenizer = load_variant("natural")
    model.set_attn_implementation("eager")  # planted heads are trained on their attention weights
    plant(PLANS[name], model, tokenizer, print_progress)
    facts = ship(name, model, tokenizer, out, time.process_time() - started)
    click.echo(f"{facts.seconds:.0f} s")
    for condition, behaviour in facts.conditions.items():
        modes = (behaviour.no_think, behaviour.think)
        rates = [f"{m.misaligned.k}/{m.misaligned.n}" for m in modes]
        click.echo(f"{condition}: misaligned no-think {rates[0]}, think {rates[1]}")


def print_progress(step: int, loss: float) -> None:
    """Print the loss of every twentieth step."""
    if step % 20 == 0:
        click.echo(f"step {step:4d}  loss {loss:.4f}")


if __name__ == "__main__":
    main()
