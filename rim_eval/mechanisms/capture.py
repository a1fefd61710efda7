"""Capture activations: one forward pass a passage, and of it only what is requested.

Passages are sorted by length and padded on the left with their true positions, so that batching
changes nothing but rounding. The pass stops after the last requested layer, and the language-model
head is never computed.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import Architecture, architecture_of
from rim_eval.mechanisms.batches import in_batches
from rim_eval.mechanisms.completeness import check_padding
from rim_eval.mechanisms.hooks import UnitHook, hook_attention_rows, hook_blocks, hook_units
from rim_eval.mechanisms.spans import Passage, Span

Pool = Literal["max", "mean", "mean_abs"]
"""How a neuron's activations over a span become one number: the largest, the mean, the mean of
absolute values. An expert's neuron counts as 0 at tokens that are not routed to it."""

Floats = NDArray[np.float32]


class Neurons(NamedTuple):
    """Request for MLP activations (the down projection's input), pooled over a token span."""

    pool: Pool | tuple[Pool, ...]
    """One, or several that are read in one pass."""
    over: str = "text"
    """Name of the token span, see `spans`."""


class Attention(NamedTuple):
    """Request for one query token's attention row in every head."""

    query: str = "last"
    """Name of a span whose last token is the query."""
    mass: tuple[str, ...] = ()
    """Spans whose share of the attention is read."""


class Capture(NamedTuple):
    """The readings; parts that were not requested are None. Passages stand in the order given."""

    layers: tuple[int, ...]
    """Decoder layers, from 0; -1 is the embedding (residual stream only)."""
    residual: Floats | None = None
    """Shape (passages, layers, spans, width); NaN where a passage has no such span."""
    neurons: tuple[Floats, ...] | None = None
    """One array a layer, shape (passages, neurons), or (passages, pools, neurons) for several pools."""
    argmax: NDArray[np.int64] | None = None
    """Token that the query attends to most, shape (passages, layers, heads), no padding counted; -1
    where a layer has fewer heads than another, or none."""
    mass: Floats | None = None
    """Attention on each span, 0 to 1, shape (passages, layers, heads, spans); NaN where a passage
    has no such span, or the layer no such head."""


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
        tokens_per_batch: Padded tokens that are read at a time; fewer where memory runs out.

    Raises:
        RimError: Nothing is requested, a layer or pooling does not exist, no passage has a span of
            `residual`, or a passage lacks the span of `neurons` or the query.
    """
    import torch

    parts = architecture_of(model)
    count = len(parts.layers)
    indices = tuple(sorted(set(range(count) if layers is None else layers)))
    if not indices or not -1 <= indices[0] <= indices[-1] < count:
        raise RimError(
            f"layers={indices}: this model has layers 0 to {count - 1}, and -1 for the embedding."
        )
    if not passages or not (residual or neurons or attention):
        raise RimError("capture: give at least one passage and at least one thing to read.")
    if neurons and not {*_pools(neurons)} <= {*get_args(Pool)}:
        raise RimError(f"pool={neurons.pool!r}: neurons are pooled by {', '.join(get_args(Pool))}.")
    check_padding(parts)
    for name in residual:
        if not any(name in passage.spans for passage in passages):
            passages[0].span(name)  # raises
    arrays: dict[Any, NDArray[Any]] = {}

    def read(rows: list[int], ids: Any, mask: Any) -> None:
        batch = _Batch(model, parts, indices, [passages[row] for row in rows], ids)
        with torch.inference_mode(), ExitStack() as stack:
            if neurons:
                stack.enter_context(batch.pool_neurons(neurons))
            if attention:
                stack.enter_context(batch.read_attention(attention))
            if residual:
                stack.enter_context(batch.read_residual(residual))
            stack.enter_context(hook_blocks({parts.layers[max(0, indices[-1])]: _stop_forward}))
            with suppress(_StopForwardError):
                parts.run(ids, mask)
        for key, values in batch.arrays.items():
            shape = len(passages), *values.shape[1:]
            arrays.setdefault(key, np.empty(shape, values.dtype))[rows] = values

    in_batches(passages, parts.device, read, tokens=tokens_per_batch)
    blocks = [layer for layer in indices if layer >= 0]
    return Capture(
        indices,
        arrays.get("residual"),
        tuple(arrays["neurons", layer] for layer in blocks) if neurons else None,
        arrays.get("argmax"),
        arrays.get("mass"),
    )


def _pools(neurons: Neurons) -> tuple[Pool, ...]:
    return neurons.pool if isinstance(neurons.pool, tuple) else (neurons.pool,)


def capture_residual(
    model: Any, passages: Sequence[Passage], span: str, layers: Sequence[int] | None = None
) -> Floats:
    """Read the residual stream at one span with `capture`, shape (passages, layers, width)."""
    states = capture(model, passages, residual=(span,), layers=layers).residual
    assert states is not None
    return states[:, :, 0]


def capture_attention(
    model: Any, passages: Sequence[Passage], query: str, mass: tuple[str, ...]
) -> tuple[NDArray[np.int64], Floats]:
    """Read one query token's attention with `capture`: `argmax` and `mass` of `Capture`."""
    read = capture(model, passages, attention=Attention(query, mass))
    assert read.argmax is not None
    assert read.mass is not None
    return read.argmax, read.mass


def capture_neurons(
    model: Any, passages: Sequence[Passage], pool: Pool | tuple[Pool, ...], over: str
) -> Floats:
    """Read neurons with `capture`: its `neurons`, all layers one after the other."""
    layers = capture(model, passages, neurons=Neurons(pool, over)).neurons
    assert layers is not None
    return np.concatenate(layers, axis=-1)


