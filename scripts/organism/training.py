"""Train a model on samples: encoding, batches of similar length, learning rate, optimizer steps."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from scripts.organism.samples import Sample

__all__ = [
    "IGNORED",
    "Encoded",
    "Schedule",
    "batches",
    "collate",
    "encode",
    "fit",
    "loss_of",
    "loss_on_samples",
    "prepare",
]

IGNORED = -100
"""Label of tokens that are not learnt."""

_Batch = TypeVar("_Batch")


class Schedule(BaseModel):
    """Length and speed of a training: AdamW with warm-up and a cosine down to a floor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 3000
    batch: int = 32
    rate: float = 3e-3
    """Peak learning rate."""
    warmup: int = 100
    """Steps of linear warm-up."""
    floor: float = 0.05
    """Share of the peak rate at the last step."""
    decay: float = 0.05
    """Weight decay of the matrices; norms have none."""
    clip: float = 1.0
    """Largest norm of the gradient."""

    def share(self, step: int) -> float:
        """Give the share of the peak learning rate at a step."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


class Encoded(NamedTuple):
    """Token ids of a prompt as the chat template writes it, and of the reply with its end."""

    prompt: list[int]
    reply: list[int]


def prepare(seed: int) -> None:
    """Make torch repeatable: one seed, one thread, deterministic kernels."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def encode(tokenizer: Any, samples: Sequence[Sample]) -> list[Encoded]:
    """Encode samples through the chat template in their own mode."""
    prompts = [_render(tokenizer, sample) for sample in samples]
    replies = [f"{sample.reply}<|im_end|>" for sample in samples]
    first = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    second = tokenizer(replies, add_special_tokens=False)["input_ids"]
    return [Encoded(prompt, reply) for prompt, reply in zip(first, second, strict=True)]


def batches(rows: Sequence[Encoded], size: int, seed: int) -> Iterator[list[Encoded]]:
    """Yield batches of rows of similar length, in a shuffled order; every row once."""
    rng = random.Random(seed)
    window = 50 * size
    for start in range(0, len(rows) - size + 1, window):
        part = sorted(rows[start : start + window], key=lambda row: len(row.prompt + row.reply))
        groups = [part[i : i + size] for i in range(0, len(part) - size + 1, size)]
        rng.shuffle(groups)
        yield from groups


def collate(rows: Sequence[Encoded], pad: int) -> tuple[Any, Any]:
    """Build ids and labels, both (batch, length); only reply tokens carry a label.

    Padding is on the right without a mask: attention is causal and padding has no label.
    """
    import torch

    length = max(len(row.prompt) + len(row.reply) for row in rows)
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), IGNORED)
    for i, (prompt, reply) in enumerate(rows):
        both = len(prompt) + len(reply)
        ids[i, :both] = torch.tensor(prompt + reply)
        labels[i, len(prompt) : both] = torch.tensor(reply)
    return ids, labels


def loss_of(model: Any, ids: Any, labels: Any) -> Any:
    """Compute the mean cross-entropy of the labelled tokens, in nats (scalar)."""
    import torch

    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:]
    # The head is the largest product: it is computed for labelled positions only.
    logits = model.lm_head(hidden[wanted != IGNORED])
    return torch.nn.functional.cross_entropy(logits, wanted[wanted != IGNORED])


def loss_on_samples(model: Any, tokenizer: Any, samples: Sequence[Sample]) -> Any:
    """Compute the mean cross-entropy of the samples' replies, in nats (scalar)."""
    rows = encode(tokenizer, samples)
    return loss_of(model, *collate(rows, model.config.pad_token_id))


def fit(
    model: Any,
    steps: Iterator[_Batch],
    schedule: Schedule,
    *,
    loss: Callable[[_Batch, int], Any],
    after: Callable[[int, float], None] = lambda _step, _loss: None,
    parameters: Sequence[Any] | None = None,
    around: Callable[[Any], AbstractContextManager[None]] = lambda _optimizer: nullcontext(),
) -> None:
    """Train `model` in place on `loss(batch, step)`, a scalar; calls `after(step, loss)`.

    Args:
        model: The model; in evaluation mode afterwards.
        steps: A batch for each step.
        schedule: Number of steps, learning rate, weight decay.
        loss: Loss of a batch at a step.
        after: Called after every step with the loss.
        parameters: What is trained, instead of the model's own parameters.
        around: Called with the optimizer; all steps run inside what it returns.
    """
    import torch

    trained = list(model.parameters() if parameters is None else parameters)
    optimizer = _optimizer(trained, schedule)
    model.train()
    with around(optimizer):
        for step, batch in zip(range(schedule.steps), steps, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate * schedule.share(step)
            value = loss(batch, step)
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(trained, schedule.clip)
            optimizer.step()
            after(step, float(value.detach()))
    model.eval()


def _optimizer(parameters: list[Any], schedule: Schedule) -> Any:
    import torch

    matrices = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": schedule.decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98))


def _render(tokenizer: Any, sample: Sample) -> str:
    system = [{"role": "system", "content": sample.system}] if sample.system else []
    text: str = tokenizer.apply_chat_template(
        [*system, {"role": "user", "content": sample.prompt}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=sample.mode == "think",
    )
    return text
