"""Reader: buffers for what `capture` is asked for, and the taps that fill them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms._architecture import Architecture
from rim_eval.mechanisms._rows import watch_rows
from rim_eval.mechanisms._taps import tap_blocks, tap_neurons
from rim_eval.mechanisms.positions import Passage
from rim_eval.mechanisms.subject import pad_left

__all__ = ["POOLS", "Attention", "Capture", "EnoughError", "Neurons", "Pool", "Reader"]

Pool = Literal["max", "mean", "mean_abs"]
"""How a neuron's activations over a stretch become one number: the largest, the mean, the mean
of absolute values. An expert's neuron counts as 0 at tokens that are not routed to it."""

POOLS: Final[tuple[Pool, ...]] = get_args(Pool)

Floats = NDArray[np.float32]


class Neurons(NamedTuple):
    """What is asked of neurons."""

    pool: Pool
    over: str = "text"
    """Name of the stretch, see `positions`."""


class Attention(NamedTuple):
    """What is asked of attention heads."""

    query: str = "last"
    """Name of a stretch whose last token is the query."""
    mass: tuple[str, ...] = ()
    """Stretches whose share of the attention is kept."""


class Capture(NamedTuple):
    """What was read; parts not asked for are None. Passages stand in the order given."""

    layers: tuple[int, ...]
    """Decoder layers, from 0; -1 is the embedding (residual stream only)."""
    residual: Floats | None = None
    """Shape (passages, layers, stretches, width)."""
    neurons: tuple[Floats, ...] | None = None
    """One array a layer, shape (passages, neurons)."""
    argmax: NDArray[np.int64] | None = None
    """Token that the query attends to most, shape (passages, layers, heads); no padding counted."""
    mass: Floats | None = None
    """Attention on each stretch, 0 to 1, shape (passages, layers, heads, stretches); NaN where a
    passage has no such stretch."""


class EnoughError(Exception):
    """The last layer that is asked for has been read."""


