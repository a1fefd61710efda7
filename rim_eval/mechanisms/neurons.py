"""Safety-critical neurons: those that rise most when a request's bad intent is made plain.

For each request k and its counterpart with the intent spelt out (paper section 4.1.1):

    f[k, j]     largest activation of neuron j over the tokens of request and response
    top[k]      the m neurons with the largest f[k, j; with intent] - f[k, j; plain], of those that
                rose: where fewer than m did, fewer
    A_safe      neurons in top[k] for every k; when that is empty, for a stated share of them

A neuron that rises need not carry refusal, and one that carries it need not rise: `effect` measures
what taking the set out does.
"""

import tomllib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.capture import Neurons, capture
from rim_eval.mechanisms.positions import NAMES
from rim_eval.mechanisms.subject import Request, Subject
from rim_eval.mechanisms.units import Unit
from rim_eval.statistics._result import Result
from rim_eval.types import Mode

__all__ = [
    "SHARES",
    "NeuronSet",
    "Rises",
    "common_neurons",
    "find_neurons",
    "intent_for",
    "measure_rises",
    "risen",
    "top_neurons",
    "with_intent",
]

Floats = NDArray[np.float32]

TOP_SHARE: Final = 0.02
"""m unless told otherwise, as a share of all MLP neurons; the paper states no m."""

SHARES: Final = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of pairs tried in turn until a set is not empty; 1 is the paper's intersection."""


ROUNDING: Final = 1e-3
"""Share of a pair's largest rise up to which a neuron did not rise: batches of other lengths round
otherwise, so what the intent cannot reach still moves a little."""


class NeuronSet(Result):
    """The neurons found, and how."""

    neurons: tuple[Unit, ...]
    """Ranked by the share of pairs in whose top m they are, then by mean rise."""
    shares: tuple[float, ...]
    """That share for each of them."""
    m: int
    total: int
    """MLP neurons of the model."""
    pairs: int
    fewest: int
    """Fewest neurons that rose in a pair; below m its top is smaller than m."""
    short: int
    """Pairs in which fewer than m rose."""
    share: float
    """Share of pairs that was asked for: 1 is the strict intersection, less is the fallback."""
    strict: int
    """Size of the strict intersection."""
    sentence: str


class Rises(NamedTuple):
    """How much every neuron rises when the intent is made plain."""

    values: Floats
    """Shape (pairs, neurons of all layers, one layer after the other)."""
    sizes: tuple[int, ...]
    """Neurons of each layer."""

    def unit(self, column: int) -> Unit:
        """The neuron of a column."""
        edges = np.cumsum(self.sizes)
        layer = int(np.searchsorted(edges, column, side="right"))
        return Unit(layer, int(column - (edges[layer - 1] if layer else 0)))


def with_intent(request: Request, intent: str) -> Request:
    """The request with its intent spelt out at the end."""
    return Request(request.id, f"{request.text} {intent}")


def intent_for(prompt_set: str, category: str | None) -> str:
    """The sentence that makes the intent plain, from `intents.toml`.

    Args:
        prompt_set: Name of a prompt set; sets without words of their own get the general ones.
        category: The prompt's category.
    """
    words = _intents().get(prompt_set, {})
    return words.get(category or "", words.get("default", _intents()["general"]["default"]))


@cache
def _intents() -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name("intents.toml").read_text(encoding="utf-8")
    read: dict[str, dict[str, str]] = tomllib.loads(text)
    return read


def measure_rises(
    subject: Subject,
    requests: Sequence[Request],
    intent: Callable[[Request], str],
    mode: Mode,
    *,
    over: str = "text",
    max_new_tokens: int = 128,
) -> Rises:
    """f[k, j; with intent] - f[k, j; plain] for every pair and neuron.

    Args:
        subject: The model; it writes a reply to both forms, which is read with them.
        requests: Plain harmful requests.
        intent: The sentence to append to a request.
        mode: Mode in which replies are written and read.
        over: Stretch that is max-pooled: `text` is request, template and response.
        max_new_tokens: Budget of a reply.

    Raises:
        RimError: There is no such stretch.
    """
    if over not in NAMES:
        raise RimError(f"--over {over}: there is no such stretch; there are {', '.join(NAMES)}.")
    plain = list(requests)
    explicit = [with_intent(request, intent(request)) for request in plain]
    read = []
    for asked in (explicit, plain):
        replies = subject.replies(asked, mode, max_new_tokens=max_new_tokens)
        passages = subject.passages(asked, mode, replies)
        found = capture(subject.model, passages, neurons=Neurons("max", over)).neurons
        assert found is not None
        read.append(found)
    rises = np.concatenate([a - b for a, b in zip(*read, strict=True)], axis=1)
    return Rises(rises, tuple(layer.shape[1] for layer in read[0]))


