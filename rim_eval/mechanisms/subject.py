"""The model under study: weights, tokenizer and thinking switch, and what it replies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.positions import Passage, locate
from rim_eval.thinking import Switch, find_switch, tokenizer_renderer
from rim_eval.types import Mode

__all__ = ["Reply", "Request", "Subject", "check_device", "load_subject", "make_subject"]


class Request(NamedTuple):
    """A prompt as it is asked: its id and its text."""

    id: str
    text: str


class Reply(NamedTuple):
    """What the model wrote."""

    ids: tuple[int, ...]
    """Generated tokens up to and without the end-of-text token."""
    text: str
    """The same as text, markers kept."""
    ended: bool
    """Whether the model stopped by itself, before the token limit."""


@dataclass(frozen=True)
class Subject:
    """A causal language model with its tokenizer and both modes."""

    model: Any
    tokenizer: Any
    switch: Switch
    name: str = "model"

    def prompt(self, text: str, mode: Mode) -> str:
        """The rendered prompt of a request in a mode."""
        return self.switch.recipe(mode).prompt(tokenizer_renderer(self.tokenizer), text)

    def passage(self, request: Request, mode: Mode, reply: Sequence[int] = ()) -> Passage:
        """A request, with a reply if given, as the model reads it in a mode."""
        prompt = self.prompt(request.text, mode)
        return locate(self.tokenizer, prompt, request.text, reply, id=request.id)

    def passages(
        self, requests: Sequence[Request], mode: Mode, replies: Sequence[Reply] | None = None
    ) -> list[Passage]:
        """One passage a request, in order."""
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
        """Greedy replies in a mode, in order. Hooks on the model stay active.

        Args:
            requests: What is asked.
            mode: Think or no-think.
            max_new_tokens: Total budget of a reply, trace and answer together.
            batch: Requests generated at a time, after sorting by length.
        """
        passages = self.passages(requests, mode)
        order = sorted(range(len(passages)), key=lambda i: len(passages[i].ids))
        found: dict[int, Reply] = {}
        for chosen in _chunks(order, batch):
            new = self._generate([passages[i].ids for i in chosen], max_new_tokens)
            found |= dict(zip(chosen, new, strict=True))
        return [found[i] for i in range(len(passages))]

    def _generate(self, rows: list[tuple[int, ...]], budget: int) -> list[Reply]:
        import torch

        ends = self._ends()
        pad = next(iter(ends), 0)
        ids, mask = pad_left(rows, pad, self.model.device)
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=budget,
                do_sample=False,
                pad_token_id=pad,
            )
        return [self._reply(row, ends) for row in out[:, ids.shape[1] :].tolist()]

    def _reply(self, new: list[int], ends: set[int]) -> Reply:
        stop = next((i for i, token in enumerate(new) if token in ends), len(new))
        kept = tuple(new[:stop])
        return Reply(kept, str(self.tokenizer.decode(kept)), stop < len(new))

    def _ends(self) -> set[int]:
        own = self.model.generation_config.eos_token_id
        ends = own if isinstance(own, list) else [own]
        return {end for end in (*ends, self.tokenizer.eos_token_id) if end is not None}


def load_subject(
    source: str | Path, *, device: str = "cpu", dtype: str = "auto", name: str | None = None
) -> Subject:
    """Loads a checkpoint and finds its thinking switch.

    Args:
        source: A local folder or a model id of the Hugging Face hub.
        device: Where to put the weights.
        dtype: torch's name of a number type, or `auto` for the checkpoint's own.
        name: What reports call the model; by default the source's last part.

    Raises:
        RimError: The checkpoint cannot be loaded, its tokenizer has no chat template, or there is no
            such device or number type.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_device(device, dtype)
    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise RimError(
            f"{source}: cannot be loaded as a causal language model ({error}). Give a local folder "
            "of a Hugging Face checkpoint or a model id."
        ) from error
    return make_subject(model, tokenizer, name or Path(str(source)).name)


def check_device(device: str, dtype: str = "auto") -> None:
    """Refuses a device or a number type that torch does not have here.

    Raises:
        RimError: The message names what was given and what there is.
    """
    import torch

    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise RimError(
            f"--dtype {dtype}: torch has no such number type. Give auto, float32, bfloat16 or float16."
        )
    try:
        torch.empty(0, device=device)
    # A build without CUDA fails an assertion; a name that torch does not know is a RuntimeError.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
        first = str(error).split("\n", maxsplit=1)[0]
        raise RimError(f"--device {device}: {first} Here there is {' and '.join(there)}.") from None


def make_subject(model: Any, tokenizer: Any, name: str) -> Subject:
    """A subject from a loaded model and tokenizer, with the switch found from the chat template."""
    switch = find_switch(tokenizer_renderer(tokenizer), model=name)
    return Subject(model, tokenizer, switch, name)


def pad_left(rows: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """Token ids and attention mask, both of shape (rows, longest), padded on the left."""
    import torch

    length = max(len(row) for row in rows)
    ids = torch.full((len(rows), length), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, length - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[i, length - len(row) :] = 1
    return ids.to(device), mask.to(device)


def _chunks(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
