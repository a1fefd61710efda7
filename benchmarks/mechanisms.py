"""Capture against its peers, all reading the same and none computing the language-model head.

    python benchmarks/mechanisms.py                       # this library, hooks by hand, plain transformers
    python benchmarks/mechanisms.py --peers               # beside nnsight and TransformerLens, if installed
    python benchmarks/mechanisms.py --report --peers --shape small,FOLDER > benchmarks/reports/mechanisms.md
    python benchmarks/mechanisms.py --shape qwen3-4b --length 256 --device cuda --dtype bfloat16

Each way runs in a process of its own, on the same model and texts, and reads the same three things:
residual stream at one token after every layer, MLP activations max-pooled over the text, and the
last token's attention argmax in every head. Each stops after the last layer, by the means it has.
Memory is the growth of the process's peak during the reading (on a GPU: torch's peak). The
argmaxima must be equal and the figures' sums agree. A shape that is a folder is a real checkpoint.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

SHAPES = {
    "small": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32, "vocab_size": 32_000},
    "qwen3-4b": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
}  # fmt: skip
WAYS = ("rim_eval", "forward_alone", "hooks_sdpa", "hooks_eager", "transformers")
PEERS = ("nnsight", "transformer_lens")
NAMES = {
    "rim_eval": "rim_eval",
    "forward_alone": "forward pass alone, nothing read",
    "hooks_sdpa": "hooks by hand, sdpa, rows computed again",
    "hooks_eager": "hooks by hand, eager attention",
    "transformers": "transformers' own outputs",
    "nnsight": "nnsight, `tracer.stop()`",
    "transformer_lens": "TransformerLens, stopped after the last layer",
}
Reading = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Residual (texts, layers, width), neurons (texts, layers, n), argmax (texts, layers, heads)."""


def model_of(shape: str, device: str, dtype: str) -> Any:
    """A random Qwen3 model of a shape, or the real model of a folder."""
    from transformers import AutoModelForCausalLM, Qwen3Config

    kind = getattr(torch, dtype)
    if shape not in SHAPES:
        return AutoModelForCausalLM.from_pretrained(shape, dtype=kind).to(device).eval()
    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], tie_word_embeddings=True, pad_token_id=0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=kind)
    return model.eval()


def texts_of(model: Any, count: int, length: int) -> torch.Tensor:
    """Random texts of one length, so that no way has to pad."""
    torch.manual_seed(1)
    return torch.randint(1, model.config.vocab_size, (count, length))


