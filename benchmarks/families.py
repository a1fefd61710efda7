"""For which families of models heads, neurons and probes are exact: tiny random models of each.

python -m benchmarks.families                 # all; writes reports/families.md
python -m benchmarks.families qwen3 nemotron_h

Every figure is the largest difference between what rim_eval reads or does and the same by other means, float32 on a CPU:

rows       attention argmax (equal) and mass on a span against the weights that eager attention returns
stream     residual stream, batched and padded on the left, against plain hooks and each text alone (share of the largest)
acts       neurons against plain hooks on the down projections; an expert's against the gradient of its weights (as a share)
heads      logits without a head of each layer against logits with its columns of the output projection zeroed
function   ... against logits with that head's output of the attention function zeroed, where there is such a function
neurons    logits without neurons of each down projection against logits with their columns zeroed
rest       what layers without any head and neuron do to the residual stream but scale it and add a constant; other
           mixers silenced
"""

import argparse
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms.ablation import ablate_units
from rim_eval.mechanisms.architecture import Architecture, Down, UnitKind, architecture_of
from rim_eval.mechanisms.attention import is_replaceable
from rim_eval.mechanisms.capture import Attention, Neurons, capture
from rim_eval.mechanisms.completeness import check_complete
from rim_eval.mechanisms.spans import Passage

REPORT: Final = Path(__file__).parent / "reports" / "families.md"

TABLE: Final[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)

FAMILIES: Final = tuple(TABLE["families"])

NORMED: Final = ("minimax", "openai-gpt")
"""Families whose layers hand on a norm of their input and not the input, so that `rest` says nothing."""

EXACT: Final = 1e-5
"""Largest difference that counts as none."""


class Examined(NamedTuple):
    """One family."""

    family: str
    layers: str
    heads: list[int] | None
    """Heads of each layer; None where the family has none that can be read."""
    neurons: list[int] | None
    differences: dict[str, float]
    """What was compared to the largest difference."""
    refused: tuple[str, ...]
    """Messages of the errors that say what is not supported."""

    @property
    def inexact(self) -> list[str]:
        """What differs by more than rounding."""
        return [what for what, by in self.differences.items() if not by <= EXACT]


def build(family: str) -> Any:
    """Make a tiny random model, whose weights are large enough for every part of it to show."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    torch.manual_seed(0)
    plain, own = AutoConfig.for_model(family), TABLE["families"][family]
    if "text_config" in getattr(plain, "sub_configs", {}):
        text = plain.text_config.model_type
        vision = plain.vision_config or AutoConfig.for_model(f"{family}_vision")
        config = AutoConfig.for_model(
            family,
            text_config=_entries(plain.text_config, TABLE["families"].get(text, {}) | own)
            | {"model_type": text},
            vision_config={k: v for k, v in TABLE["vision"].items() if _has(vision, k)}
            | {"model_type": vision.model_type},
        )
        model = AutoModelForImageTextToText.from_config(config).eval()
    else:
        config = AutoConfig.for_model(family, **_entries(plain, own))
        model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if (weight.ndim > 1 and not name.endswith(("A_log", "dt_bias", "conv1d.weight"))) or (
                name.endswith(("bias", "sinks")) and "dt_" not in name
            ):
                weight.normal_(std=0.2)
    return model


def _entries(config: Any, own: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in TABLE["common"].items() if _has(config, name)}
    without = own.get("without", [])
    entries = found | own
    return {name: value for name, value in entries.items() if name not in ("without", *without)}


def _has(config: Any, name: str) -> bool:
    try:
        return hasattr(config, name) or name in config.attribute_map
    except Exception:  # the configuration has it, and refuses to tell as it differs between layers
        return True


def passages() -> list[Passage]:
    """Texts of different lengths, so that batches are padded."""
    rng = np.random.default_rng(0)
    lengths = (7, 12, 5, 12)
    return [
        Passage(
            tuple(int(i) for i in rng.integers(3, 64, n)),
            {"text": (2, n), "all": (0, n), "last": (n - 2, n - 1), "trace": (2, 4)},
            f"p{i}",
        )
        for i, n in enumerate(lengths)
    ]


def examine(family: str) -> Examined:
    """Compare everything that is read and done in a family's tiny model with the same by other means."""
    model = build(family)
    try:
        parts = architecture_of(model)
    except RimError as error:
        return Examined(family, "", None, None, {}, (str(error),))
    differences: dict[str, float] = {}
    refused: list[str] = []

    def compare(what: str, by: Callable[[Any, Architecture], float | None]) -> None:
        try:
            difference = by(model, parts)
        except RimError as error:
            refused.append(str(error))
        else:
            if difference is not None:
                differences[what] = difference

    counts: dict[UnitKind, list[int] | None] = {}
    kinds: tuple[UnitKind, ...] = ("head", "neuron")
    for kind in kinds:
        try:
            check_complete(parts, kind)
            counts[kind] = parts.unit_counts(kind)
        except RimError as error:
            counts[kind] = None
            refused.append(str(error))
    compare("stream", _stream)
    if any(counts["head"] or ()):
        compare("rows", _rows)
        compare("heads", _without_heads)
        compare("function", _without_function)
    if any(counts["neuron"] or ()):
        compare("acts", _acts)
        compare("neurons", _without_neurons)
    if counts["head"] is not None and counts["neuron"] is not None and family not in NORMED:
        compare("rest", _rest)
    kinds_of = ", ".join(_kind(parts, layer) for layer in range(len(parts.layers)))
    return Examined(family, kinds_of, counts["head"], counts["neuron"], differences, tuple(refused))


