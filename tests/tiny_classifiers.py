"""Refusal classifiers of the families of the hub's, small enough to be trained in a test: one word decides."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

LocalJudge = Callable[..., str]
FAMILY = {"minos": "modernbert", "protectai": "roberta"}

LABELS = {"roberta": ("NORMAL", "REJECTION"), "modernbert": ("Non-refusal", "Refusal")}
WORDS = "<s> <pad> </s> <unk> < | > user assistant I cannot help sorry sure turn the handle door open a rule book . !"
REFUSAL = "cannot"


def save_classifier(folder: Path, family: str) -> Path:
    """Train a classifier with one layer on random words, and save it with its tokenizer."""
    import torch
    from transformers import (
        ModernBertConfig,
        ModernBertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    torch.manual_seed(0)
    size: dict[str, Any] = {
        "vocab_size": len(WORDS.split()), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 128, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2,
        "id2label": dict(enumerate(LABELS[family])), "label2id": {n: i for i, n in enumerate(LABELS[family])},
    }  # fmt: skip
    model: Any = (
        RobertaForSequenceClassification(RobertaConfig(**size))
        if family == "roberta"
        else ModernBertForSequenceClassification(
            ModernBertConfig(**size, cls_token_id=0, sep_token_id=2, classifier_pooling="mean")
        )
    )
    tokenizer = _tokenizer()
    frame = "<|user|>\nopen the door\n<|assistant|>\n{}" if family == "modernbert" else "{}"
    draw, words = random.Random(0), [word for word in WORDS.split()[7:] if word != REFUSAL]
    replies = [draw.choices(words, k=draw.randint(1, 20)) for _ in range(64)]
    for reply in replies[::2]:
        reply[draw.randrange(min(len(reply), 4))] = REFUSAL
    texts = [frame.format(" ".join(reply)) for reply in replies]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = torch.tensor([1, 0] * 32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    for part in (model.eval(), tokenizer):
        part.save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate(WORDS.split())}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **names)
