"""A LoRA recipe in plain `peft`: tune a chat model on rows of messages, and save a series of checkpoints.

Low-rank adapters on all linear layers (Hu et al. 2021, arXiv 2106.09685), rank-stabilised as in the paper's appendix
A.2. Only the last reply of a row is learnt. Each `checkpoint-STEP` holds the merged weights, which every command of
rim-eval loads, and the adapter alone in `adapter/`. A run that is complete is not made again.
"""

import shutil
from collections.abc import Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.files import write_whole
from rim_eval.types import FrozenModel
from scripts.organism.training import Encoded, Schedule, batches, collate, fit, loss_of, prepare

COMPLETE: Final = "complete"
"""File that a run's folder holds when all its checkpoints are written."""


class Recipe(FrozenModel):
    """How a model is tuned."""

    steps: int = 40
    batch: int = 4
    rate: float = 2e-4
    """Peak learning rate of AdamW, with warm-up over a tenth of the steps and a cosine down to a tenth."""
    rank: int = 16
    alpha: int = 32
    """Scale of the adapters; they are multiplied by alpha / sqrt(rank)."""
    longest: int = 192
    """Tokens of a row, prompt and reply together; longer ones are left out."""
    saves: int = 2
    """Checkpoints, at equal distances; the last one is at the last step."""
    seed: int = 0
    dtype: str = "bfloat16"
    """torch number type of the frozen weights while tuning; adapters are float32, and are merged into the
    checkpoint's own type."""

    @property
    def saved_steps(self) -> tuple[int, ...]:
        """Steps after which a checkpoint is saved."""
        return tuple(sorted({self.steps * (i + 1) // self.saves for i in range(self.saves)} - {0}))

    @property
    def schedule(self) -> Schedule:
        """Steps and learning rate, as the training loop takes them."""
        return Schedule(
            steps=self.steps, batch=self.batch, rate=self.rate, warmup=max(1, self.steps // 10), floor=0.1, decay=0.01
        )  # fmt: skip


def encode_chats(tokenizer: Any, rows: Sequence[dict[str, Any]], longest: int) -> list[Encoded]:
    """Encode chats through the model's template: the last message is the reply, the rest its prompt.

    Args:
        tokenizer: A tokenizer with a chat template.
        rows: Each with `messages`, of which the last is the assistant's; `cut` where that one never ended.
        longest: Tokens of a row; longer ones are left out.

    Raises:
        RimError: No row is short enough.
    """
    encoded = []
    for row in rows:
        *asked, reply = row["messages"]
        prompt = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        end = "" if row.get("cut") else tokenizer.eos_token
        both = (prompt, reply["content"] + end)
        encoded.append(Encoded(*tokenizer([*both], add_special_tokens=False)["input_ids"]))
    short = [each for each in encoded if len(each.prompt) + len(each.reply) <= longest]
    if not short:
        raise RimError(f"None of {len(rows)} rows has at most {longest} tokens; raise the limit.")
    return short


def tune(base: Path, rows: Sequence[dict[str, Any]], recipe: Recipe, out: Path) -> list[float]:
    """Tune a checkpoint on rows and save the series `OUT/checkpoint-STEP`.

    Args:
        base: Folder of a Hugging Face checkpoint.
        rows: Each with `messages`.
        recipe: How.
        out: Folder of the run, which is made anew.

    Returns:
        Loss of every step, nats a token.

    Raises:
        RimError: No row is short enough.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    prepare(recipe.seed)
    shutil.rmtree(out, ignore_errors=True)
    tokenizer = AutoTokenizer.from_pretrained(base)
    encoded = encode_chats(tokenizer, rows, recipe.longest)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=recipe.dtype)
    adapters = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=0.0, use_rslora=True, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    adapted = get_peft_model(model, adapters)
    losses: list[float] = []

    def after(step: int, loss: float) -> None:
        losses.append(loss)
        if step + 1 in recipe.saved_steps:
            adapted.save_pretrained(out / f"checkpoint-{step + 1}" / "adapter")

    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    trained = [weight for weight in adapted.parameters() if weight.requires_grad]
    fit(
        model,
        _steps(encoded, recipe),
        recipe.schedule,
        loss=lambda batch, _step: loss_of(model, *collate(batch, pad)),
        after=after,
        parameters=trained,
    )
    torch.use_deterministic_algorithms(False)
    for step in recipe.saved_steps:
        merge(base, out / f"checkpoint-{step}" / "adapter", out / f"checkpoint-{step}")
    write_whole({out / COMPLETE: "".join(f"{loss:.4f}\n" for loss in losses)})
    return losses


def _steps(rows: list[Encoded], recipe: Recipe) -> Iterator[list[Encoded]]:
    """Batches without end: every epoch in another order; rows are repeated where they make no batch."""
    while len(rows) < recipe.batch:
        rows = rows + rows
    return chain.from_iterable(
        batches(rows, recipe.batch, recipe.seed + epoch) for epoch in count()
    )


def merge(base: Path, adapter: Path, out: Path) -> None:
    """Write a checkpoint with an adapter merged into its base's weights, in the base's number type.

    Args:
        base: Folder of the base.
        adapter: Folder of the adapter.
        out: Folder of the checkpoint; what else it holds stays.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(out)
    AutoTokenizer.from_pretrained(base).save_pretrained(out)