def by_rim_eval(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    from rim_eval.mechanisms import Neurons, Passage, capture
    from rim_eval.mechanisms.capture import Attention

    length = texts.shape[1]
    spans = {"all": (0, length), "last": (length - 1, length)}
    read = capture(
        model,
        [Passage(tuple(row), spans) for row in texts.tolist()],
        residual=("last",),
        neurons=Neurons("max", "all"),
        attention=Attention("last"),
        tokens_per_batch=batch * length,
    )
    assert read.residual is not None
    assert read.neurons is not None
    assert read.argmax is not None
    return read.residual[:, :, 0], np.stack(read.neurons, 1), read.argmax


class StopError(Exception):
    """Ends a forward pass after the last layer."""


@contextmanager
def hooked(model: Any, acts: list[Any], hidden: list[Any], *, stop: bool) -> Iterator[None]:
    """Keep pooled activations and the last token's state of every layer, and stop after the last."""
    layers = model.model.layers

    def after(layer: Any, _args: Any, output: Any) -> None:
        hidden.append((output[0] if isinstance(output, tuple) else output)[:, -1])
        if stop and layer is layers[-1]:
            raise StopError

    hooks = [layer.register_forward_hook(after) for layer in layers]
    hooks += [
        layer.mlp.down_proj.register_forward_pre_hook(lambda _m, args: acts.append(args[0].amax(1)))
        for layer in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def read_by_hooks(model: Any, texts: torch.Tensor, batch: int, argmax: list[Any]) -> Reading:
    """Batch after batch with hooks and an early stop; what reads attention fills `argmax`."""
    parts = []
    for rows in texts.split(batch):
        acts, hidden = list[Any](), list[Any]()
        argmax.clear()
        with torch.inference_mode(), hooked(model, acts, hidden, stop=True), suppress(StopError):
            model.model(rows.to(model.device), use_cache=False)
        parts.append(stacked(hidden, acts, argmax))
    return joined(parts)


def by_hooks_eager(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    """What a careful person writes: three kinds of hooks, eager attention for its rows, an early stop."""
    model.set_attn_implementation("eager")
    argmax: list[Any] = []
    hooks = [
        layer.self_attn.register_forward_hook(
            lambda _m, _a, out: argmax.append(out[1][:, :, -1].argmax(-1))
        )
        for layer in model.model.layers
    ]
    read = read_by_hooks(model, texts, batch, argmax)
    for hook in hooks:
        hook.remove()
    return read


def by_hooks_sdpa(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    """The same by one who also keeps the fast attention and computes the one row again, as rim_eval does."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    argmax: list[Any] = []

    def attend(module: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
        groups = q.shape[1] // k.shape[1]
        row = q[:, :, -1:] @ k.repeat_interleave(groups, 1).mT
        argmax.append(row[:, :, 0].argmax(-1))
        return sdpa_attention_forward(module, q, k, v, mask, **options)

    AttentionInterface.register("by_hand", attend)
    AttentionMaskInterface.register("by_hand", sdpa_mask)
    model.set_attn_implementation("by_hand")
    return read_by_hooks(model, texts, batch, argmax)


def by_transformers(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    """All attentions and states from the library; those of the last layer, and neurons, by hooks."""
    model.set_attn_implementation("eager")
    parts = []
    for rows in texts.split(batch):
        acts, hidden = list[Any](), list[Any]()
        with torch.inference_mode(), hooked(model, acts, hidden, stop=False):
            out = model.model(
                rows.to(model.device),
                use_cache=False,
                output_hidden_states=True,
                output_attentions=True,
            )
        argmax = [each[:, :, -1].argmax(-1) for each in out.attentions]
        states = [each[:, -1] for each in out.hidden_states[1:-1]]
        parts.append(stacked([*states, hidden[-1]], acts, argmax))
    return joined(parts)


def forward_alone(model: Any, texts: torch.Tensor, batch: int) -> None:
    """The decoder alone, nothing read: the floor of what any reading costs."""
    with torch.inference_mode():
        for rows in texts.split(batch):
            model.model(rows.to(model.device), use_cache=False)


def stacked(hidden: list[Any], acts: list[Any], argmax: list[Any]) -> tuple[Any, Any, Any]:
    states, neurons, most = (torch.stack(part, 1).cpu() for part in (hidden, acts, argmax))
    return states.float(), neurons.float(), most


def stand_in() -> Any:
    """Any tokenizer: both libraries ask for one, and none is used."""
    from transformers import AutoTokenizer

    from rim_eval.paths import organism_dir

    return AutoTokenizer.from_pretrained(organism_dir())


def by_nnsight(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    language_model = importlib.import_module("nnsight").LanguageModel
    model.set_attn_implementation("eager")
    traced = language_model(model, tokenizer=stand_in())
    parts = []
    with torch.inference_mode():
        for rows in texts.split(batch):
            hidden, acts, argmax = [], [], []
            with traced.trace(rows.to(model.device)) as tracer:
                for layer in traced.model.layers:
                    argmax.append(layer.self_attn.output[1][:, :, -1].argmax(-1).save())
                    acts.append(layer.mlp.down_proj.input.amax(1).save())
                    hidden.append(layer.output[:, -1].save())
                tracer.stop()
            parts.append(stacked(hidden, acts, argmax))
    return joined(parts)


def by_transformer_lens(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    bridges = importlib.import_module("transformer_lens.model_bridge")
    names_of = {"qwen3": "Qwen/Qwen3-4B", "llama": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    bridge = bridges.TransformerBridge.boot_transformers(
        names_of[model.config.model_type],
        hf_model=model,
        tokenizer=stand_in(),
        device=model.device,
        dtype=model.dtype,
    )
    layers = range(model.config.num_hidden_layers)
    names = {
        name
        for n in layers
        for name in (
            f"blocks.{n}.hook_out",
            f"blocks.{n}.mlp.out.hook_in",
            f"blocks.{n}.attn.hook_pattern",
        )
    }
    # `stop_at_layer` stops before a layer, and there is none after the last to stop before: so the
    # final norm, which comes next, ends the pass, and no way computes the head.
    final = bridge.ln_final.original_component.register_forward_pre_hook(stop_bridge)
    parts = []
    with torch.inference_mode():
        for rows in texts.split(batch):
            _, cache = bridge.run_with_cache(
                rows.to(model.device), names_filter=lambda name: name in names, return_type=None
            )
            hidden = [cache[f"blocks.{n}.hook_out"][:, -1] for n in layers]
            acts = [cache[f"blocks.{n}.mlp.out.hook_in"].amax(1) for n in layers]
            seen = [cache[f"blocks.{n}.attn.hook_pattern"][:, :, -1].argmax(-1) for n in layers]
            parts.append(stacked(hidden, acts, seen))
    final.remove()
    return joined(parts)


def stop_bridge(_module: Any, args: Any) -> None:
    """End TransformerLens' pass the way its own `stop_at_layer` does."""
    found = importlib.import_module("transformer_lens.model_bridge.exceptions")
    raise found.StopAtLayerException(args[0])


def joined(parts: list[Any]) -> Reading:
    found = tuple(torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return found[0], found[1], found[2]


WAYS_BY_NAME = {
    "rim_eval": by_rim_eval,
    "forward_alone": forward_alone,
    "hooks_sdpa": by_hooks_sdpa,
    "hooks_eager": by_hooks_eager,
    "transformers": by_transformers,
    "nnsight": by_nnsight,
    "transformer_lens": by_transformer_lens,
}


def measure(way: str, options: argparse.Namespace) -> dict[str, Any]:
    """Processor seconds and memory of one way, best of several rounds, in this process."""
    torch.set_num_threads(1)
    model = model_of(options.shape, options.device, options.dtype)
    tokens = options.tokens // (1 if options.shape in SHAPES else 4)
    texts = texts_of(model, tokens // options.length, options.length)
    batch = max(1, min(options.batch, 4096 // options.length))
    WAYS_BY_NAME[way](model, texts[:1, :8], 1)  # warm-up: imports stay out of time and memory
    cuda = options.device != "cpu"
    if cuda:
        torch.cuda.synchronize()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    before, startup = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    seconds, wall = [], []
    for _ in range(options.rounds):
        start, busy = time.perf_counter(), time.process_time()
        found = WAYS_BY_NAME[way](model, texts, batch)
        if cuda:
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - start)
        seconds.append(time.process_time() - busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    growth = (torch.cuda.max_memory_allocated() - held) / 2**20 if cuda else (peak - before) / 1024
    return {
        "shape": Path(options.shape).name,
        "length": options.length,
        "way": way,
        "startup": startup,
        "reading": min(wall if cuda else seconds),
        "growth_mib": growth,
        "peak_mib": peak / 1024,
        "sums": [float(np.asarray(part, np.float64).sum()) for part in found] if found else None,
    }


def report(found: list[dict[str, Any]]) -> str:
    """A table for each model and length, with ratios to this library."""
    lines = []
    for shape, length in dict.fromkeys((each["shape"], each["length"]) for each in found):
        rows = [each for each in found if (each["shape"], each["length"]) == (shape, length)]
        own = next(each for each in rows if each["way"] == "rim_eval")
        lines += [
            f"\n## {shape}, texts of {length} tokens\n",
            "| way | reading, CPU s | ratio | whole process, CPU s | ratio | memory growth, MiB | ratio | peak, MiB | same figures |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for each in rows:
            whole, own_whole = (x["startup"] + x["reading"] for x in (each, own))
            memory = each["growth_mib"] / max(1.0, own["growth_mib"])
            same = each["sums"] and (
                each["sums"][2] == own["sums"][2]
                and np.allclose(each["sums"][:2], own["sums"][:2], rtol=1e-4)
            )
            lines.append(
                f"| {NAMES[each['way']]} | {each['reading']:.2f} | {each['reading'] / own['reading']:.2f} | {whole:.1f} "
                f"| {whole / own_whole:.2f} | {each['growth_mib']:.0f} | {memory:.1f} | {each['peak_mib']:.0f} "
                f"| {'' if same is None else 'yes' if same else 'NO'} |"
            )
    return "\n".join(lines)


def run(way: str, shape: str, length: int, options: argparse.Namespace) -> dict[str, Any] | None:
    """One way in a process of its own; None, with the reason on stderr, where it cannot run."""
    command = [sys.executable, __file__, "--way", way, "--shape", shape, "--length", str(length)]
    for name in ("device", "dtype", "tokens", "batch", "rounds"):
        command += [f"--{name}", str(getattr(options, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{way}, {shape}, {length}: {done.stderr[-600:]}", file=sys.stderr)
        return None
    line = done.stdout.strip().splitlines()[-1]
    print(line, file=sys.stderr)
    found: dict[str, Any] = json.loads(line)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shape", default="small", help=f"{', '.join(SHAPES)}, or folders; commas")
    parser.add_argument("--length", default="64,1024", help="tokens of a text; commas")
    parser.add_argument(
        "--tokens", type=int, default=4096, help="of all texts together; a folder reads a quarter"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument(
        "--batch", type=int, default=16, help="texts at a time, 4,096 tokens at most"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--report", action="store_true", help="tables as Markdown on stdout")
    parser.add_argument("--way", choices=WAYS_BY_NAME, help="one way, in this process")
    options = parser.parse_args()
    if options.way:
        options.length = int(options.length)
        print(json.dumps(measure(options.way, options)))
        return
    found = [
        run(way, shape, int(length), options)
        for shape in options.shape.split(",")
        for length in options.length.split(",")
        for way in (*WAYS, *(PEERS if options.peers else ()))
    ]
    if options.report:
        print(report([each for each in found if each]))


if __name__ == "__main__":
    main()
