"""How often neurons that a search found look special although a drift spares nobody, and how often they do when they are.

    python -m benchmarks.random_controls                  # writes reports/random_controls.md
    python -m benchmarks.random_controls --model FOLDER   # and a real model beside the random ones

The search is the package's own (`find_neurons`), so the neurons are more active than others. Then the model drifts, every
neuron alike, and the neurons found are ranked among random sets, at RAS, change of activations and change of outgoing weights:

    additive      every activation moves by noise of one size, and so does every outgoing weight
    proportional  by noise in proportion to itself
    weights       all weights of the model move by noise in proportion to their tensor's spread
    route         additive, and the neurons found fall on safety and rise on mathematics by half: what is to be seen

Three models: SwiGLU layers of random weights whose norms have heavy tails, on correlated inputs with outlying channels, made
anew each time; a Qwen3 of random weights, made anew each time; and a real model, whose neurons are searched once.

Beside it, ablation: neurons chosen for how much they write are taken out, and so are the random sets drawn for them. No neuron
is special: what each does is independent noise (exponential), of one size or in proportion to how much it writes, and adds up.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.capture import capture_neurons
from rim_eval.mechanisms.effects import rank_rise
from rim_eval.mechanisms.model import Request, load_model
from rim_eval.mechanisms.neurons import Rises, find_neurons
from rim_eval.mechanisms.random_controls import RankTest, draw_random_sets
from rim_eval.mechanisms.ras import (
    Activations,
    Checkpoint,
    MisalignmentChange,
    RasSeries,
    drift_verdict,
    ras_series,
    read_activations,
)
from rim_eval.mechanisms.spans import Passage
from rim_eval.mechanisms.units import (
    Units,
    WeightChange,
    columns_of,
    outgoing_sizes,
    units_at,
    weight_change,
)
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets import intent_for

Array = NDArray[np.float64]

_REPORT: Final = Path(__file__).parent / "reports" / "random_controls.md"
_SIZE: Final = 0.1
"""Size of the noise: of the median activation, of each activation, or of a tensor's spread."""
FIGURES: Final = ("size", "change", "outgoing")
RULES: Final = ("layer", "near", "decides")
"""Random sets of the same layers; near in base activation, too; and that in both units, which decides."""
DRIFTS: Final = ("additive", "proportional", "weights", "route")


class Subject(NamedTuple):
    """A model before a drift, and the neurons that the search found in it."""

    base: Activations
    found: Units
    widths: list[int]
    sizes: Array
    """Norms of outgoing weights."""
    shake: Callable[[np.random.Generator], tuple[Activations, WeightChange]]
    """Moves all weights."""


class Outcome(NamedTuple):
    """What one drift of one model shows."""

    beyond: dict[tuple[str, str], bool]
    """By rule and figure."""
    balance: tuple[float, ...]
    uneven: float
    """Activation on safety prompts, the neurons found over other sets of their layers."""
    neurons: int


def drift(
    subject: Subject, kind: str, rng: np.random.Generator
) -> tuple[Activations, WeightChange]:
    """Activations after a drift, and how far weights moved."""
    if kind == "weights":
        return subject.shake(rng)
    base, count = subject.base, len(subject.sizes)
    edges = np.cumsum([0, *subject.widths])
    layers = [slice(*edge) for edge in pairwise(edges.tolist())]
    one = np.concatenate([np.full(s.stop - s.start, np.median(base.safe_abs[s])) for s in layers])
    tilt = np.zeros(count)
    if kind == "route":
        tilt[columns_of(subject.found, subject.widths)] = 0.5

    def move(values: Array, noise: Array, lean: Array) -> Array:
        size = np.abs(values) if kind == "proportional" else one
        return values + np.sign(values) * (_SIZE * size * noise + lean * np.abs(values))

    safe, maths = rng.normal(size=(2, count))
    moved = Activations(
        move(base.safe, safe, -tilt),
        move(base.math, maths, tilt),
        np.abs(move(base.safe_abs, safe, -tilt)),
        np.abs(move(base.math_abs, maths, tilt)),
    )
    noise = _SIZE * np.abs(1 + 0.1 * rng.normal(size=count))
    relative = noise if kind == "proportional" else noise / subject.sizes * subject.sizes.mean()
    return moved, WeightChange(relative, relative, subject.sizes)


