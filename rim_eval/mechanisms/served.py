"""Residual states from a vLLM server that runs the plugin vllm-lens, as `capture` reads them.

    pip install vllm-lens            # in vLLM's environment; it loads itself
    vllm serve MODEL --dtype float32

Probes and directions can so be computed of models that no process here could hold.
Prompts are sent as token ids, so the token spans are those of the passages.
"""

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms.spans import Passage

Floats = NDArray[np.float32]

_LIMIT: Final = 600.0
"""Seconds for one prompt."""


def served_residual(
    address: str,
    model: str,
    passages: Sequence[Passage],
    spans: Sequence[str],
    layers: Sequence[int],
    *,
    connections: int = 8,
) -> Floats:
    """Read the residual stream after layers of a served model, mean over each token span.

    Args:
        address: The server's, such as `http://127.0.0.1:8000/v1`.
        model: Its name there.
        passages: Texts to read.
        spans: Spans at which the residual stream is read.
        layers: Decoder layers from 0.
        connections: Prompts that are asked for at a time.

    Returns:
        Shape (passages, layers, spans, width), layers ascending: `residual` of `capture`.

    Raises:
        RimError: The server cannot be reached or refuses, has no vllm-lens, or returns states of
            fewer tokens than it was sent.
    """
    wanted = sorted(set(layers))

    def read(passage: Passage) -> Floats:
        states = _states(client, model, passage, wanted)
        edges = [passage.span(name) for name in spans]
        return np.stack([states[:, start:stop].mean(1) for start, stop in edges], 1)

    with (
        httpx.Client(base_url=address, timeout=_LIMIT) as client,
        ThreadPoolExecutor(connections) as pool,
    ):
        return np.stack(list(pool.map(read, passages)))


def _states(client: httpx.Client, model: str, passage: Passage, layers: list[int]) -> Floats:
    """States of one passage, shape (layers, tokens, width)."""
    body = {
        "model": model,
        "prompt": [*passage.ids],
        "max_tokens": 1,
        "temperature": 0,
        "vllm_xargs": {"output_residual_stream": str(layers)},
    }
    try:
        answer = client.post("/completions", json=body).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise RimError(
            f"{client.base_url}: no states of {passage.id or 'a passage'} ({error}). Check address and name."
        ) from error
    if "activations" not in answer:
        raise RimError(
            f"{client.base_url}: the server answers without states. Install vllm-lens in its "
            "environment and start it again."
        )
    states = _decoded(answer["activations"]["residual_stream"])
    if states.shape[0] != len(layers) or states.shape[1] < len(passage.ids):
        raise RimError(
            f"{client.base_url}: states of shape {states.shape} came back for {len(layers)} layers and "
            f"{len(passage.ids)} tokens. Start the server with --no-enable-prefix-caching."
        )
    return states[:, : len(passage.ids)]


def _decoded(sent: dict[str, Any]) -> Floats:
    """A tensor of vllm-lens: base64 of zstd of raw numbers; bfloat16 comes as the bits of int16."""
    import zstandard

    raw = base64.b64decode(sent["data"])
    if sent.get("compression") == "zstd":
        raw = zstandard.ZstdDecompressor().decompress(raw)
    values = np.frombuffer(raw, sent["dtype"]).reshape(sent["shape"])
    if sent.get("original_dtype") == "torch.bfloat16":
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
