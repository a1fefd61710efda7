"""What is known of a model before its first token: whether it can be asked at all, and how much fits in it."""

import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from inspect_ai.model import Model

from rim_eval.context_window import Chat, ContextWindow, Server, longest_prompt, window_of_config
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.hf import HFRenderer, is_hf, token_counter
from rim_eval.inspect_tasks.switches import server_address


def server_of(model: Model) -> Server | None:
    """The server behind a model; None where there is none yet, or the provider's own.

    Raises:
        RimError: It does not answer or does not serve the model, or there is no engine to start one.
    """
    address = server_address(model)
    if address is None:
        if _is_vllm(model) and importlib.util.find_spec("vllm") is None:
            raise RimError(
                f"{model} needs vLLM, which is not installed here. Install it (`pip install vllm`), or give the "
                "address of a running server: VLLM_BASE_URL=http://HOST:8000/v1."
            )
        return None
    api = cast(Any, model.api)
    key = getattr(api, "api_key", None)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    server = Server(address, api.service_model_name(), headers)
    server.refuse_unknown_model()
    return server


def context_window(
    model: Model, server: Server | None, messages: Iterable[str], system: str | None
) -> ContextWindow | None:
    """The model's window and what the longest prompt needs of it; None where nobody says how long it is.

    Args:
        model: The evaluated model.
        server: Its server, where there is one.
        messages: The user messages of the run.
        system: The run's system message.
    """
    declared = _declared(model, server)
    if declared is None:
        return None
    tokens, source, remedy = declared
    api = cast(Any, model.api)

    def count(chat: Chat) -> int | None:
        if is_hf(api):
            return token_counter(api)(HFRenderer(api)(chat, {}))
        return server.count(chat) if server else None

    return ContextWindow(
        model=str(model),
        tokens=tokens,
        source=source,
        remedy=remedy,
        flags="-T answer_tokens={answer_tokens} -T thinking_tokens={thinking_tokens}",
        prompt_tokens=longest_prompt(messages, system, count),
    )


def _declared(model: Model, server: Server | None) -> tuple[int, str, str] | None:
    """The window in tokens, who declares it, and what makes it longer."""
    api = cast(Any, model.api)
    if server is not None:
        tokens, source = server.window(), "max_model_len of its server"
        remedy = "serve it with --max-model-len {needed} (SGLang: --context-length)"
    elif is_hf(api):
        tokens, source = window_of_config(api.model.config.to_dict()), "max_position_embeddings"
        remedy = "choose a model with a longer window"
    elif _is_vllm(model):  # Inspect starts the server at the first request
        given = api.server_args.get("max_model_len")
        source = "max_model_len" if given else "max_position_embeddings of its config.json"
        tokens = int(given) if given else window_of_config(_config(api.base_model))
        remedy = "start it with -M max_model_len={needed}"
    else:
        return None
    return None if tokens is None else (tokens, source, remedy)


def _is_vllm(model: Model) -> bool:
    return str(model).startswith("vllm/")


def _config(name: str) -> dict[str, Any]:
    """The model's `config.json`, from its folder or the hub's files on this machine; empty where it is not here."""
    from huggingface_hub import try_to_load_from_cache

    local = Path(name) / "config.json"
    file = local if local.is_file() else try_to_load_from_cache(name, "config.json")
    if not isinstance(file, str | Path):
        return {}
    config: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    return config