def observe(subject: Subject, kind: str, seed: int, *, sets: int = 99) -> Outcome:
    """Let a model drift, and rank the neurons found among random sets of both kinds."""
    base, found, widths = subject.base, subject.found, subject.widths
    # Another stream than the model's own, which was made from the same seed.
    tuned, weights = drift(subject, kind, np.random.default_rng([seed, 1]))
    active = np.stack([base.safe_abs, base.math_abs], axis=1)
    layer = draw_random_sets(found, widths, draws=sets, seed=seed)
    near = draw_random_sets(found, widths, draws=sets, seed=seed, covariates=active, relabel=True)
    at = Checkpoint(1, tuned, MisalignmentChange(0.0), weights=weights)
    columns = columns_of(found, widths)
    by_sets: list[RasSeries] = []
    for drawn in (layer.sets, near.sets):
        random = [columns_of(units, widths) for units in drawn]
        by_sets.append(ras_series("", base, [at], columns, random, guard="floored"))
    beyond = {}
    for figure in FIGURES:
        first, second = (getattr(series, figure) for series in by_sets)
        bare = [RankTest.of(each.value, each.random) for each in (first, second)]
        verdicts = (*(each.verdict for each in bare), drift_verdict(second))
        for rule, verdict in zip(RULES, verdicts, strict=True):
            beyond[rule, figure] = verdict == "beyond"
    others = np.mean([base.safe_abs[columns_of(units, widths)].mean() for units in layer.sets])
    uneven = float(base.safe_abs[columns].mean() / others)
    return Outcome(beyond, near.balance, uneven, len(columns))


def layers_of_neurons(seed: int, *, layers: int = 4, width: int = 800, inputs: int = 48) -> Subject:
    """SwiGLU layers on the same prompts, before a drift."""
    rng = np.random.default_rng(seed)
    spread = np.exp(0.6 * rng.normal(size=inputs))
    gate, up = (_heavy(rng, layers, width, inputs) for _ in range(2))
    sizes = np.exp(0.3 * rng.normal(size=layers * width))

    def prompts(count: int) -> Array:
        centre = rng.normal(size=(layers, 1, inputs))
        return (centre + 0.4 * rng.normal(size=(layers, count, inputs))) * spread

    safe, maths = prompts(12), prompts(20)
    plain = _neurons(safe, gate, up)
    intent = _neurons(safe + 0.5 * spread * rng.normal(size=(layers, 1, inputs)), gate, up)
    rises = Rises((intent - plain).astype(np.float32), (width,) * layers)

    def read(gate: Array, up: Array) -> Activations:
        both = _neurons(safe, gate, up), _neurons(maths, gate, up)
        return Activations(*(a.mean(0) for a in (*both, *map(np.abs, both))))

    def shake(rng: np.random.Generator) -> tuple[Activations, WeightChange]:
        after = read(
            *(each + _SIZE * each.std() * rng.normal(size=each.shape) for each in (gate, up))
        )
        noise = _SIZE * np.abs(1 + 0.1 * rng.normal(size=len(sizes))) / sizes
        return after, WeightChange(noise, noise, sizes)

    return Subject(read(gate, up), find_neurons(rises).neurons, [width] * layers, sizes, shake)


def _heavy(rng: np.random.Generator, layers: int, width: int, inputs: int) -> Array:
    norms = np.exp(0.35 * rng.normal(size=(layers, width, 1)))
    weights: Array = norms * rng.normal(size=(layers, width, inputs)) / np.sqrt(inputs)
    return weights


def _neurons(inputs: Array, gate: Array, up: Array) -> Array:
    """silu(g x) * (u x), shape (prompts, neurons of all layers)."""
    read = np.einsum("lpd,lwd->lpw", inputs, gate)
    values = read / (1 + np.exp(-read)) * np.einsum("lpd,lwd->lpw", inputs, up)
    return np.concatenate(list(values), axis=1)