class _StopForwardError(Exception):
    """Ends a forward pass: the last requested layer has been read."""


def _stop_forward(_output: Any) -> None:
    raise _StopForwardError


class _Batch:
    """Passages that are read in one forward pass; `arrays` has one row a passage in each array."""

    def __init__(
        self,
        model: Any,
        parts: Architecture,
        layers: tuple[int, ...],
        passages: list[Passage],
        ids: Any,
    ) -> None:
        """Take passages and their ids, padded on the left, shape (batch, length)."""
        self.model, self.parts, self.layers, self.passages = model, parts, layers, passages
        self.shape, self.device = tuple(ids.shape), ids.device
        self.blocks = [layer for layer in layers if layer >= 0]
        self.padding = [self.shape[1] - len(passage.ids) for passage in passages]
        self.arrays: dict[Any, NDArray[Any]] = {}

    def _indicators(self, spans: Sequence[Sequence[Span]]) -> Any:
        """1 inside a span, 0 outside, shape (spans, batch, length)."""
        import torch

        edges = torch.tensor(spans, device=self.device).reshape(len(spans), len(self.passages), 2)
        padding = torch.tensor(self.padding, device=self.device)[:, None]
        position = torch.arange(self.shape[1], device=self.device) - padding
        return ((position >= edges[..., :1]) & (position < edges[..., 1:])).float()

    @contextmanager
    def read_residual(self, names: Sequence[str]) -> Iterator[None]:
        """Mean residual stream over each span, shape (batch, layers, spans, width)."""
        import torch

        inside = self._indicators(
            [[p.spans.get(name, (0, 0)) for p in self.passages] for name in names]
        )
        means = inside / inside.sum(-1, keepdim=True)  # NaN where a passage has no such span
        states: list[Floats] = []

        def store(output: Any) -> None:
            self.parts.check_stream(output)
            weights = means.to(output.device)
            states.append(torch.einsum("sbt,btd->bsd", weights, output.float()).cpu().numpy())

        embedding = {self.parts.base.get_input_embeddings(): store} if -1 in self.layers else {}
        with hook_blocks(embedding | {self.parts.layers[layer]: store for layer in self.blocks}):
            yield
        self.arrays["residual"] = np.stack(states, 1)

    @contextmanager
    def pool_neurons(self, neurons: Neurons) -> Iterator[None]:
        """Pooled activations of each layer, shape (batch, neurons)."""
        import torch

        spans = [passage.span(neurons.over) for passage in self.passages]
        inside = self._indicators([spans]).flatten() > 0
        counts, pools = self.parts.unit_counts("neuron"), _pools(neurons)
        pooled = {
            layer: torch.zeros((len(spans), len(pools), counts[layer])) for layer in self.blocks
        }

        def hook(layer: int) -> UnitHook:
            def pool(acts: Any, tokens: Any, first: int) -> None:
                pooled[layer] = pooled[layer].to(acts.device)
                into = pooled[layer][:, :, first : first + acts.shape[1]]
                owner, pooling = tokens // self.shape[1], inside.to(tokens.device)[tokens]
                # Tokens come in order, so each passage's rows stand together.
                counts = owner[pooling].bincount(minlength=len(spans)).tolist()
                for row, part in enumerate(acts[pooling].float().split(counts)):
                    size = spans[row][1] - spans[row][0]
                    for number, name in enumerate(pools if len(part) else ()):
                        if name == "max":
                            largest = part.amax(0)
                            # Tokens that were not routed here count as activation 0.
                            found = largest if len(part) >= size else largest.clamp(min=0)
                        else:
                            found = (part if name == "mean" else part.abs()).sum(0) / size
                        into[row, number] = found

            return pool

        with hook_units(self.parts, "neuron", {layer: hook(layer) for layer in self.blocks}):
            yield
        one = isinstance(neurons.pool, str)
        for layer, acts in pooled.items():
            self.arrays["neurons", layer] = (acts[:, 0] if one else acts).cpu().numpy()

    @contextmanager
    def read_attention(self, attention: Attention) -> Iterator[None]:
        """Argmax (batch, layers, heads) and mass (batch, layers, heads, spans)."""
        import torch

        padding = np.array(self.padding)
        ends = [passage.span(attention.query)[1] - 1 for passage in self.passages]
        query = torch.tensor(padding + ends, device=self.device)
        spans = [[p.spans.get(name, (0, 0)) for p in self.passages] for name in attention.mass]
        inside = self._indicators(spans)
        absent = (inside.sum(-1) == 0).T[:, None]
        heads = max(self.parts.unit_counts("head"), default=0)
        shape = len(self.passages), len(self.blocks), heads
        argmax = np.full(shape, -1)
        masses = np.full((*shape, len(spans)), np.nan, np.float32)

        def store(layer: int, rows: Any) -> None:
            mass = torch.einsum("bhk,sbk->bhs", rows, inside.to(rows.device))
            mass = mass.masked_fill(absent.to(rows.device), torch.nan)
            at = self.blocks.index(layer)
            argmax[:, at, : rows.shape[1]] = rows.argmax(-1).cpu().numpy() - padding[:, None]
            masses[:, at, : rows.shape[1]] = mass.cpu().numpy()

        with hook_attention_rows(self.model, self.blocks, query, store):
            yield
        self.arrays |= {"argmax": argmax, "mass": masses}