def top_neurons(rises: Floats, m: int) -> NDArray[np.bool_]:
    """The m largest rises of each pair, or all where fewer neurons rose.

    Args:
        rises: Shape (pairs, neurons).
        m: How many; ties at the edge go to the lower index.

    Returns:
        Membership, shape (pairs, neurons), at most m of each row true and none that did not rise.

    Raises:
        RimError: m is not between 1 and the number of neurons.
    """
    if not 1 <= m <= rises.shape[1]:
        raise RimError(f"m={m}: it is between 1 and the model's {rises.shape[1]} MLP neurons.")
    order = np.argsort(-rises, axis=1, kind="stable")[:, :m]
    top = np.zeros(rises.shape, dtype=np.bool_)
    np.put_along_axis(top, order, True, axis=1)
    found: NDArray[np.bool_] = top & risen(rises)
    return found


def risen(rises: Floats) -> NDArray[np.bool_]:
    """Neurons that rose in each pair: rise > 0 and > `ROUNDING` times the pair's largest.

    Args:
        rises: Shape (pairs, neurons).

    Returns:
        Shape (pairs, neurons).
    """
    found: NDArray[np.bool_] = rises > np.maximum(ROUNDING * rises.max(1, keepdims=True), 0)
    return found


def common_neurons(
    top: NDArray[np.bool_], shares: Sequence[float] = SHARES
) -> tuple[NDArray[np.int64], float]:
    """Neurons in the top m of every pair, or of the largest of these shares that leaves any.

    Args:
        top: From `top_neurons`, shape (pairs, neurons).
        shares: Shares of pairs, tried in turn.

    Returns:
        Columns, most common first, and the share that was used (the last one if none is left).
    """
    common = top.mean(0)
    for share in shares:
        found = np.flatnonzero(common >= share - 1e-12)
        if len(found):
            return found[np.argsort(-common[found], kind="stable")], share
    return np.array([], dtype=np.int64), shares[-1]


def find_neurons(
    rises: Rises, m: int | None = None, *, shares: Sequence[float] = SHARES
) -> NeuronSet:
    """A_safe, with everything that its size depends on.

    Args:
        rises: From `measure_rises`.
        m: Top neurons of each pair, over all layers together; default 2 % of all neurons.
        shares: Shares of pairs, tried in turn; `(1.0,)` allows no fallback.
    """
    pairs, total = rises.values.shape
    size = max(1, round(TOP_SHARE * total)) if m is None else m
    top = top_neurons(rises.values, size)
    common, mean = top.mean(0), rises.values.mean(0)
    columns, share = common_neurons(top, shares)
    columns = columns[np.lexsort((-mean[columns], -common[columns]))]
    strict, rose = int(top.all(0).sum()), risen(rises.values).sum(1)
    return NeuronSet(
        neurons=tuple(rises.unit(int(column)) for column in columns),
        shares=tuple(float(common[column]) for column in columns),
        m=size,
        total=total,
        pairs=pairs,
        fewest=int(rose.min()),
        short=int((rose < size).sum()),
        share=share,
        strict=strict,
        sentence=_say(len(columns), strict, size, total, share, rose),
    )


def _say(
    found: int, strict: int, m: int, total: int, share: float, rose: NDArray[np.integer]
) -> str:
    head = f"Top {m} of {total} neurons in each of {len(rose)} pairs (chance share {m / total:.1%}"
    few = int((rose < m).sum())
    if few:
        head += f"; in {few} of them fewer rose, as few as {rose.min()}, and only those count"
    head += "): "
    if strict:
        return head + f"{strict} are in the top of every pair."
    if found:
        return (
            head + f"none is in the top of every pair; {found} are in that of {share:.0%} of them."
        )
    return head + f"no neuron is in the top of even {share:.0%} of them: no set."
