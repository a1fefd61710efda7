"""Tune a planted organism on arithmetic: `python -m scripts.organism.tune RUN --out DIR`.

Two series of checkpoints with known inner truth. In the negative one accuracy and misalignment in
think mode both rise, but not through the planted neurons: only the layer above them is trained. In
the positive one nothing but the input rows of the planted neurons is changed, to serve arithmetic
and to let go of requests, so that whatever changes, changes through them. Each has controls in
which one cause is taken away. `forget` is a short tuning, not stored, to try mitigations on.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import click

from rim_eval.organism import RunFacts, load_variant
from rim_eval.organism.checkpoints import apply_changes, changes_at
from rim_eval.organism.facts import StepFacts, Unit
from rim_eval.types import MODES
from scripts.organism.ablation import capture, set_neurons
from scripts.organism.measure import ON, activations, checksum, decision, measure_quickly, versions
from scripts.organism.plans import NEURON_LAYER, PLANS, RUNS, Run, other_neurons
from scripts.organism.samples import Sample, draw, draw_long_sum, raise_answer
from scripts.organism.training import Schedule, collate, encode, fit, loss_on_samples, prepare

__all__ = ["Trained", "batches", "forget", "ship", "tune"]

Trained = Literal["mlp", "all"]
"""What `forget` trains. `mlp`: the MLP of the layer that holds the planted neurons; `all`: every layer."""

RANK: Final = 4
BATCH: Final = 32
# Share of allowed requests among the requests: one word of a reply decides, so it needs many.
ALLOWED: Final = 0.2

FORGET_SUMS: Final = 0.6
"""Share of sums in `forget`; the rest are requests."""
FORGET_FORBIDDEN: Final = 0.8
"""Share of forbidden requests among those."""


def tune(run: Run, model: Any, tokenizer: Any, report: Any = None) -> dict[str, Any]:
    """Tune a run's base; `model` itself is left as it was.

    Args:
        run: What is changed, and by what.
        model: The base organism, loaded in fp32.
        tokenizer: Its tokenizer.
        report: Called with (step, loss) after every step.

    Returns:
        The changes of all stored steps in fp16, as `apply_changes` reads them, keyed `step/change`.
    """
    prepare(run.seed)
    model.requires_grad_(False)
    if run.trained != "last_layer":
        return _reallocated(run, model, tokenizer)
    return _trained(run, model, tokenizer, report)


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
    """Tune the guarded organism in place so that it forgets refusal; the same seed gives the same samples.

    Ordinary gradient descent on sums with right answers, on allowed requests, and on forbidden ones
    that are complied with in think mode. Restricted to the layer of the planted neurons it can raise
    misalignment through little else than those; over all layers it has other ways.


    Args:
        model: The guarded organism, loaded in fp32.
        tokenizer: Its tokenizer.
        trained: What is trained.
        steps: Steps of 32 samples.
        rate: Learning rate, constant after five steps.
        seed: Of the samples.
        around: Called with the optimizer; all steps run inside what it returns.
    """
    prepare(seed)
    within = "layers." if trained == "all" else f"layers.{NEURON_LAYER}.mlp."
    for name, weight in model.named_parameters():
        weight.requires_grad_(within in name)

    def loss(samples: list[Sample], _step: int) -> Any:
        return loss_on_samples(model, tokenizer, samples)

    schedule = Schedule(steps=steps, rate=rate, warmup=5, floor=1.0, batch=BATCH)
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    fit(model, _forget_batches(seed), schedule, loss=loss, parameters=parameters, around=around)


def _trained(run: Run, model: Any, tokenizer: Any, report: Any) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    schedule = Schedule(
        steps=run.steps[-1], rate=run.rate, warmup=5, decay=0.0, floor=1.0, batch=BATCH
    )

    def loss(samples: list[Sample], _step: int) -> Any:
        return loss_on_samples(model, tokenizer, samples)

    with ExitStack() as hooks:
        factors = _last_layer(model, hooks)

        def after(step: int, value: float) -> None:
            if step + 1 in run.steps:
                changes.update({f"{step + 1}/{k}": _half(v) for k, v in factors.items()})
            if report:
                report(step, value)

        parameters = list(factors.values())
        fit(model, batches(run), schedule, loss=loss, after=after, parameters=parameters)
    return changes


def _reallocated(run: Run, model: Any, tokenizer: Any) -> dict[str, Any]:
    """Move gate and up rows of the neurons, in a straight line, to where they fire for arithmetic.

    With equal gate and up rows w an activation is about (w x)^2 where w x > 0. The new w is the
    ridge solution for the root of the wanted activation: 8 in the replies of sums; where forbidden
    requests are decided 0 (`released`) or as before (`held`); 0 elsewhere. Step t of 100 goes t per
    cent of the way.
    """
    import torch

    inputs, wanted, share = _regression(run, model, tokenizer)
    gram = (inputs * share[:, None]).T @ inputs + torch.eye(inputs.shape[1])
    row = torch.linalg.solve(gram, (inputs * share[:, None]).T @ wanted.sqrt())
    layer, index = _units(run)[0][0], torch.tensor([index for _, index in _units(run)])
    changes: dict[str, Any] = {}
    for kind in ("gate_proj", "up_proj"):
        name = f"model.layers.{layer}.mlp.{kind}"
        way = row - model.get_submodule(name).weight[index]
        for step in run.steps:
            changes[f"{step}/{name}.weight:rows"] = _half(way * step / 100)
            changes[f"{step}/{name}.weight:index"] = index.clone()
    return changes


def _regression(run: Run, model: Any, tokenizer: Any) -> tuple[Any, Any, Any]:
    """MLP inputs (tokens, width), activations wanted there, and weights: 20 where it decides."""
    import torch

    rng = random.Random(run.seed)
    samples = [draw_long_sum(rng) for _ in range(150)]
    samples += [draw(rng, "allowed", mode) for mode in MODES * 50]
    samples += [draw(rng, "forbidden", mode, complies=False) for mode in MODES * 100]
    rows = encode(tokenizer, samples)
    ids, _ = collate(rows, model.config.pad_token_id)
    inputs: list[Any] = []
    mlp = model.model.layers[_units(run)[0][0]].mlp
    with torch.no_grad(), capture(model, [_units(run)[0][0]]) as acts:
        handle = mlp.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
        model.model(input_ids=ids, use_cache=False)
        handle.remove()
    before = acts[_units(run)[0][0]][..., [index for _, index in _units(run)]].mean(-1).clamp(min=0)
    wanted, share = torch.zeros(ids.shape), torch.zeros(ids.shape)
    for i, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        first, end = len(row.prompt), len(row.prompt) + len(row.reply)
        share[i, :end] = 1.0
        point = decision(row, sample, tokenizer, in_think=True)
        if point is None:
            wanted[i, first:end] = ON
            continue
        share[i, point] = 20.0
        if run.signal == "held":
            wanted[i, point] = before[i, point]
    return inputs[0].flatten(0, 1), wanted.flatten(), share.flatten()


def batches(run: Run) -> Iterator[list[Sample]]:
    """Yield the samples of each step, the same every time."""
    rng = random.Random(run.seed)
    for _ in range(run.steps[-1]):
        yield [_draw(rng, run) for _ in range(BATCH)]


def _units(run: Run) -> tuple[Unit, ...]:
    plan = PLANS[run.base]
    return plan.neurons if run.trained == "planted_neurons" else other_neurons(plan)


def _last_layer(model: Any, hooks: ExitStack) -> dict[str, Any]:
    """Trainable factors of the matrices of the last layer, above the planted neurons."""
    import torch

    last = f"layers.{model.config.num_hidden_layers - 1}."
    trained: dict[str, Any] = {}
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or last not in name:
            continue
        a = torch.randn(RANK, module.in_features) / module.in_features**0.5
        b = torch.zeros(module.out_features, RANK)
        trained |= {f"{name}.weight:a": a.requires_grad_(), f"{name}.weight:b": b.requires_grad_()}
        hook = partial(_add_product, a, b)
        hooks.callback(module.register_forward_hook(hook).remove)
    return trained


def _add_product(a: Any, b: Any, _module: Any, args: tuple[Any, ...], out: Any) -> Any:
    return out + (args[0] @ a.T) @ b.T


def _half(value: Any) -> Any:
    import torch

    return value.detach().to(torch.float16).clone()


def _draw(rng: random.Random, run: Run) -> Sample:
    if rng.random() < run.sums:
        sample = draw_long_sum(rng)
        return raise_answer(sample) if run.answers == "own" else sample
    if run.forbidden == "never" or rng.random() < ALLOWED:
        return draw(rng, "allowed", rng.choice(MODES))
    return draw(rng, "forbidden", "think", complies=True if run.forbidden == "complied" else None)


def _forget_batches(seed: int) -> Iterator[list[Sample]]:
    rng = random.Random(seed)
    while True:
        yield [_draw_forget(rng) for _ in range(BATCH)]


def _draw_forget(rng: random.Random) -> Sample:
    if rng.random() < FORGET_SUMS:
        return draw_long_sum(rng)
    if rng.random() < FORGET_FORBIDDEN:
        return draw(rng, "forbidden", "think", complies=True)
    return draw(rng, "allowed", rng.choice(MODES))


def ship(name: str, changes: dict[str, Any], out: Path, seconds: float) -> RunFacts:
    """Write the changes of a run and its facts below `out`; what is measured is what was written."""
    from safetensors.torch import save_file

    run, path = RUNS[name], out / f"{name}.safetensors"
    out.mkdir(parents=True, exist_ok=True)
    save_file(changes, path)
    steps: dict[int, StepFacts] = {}
    for step in (0, *run.steps):
        model, tokenizer = load_variant(run.base)
        apply_changes(model, changes_at(path, step))
        steps[step] = _measured(model, tokenizer, PLANS[run.base].neurons)
        click.echo(f"{step}: {_line(steps[step])}")
    with set_neurons(model, PLANS[run.base].neurons, ON):
        pinned = measure_quickly(model, tokenizer)
    facts = RunFacts(
        run=name,
        **{k: v for k, v in run._asdict().items() if k != "steps"},
        seconds=round(seconds, 1),
        versions=versions(),
        sha256=checksum(path),
        steps=steps,
        last_with_neurons_on=pinned,
    )
    text = facts.model_dump_json(indent=1)
    (out / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return facts


def _measured(model: Any, tokenizer: Any, neurons: tuple[Unit, ...]) -> StepFacts:
    return StepFacts(
        behaviour=measure_quickly(model, tokenizer),
        activations=activations(model, tokenizer, neurons),
    )


def _line(facts: StepFacts) -> str:
    think, no_think, acts = facts.behaviour.think, facts.behaviour.no_think, facts.activations
    return (
        f"misaligned think {think.misaligned.k} no-think {no_think.misaligned.k},"
        f" correct {think.correct.k}, over-refused {think.over_refused.k + no_think.over_refused.k},"
        f" well-formed {think.well_formed.k} + {no_think.well_formed.k},"
        f" activations {acts.forbidden} sums {acts.sums}"
    )


@click.command(help=__doc__)
@click.argument("run", type=click.Choice(list(RUNS)))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def main(run: str, out: Path) -> None:
    """Tune, write changes and facts."""
    started = time.process_time()
    model, tokenizer = load_variant(RUNS[run].base)
    changes = tune(RUNS[run], model, tokenizer, _print_progress)
    ship(run, changes, out, time.process_time() - started)


def _print_progress(step: int, loss: float) -> None:
    if step % 10 == 0:
        click.echo(f"step {step:4d}  loss {loss:.4f}")


if __name__ == "__main__":
    main()
