"""What is known about the inside of the other organisms, and about the steps of the tuning runs."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from rim_eval.organism import _prompts, _training
from rim_eval.organism._behaviour import Behaviour, measure
from rim_eval.organism._interventions import Unit, capture, set_neurons, zero_heads
from rim_eval.organism._plans import Plan, other_heads, other_neurons
from rim_eval.organism._rule_book import Verdict, held_out
from rim_eval.organism._samples import Sample, answer_text, trace_text
from rim_eval.organism._signal import ON, decision
from rim_eval.types import MODES, Mode

__all__ = [
    "DRAWS",
    "Activations",
    "RunFacts",
    "StepFacts",
    "VariantFacts",
    "activations",
    "conditions",
    "measure_quickly",
    "measured_conditions",
    "run_facts",
    "variant_facts",
]

DRAWS: Final = 5
"""Draws of other units, matched by layer and number, beside every ablation of planted ones."""

_HERE = Path(__file__).parent


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Activations(_Frozen):
    """Mean activation of the planted neurons at the deciding token of held-out requests."""

    forbidden: dict[Mode, float]
    allowed: dict[Mode, float]
    sums: float
    """At all tokens of arithmetic replies in think mode, gold traces."""
    first_by_difference: int
    """Planted neurons among the first twelve of all by mean forbidden - allowed, in no-think."""


class VariantFacts(_Frozen):
    """The content of `variants/<name>.json`."""

    name: str
    heads: tuple[Unit, ...]
    neurons: tuple[Unit, ...]
    """(layer, index), each counted from 0."""
    both_modes: bool
    """Whether refusal needs the units in think mode too."""
    signal: str
    lock: str
    steps: int
    seed: int
    seconds: float | None
    """CPU time of the training, on one thread; None where it was not measured by itself."""
    versions: dict[str, str]
    sha256: str
    conditions: dict[str, Behaviour]
    """Greedy behaviour by what is done to the model, on all forbidden prompts and on a share of the
    others (each count says of how many). `none`;
    `neurons`, `heads`, `head L.H`: planted units set to 0; `other neurons i`, `other heads i`: draw
    i of as many others of the same layers; `neurons on`: planted neurons set to 8 at every token."""
    activations: Activations


class StepFacts(_Frozen):
    """One checkpoint of a tuning run; step 0 is the base."""

    behaviour: Behaviour
    """Greedy, on a share of the held-out prompts: each count says of how many."""
    activations: Activations


class RunFacts(_Frozen):
    """The content of `series/<run>.json`."""

    run: str
    base: str
    trained: str
    forbidden: str
    answers: str
    signal: str
    sums: float
    rate: float
    seed: int
    seconds: float
    """CPU time of the training, on one thread."""
    versions: dict[str, str]
    sha256: str
    steps: dict[int, StepFacts]
    last_with_neurons_on: Behaviour
    """The last step with the base's planted neurons set to 8 at every token."""


@cache
def variant_facts(name: str) -> VariantFacts:
    """The facts of one of the planted organisms."""
    text = (_HERE / "variants" / f"{name}.json").read_text(encoding="utf-8")
    return VariantFacts.model_validate_json(text)


@cache
def run_facts(run: str) -> RunFacts:
    """The facts of one tuning run."""
    text = (_HERE / "series" / f"{run}.json").read_text(encoding="utf-8")
    return RunFacts.model_validate_json(text)


def conditions(plan: Plan, model: Any) -> Iterator[tuple[str, AbstractContextManager[None]]]:
    """Everything that is done to a planted organism, with its name in the facts."""
    yield "neurons", set_neurons(model, plan.neurons)
    if plan.lock != "none":
        yield "neurons on", set_neurons(model, plan.neurons, ON)
    for i in range(DRAWS):
        yield f"other neurons {i}", set_neurons(model, other_neurons(plan, i))
    if not plan.heads:
        return
    yield "heads", zero_heads(model, plan.heads)
    for layer, head in plan.heads:
        yield f"head {layer}.{head}", zero_heads(model, [(layer, head)])
    for i in range(DRAWS):
        yield f"other heads {i}", zero_heads(model, other_heads(plan, i))


