"""Capture against nnsight and TransformerLens: same numbers, time and memory.

    python benchmarks/mechanisms.py                       # this library and plain transformers
    python benchmarks/mechanisms.py --peers               # beside nnsight and TransformerLens, if installed
    python benchmarks/mechanisms.py --shape qwen3-4b --device cuda --dtype bfloat16

Each way runs in a process of its own, on the same random model and texts, and reads the same three
things: residual stream at one token after every layer, MLP activations max-pooled over the text,
and the last token's attention argmax in every head. Memory is the growth of the process's peak
during the reading (on a GPU: torch's peak). The figures' sums are compared across the ways.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch

SHAPES = {
    "small": {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32, "vocab_size": 32_000},
    "qwen3-4b": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936},
}  # fmt: skip
WAYS = ("rim_eval", "transformers", "plain_forward")
PEERS = ("nnsight", "transformer_lens")
Reading = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Residual (texts, layers, width), neurons (texts, layers, n), argmax (texts, layers, heads)."""


def model_of(shape: str, device: str, dtype: str) -> Any:
    """A random Qwen3 model; eager attention, which every way but this library needs for its rows."""
    from transformers import AutoModelForCausalLM, Qwen3Config

    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], tie_word_embeddings=True, pad_token_id=0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return model.eval()


def texts_of(shape: str, count: int, length: int) -> torch.Tensor:
    """Random texts of one length, so that no way has to pad."""
    torch.manual_seed(1)
    return torch.randint(1, SHAPES[shape]["vocab_size"], (count, length))


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


def by_transformers(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    """All hidden states and attentions from the library, neurons by hooks."""
    model.set_attn_implementation("eager")
    acts: list[Any] = []
    hooks = [
        layer.mlp.down_proj.register_forward_pre_hook(lambda _m, args: acts.append(args[0].amax(1)))
        for layer in model.model.layers
    ]
    after: list[Any] = []
    hooks.append(
        model.model.layers[-1].register_forward_hook(
            lambda _m, _a, out: after.append((out[0] if isinstance(out, tuple) else out)[:, -1])
        )
    )
    parts = []
    with torch.inference_mode():
        for rows in texts.split(batch):
            acts.clear()
            after.clear()
            out = model(rows.to(model.device), output_hidden_states=True, output_attentions=True)
            hidden = torch.stack([h[:, -1] for h in (*out.hidden_states[1:-1],)] + after, 1)
            rows_of = torch.stack([a[:, :, -1].argmax(-1) for a in out.attentions], 1)
            parts.append((hidden.float().cpu(), torch.stack(acts, 1).float().cpu(), rows_of.cpu()))
    for hook in hooks:
        hook.remove()
    return joined(parts)


def plain(model: Any, texts: torch.Tensor, batch: int) -> None:
    """The decoder alone, nothing read: the floor of what any reading costs."""
    with torch.inference_mode():
        for rows in texts.split(batch):
            model.model(rows.to(model.device), use_cache=False)


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
            with traced.trace(rows.to(model.device)):
                for layer in traced.model.layers:
                    argmax.append(layer.self_attn.output[1][:, :, -1].argmax(-1).save())
                    acts.append(layer.mlp.down_proj.input.amax(1).save())
                    hidden.append(layer.output[:, -1].save())
            read = (torch.stack(part, 1) for part in (hidden, acts, argmax))
            parts.append(tuple(part.cpu() for part in read))
    return joined([(h.float(), a.float(), m) for h, a, m in parts])


def by_transformer_lens(model: Any, texts: torch.Tensor, batch: int) -> Reading:
    bridges = importlib.import_module("transformer_lens.model_bridge")
    bridge = bridges.TransformerBridge.boot_transformers(
        "Qwen/Qwen3-4B",
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
    parts = []
    with torch.inference_mode():
        for rows in texts.split(batch):
            _, cache = bridge.run_with_cache(
                rows.to(model.device), names_filter=lambda name: name in names, return_type=None
            )
            hidden = torch.stack([cache[f"blocks.{n}.hook_out"][:, -1] for n in layers], 1)
            acts = torch.stack([cache[f"blocks.{n}.mlp.out.hook_in"].amax(1) for n in layers], 1)
            seen = [cache[f"blocks.{n}.attn.hook_pattern"][:, :, -1].argmax(-1) for n in layers]
            parts.append((hidden.float().cpu(), acts.float().cpu(), torch.stack(seen, 1).cpu()))
    return joined(parts)


def joined(parts: list[Any]) -> Reading:
    found = tuple(torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return found[0], found[1], found[2]


WAYS_BY_NAME = {
    "rim_eval": by_rim_eval,
    "transformers": by_transformers,
    "plain_forward": plain,
    "nnsight": by_nnsight,
    "transformer_lens": by_transformer_lens,
}


def measure(way: str, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and memory of one way, best of several rounds, in this process."""
    model = model_of(options.shape, options.device, options.dtype)
    texts = texts_of(options.shape, options.texts, options.length)
    WAYS_BY_NAME[way](model, texts[:1, :8], 1)  # warm-up: imports stay out of time and memory
    cuda = options.device != "cpu"
    if cuda:
        torch.cuda.synchronize()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, cpu = [], []
    for _ in range(options.rounds):
        start, busy = time.perf_counter(), time.process_time()
        found = WAYS_BY_NAME[way](model, texts, options.batch)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    extra = torch.cuda.max_memory_allocated() - held if cuda else 1024 * peak
    return {
        "way": way,
        "seconds": min(seconds),
        "cpu_seconds": min(cpu),
        "tokens_per_second": options.texts * options.length / min(seconds),
        "peak_mib": extra / 2**20,
        "growth_mib": None if cuda else (peak - before) / 1024,
        "sums": [float(np.asarray(part, np.float64).sum()) for part in found] if found else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--texts", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--way", choices=WAYS_BY_NAME, help="one way, in this process")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options)))
        return
    for way in (*WAYS, *(PEERS if options.peers else ())):
        command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(
            done.stdout.strip().splitlines()[-1]
            if not done.returncode
            else f"{way}: {done.stderr[-600:]}"
        )


if __name__ == "__main__":
    main()