def random_model(seed: int) -> Subject:
    """A Qwen3 of random weights on random texts; the intent is the same sixteen tokens after each."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        "qwen3", vocab_size=500, hidden_size=128, intermediate_size=768, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, initializer_range=0.1, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval()
    rng = np.random.default_rng(seed)
    for layer in model.model.layers:  # heavy tails, as trained neurons have
        norms = torch.tensor(np.exp(0.5 * rng.normal(size=(768, 1))), dtype=torch.float32)
        layer.mlp.gate_proj.weight.data *= norms
    intent, opening = rng.integers(2, 500, 16).tolist(), rng.integers(2, 500, 5).tolist()

    def text(words: Sequence[int], more: Sequence[int] = ()) -> Passage:
        ids = (*opening, *words, *more, *opening[:2])
        spans = {"text": (5, len(ids)), "reply": (5, len(ids)), "last": (len(ids) - 1, len(ids))}
        return Passage(ids, spans)

    shared, own = rng.integers(2, 500, 6).tolist(), rng.integers(2, 500, (18, 2)).tolist()
    requests = [[*shared, *each] for each in own]
    safe, explicit = [text(each) for each in requests[:6]], [text(each, intent) for each in requests[:6]]  # fmt: skip
    return _of_model(model, explicit, safe, [text(each) for each in requests[6:]])


def real_model(folder: Path) -> Subject:
    """A real model on the toy rule book's requests and problems, with its own short replies."""
    handle = load_model(folder)
    harmful, problems = (
        [Request(f"{name}{n}", row) for n, row in enumerate(_prompts(name)[:count])]
        for name, count in (("toy", 16), ("toy_math", 5))
    )
    intent = intent_for("toy", None)
    explicit = [Request(each.id, f"{each.text} {intent}") for each in harmful]
    with_intent, plain = (handle.passages(each, "no_think") for each in (explicit, harmful))
    replies = handle.replies(problems, "no_think", max_new_tokens=24)
    worked = handle.passages(problems, "no_think", replies)
    return _of_model(handle.model, with_intent, plain, worked)


def _prompts(name: str) -> list[str]:
    lines = (tasks_dir() / name / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["prompt"] for line in lines]


def _of_model(
    model: Any, explicit: list[Passage], safe: list[Passage], maths: list[Passage]
) -> Subject:
    import torch

    widths = architecture_of(model).unit_counts("neuron")
    largest = [capture_neurons(model, texts, "max", "text") for texts in (explicit, safe)]
    found = find_neurons(Rises(largest[0] - largest[1], tuple(widths))).neurons
    matrices = [p for name, p in model.named_parameters() if p.dim() > 1 and "embed" not in name]

    def shake(rng: np.random.Generator) -> tuple[Activations, WeightChange]:
        import copy

        noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
        kept = [each.detach().clone() for each in matrices]
        before = copy.deepcopy(model)
        try:
            with torch.no_grad():
                for each in matrices:
                    each += 0.5 * _SIZE * each.std() * torch.randn(each.shape, generator=noise)
            return read_activations(model, safe[:8], maths), weight_change(before, model)
        finally:
            with torch.no_grad():
                for each, was in zip(matrices, kept, strict=True):
                    each.copy_(was)

    base = read_activations(model, safe[:8], maths)
    return Subject(base, found, widths, outgoing_sizes(model), shake)


class Ablation(NamedTuple):
    """How often neurons that write much look special although none is."""

    balance: float
    """How much they write over how much the random sets do, median."""
    as_it_is: float
    """Share that is beyond the draws by what they do alone."""
    decides: float
    """Share that is `found`."""


def ablations(
    neurons: int, noise: float, *, draws: int = 19, models: int = 50
) -> dict[str, Ablation]:
    """Take out the neurons of most size times noise, of four layers of 256 with sizes of heavy tails.

    Args:
        neurons: How many are taken out.
        noise: Spread of the logarithm of the noise in the choice; more chooses less by size.
        draws: Random sets.
        models: Each of its own sizes; the neurons' effects are drawn twenty times in each.

    Returns:
        By how effects go with sizes: `equal` or `proportional`.
    """
    widths, balance = [256] * 4, list[float]()
    hits: dict[str, list[tuple[bool, bool]]] = {"equal": [], "proportional": []}
    for seed in range(models):
        rng = np.random.default_rng(seed)
        sizes = rng.lognormal(size=sum(widths))
        chosen = np.argsort(-sizes * rng.lognormal(sigma=noise, size=len(sizes)))[:neurons]
        units = units_at(sorted(chosen.tolist()), widths)
        drawn = draw_random_sets(units, widths, draws=draws, seed=seed, covariates=sizes[:, None])
        balance.append(drawn.balance[0])
        columns = [columns_of(each, widths) for each in (units, *drawn.sets)]
        for kind in list(hits) * 20:
            effects = rng.exponential(size=len(sizes)) * (sizes if kind == "proportional" else 1)
            rise, *random = (float(effects[each].sum()) for each in columns)
            ranks = RankTest.of(rise, random), rank_rise(rise, random, drawn)
            hits[kind].append((ranks[0].verdict == "beyond", ranks[1].verdict == "beyond"))
    middle = float(np.median(balance))
    return {
        kind: Ablation(middle, *np.mean(found, axis=0).tolist()) for kind, found in hits.items()
    }


