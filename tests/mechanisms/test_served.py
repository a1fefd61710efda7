"""States from a server: a stand-in that answers in vllm-lens' form with what `capture` reads."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
import zstandard

from rim_eval.errors import RimError
from rim_eval.mechanisms import ModelHandle, Prompts, capture
from rim_eval.mechanisms.served import served_residual

SPANS = ("user", "last", "trace")


@contextmanager
def server(model: Any, *, dtype: Any = torch.float32, cached: int = 0) -> Iterator[str]:
    """A server of one model; `cached` tokens of a prompt are not computed again, and so not returned."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer: dict[str, Any] = {"choices": [{"text": "I"}]}
            layers = json.loads(sent["vllm_xargs"]["output_residual_stream"])
            if model is not None:
                hidden: dict[int, Any] = {}
                hooks = [
                    model.model.layers[n].register_forward_hook(
                        lambda _m, _a, out, n=n: hidden.__setitem__(n, out)
                    )
                    for n in layers
                ]
                with torch.inference_mode():
                    model(torch.tensor([sent["prompt"]]))
                for hook in hooks:
                    hook.remove()
                states = torch.cat([hidden[n] for n in layers])[:, cached:].to(dtype)
                answer["activations"] = {"residual_stream": encoded(states)}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/v1"
        http.shutdown()


def encoded(states: torch.Tensor) -> dict[str, Any]:
    bits = states.view(torch.int16) if states.dtype == torch.bfloat16 else states
    raw = zstandard.ZstdCompressor().compress(bits.numpy().tobytes())
    return {
        "data": base64.b64encode(raw).decode(),
        "dtype": str(bits.numpy().dtype),
        "original_dtype": str(states.dtype),
        "shape": list(states.shape),
        "compression": "zstd",
    }


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-7)])
def test_states_are_those_of_capture(
    handle: ModelHandle, toy: Prompts, dtype: Any, rtol: float
) -> None:
    passages = handle.passages(toy.harmful[:3], "no_think")
    want = capture(handle.model, passages, residual=SPANS, layers=[0, 2]).residual
    # One at a time: the stand-in hooks the one model.
    with server(handle.model, dtype=dtype) as address:
        got = served_residual(address, "it", passages, SPANS, [2, 0], connections=1)
    assert got.dtype == np.float32
    assert want is not None
    np.testing.assert_allclose(got, want, rtol=rtol, atol=20 * rtol)


def test_a_server_without_the_plugin_and_one_that_reuses_its_cache_are_told(
    handle: ModelHandle, toy: Prompts
) -> None:
    passages = handle.passages(toy.harmful[:1], "no_think")
    with (
        server(None) as address,
        pytest.raises(RimError, match=r"without states.*vllm-lens"),
    ):
        served_residual(address, "it", passages, SPANS, [0])
    with (
        server(handle.model, cached=4) as address,
        pytest.raises(RimError, match="no-enable-prefix-caching"),
    ):
        served_residual(address, "it", passages, SPANS, [0])


def test_a_server_that_is_not_there_is_named(handle: ModelHandle, toy: Prompts) -> None:
    passages = handle.passages(toy.harmful[:1], "no_think")
    with pytest.raises(RimError, match=r"127\.0\.0\.1:9.*Check address"):
        served_residual("http://127.0.0.1:9/v1", "it", passages, SPANS, [0])
