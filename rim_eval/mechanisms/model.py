"""The model under study: weights, tokenizer and thinking switch, and how texts are batched for it."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import architecture_of, model_class
from rim_eval.mechanisms.spans import Passage, locate_spans
from rim_eval.thinking import Switch, find_switch, tokenizer_renderer
from rim_eval.types import Mode


class Request(NamedTuple):
    """A prompt as it is sent: its id and its text."""

    id: str
    text: str


class Reply(NamedTuple):
    """What the model generated."""

    ids: tuple[int, ...]
    """Generated tokens up to and without the end-of-text token."""
    text: str
    """The same as text, markers kept."""
    ended: bool
    """Whether the model stopped by itself, before the token limit."""


@dataclass(frozen=True)
class ModelHandle:
    """A causal language model with its tokenizer and its thinking switch."""

    model: Any
    tokenizer: Any
    switch: Switch
    name: str = "model"

    def passage(self, request: Request, mode: Mode, reply: Sequence[int] = ()) -> Passage:
        """Build what the model reads in a mode: a request, followed by a reply if one is given."""
        render = tokenizer_renderer(self.tokenizer)
        prompt = self.switch.recipe(mode).prompt(render, request.text)
        return locate_spans(self.tokenizer, prompt, request.text, reply, id=request.id)

    def passages(
        self, requests: Sequence[Request], mode: Mode, replies: Sequence[Reply] | None = None
    ) -> list[Passage]:
        """Build one passage for each request, in order."""
        ids = [reply.ids for reply in replies] if replies is not None else [()] * len(requests)
        return [self.passage(r, mode, i) for r, i in zip(requests, ids, strict=True)]

    def replies(
        self,
        requests: Sequence[Request],
        mode: Mode,
        *,
        max_new_tokens: int = 128,
        batch: int = 128,
    ) -> list[Reply]:
        """Generate greedy replies in a mode, in order. Hooks on the model stay active.

        Args:
            requests: Prompts to reply to.
            mode: Think or no-think.
            max_new_tokens: Total budget of a reply, trace and answer together.
            batch: Requests generated at a time, after sorting by length.
        """
        import torch

        passages = self.passages(requests, mode)
        configured = self.model.generation_config.eos_token_id
        ends = {self.tokenizer.eos_token_id}.union(
            configured if isinstance(configured, list) else [configured]
        ) - {None}
        pad, replies = next(iter(ends), 0), dict[int, Reply]()
        for indices, ids, mask in padded_batches(
            passages, architecture_of(self.model).device, rows=batch, pad=pad
        ):
            with torch.inference_mode():
                out = self.model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    max_new_tokens=max_new_tokens,
                    do_sample=False,
                    pad_token_id=pad,
                )
            for i, row in zip(indices, out[:, ids.shape[1] :].tolist(), strict=True):
                reply = tuple(takewhile(lambda token: token not in ends, row))
                replies[i] = Reply(reply, str(self.tokenizer.decode(reply)), len(reply) < len(row))
        return [replies[i] for i in range(len(passages))]


def load_model(
    source: str | Path, *, device: str = "cpu", dtype: str = "auto", name: str | None = None
) -> ModelHandle:
    """Load a checkpoint and detect its thinking switch.

    Args:
        source: A local folder or a model id of the Hugging Face hub.
        device: torch device of the weights, or `auto` to spread them over all GPUs there are.
        dtype: torch's name of a number type, or `auto` for the checkpoint's own.
        name: What reports call the model; by default the source's last part.

    Raises:
        RimError: The checkpoint cannot be loaded, its tokenizer has no chat template, or there is no
            such device or number type.
    """
    from transformers import AutoTokenizer

    check_device(device, dtype)
    with _loading(source):
        placed = {"device_map": "auto"} if device == "auto" else {}
        model = model_class(source).from_pretrained(source, dtype=dtype, **placed).eval()
        model = model if placed else model.to(device)
        tokenizer = AutoTokenizer.from_pretrained(source)
    return wrap_model(model, tokenizer, name or Path(str(source)).name)


def read_config(source: str | Path) -> Any:
    """Read a checkpoint's transformers configuration, without its weights.

    Args:
        source: A local folder or a model id of the Hugging Face hub.

    Raises:
        RimError: There is none.
    """
    from transformers import AutoConfig

    with _loading(source):
        return AutoConfig.from_pretrained(source)


@contextmanager
def _loading(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise RimError(
            f"{source}: cannot be loaded as a causal language model ({error}). Give a local folder "
            "of a Hugging Face checkpoint or a model id."
        ) from error


def wrap_model(model: Any, tokenizer: Any, name: str) -> ModelHandle:
    """Make a handle of a loaded model and tokenizer; the switch is detected in the chat template."""
    return ModelHandle(
        model, tokenizer, find_switch(tokenizer_renderer(tokenizer), model=name), name
    )


def check_device(device: str, dtype: str = "auto") -> None:
    """Check that torch has a device and a number type here.

    Raises:
        RimError: The message names what was given and what is available.
    """
    import torch

    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise RimError(
            f"--dtype {dtype}: torch has no such number type. Give auto, float32, bfloat16 or float16."
        )
    try:
        torch.empty(0, device="cpu" if device == "auto" else device)
    # A build without CUDA fails an assertion; a name that torch does not know is a RuntimeError.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        available = "cpu and cuda" if torch.cuda.is_available() else "cpu"
        reason = str(error).split("\n", maxsplit=1)[0]
        raise RimError(f"--device {device}: {reason} Here there is {available}.") from None


def padded_batches(
    passages: Sequence[Passage],
    device: Any,
    *,
    tokens: float = math.inf,
    rows: float = math.inf,
    pad: int = 0,
) -> Iterator[tuple[list[int], Any, Any]]:
    """Batch passages in order of length and pad them on the left.

    Args:
        passages: Texts to read.
        device: torch device of the batches.
        tokens: Padded tokens of a batch, at most; a longer passage is a batch of its own.
        rows: Passages of a batch, at most.
        pad: Token to pad with.

    Yields:
        Indices of the passages, their ids and their attention mask, both of shape (batch, length).
    """
    import torch

    lengths = [len(passage.ids) for passage in passages]
    batches: list[list[int]] = []
    for index in sorted(range(len(passages)), key=lengths.__getitem__):
        size = len(batches[-1]) + 1 if batches else math.inf
        if size > rows or size * lengths[index] > tokens:
            batches.append([])
        batches[-1].append(index)
    for batch in batches:
        padding = [lengths[batch[-1]] - lengths[i] for i in batch]
        ids = [[pad] * n + [*passages[i].ids] for n, i in zip(padding, batch, strict=True)]
        mask = [[0] * n + [1] * lengths[i] for n, i in zip(padding, batch, strict=True)]
        yield batch, torch.tensor(ids, device=device), torch.tensor(mask, device=device)
