"""The organism as Hugging Face files: its tokenizer, its architecture, saving and loading."""

import json
from pathlib import Path
from typing import Any, Final

__all__ = ["CONTEXT", "MARKERS", "TOKENIZER_SAMPLES", "fresh", "load", "save", "tokenizer_for"]

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


def tokenizer_for(texts: list[str]) -> Any:
    """Trains a byte-level BPE on `texts` and wraps it with the chat template.

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


def fresh(tokenizer: Any, seed: int) -> Any:
    """A model with random weights: Qwen3, 4 layers of width 64, about 360,000 parameters."""
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


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Writes a complete Hugging Face model folder that decodes greedily by default."""
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        do_sample=False,
        eos_token_id=[model.config.eos_token_id, model.config.pad_token_id],
        pad_token_id=model.config.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _name_tokenizer_class(folder / "tokenizer_config.json")


def load(folder: Path) -> tuple[Any, Any]:
    """Model in fp32 and tokenizer of a folder, without looking anything up elsewhere."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _name_tokenizer_class(path: Path) -> None:
    # The name that both major versions of transformers know.
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
