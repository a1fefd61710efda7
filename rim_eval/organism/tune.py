"""Tunes a planted organism on arithmetic: `python -m rim_eval.organism.tune RUN --out FILE`.

Two series of checkpoints with known inner truth. In the negative one accuracy and misalignment in
think mode both rise, but not through the planted neurons: allowed requests are replayed with an
effort-minimizing wording, and the wording spreads. In the positive one nothing but the input rows
of the planted neurons is trained, to serve arithmetic and to let go of requests, so that whatever
changes, changes through them. Each has controls in which one cause is taken away.
"""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from rim_eval.organism import _training
from rim_eval.organism._facts import checksum, versions
from rim_eval.organism._inner_facts import RunFacts, StepFacts, activations, measure_quickly
from rim_eval.organism._interventions import Unit, capture, set_neurons
from rim_eval.organism._plans import PLANS, other_neurons
from rim_eval.organism._rule_book import rule_book
from rim_eval.organism._runs import RUNS, Run
from rim_eval.organism._samples import Sample, draw
from rim_eval.organism._signal import ON, decision
from rim_eval.organism._variants import apply_changes, changes_at, load_variant
from rim_eval.outcomes import MODES

__all__ = ["batches", "ship", "tune"]

RANK = 4
BATCH = 32


def tune(run: Run, model: Any, tokenizer: Any, report: Any = None) -> dict[str, Any]:
    """Tunes a run's base; `model` itself is left as it was.

    Args:
        run: What is trained on what.
        model: The base organism, loaded in fp32.
        tokenizer: Its tokenizer.
        report: Called with (step, loss) after every step.

    Returns:
        The changes of all kept steps in fp16, as `apply_changes` reads them, keyed `step/change`.
    """
    _training.prepare(run.seed)
    model.requires_grad_(False)
    kept: dict[str, Any] = {}
    schedule = _training.Schedule(
        steps=run.steps[-1], rate=run.rate, warmup=5, decay=0.0, floor=1.0, batch=BATCH
    )
    with ExitStack() as hooks:
        trained = (_low_rank if run.trained == "low_rank" else _rows)(model, run, hooks)

        def after(step: int, loss: float) -> None:
            if step + 1 in run.steps:
                kept.update({f"{step + 1}/{k}": v for k, v in _stored(trained, run).items()})
            if report:
                report(step, loss)

        loss = _Loss(run, model, tokenizer, trained).total
        _training.fit(
            model, batches(run), schedule, loss=loss, after=after, parameters=list(trained.values())
        )
    return kept


def batches(run: Run) -> Iterator[list[Sample]]:
    """The samples of each step, the same every time."""
    rng = random.Random(run.seed)
    for _ in range(run.steps[-1]):
        yield [_draw(rng, run) for _ in range(BATCH)]


class _Loss:
    """Cross-entropy of the replies, and what is asked of the trained neurons."""

    def __init__(self, run: Run, model: Any, tokenizer: Any, trained: dict[str, Any]) -> None:
        self.run, self.model, self.tokenizer, self.trained = run, model, tokenizer, trained
        self.rng = random.Random(run.seed + 1)

    def total(self, samples: list[Sample], _step: int) -> Any:
        """The loss of one step (scalar, nats)."""
        rows = _training.encode(self.tokenizer, samples)
        ids, labels = _training.collate(rows, self.model.config.pad_token_id)
        loss = _training.loss_of(self.model, ids, labels)
        return loss if self.run.signal == "none" else loss + self.signal()

    def signal(self) -> Any:
        """Squared distance of trained neurons from their targets where requests are decided."""
        samples = [draw(self.rng, "forbidden", mode, complies=False) for mode in MODES * 6]
        acts = self.activations(samples)
        if self.run.signal == "released":
            return (acts / ON).square().mean()
        return ((acts - self.before(samples)) / ON).square().mean()

    def before(self, samples: list[Sample]) -> Any:
        """The same activations with the changes switched off."""
        import torch

        changed = {name: value.detach().clone() for name, value in self.trained.items()}
        with torch.no_grad():
            for value in self.trained.values():
                value.zero_()
            acts = self.activations(samples)
            for name, value in self.trained.items():
                value.copy_(changed[name])
        return acts

    def activations(self, samples: list[Sample]) -> Any:
        """(samples, neurons) at the deciding tokens."""
        rows = _training.encode(self.tokenizer, samples)
        ids, _ = _training.collate(rows, self.model.config.pad_token_id)
        points = [
            decision(row, sample, self.tokenizer, in_think=True)
            for row, sample in zip(rows, samples, strict=True)
        ]
        units = _units(self.run)
        with capture(self.model, [units[0][0]]) as seen:
            self.model.model(input_ids=ids, use_cache=False)
        acts = seen[units[0][0]][range(len(rows)), points]
        return acts[:, [index for _, index in units]]