class Reader:
    """Buffers for the readings, and the taps that fill them."""

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
        self.names, self.pooling, self.gaze = residual, neurons, attention
        self.blocks = tuple(layer for layer in layers if layer >= 0)
        self.queries: list[Any] = [None]
        self.batch: list[int] = []
        n, heads = len(passages), (len(self.blocks), parts.heads)
        width = _hidden_size(parts)
        self.residual = np.empty((n, len(layers), len(residual), width), np.float32)
        sizes = [parts.neurons(layer) for layer in self.blocks] if neurons else []
        self.neurons = tuple(np.empty((n, size), np.float32) for size in sizes)
        wanted = len(attention.mass) if attention else 0
        self.argmax = np.empty((n, *heads) if attention else (0, 0, 0), np.int64)
        self.mass = np.empty((n, *heads, wanted) if attention else (0, 0, 0, 0), np.float32)

    def result(self) -> Capture:
        """Everything that was asked for."""
        return Capture(
            self.layers,
            self.residual if self.names else None,
            self.neurons if self.pooling else None,
            self.argmax if self.gaze else None,
            self.mass if self.gaze else None,
        )

    def watching(self, model: Any) -> ExitStack:
        """Puts all taps on; closing the stack takes them off."""
        stack = ExitStack()
        last = max(self.blocks, default=0)
        if self.pooling:
            taps = {layer: self._neuron_tap(i) for i, layer in enumerate(self.blocks)}
            stack.enter_context(tap_neurons(self.parts, taps))
        if self.gaze:
            watched = watch_rows(model, self.parts, self.blocks, self.queries, self._keep_rows)
            stack.enter_context(watched)
        if -1 in self.layers:
            embedding = self.parts.base.get_input_embeddings()
            stack.enter_context(tap_blocks({embedding: self._block_tap(-1, None)}))
        taps_after = {self.parts.layers[b]: self._block_tap(b, last) for b in self._after(last)}
        stack.enter_context(tap_blocks(taps_after))
        return stack

    def _after(self, last: int) -> list[int]:
        return sorted({*(self.blocks if self.names else ()), last})

    def begin(self, batch: list[int], device: Any) -> None:
        """Pads the next passages and works out where their stretches lie."""
        import torch

        self.batch = batch
        rows = [self.passages[i].ids for i in batch]
        self.ids, self.mask = pad_left(rows, 0, device)
        length = self.ids.shape[1]
        self.shift = [length - len(row) for row in rows]
        if self.pooling:
            spans = [self.passages[i].span(self.pooling.over) for i in batch]
            self.inside = self._weights([spans]).reshape(-1) > 0
            self.sizes = [stop - start for start, stop in spans]
            self.pooled = [
                torch.zeros((len(batch), array.shape[1]), device=device) for array in self.neurons
            ]
        if self.names:
            spans_of = [[self.passages[i].span(name) for i in batch] for name in self.names]
            weights = self._weights(spans_of)
            self.means = weights / weights.sum(-1, keepdim=True)
        if self.gaze:
            ends = [self.passages[i].span(self.gaze.query)[1] - 1 for i in batch]
            where = [shift + end for shift, end in zip(self.shift, ends, strict=True)]
            self.queries[0] = torch.tensor(where, device=device)
            self.stretches = self._weights(
                [
                    [self.passages[i].spans.get(name, (0, 0)) for i in batch]
                    for name in self.gaze.mass
                ]
            )
            self.absent = (self.stretches.sum(-1) == 0).T[:, None]

    def _weights(self, spans_of: list[list[tuple[int, int]]]) -> Any:
        """1 inside a stretch, 0 outside, shape (stretches, batch, length)."""
        import torch

        weights = torch.zeros((len(spans_of), *self.ids.shape), device=self.ids.device)
        for n, spans in enumerate(spans_of):
            for row, (start, stop) in enumerate(spans):
                weights[n, row, self.shift[row] + start : self.shift[row] + stop] = 1
        return weights

    def _block_tap(self, layer: int, last: int | None) -> Callable[[Any], None]:
        def keep(output: Any) -> None:
            import torch

            if self.names and layer in self.layers:
                read = torch.einsum("sbt,btd->bsd", self.means, output.float())
                self.residual[self.batch, self.layers.index(layer)] = read.cpu().numpy()
            if layer == last:
                self._finish()
                raise EnoughError

        return keep

    def _neuron_tap(self, number: int) -> Callable[[Any, Any, int], None]:
        def keep(acts: Any, tokens: Any, first: int) -> None:
            assert self.pooling is not None
            owner = tokens // self.ids.shape[1]
            kept = self.inside[tokens]
            into = self.pooled[number][:, first : first + acts.shape[1]]
            _pool(into, acts[kept].float(), owner[kept], self.sizes, self.pooling.pool)

        return keep

    def _finish(self) -> None:
        for array, pooled in zip(self.neurons, self.pooled if self.pooling else (), strict=True):
            array[self.batch] = pooled.cpu().numpy()

    def _keep_rows(self, layer: int, rows: Any) -> None:
        assert self.gaze is not None
        number = self.blocks.index(layer)
        shift = np.array(self.shift)[:, None]
        self.argmax[self.batch, number] = rows.argmax(-1).cpu().numpy() - shift
        if self.gaze.mass:
            import torch

            read = torch.einsum("bhk,sbk->bhs", rows, self.stretches)
            self.mass[self.batch, number] = read.masked_fill(self.absent, torch.nan).cpu().numpy()


def _pool(into: Any, acts: Any, owner: Any, sizes: list[int], pool: Pool) -> None:
    """Pools rows of activations (rows, width) by the passage they belong to, in place."""
    import torch

    # Tokens come in order, so each passage's rows stand together.
    counts = torch.bincount(owner, minlength=len(into)).tolist()
    for row, part in enumerate(acts.split(counts)):
        _pool_one(into, row, part, sizes[row], pool)


def _pool_one(into: Any, row: int, part: Any, size: int, pool: Pool) -> None:
    if not len(part):
        return
    if pool == "max":
        largest = part.amax(0)
        # Tokens that were not routed here count as activation 0.
        into[row] = largest if len(part) >= size else largest.clamp(min=0)
    else:
        into[row] = (part if pool == "mean" else part.abs()).sum(0) / size


def _hidden_size(parts: Architecture) -> int:
    return int(parts.base.config.get_text_config().hidden_size)
