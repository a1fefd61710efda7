"""Which thinking switch a model has: read off its chat template, its server or its provider."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from inspect_ai.model import Model

from rim_eval.errors import RimError
from rim_eval.inspect_tasks._hf import is_hf
from rim_eval.inspect_tasks._hf import render as hf_render
from rim_eval.inspect_tasks._served import ServedTemplate
from rim_eval.thinking import (
    Renderer,
    Switch,
    explicit_switch,
    find_switch,
    hosted_switch,
    require_difference,
    template_renderer,
)

__all__ = ["Found", "switch_for"]

_SERVED = ("vllm", "sglang", "openai-api")


class Found(NamedTuple):
    """A model's switch, and its chat template where that could be read."""

    switch: Switch
    template: str | None = None


def switch_for(model: Model, asked: str = "auto", chat_template: str | None = None) -> Found:
    """The switch to use for a model.

    Args:
        model: The evaluated model.
        asked: `auto` to find it, or a switch in words, such as `enable_thinking` or `prompted`.
        chat_template: Path of a template file to read instead of the model's own.

    Raises:
        RimError: No switch can be found, or the one asked for does not exist.
    """
    template = _template(model, chat_template)
    if asked != "auto":
        return _asked(model, asked, template)
    for look in _ways(model, template):
        found = look()
        if found is not None:
            return found
    raise RimError(
        f"How {model} turns thinking on and off could not be found: its chat template is not on this "
        "machine and its server does not render prompts. Give the template with "
        "`-T chat_template=FILE`, or name the switch with `-T switch=enable_thinking` "
        "(or thinking, system:/no_think, effort:low,high, forced_empty, prompted)."
    )


def _asked(model: Model, asked: str, template: str | None) -> Found:
    """The switch that the user names, tried on the template where there is one."""
    switch = explicit_switch(asked)
    if template is not None:
        own = is_hf(model.api)
        require_difference(
            partial(hf_render, model.api) if own else template_renderer(template), switch
        )
    return Found(switch, template)


def _ways(model: Model, template: str | None) -> list[Callable[[], Found | None]]:
    provider = _provider(model)
    if is_hf(model.api) and template is not None:
        return [partial(_from_hf, model, template)]
    if template is not None:
        return [partial(_from_template, model, template)]
    if provider in _SERVED:
        return [partial(_from_server, model), partial(_from_hub, model)]
    return [partial(_from_provider, model, provider)]


def _provider(model: Model) -> str:
    return str(model).split("/", 1)[0]


def _model_path(model: Model) -> str:
    """Name of the weights: what follows the provider (and the service, for `openai-api/`)."""
    skip = 2 if _provider(model) == "openai-api" else 1
    return str(model).split("/", skip)[-1]


def _template(model: Model, given: str | None) -> str | None:
    if given is not None:
        return _read(Path(given).expanduser())
    tokenizer = getattr(model.api, "tokenizer", None)
    for own in (
        getattr(model.api, "chat_template", None),
        getattr(tokenizer, "chat_template", None),
    ):
        if isinstance(own, str):
            return own
    return _template_in(Path(_model_path(model)))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RimError(
            f"chat_template={path} cannot be read ({error}). Give the path of a Jinja chat template, "
            "such as the `chat_template.jinja` beside a model's weights."
        ) from None


def _template_in(folder: Path) -> str | None:
    """The template in a local model folder, in either of the two files that may hold it."""
    import json

    file = folder / "chat_template.jinja"
    if file.is_file():
        return _read(file)
    config = folder / "tokenizer_config.json"
    if not config.is_file():
        return None
    template = json.loads(_read(config)).get("chat_template")
    return template if isinstance(template, str) else None


def _from_hf(model: Model, template: str) -> Found:
    render = partial(hf_render, model.api)
    return Found(find_switch(render, source=template, model=_model_path(model)), template)


def _from_template(model: Model, template: str) -> Found:
    return Found(find_switch(template_renderer(template), model=_model_path(model)), template)


def _from_server(model: Model) -> Found | None:
    render = server_renderer(model)
    return None if render is None else Found(find_switch(render, model=_model_path(model)))


def _from_hub(model: Model) -> Found | None:
    """The template file alone, from the hub, at no cost of weights."""
    from huggingface_hub import hf_hub_download

    name = _model_path(model)
    for file in ("chat_template.jinja", "tokenizer_config.json"):
        try:
            folder = Path(hf_hub_download(name, file, etag_timeout=5)).parent
        except Exception:  # any failure to reach or find it means: look elsewhere
            continue
        template = _template_in(folder)
        if template is not None:
            return _from_template(model, template)
    return None


def _from_provider(model: Model, provider: str) -> Found:
    return Found(hosted_switch(provider, _model_path(model)))


def server_renderer(model: Model) -> Renderer | None:
    """Render through the server itself, where it tells what a request becomes (vLLM's `/tokenize`).

    Returns:
        None when the server has no such address or does not answer.
    """
    import httpx

    api: Any = model.api
    # Inspect's vLLM provider sets its address only when the first request is made.
    address = getattr(api, "base_url", None) or os.environ.get(
        f"{_provider(model).upper()}_BASE_URL"
    )
    root = (address or "").rstrip("/").removesuffix("/v1")
    if not root:
        return None
    name = api.service_model_name() if hasattr(api, "service_model_name") else _model_path(model)
    render = ServedTemplate(root, name, getattr(api, "api_key", None))
    try:
        render([{"role": "user", "content": "Hello"}], {})
    except (RimError, httpx.HTTPError, KeyError, ValueError):
        return None
    return render