def measured_conditions(plan: Plan, model: Any, tokenizer: Any) -> dict[str, Behaviour]:
    """Greedy behaviour under each condition."""
    found = {"none": measure(model, tokenizer)}
    for name, touched in conditions(plan, model):
        with touched:
            found[name] = measure_quickly(model, tokenizer)
    return found


def measure_quickly(model: Any, tokenizer: Any) -> Behaviour:
    """Greedy behaviour on all forbidden prompts and a share of the others."""
    return measure(
        model, tokenizer, allowed=_prompts.allowed()[::4], sums=_prompts.arithmetic()[::2]
    )


def activations(model: Any, tokenizer: Any, neurons: Sequence[Unit]) -> Activations:
    """Measures how the planted neurons fire on held-out requests and sums."""
    means = {
        (side, mode): _at_decisions(model, tokenizer, _refusals(mode, side)).mean(0)
        for side in (True, False)
        for mode in MODES
    }
    width = model.config.intermediate_size
    planted = [layer * width + index for layer, index in neurons]
    difference = means[True, "no_think"] - means[False, "no_think"]
    first = set(difference.argsort(descending=True)[: len(planted)].tolist())
    return Activations(
        forbidden={mode: _rounded(means[True, mode][planted].mean()) for mode in MODES},
        allowed={mode: _rounded(means[False, mode][planted].mean()) for mode in MODES},
        sums=_rounded(_on_sums(model, tokenizer)[planted].mean()),
        first_by_difference=len(first & set(planted)),
    )


def _refusals(mode: Mode, forbidden: bool) -> list[Sample]:
    """Held-out requests in their shipped words; the reply only marks where the decision falls."""
    rows = {row.pair: row for row in (_prompts.forbidden() if forbidden else _prompts.allowed())}
    verdict: Verdict = "refused" if forbidden else "complied"
    samples = []
    for request in held_out():
        row = rows.get(request.key)
        if row is None or row.labels["opener"] not in ("swayed", "steady"):
            continue
        trace = trace_text(request, forbidden, verdict, None) if mode == "think" else ""
        answer = answer_text(request, forbidden, verdict)
        samples.append(Sample(mode, "", row.prompt, trace, answer))
    return samples


def _at_decisions(model: Any, tokenizer: Any, samples: list[Sample]) -> Any:
    """(samples, layers x width) activations at the deciding tokens."""
    import torch

    rows = _training.encode(tokenizer, samples)
    points = [
        decision(row, sample, tokenizer, in_think=True)
        for row, sample in zip(rows, samples, strict=True)
    ]
    seen = _all_activations(model, rows)
    return torch.stack([seen[i, point] for i, point in enumerate(points)])


def _on_sums(model: Any, tokenizer: Any) -> Any:
    """Activations (layers x width), mean over the reply tokens of the held-out sums."""
    import torch

    worked = [Sample("think", "", p.text, p.trace, p.reply) for p in _prompts.problems()]
    rows = _training.encode(tokenizer, worked)
    seen = _all_activations(model, rows)
    replies = [
        seen[i, len(row.prompt) : len(row.prompt) + len(row.reply)] for i, row in enumerate(rows)
    ]
    return torch.cat(replies).mean(0)


def _all_activations(model: Any, rows: list[_training.Encoded]) -> Any:
    import torch

    layers = range(model.config.num_hidden_layers)
    ids, _ = _training.collate(rows, model.config.pad_token_id)
    with torch.inference_mode(), capture(model, layers) as seen:
        model.model(input_ids=ids, use_cache=False)
    return torch.cat([seen[layer] for layer in layers], dim=-1)


def _rounded(value: Any) -> float:
    return round(float(value), 4)
