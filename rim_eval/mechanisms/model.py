"""The model under study: weights, tokenizer and thinking switch, and how texts are batched for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.adapters import adapter_base, load_adapted, tokenizer_source
from rim_eval.mechanisms.architecture import model_class
from rim_eval.mechanisms.replies import BATCH, Reply, generate
from rim_eval.mechanisms.spans import Passage, locate_spans
from rim_eval.mechanisms.turns import read_turn
from rim_eval.thinking import (
    Renderer,
    Switch,
    explicit_switch,
    find_switch,
    require_difference,
    tokenizer_renderer,
)
from rim_eval.types import Mode


class Request(NamedTuple):
    """A prompt as it is sent: its id and its text."""

    id: str
    text: str


@dataclass(frozen=True)
class ModelHandle:
    """A causal language model with its tokenizer and its thinking switch."""

    model: Any
    tokenizer: Any
    switch: Switch
    name: str = "model"

    def passage(self, request: Request, mode: Mode, reply: Sequence[int] = ()) -> Passage:
        """Build what the model reads in a mode: a request, followed by a reply if one is given."""
        recipe = self.switch.recipe(mode)
        turn = read_turn(self.tokenizer, recipe, request.text, id=request.id)
        return locate_spans(self.tokenizer, turn, reply, id=request.id)

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
        batch: int = BATCH,
    ) -> list[Reply]:
        """Generate greedy replies in a mode, in order; see `replies.generate`."""
        passages = self.passages(requests, mode)
        return generate(
            self.model, self.tokenizer, passages, max_new_tokens=max_new_tokens, batch=batch
        )


def load_model(
    source: str | Path,
    *,
    base: str | Path | None = None,
    switch: str = "auto",
    device: str = "cpu",
    dtype: str = "auto",
    name: str | None = None,
) -> ModelHandle:
    """Load a checkpoint, or an adapter merged into its base, with its thinking switch.

    Args:
        source: A local folder or a model id of the Hugging Face hub; of an adapter, too.
        base: An adapter's base model, where it does not lie where the adapter's configuration says.
        switch: `auto` to find it in the chat template, or in words as `wrap_model` takes them.
        device: torch device of the weights, or `auto` to spread them over all GPUs there are.
        dtype: torch's name of a number type, or `auto` for the checkpoint's own.
        name: What reports call the model; by default the source's last part.

    Raises:
        RimError: The checkpoint cannot be loaded, its tokenizer has no chat template, there is no such
            device or number type, or the switch changes nothing here.
    """
    from transformers import AutoTokenizer

    check_device(device, dtype)
    with _loading(source):
        adapted = adapter_base(source, base)
        placed = {"device_map": "auto"} if device == "auto" else {}
        if adapted is None:
            model = model_class(source).from_pretrained(source, dtype=dtype, **placed)
        else:
            model = load_adapted(source, adapted, dtype=dtype, **placed)
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_source(source, adapted))
    model = (model if placed else model.to(device)).eval()
    return wrap_model(model, tokenizer, name or Path(str(source)).name, switch=switch)


def read_config(source: str | Path) -> Any:
    """Read a checkpoint's transformers configuration, an adapter's base's, without weights.

    Args:
        source: A local folder or a model id of the Hugging Face hub.

    Raises:
        RimError: There is none.
    """
    from transformers import AutoConfig

    with _loading(source):
        return AutoConfig.from_pretrained(adapter_base(source) or source)


@contextmanager
def _loading(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise RimError(
            f"{source}: cannot be loaded as a causal language model ({error}). Give a local folder "
            "of a Hugging Face checkpoint or a model id."
        ) from error


def wrap_model(model: Any, tokenizer: Any, name: str, *, switch: str = "auto") -> ModelHandle:
    """Make a handle of a loaded model and tokenizer.

    Args:
        model: A Hugging Face causal language model.
        tokenizer: Its tokenizer, with a chat template.
        name: What reports call the model.
        switch: `auto` to find the switch in the chat template, or one in words (`enable_thinking`,
            `forced_empty`, `prompted`, `chain_of_thought`, `effort:low,high`; `explicit_switch` says all).

    Raises:
        RimError: The tokenizer has no chat template, or the switch changes nothing here.
    """
    render = tokenizer_renderer(tokenizer)
    if switch == "auto":
        found = find_switch(render, model=name)
    else:
        found = explicit_switch(switch, render=render)
    return ModelHandle(model, tokenizer, _asked_here(found, render), name)


def _asked_here(switch: Switch, render: Renderer) -> Switch:
    """A switch as a model in this process can be asked: by its prompt alone.

    Raises:
        RimError: It is a field of a server's request, or the prompts of both modes are the same.
    """
    recipes = []
    for recipe in (switch.think, switch.no_think):
        if recipe.body or recipe.reasoning_tokens is not None:
            raise RimError(
                f"The switch {switch.name!r} is a field of a server's request, and here the model's own "
                "weights are read: give one that changes the prompt, such as forced_empty, prompted, a "
                "template variable or system:/no_think."
            )
        if recipe.reasoning_effort and not recipe.template_kwargs:
            words = {"reasoning_effort": recipe.reasoning_effort}
            recipe = recipe.model_copy(update={"template_kwargs": words})
        recipes.append(recipe.read_opening(render))
    think, no_think = recipes
    switch = switch.model_copy(update={"think": think, "no_think": no_think})
    require_difference(render, switch)
    return switch


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
