"""Capture activations: one forward pass a passage, and of it only what is requested.

Three readings can be requested, together or alone:

    residual    residual stream after a layer, mean over a token span
    neurons     MLP activations (the down projection's input), pooled over a token span
    attention   one query token's attention row in every head: its argmax, its mass on token spans

Passages are sorted by length and padded on the left with their true positions, so that batching
changes nothing but rounding. The pass stops after the last requested layer, and the language-model
head is never computed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.attention_rows import hook_attention_rows
from rim_eval.mechanisms.hooks import hook_blocks, hook_neurons
from rim_eval.mechanisms.model import Architecture, architecture_of, pad_left
from rim_eval.mechanisms.spans import Passage, Span

__all__ = ["Attention", "Capture", "Neurons", "Pool", "capture", "capture_residual", "run_decoder"]

Pool = Literal["max", "mean", "mean_abs"]
"""How a neuron's activations over a span become one number: the largest, the mean, the mean of
absolute values. An expert's neuron counts as 0 at tokens that are not routed to it."""

_POOLS: Final[tuple[Pool, ...]] = get_args(Pool)

Floats = NDArray[np.float32]


class Neurons(NamedTuple):
    """Request for neuron activations."""

    pool: Pool
    over: str = "text"
    """Name of the token span, see `spans`."""


class Attention(NamedTuple):
    """Request for attention rows."""

    query: str = "last"
    """Name of a span whose last token is the query."""
    mass: tuple[str, ...] = ()
    """Spans whose share of the attention is read."""


class Capture(NamedTuple):
    """The readings; parts that were not requested are None. Passages stand in the order given."""

    layers: tuple[int, ...]
    """Decoder layers, from 0; -1 is the embedding (residual stream only)."""
    residual: Floats | None = None
    """Shape (passages, layers, spans, width)."""
    neurons: tuple[Floats, ...] | None = None
    """One array a layer, shape (passages, neurons)."""
    argmax: NDArray[np.int64] | None = None
    """Token that the query attends to most, shape (passages, layers, heads); no padding counted."""
    mass: Floats | None = None
    """Attention on each span, 0 to 1, shape (passages, layers, heads, spans); NaN where a passage
    has no such span."""


def capture(
    model: Any,
    passages: Sequence[Passage],
    *,
    residual: Sequence[str] = (),
    neurons: Neurons | None = None,
    attention: Attention | None = None,
    layers: Sequence[int] | None = None,
    tokens_per_batch: int = 4096,
) -> Capture:
    """Read passages, each in one forward pass.

    Args:
        model: A Hugging Face causal language model.
        passages: Texts to read.
        residual: Spans at which the residual stream is read (mean over their tokens).
        neurons: How neurons are pooled, if they are read.
        attention: Query and spans, if attention is read.
        layers: Decoder layers from 0, default all; -1 adds the embedding to `residual`.
        tokens_per_batch: Padded tokens that are read at a time.

    Raises:
        RimError: Nothing is requested, a layer or pooling does not exist, or a passage lacks a span.
    """
    import torch

    parts = architecture_of(model)
    indices = _layer_indices(parts, layers)
    if not passages or not (residual or neurons or attention):
        raise RimError("capture: give at least one passage and at least one thing to read.")
    if neurons and neurons.pool not in _POOLS:
        raise RimError(f"pool={neurons.pool!r}: neurons are pooled by {', '.join(_POOLS)}.")
    reader = _Reader(parts, indices, passages, tuple(residual), neurons, attention)
    with torch.inference_mode(), reader.hooked(model):
        for batch in _batches([len(passage.ids) for passage in passages], tokens_per_batch):
            reader.begin(batch, model.device)
            try:
                run_decoder(parts, reader.ids, reader.mask)
            except _StopForwardError:
                continue
    return reader.result()


def capture_residual(
    model: Any, passages: Sequence[Passage], span: str, layers: Sequence[int] | None = None
) -> Floats:
    """Read the residual stream at one span.

    Args:
        model: A Hugging Face causal language model.
        passages: Texts to read.
        span: Name of the span.
        layers: As for `capture`.

    Returns:
        Shape (passages, layers, width).
    """
    states = capture(model, passages, residual=(span,), layers=layers).residual
    assert states is not None
    return states[:, :, 0]


def run_decoder(parts: Architecture, ids: Any, mask: Any) -> None:
    """Run the decoder without its language-model head on left-padded ids, shape (batch, length)."""
    parts.base(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
    )


class _StopForwardError(Exception):
    """Ends a forward pass: the last requested layer has been read."""