def _kind(parts: Architecture, layer: int) -> str:
    """What a layer holds, in words."""
    attention = parts.attention[layer]
    held = ["attention" if mixer is attention else "recurrence" for mixer in parts.mixers[layer]]
    held += ["experts" if down.experts else "MLP" for down in parts.downs[layer]]
    return " + ".join(held)


def logits(model: Any, passage: Passage) -> Any:
    """Logits of one text, without padding."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([passage.ids])).logits


def _stream(model: Any, parts: Architecture) -> float:
    got = capture(model, passages(), residual=("last", "text")).residual
    assert got is not None
    worst = 0.0
    for n, passage in enumerate(passages()):
        seen: list[Any] = []
        with _hooked(parts.layers, lambda _m, _a, out, seen=seen: seen.append(_first(out))):
            logits(model, passage)
        for layer, states in enumerate(seen):
            start, stop = passage.span("text")
            want = np.stack([states[0, -2], states[0, start:stop].mean(0)])
            scale = max(1.0, float(np.abs(want).max()))
            worst = max(worst, float(np.abs(got[n, layer] - want).max()) / scale)
    return worst


@contextmanager
def _hooked(modules: Any, hook: Any, *, before: bool = False) -> Iterator[None]:
    with ExitStack() as stack:
        for module in modules:
            register = module.register_forward_pre_hook if before else module.register_forward_hook
            stack.callback(register(hook).remove)
        yield


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, (tuple, list)) else output


def _rows(model: Any, parts: Architecture) -> float:
    found = capture(model, passages(), attention=Attention("last", ("trace",)))
    assert found.argmax is not None
    assert found.mass is not None
    attending = [layer for layer, count in enumerate(parts.heads) if count]
    worst = 0.0
    with _eager(model):
        for n, passage in enumerate(passages()):
            with torch.inference_mode():
                out = model(input_ids=torch.tensor([passage.ids]), output_attentions=True)
            maps = [each for each in out.attentions if each is not None]
            if len(maps) == len(parts.layers):  # MiniMax counts its linear attention too
                maps = [maps[layer] for layer in attending]
            for layer, weights in zip(attending, maps, strict=True):
                row = weights[0, :, -2].float()
                if not np.array_equal(found.argmax[n, layer, : len(row)], row.argmax(-1)):
                    return float("inf")
                mass = found.mass[n, layer, : len(row), 0]
                worst = max(worst, float(np.abs(mass - row[:, 2:4].sum(-1).numpy()).max()))
    return worst


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    configs = [model.config, model.config.get_text_config()]
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation = "eager"
    yield
    for config, how in zip(configs, before, strict=True):
        config._attn_implementation = how


def _without_heads(model: Any, parts: Architecture) -> float:
    passage, units = passages()[1], _one_head_a_layer(parts)
    with ablate_units(model, "head", units):
        got = logits(model, passage)
    with ExitStack() as stack:
        for layer, head in units:
            output, width = parts.outputs[layer], parts.head_dims[layer]
            columns = list(range(head * width, (head + 1) * width))
            stack.enter_context(_zeroed(output.weight, columns, transposed=_is_conv(output)))
        want = logits(model, passage)
    return _difference(model, got, want)


def _one_head_a_layer(parts: Architecture) -> list[tuple[int, int]]:
    return [(layer, (layer + 1) % count) for layer, count in enumerate(parts.heads) if count]


def _without_function(model: Any, parts: Architecture) -> float | None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    if not is_replaceable(model):
        return None
    passage, units = passages()[1], dict(_one_head_a_layer(parts))
    heads = {id(parts.attention[layer]): head for layer, head in units.items()}

    def attend(module: Any, *args: Any, **options: Any) -> Any:
        out, weights = sdpa_attention_forward(module, *args, **options)
        if id(module) in heads:
            out = out.clone()
            out[:, :, heads[id(module)]] = 0
        return out, weights

    with ablate_units(model, "head", list(units.items())):
        got = logits(model, passage)
    before = model.config._attn_implementation
    AttentionInterface.register("families", attend)
    AttentionMaskInterface.register("families", sdpa_mask)
    model.set_attn_implementation("families")
    want = logits(model, passage)
    model.set_attn_implementation(before)
    return _difference(model, got, want)


def _without_neurons(model: Any, parts: Architecture) -> float:
    passage = passages()[1]
    units, columns = [], list[tuple[Any, list[int], bool]]()
    for layer, downs in enumerate(parts.downs):
        for down in downs:
            chosen = [1, down.size - 1]
            for expert in range(max(1, down.experts)):
                units += [(layer, down.first + expert * down.size + j) for j in chosen]
                weight = down.weight[expert] if down.experts else down.weight
                columns.append((weight, chosen, down.axis == -2))
    with ablate_units(model, "neuron", units):
        got = logits(model, passage)
    with ExitStack() as stack:
        for weight, chosen, transposed in columns:
            stack.enter_context(_zeroed(weight, chosen, transposed=transposed))
        want = logits(model, passage)
    return _difference(model, got, want)


@contextmanager
def _zeroed(weight: Any, columns: list[int], *, transposed: bool) -> Iterator[None]:
    with torch.no_grad():
        view = weight.T if transposed else weight
        saved = view[:, columns].clone()
        view[:, columns] = 0
        yield
        view[:, columns] = saved


def _is_conv(module: Any) -> bool:
    return type(module).__name__ == "Conv1D"


def _difference(model: Any, got: Any, want: Any) -> float:
    """Largest difference, infinite where the change did nothing and so shows nothing."""
    if torch.allclose(logits(model, passages()[1]), want, atol=100 * EXACT):
        return float("inf")
    return float((got - want).abs().max())


def _acts(model: Any, parts: Architecture) -> float:
    worst = 0.0
    single = Passage(passages()[0].ids[:1], {"text": (0, 1)})
    for passage, spanned in ((passages()[0], False), (single, True)):
        got = capture(model, [passage], neurons=Neurons("mean")).neurons
        assert got is not None
        start, stop = passage.span("text")
        for layer, downs in enumerate(parts.downs):
            for down in downs:
                if down.experts and not spanned:
                    continue
                read = _expert_acts if down.experts else _dense_acts
                want = read(model, down, passage)[start:stop].mean(0)
                mine = got[layer][0, down.first : down.first + down.neurons]
                scale = max(1.0, float(np.abs(want).max()))
                worst = max(worst, float(np.abs(mine - want).max()) / scale)
    return worst


def _dense_acts(model: Any, down: Down, passage: Passage) -> Any:
    seen: list[Any] = []
    with _hooked([down.module], lambda _m, args: seen.append(args[0]), before=True):
        logits(model, passage)
    return seen[0].reshape(len(passage.ids), -1).numpy()


def _expert_acts(model: Any, down: Down, passage: Passage) -> Any:
    """Activations for one token, as the gradient of the first output by the down projection's weights.

    out[0] = sum over experts e, neurons j of  w[e] down[e, 0, j] a[e, j]
    """
    seen: list[Any] = []
    with _hooked([down.module], lambda _m, args: seen.append(args), before=True):
        logits(model, passage)
    hidden, *routing = (each.clone() for each in seen[0])
    out = down.module(hidden, *routing).reshape(-1, hidden.shape[-1])[:, 0].sum()
    (gradient,) = torch.autograd.grad(out, down.weight)
    acts = gradient[:, :, 0] if down.axis == -2 else gradient[:, 0]
    if routing:
        chosen, weights = (each.reshape(-1) for each in routing)
        acts = acts.clone()
        acts[chosen] /= weights[:, None]
    return acts.reshape(1, -1).numpy()


def _rest(model: Any, parts: Architecture) -> float | None:
    """Largest change over tokens of what layers add when all units are 0 and other mixers silent."""
    kinds: tuple[UnitKind, ...] = ("head", "neuron")
    all_units = {
        kind: [(x, n) for x, count in enumerate(parts.unit_counts(kind)) for n in range(count)]
        for kind in kinds
    }
    others = [m for x, each in enumerate(parts.mixers) for m in each if m is not parts.attention[x]]
    biases = [b for n, b in model.named_parameters() if n.endswith("experts.down_proj_bias")]
    states: list[tuple[Any, Any]] = []

    def store(_module: Any, args: Any, options: Any, output: Any) -> None:
        before = args[0] if args else options["hidden_states"]
        states.append((before.clone(), _first(output)))

    with ExitStack() as stack:
        for kind, units in all_units.items():
            stack.enter_context(ablate_units(model, kind, units))
        for bias in biases:  # it is added by the router's weight
            stack.enter_context(_zeroed(bias, list(range(bias.shape[1])), transposed=False))
        stack.enter_context(_hooked(others, lambda _m, _a, out: _nothing(out)))
        for layer in parts.layers:
            handle = layer.register_forward_hook(store, with_kwargs=True)
            stack.callback(handle.remove)
        logits(model, passages()[1])
    worst = 0.0
    for before, after in states:
        # Differences between tokens, so that constants drop out; a layer may also scale its input.
        given, handed = (each - each[:, :1] for each in (before, after))
        scale = (given * handed).sum() / given.square().sum()
        worst = max(worst, float((handed - scale * given).abs().max()))
    return worst


def _nothing(output: Any) -> Any:
    if isinstance(output, tuple):
        return (_nothing(output[0]), *output[1:])
    return torch.zeros_like(output)


def verdict(each: Examined) -> str:
    """`exact`, what is not, or why something is refused."""
    said = [f"NOT EXACT: {', '.join(each.inexact)}"] if each.inexact else []
    return " ".join([*said, *dict.fromkeys(each.refused)]) or "exact"


def table(examined: list[Examined]) -> str:
    """The report, as Markdown."""
    compared = ("stream", "rows", "heads", "function", "acts", "neurons", "rest")
    lines = [
        "# Families of models",
        "",
        f"`python -m benchmarks.families` with transformers {version('transformers')}: tiny random models, "
        "float32, one CPU thread. Largest differences; 0 is bit by bit. `benchmarks/families.py` says what "
        f"is compared. {sum(verdict(each) == 'exact' for each in examined)} of {len(examined)} families "
        "are exact in all that they have, of the others it is said what is refused.",
        "",
        f"| family | layers | heads | neurons | {' | '.join(compared)} | |",
        f"|---|---|---|---|{'---|' * len(compared)}---|",
    ]
    for each in examined:
        cells = [f"{each.differences[x]:.1g}" if x in each.differences else "" for x in compared]
        counts = [
            "refused" if x is None else " ".join(map(str, x)) for x in (each.heads, each.neurons)
        ]
        lines.append(
            f"| {each.family} | {each.layers} | {' | '.join(counts)} | {' | '.join(cells)} | {verdict(each)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Examine families, print them, and write the report of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("families", nargs="*")
    chosen = parser.parse_args().families
    torch.set_num_threads(1)
    text = table([examine(family) for family in chosen or FAMILIES])
    print(text)
    if not chosen:
        REPORT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