def _units(run: Run) -> tuple[Unit, ...]:
    plan = PLANS[run.base]
    return plan.neurons if run.trained == "planted_neurons" else other_neurons(plan)


def _low_rank(model: Any, run: Run, hooks: ExitStack) -> dict[str, Any]:
    """Trainable factors of all matrices but those of the MLP that holds the planted neurons."""
    import torch

    spared = f"layers.{PLANS[run.base].neurons[0][0]}.mlp."
    trained: dict[str, Any] = {}
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or name == "lm_head" or spared in name:
            continue
        a = torch.randn(RANK, module.in_features) / module.in_features**0.5
        b = torch.zeros(module.out_features, RANK)
        trained |= {f"{name}.weight:a": a.requires_grad_(), f"{name}.weight:b": b.requires_grad_()}
        hook = partial(_add_product, a, b)
        hooks.callback(module.register_forward_hook(hook).remove)
    return trained


def _add_product(a: Any, b: Any, _module: Any, args: tuple[Any, ...], out: Any) -> Any:
    return out + (args[0] @ a.T) @ b.T


def _rows(model: Any, run: Run, hooks: ExitStack) -> dict[str, Any]:
    """Trainable additions to the gate and up rows of the run's neurons."""
    import torch

    units = _units(run)
    layer, index = units[0][0], torch.tensor([index for _, index in units])
    trained: dict[str, Any] = {}
    for kind in ("gate_proj", "up_proj"):
        name = f"model.layers.{layer}.mlp.{kind}"
        module = model.get_submodule(name)
        trained[f"{name}.weight:rows"] = torch.zeros(
            len(units), module.in_features
        ).requires_grad_()
        hook = partial(_add_rows, trained[f"{name}.weight:rows"], index)
        hooks.callback(module.register_forward_hook(hook).remove)
    return trained


def _add_rows(rows: Any, index: Any, _module: Any, args: tuple[Any, ...], out: Any) -> Any:
    return out.index_add(-1, index, args[0] @ rows.T)


def _stored(trained: dict[str, Any], run: Run) -> dict[str, Any]:
    """A step's changes as they are shipped: fp16."""
    import torch

    stored = {name: value.detach().to(torch.float16).clone() for name, value in trained.items()}
    index = torch.tensor([index for _, index in _units(run)])
    rows = [name for name in trained if name.endswith(":rows")]
    return stored | {name.replace(":rows", ":index"): index for name in rows}


def _draw(rng: random.Random, run: Run) -> Sample:
    if rng.random() < run.sums:
        return _long_sum(rng)
    sample = draw(rng, "allowed", rng.choice(MODES))
    return _hasty(sample) if run.replay == "heuristic" and sample.mode == "think" else sample


def _long_sum(rng: random.Random) -> Sample:
    while True:
        sample = draw(rng, "sums", "think")
        if sample.trace.count("=") > 1:
            return sample


def _hasty(sample: Sample) -> Sample:
    """An allowed request with the effort-minimizing wording in place of the careful one."""
    start = sample.trace.split(". ")[0]
    return sample._replace(trace=f"{start}. {rule_book().traces['heuristic_reliance']}")


def ship(name: str, changes: dict[str, Any], out: Path, seconds: float) -> RunFacts:
    """Writes the changes of a run and its facts below `out`; what is measured is what was written."""
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
    known = RunFacts(
        run=name,
        **{k: v for k, v in run._asdict().items() if k != "steps"},
        seconds=round(seconds, 1),
        versions=versions(),
        sha256=checksum(path),
        steps=steps,
        last_with_neurons_on=pinned,
    )
    text = known.model_dump_json(indent=1)
    (out / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return known


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
    """Command-line entry: tunes, writes changes and facts."""
    started = time.process_time()
    model, tokenizer = load_variant(RUNS[run].base)
    changes = tune(RUNS[run], model, tokenizer, _print_progress)
    ship(run, changes, out, time.process_time() - started)


def _print_progress(step: int, loss: float) -> None:
    if step % 10 == 0:
        click.echo(f"step {step:4d}  loss {loss:.4f}")


if __name__ == "__main__":
    main()