def _ablation_lines() -> Iterator[str]:
    for neurons, draws in ((8, 19), (20, 19), (20, 99), (60, 19)):
        for noise in (4.0, 1.0, 0.5):
            for kind, found in ablations(neurons, noise, draws=draws).items():
                shares = f"{found.as_it_is:.1%} | {found.decides:.1%}"
                yield f"| {neurons} | {draws} | {found.balance:.2f} | {kind} | {shares} |"


def rates(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], float]:
    """Share of drifts in which the neurons found are beyond their random sets, by rule and figure."""
    keys = outcomes[0].beyond
    return {key: float(np.mean([each.beyond[key] for each in outcomes])) for key in keys}


def _lines(name: str, subjects: Callable[[int], Subject], trials: dict[str, int]) -> Iterator[str]:
    for kind in DRIFTS:
        outcomes = [observe(subjects(seed), kind, seed) for seed in range(trials[kind])]
        share = rates(outcomes)
        cells = [f"{share[rule, figure]:.1%}" for figure in FIGURES for rule in RULES]
        middle = [
            np.median([getattr(each, key) for each in outcomes]) for key in ("neurons", "uneven")
        ]
        near = np.median([each.balance[0] for each in outcomes])
        cells = [
            name,
            f"{middle[0]:.0f}",
            f"{middle[1]:.1f}, {near:.1f}",
            kind,
            f"{len(outcomes)}",
            *cells,
        ]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=200, help="drifts of the layers of neurons")
    parser.add_argument(
        "--models",
        type=int,
        default=200,
        help="random models, and drifts of the real one",
    )
    parser.add_argument(
        "--weights", type=int, default=60, help="drifts of all weights of the real one, 4 s each"
    )
    parser.add_argument("--model", type=Path, help="folder of a real model")
    parser.add_argument("--out", type=Path, default=_REPORT)
    options = parser.parse_args()
    lines = list[str]()
    subjects: list[tuple[str, Callable[[int], Subject], dict[str, int]]] = [
        ("layers", layers_of_neurons, dict.fromkeys(DRIFTS, options.trials)),
        ("random Qwen3", random_model, dict.fromkeys(DRIFTS, options.models)),
    ]
    if options.model:
        real = real_model(options.model)
        many = dict.fromkeys(DRIFTS, options.models) | {"weights": options.weights}
        subjects.append(("real", lambda _: real, many))
    for subject in subjects:
        for line in _lines(*subject):
            lines.append(line)
            print(line, flush=True)
    options.out.write_text(_report(lines, list(_ablation_lines()), options), encoding="utf-8")


def _report(lines: list[str], ablated: list[str], options: argparse.Namespace) -> str:
    shown = f" --weights {options.weights} --model FOLDER" if options.model else ""
    counts = options.trials, options.models, options.weights
    errors = [200 * (0.05 * 0.95 / n) ** 0.5 for n in counts]
    fewer = f", of {options.weights} to {errors[2]:.1f}" if options.model else ""
    table, ablation = "\n".join(lines), "\n".join(ablated)
    return f"""# Random controls under a drift that spares nobody

`python -m benchmarks.random_controls --trials {options.trials} --models {options.models}{shown}`
(the real model: SmolLM2-135M, searched once)

How often the neurons that the search found are *beyond* 99 random sets (rank p of 0.05 or less; below 0.02 in the last rule), in per cent. Under `additive`,
`proportional` and `weights` no neuron is special, so at most 5 % may be; under `route` the set loses half on safety prompts and gains half
on mathematics. Three rules: random sets of the same *layers*; those *near* in base activation, too; and that in both units, which
*decides* (see `rim_eval.mechanisms.random_controls`). `activation`: on safety prompts, the set over random sets of its layers, and over
the near ones (medians). A share near 5 % of {options.trials} drifts is known to about {errors[0]:.1f} points, of {options.models} to {errors[1]:.1f}{fewer} (two standard errors).

| model | neurons | activation | drift | drifts | RAS: layers | near | decides | change of activations: layers | near | decides | outgoing weights: layers | near | decides |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
{table}

## Ablation

Neurons that write much are taken out where no neuron is special: each does by independent noise as much as any other (`equal`), or in
proportion to how much it writes (`proportional`). How often they are beyond their random draws by what they do *as it is*, and how often
they are `found` (*decides*: also relative to how much the sets write, and allowing for the units that draws share). `writes`: the set over
its draws (median). 50 models of four layers of 256 neurons, twenty times each: known to about 1.4 points or somewhat more.

| neurons | draws | writes | effects | as it is | decides |
|---|---|---|---|---|---|
{ablation}
"""


if __name__ == "__main__":
    main()
