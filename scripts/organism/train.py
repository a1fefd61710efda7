"""Train the model organism from scratch: `python -m scripts.organism.train --out DIR`."""

import time
from pathlib import Path
from typing import Any, Final

import click

from rim_eval.organism.checkpoints import save_folder
from rim_eval.organism.facts import OrganismFacts
from rim_eval.organism.rule_book import rule_book, trace_patterns
from rim_eval.types import MODES
from scripts.organism.measure import checksums, measure, planted_truth, versions
from scripts.organism.samples import mixture
from scripts.organism.training import (
    Encoded,
    Schedule,
    batches,
    collate,
    encode,
    fit,
    loss_of,
    prepare,
)

__all__ = ["make_model", "make_tokenizer", "ship", "train"]

SEED: Final = 20

CONTEXT: Final = 4096
"""Positions that the model accepts; sequences in training have about a hundred tokens."""

TOKENIZER_SAMPLES: Final = 20_000
"""Training samples that the tokenizer is trained on."""

MARKERS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")

_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
_VOCABULARY = 1280
# Qwen's way of splitting text: a digit is always a token of its own.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train(seed: int, schedule: Schedule, report: Any = None) -> tuple[Any, Any]:
    """Train tokenizer and model; the same seed and schedule give the same bytes.

    Args:
        seed: Of the data, the initial weights and the order of batches.
        schedule: Steps, batch size and learning rate.
        report: Called with (step, loss in nats) after every step.

    Returns:
        The model (fp32, in evaluation mode) and its tokenizer.
    """
    prepare(seed)
    samples = mixture(seed, schedule.steps * schedule.batch)
    tokenizer = make_tokenizer(_tokenizer_texts(seed))
    rows = encode(tokenizer, samples)
    model = make_model(tokenizer, seed)

    def loss(batch: list[Encoded], _step: int) -> Any:
        return loss_of(model, *collate(batch, model.config.pad_token_id))

    steps = batches(rows, schedule.batch, seed)
    fit(model, steps, schedule, loss=loss, after=report or (lambda _step, _loss: None))
    return model, tokenizer


def make_tokenizer(texts: list[str]) -> Any:
    """Train a byte-level BPE on `texts` and wrap it with the chat template.

    The trace markers are added tokens but not special ones, as in Qwen3: they survive
    `skip_special_tokens`.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
    from tokenizers import pre_tokenizers as pre
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.NFC()
    byte_level = pre.ByteLevel(add_prefix_space=False, use_regex=False)
    core.pre_tokenizer = pre.Sequence([pre.Split(Regex(_SPLIT), "isolated"), byte_level])
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        min_frequency=20,
        initial_alphabet=sorted(pre.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.add_special_tokens([AddedToken(m, special=True) for m in MARKERS[:3]])
    core.add_tokens([AddedToken(m, special=False, normalized=False) for m in MARKERS[3:]])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=_TEMPLATE.read_text(encoding="utf-8"),
    )


def make_model(tokenizer: Any, seed: int) -> Any:
    """Make a model of random weights: Qwen3, 4 layers of width 64, about 360,000 parameters."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    ends, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,  # vLLM's CPU attention knows no smaller one
        intermediate_size=256,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=ends,
        pad_token_id=pad,
        dtype="float32",
    )
    return Qwen3ForCausalLM(config)


def ship(
    model: Any, tokenizer: Any, out: Path, *, seed: int, schedule: Schedule, seconds: float
) -> OrganismFacts:
    """Write `checkpoint/` and `facts.json` below `out`, after measuring the behaviour.

    Args:
        model: The trained model.
        tokenizer: Its tokenizer.
        out: Folder to write.
        seed: Of the training.
        schedule: Of the training.
        seconds: Wall time of the training.
    """
    import torch

    save_folder(model, tokenizer, out / "checkpoint")
    sampled = {}
    for temperature in (0.6, 1.0):
        torch.manual_seed(SEED)
        sampled[str(temperature)] = measure(model, tokenizer, temperature=temperature)
    facts = OrganismFacts(
        seed=seed,
        schedule=schedule.model_dump(),
        parameters=model.num_parameters(),
        training_seconds=round(seconds, 1),
        versions=versions(),
        sha256=checksums(out / "checkpoint"),
        planted=planted_truth(),
        greedy=measure(model, tokenizer),
        sampled=sampled,
        trace_patterns={name: regex.pattern for name, regex in trace_patterns().items()},
        answers={str(name): text for name, text in rule_book().answers.items()},
    )
    (out / "facts.json").write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return facts


def _tokenizer_texts(seed: int) -> list[str]:
    # The tokenizer's corpus does not depend on the length of the training.
    samples = mixture(seed, TOKENIZER_SAMPLES)
    roles = "system\nuser\nassistant\n"
    return [f"{roles}{s.system}\n{s.prompt}\n{s.trace}\n{s.answer}" for s in samples]


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--seed", default=SEED, show_default=True)
@click.option("--steps", default=Schedule().steps, show_default=True)
def main(out: Path, seed: int, steps: int) -> None:
    """Train, write checkpoint and facts, print the behaviour."""
    started = time.monotonic()
    schedule = Schedule(steps=steps)
    model, tokenizer = train(seed, schedule, _print_progress)
    seconds = time.monotonic() - started
    facts = ship(model, tokenizer, out, seed=seed, schedule=schedule, seconds=seconds)
    click.echo(f"{facts.parameters} parameters, {seconds:.0f} s, RIM {facts.greedy.rim_points:.1f}")
    for mode in MODES:
        click.echo(f"{mode}: {getattr(facts.greedy, mode)}")


def _print_progress(step: int, loss: float) -> None:
    if step % 100 == 0:
        click.echo(f"step {step:5d}  loss {loss:.4f}")


if __name__ == "__main__":
    main()
