"""What is known of a model before its first token: whether it can be asked at all, and how much fits in it."""

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from inspect_ai.model import Model, get_model_info

from rim_eval.context_window import (
    Chat,
    ContextWindow,
    DeclaredWindow,
    Server,
    longest_prompt,
    window_of_config,
)
from rim_eval.errors import RimError
from rim_eval.files import read_json_object
from rim_eval.inspect_tasks.hf import HFRenderer, is_hf, token_counter
from rim_eval.inspect_tasks.switches import server_access, server_address


def server_of(model: Model) -> Server | None:
    """The server behind a model; None where there is none yet, or the provider's own.

    Raises:
        RimError: It does not answer or does not serve the model, or there is no engine to start one.
    """
    access = server_access(model)
    if access is None:
        if _is_vllm(model) and importlib.util.find_spec("vllm") is None:
            raise RimError(
                f"{model} needs vLLM, which is not installed here. Install it (`pip install vllm`), or give the "
                "address of a running server: VLLM_BASE_URL=http://HOST:8000/v1."
            )
        return None
    server = Server(*access)
    server.refuse_unknown_model()
    return server


def context_window(
    model: Model,
    server: Server | None,
    messages: Iterable[str],
    write: Callable[[str], Chat],
) -> ContextWindow | None:
    """The model's window and what the longest prompt needs of it; None where nobody says how long it is.

    Args:
        model: The evaluated model.
        server: Its server, where there is one.
        messages: The user messages of the run.
        write: Writes the conversation of one, with the run's system message.
    """
    api = cast(Any, model.api)

    def count(chat: Chat) -> int | None:
        if is_hf(api):
            # Without a template the search for the switch says what to do, or sets the user's file.
            has_template = api.chat_template or api.tokenizer.chat_template
            return token_counter(api)(HFRenderer(api)(chat, {})) if has_template else None
        return server.count(chat) if server else None

    prompt_tokens = longest_prompt(messages, write, count)
    declared = _declared(model, server) or _window_in_catalogue(model, prompt_tokens)
    if declared is None:
        return None
    return ContextWindow(model=str(model), declared=declared, prompt_tokens=prompt_tokens)


def _declared(model: Model, server: Server | None) -> DeclaredWindow | None:
    """The window that the model or its server declares."""
    api = cast(Any, model.api)
    if server is not None:
        return server.window()
    if is_hf(api):
        tokens, source = window_of_config(api.model.config.to_dict()), "max_position_embeddings"
        remedy = "choose a model with a longer window"
    elif _is_vllm(model):  # Inspect starts the server at the first request
        max_model_len = api.server_args.get("max_model_len")
        source = "max_model_len" if max_model_len else "max_position_embeddings of its config.json"
        tokens = int(max_model_len) if max_model_len else window_of_config(_config(api.base_model))
        remedy = "start it with -M max_model_len={needed}"
    else:
        return None
    return None if tokens is None else DeclaredWindow(tokens, source, remedy)


def _window_in_catalogue(model: Model, prompt_tokens: int) -> DeclaredWindow | None:
    """The same of a hosted model by Inspect's catalogue; a limit on the reply is one on the window too."""
    info = get_model_info(model) if server_address(model) is None else None
    if info is None:
        return None
    limits = [info.context_length, info.output_tokens and info.output_tokens + prompt_tokens]
    declared_limits = [limit for limit in limits if limit]
    if not declared_limits:
        return None
    return DeclaredWindow(
        tokens=min(declared_limits),
        source="with a prompt and the longest reply, by Inspect's catalogue of models",
        remedy="give them (-T answer_tokens=N -T thinking_tokens=M)",
        is_certain=False,
    )


def _is_vllm(model: Model) -> bool:
    return str(model).startswith("vllm/")


def _config(name: str) -> dict[str, Any]:
    """The model's `config.json`, from its folder or the hub's files on this machine; empty where it is not here."""
    from huggingface_hub import try_to_load_from_cache

    local = Path(name) / "config.json"
    file = local if local.is_file() else try_to_load_from_cache(name, "config.json")
    return read_json_object(Path(file)) if isinstance(file, str | Path) else {}
