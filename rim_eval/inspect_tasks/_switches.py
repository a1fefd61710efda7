"""Which thinking switch a model has: read off its chat template, its server or its provider."""

import os
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
    template_renderer,
)

__all__ = ["Found", "switch_for"]

_SERVED = ("vllm", "sglang", "openai-api")


class Found(NamedTuple):
    """A model's switch, and its chat template and renderer where they could be had."""

    switch: Switch
    template: str | None = None
    render: Renderer | None = None


def switch_for(model: Model, asked: str = "auto", chat_template: str | None = None) -> Found:
    """The switch to use for a model.

    Args:
        model: The evaluated model.
        asked: `auto` to find it, or a switch in words, such as `enable_thinking` or `prompted`.
        chat_template: Path of a template file to read instead of the model's own.

    Raises:
        RimError: No switch can be found, or the one asked for does not exist.
    """
    source = _source(model, chat_template)
    if asked != "auto":
        return Found(explicit_switch(asked, render=source.render), source.template, source.render)
    if source.render is not None:
        found = find_switch(source.render, source=source.template, model=_model_path(model))
        return Found(found, source.template, source.render)
    if _provider(model) not in _SERVED:
        return Found(hosted_switch(_provider(model), _model_path(model)))
    raise RimError(
        f"How {model} turns thinking on and off could not be found: its chat template is not on this "
        "machine and its server does not render prompts. Give the template with "
        "`-T chat_template=FILE`, or name the switch with `-T switch=enable_thinking` "
        "(or thinking, system:/no_think, effort:low,high, forced_empty, prompted)."
    )


class _Source(NamedTuple):
    """What renders this model's prompts; neither is known of a hosted model."""

    render: Renderer | None = None
    template: str | None = None


class _OwnTemplate:
    """Renders as the `hf/` provider does, through the model's own tokenizer."""

    def __init__(self, api: Any, source: str) -> None:
        self._api = api
        self.source = source

    def __call__(self, messages: list[dict[str, Any]], template_kwargs: dict[str, Any]) -> str:
        return hf_render(self._api, messages, template_kwargs)


def _source(model: Model, chat_template: str | None) -> _Source:
    """The template at hand first; then, for a server, what it renders itself, then the hub's file."""
    template = _template(model, chat_template)
    if template is not None:
        own = is_hf(model.api) and chat_template is None
        return _Source(
            _OwnTemplate(model.api, template) if own else template_renderer(template), template
        )
    if _provider(model) not in _SERVED:
        return _Source()
    served = server_renderer(model)
    return _Source(served) if served is not None else _from_hub(model)


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


def _from_hub(model: Model) -> _Source:
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
            return _Source(template_renderer(template), template)
    return _Source()


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