class _Reader:
    """Buffers for the readings, and the hooks that fill them."""

    def __init__(
        self,
        parts: Architecture,
        layers: tuple[int, ...],
        passages: Sequence[Passage],
        residual: tuple[str, ...],
        neurons: Neurons | None,
        attention: Attention | None,
    ) -> None:
        self.parts, self.layers, self.passages = parts, layers, passages
        self.names, self.pooling, self.attention = residual, neurons, attention
        self.blocks = tuple(layer for layer in layers if layer >= 0)
        self.queries: list[Any] = [None]
        self.batch: list[int] = []
        n, heads = len(passages), (len(self.blocks), parts.heads)
        width = int(parts.base.config.get_text_config().hidden_size)
        self.residual = np.empty((n, len(layers), len(residual), width), np.float32)
        sizes = [parts.neurons(layer) for layer in self.blocks] if neurons else []
        self.neurons = tuple(np.empty((n, size), np.float32) for size in sizes)
        masses = len(attention.mass) if attention else 0
        self.argmax = np.empty((n, *heads) if attention else (0, 0, 0), np.int64)
        self.mass = np.empty((n, *heads, masses) if attention else (0, 0, 0, 0), np.float32)

    def result(self) -> Capture:
        """Everything that was requested."""
        return Capture(
            self.layers,
            self.residual if self.names else None,
            self.neurons if self.pooling else None,
            self.argmax if self.attention else None,
            self.mass if self.attention else None,
        )

    def hooked(self, model: Any) -> ExitStack:
        """Set all hooks; closing the stack removes them."""
        stack = ExitStack()
        last = max(self.blocks, default=0)
        if self.pooling:
            hooks = {layer: self._neuron_hook(i) for i, layer in enumerate(self.blocks)}
            stack.enter_context(hook_neurons(self.parts, hooks))
        if self.attention:
            rows = hook_attention_rows(
                model, self.parts, self.blocks, self.queries, self._store_rows
            )
            stack.enter_context(rows)
        if -1 in self.layers:
            embedding = self.parts.base.get_input_embeddings()
            stack.enter_context(hook_blocks({embedding: self._block_hook(-1, None)}))
        read = sorted({*(self.blocks if self.names else ()), last})
        blocks = {self.parts.layers[layer]: self._block_hook(layer, last) for layer in read}
        stack.enter_context(hook_blocks(blocks))
        return stack

    def begin(self, batch: list[int], device: Any) -> None:
        """Pad the next passages and locate their spans in the padded rows."""
        import torch

        self.batch = batch
        passages = [self.passages[i] for i in batch]
        rows = [passage.ids for passage in passages]
        self.ids, self.mask = pad_left(rows, 0, device)
        self.shift = [self.ids.shape[1] - len(row) for row in rows]
        if self.pooling:
            spans = [passage.span(self.pooling.over) for passage in passages]
            self.inside = self._indicators([spans]).reshape(-1) > 0
            self.sizes = [stop - start for start, stop in spans]
            self.pooled = [
                torch.zeros((len(batch), array.shape[1]), device=device) for array in self.neurons
            ]
        if self.names:
            weights = self._indicators([[p.span(name) for p in passages] for name in self.names])
            self.means = weights / weights.sum(-1, keepdim=True)
        if self.attention:
            ends = [passage.span(self.attention.query)[1] - 1 for passage in passages]
            query = [shift + end for shift, end in zip(self.shift, ends, strict=True)]
            self.queries[0] = torch.tensor(query, device=device)
            names = self.attention.mass
            self.masses = self._indicators(
                [[p.spans.get(name, (0, 0)) for p in passages] for name in names]
            )
            self.absent = (self.masses.sum(-1) == 0).T[:, None]

    def _indicators(self, spans_by_name: list[list[Span]]) -> Any:
        """1 inside a span, 0 outside, shape (names, batch, length)."""
        import torch

        weights = torch.zeros((len(spans_by_name), *self.ids.shape), device=self.ids.device)
        for n, spans in enumerate(spans_by_name):
            for row, (start, stop) in enumerate(spans):
                weights[n, row, self.shift[row] + start : self.shift[row] + stop] = 1
        return weights

    def _block_hook(self, layer: int, last: int | None) -> Callable[[Any], None]:
        def store(output: Any) -> None:
            import torch

            if self.names and layer in self.layers:
                read = torch.einsum("sbt,btd->bsd", self.means, output.float())
                self.residual[self.batch, self.layers.index(layer)] = read.cpu().numpy()
            if layer == last:
                for array, pooled in zip(self.neurons, getattr(self, "pooled", ()), strict=True):
                    array[self.batch] = pooled.cpu().numpy()
                raise _StopForwardError

        return store

    def _neuron_hook(self, number: int) -> Callable[[Any, Any, int], None]:
        def store(acts: Any, tokens: Any, first: int) -> None:
            assert self.pooling is not None
            owner = tokens // self.ids.shape[1]
            inside = self.inside[tokens]
            into = self.pooled[number][:, first : first + acts.shape[1]]
            _pool(into, acts[inside].float(), owner[inside], self.sizes, self.pooling.pool)

        return store

    def _store_rows(self, layer: int, rows: Any) -> None:
        import torch

        number = self.blocks.index(layer)
        shift = np.array(self.shift)[:, None]
        self.argmax[self.batch, number] = rows.argmax(-1).cpu().numpy() - shift
        read = torch.einsum("bhk,sbk->bhs", rows, self.masses)
        self.mass[self.batch, number] = read.masked_fill(self.absent, torch.nan).cpu().numpy()


def _pool(into: Any, acts: Any, owner: Any, sizes: list[int], pool: Pool) -> None:
    """Pool rows of activations (rows, width) by the passage they belong to, in place."""
    import torch

    # Tokens come in order, so each passage's rows stand together.
    counts = torch.bincount(owner, minlength=len(into)).tolist()
    for row, part in enumerate(acts.split(counts)):
        if not len(part):
            continue
        if pool == "max":
            largest = part.amax(0)
            # Tokens that were not routed here count as activation 0.
            into[row] = largest if len(part) >= sizes[row] else largest.clamp(min=0)
        else:
            into[row] = (part if pool == "mean" else part.abs()).sum(0) / sizes[row]


def _layer_indices(parts: Architecture, layers: Sequence[int] | None) -> tuple[int, ...]:
    count = len(parts.layers)
    if layers is None:
        return tuple(range(count))
    if not layers or not all(-1 <= layer < count for layer in layers):
        raise RimError(
            f"layers={list(layers)}: this model has layers 0 to {count - 1}, and -1 for the embedding."
        )
    return tuple(sorted(set(layers)))


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in order of length, so many at a time that the padded batch keeps to the budget."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > budget:
            yield batch
            batch = []
        batch.append(index)
    yield batch
