"""Which thinking switch a model has: read off its chat template, its server or its provider."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

from inspect_ai.model import Model

from rim_eval import thinking
from rim_eval.errors import RimError
from rim_eval.files import read_json_object
from rim_eval.formatting import ARM_WORDS
from rim_eval.inspect_tasks.compat import active_model
from rim_eval.inspect_tasks.hf import HFRenderer, is_hf
from rim_eval.prompt_sets.download import OfflineError, require_host
from rim_eval.replies import no_template, read_template_file
from rim_eval.server_requests import is_transient, send_with_retries

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.settings import RunSettings

_SERVED: Final = ("vllm", "vllm-lens", "sglang", "openai-api")


class ModelSwitch(NamedTuple):
    """A model's switch, and its chat template and renderer where they could be had."""

    switch: thinking.Switch
    template: str | None = None
    render: thinking.Renderer | None = None


_FOUND: Final[WeakKeyDictionary[Model, dict[tuple[str, str | None], ModelSwitch]]] = (
    WeakKeyDictionary()
)
"""What was found for each model, by the words and the template that were given."""


def forget_switches(model: Model) -> None:
    """Search again when the next task is built: a template may have changed, or a server been started anew."""
    _FOUND.pop(model, None)


def switch_for(
    model: Model, requested: str = "auto", chat_template: str | None = None
) -> ModelSwitch:
    """The switch to use for a model; it is searched for once, and again after `forget_switches`.

    Args:
        model: The evaluated model.
        requested: `auto` to find it, or a switch in words, such as `enable_thinking` or `prompted`.
        chat_template: Path of a template file to read instead of the model's own.

    Raises:
        RimError: No switch can be found, or the requested one does not exist.
    """
    found = _FOUND.setdefault(model, {})
    key = (requested, chat_template)
    if key not in found:
        found[key] = _search(model, requested, chat_template)
    return found[key]


SWITCH: Final = "thinking_switch"
"""Key of the log's metadata: how the modes were brought about, and the evidence for it."""


def switch_facts(settings: "RunSettings") -> dict[str, Any]:
    """What the log's header says of the switch; empty while it is not known which model is evaluated.

    Args:
        settings: How the model is asked.

    Raises:
        RimError: No switch can be found, or the requested one does not exist.
    """
    model = active_model()
    if model is None:
        return {}
    switch = switch_for(model, settings.switch, settings.chat_template).switch
    made = f"{ARM_WORDS[switch.kind]} ({switch.name})"
    return {SWITCH: {"kind": switch.kind, "made_by": made, "evidence": switch.evidence}}


def _search(model: Model, requested: str, chat_template: str | None) -> ModelSwitch:
    path, provider = weights_name(model), _provider(model)
    route = str(model).removesuffix(f"/{path}")
    hosted = thinking.hosted_switch(route, path)
    if hosted and requested == "auto" and chat_template is None and provider == "openai-api":
        # A known service: its own fields count, whatever the weights' template reads.
        return ModelSwitch(hosted)
    template, render = _template_and_renderer(model, chat_template, hub=requested == "auto")
    if requested != "auto":
        return ModelSwitch(thinking.explicit_switch(requested, render=render), template, render)
    if render is not None:
        with _server_answers(model):
            switch = thinking.find_switch(render, source=template, model=path)
        return ModelSwitch(switch, template, render)
    if hosted is not None and not is_hf(model.api):
        return ModelSwitch(hosted)
    raise no_template(str(model))


def _template_and_renderer(
    model: Model, chat_template: str | None, *, hub: bool
) -> tuple[str | None, thinking.Renderer | None]:
    """The template at hand first; for a server what it renders itself, then the hub's file."""
    api = cast(Any, model.api)
    holders = (api, getattr(api, "tokenizer", None))
    templates = (getattr(holder, "chat_template", None) for holder in holders)
    in_process = next(filter(None, map(thinking.default_template, templates)), None)
    if chat_template is not None:
        template = read_template_file(chat_template)
        if is_hf(api) and in_process is None:
            api.chat_template = template  # the provider would write `user: ...` without one
        return template, thinking.template_renderer(template)
    local = in_process or template_in(Path(weights_name(model)))
    if local is not None:
        return local, HFRenderer(api) if is_hf(api) else thinking.template_renderer(local)
    if _provider(model) not in _SERVED:
        return None, None
    served = server_renderer(model)
    on_hub = _template_on_hub(weights_name(model)) if hub and served is None else None
    return on_hub, served if on_hub is None else thinking.template_renderer(on_hub)


def _provider(model: Model) -> str:
    return str(model).split("/", 1)[0]


def weights_name(model: Model) -> str:
    """Name of the weights: what follows the provider (and the service, for `openai-api/`); an adapter's base."""
    if _is_adapter(model):
        return str(cast(Any, model.api).base_model)
    skip = 2 if _provider(model) == "openai-api" else 1
    return str(model).split("/", skip)[-1]


def _is_adapter(model: Model) -> bool:
    """Whether it is a LoRA adapter of a vLLM server, `vllm/BASE:ADAPTER`: template and window are its base model's."""
    return getattr(model.api, "adapter", None) is not None


def template_in(folder: Path) -> str | None:
    """The template in a model folder, in either of the two files that may hold it; None where there is none.

    Args:
        folder: The folder of the weights.
    """
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return read_template_file(file)
    if not config.is_file():
        return None
    return thinking.default_template(read_json_object(config).get("chat_template"))


def _template_on_hub(name: str) -> str | None:
    """The template file alone, from the hub or its cache, without the weights."""
    from huggingface_hub import constants, hf_hub_download

    for file in ("chat_template.jinja", "tokenizer_config.json"):
        with suppress(Exception):  # any failure to reach or find it means: look elsewhere
            try:
                # The hub's own client retries for half a minute before it says that there is no network.
                require_host(constants.ENDPOINT)
                offline = False
            except OfflineError:
                offline = True
            file = hf_hub_download(name, file, etag_timeout=5, local_files_only=offline)
            folder = Path(file).parent
            if template := template_in(folder):
                return template
    return None


def server_address(model: Model) -> str | None:
    """Address of the server behind a model; None where Inspect is yet to start one, or the provider has none."""
    if _provider(model) not in _SERVED:
        return None
    # Inspect's vLLM provider sets its address only when the first request is made.
    places = (getattr(model.api, name, None) for name in ("base_url", "_init_base_url"))
    address = next(filter(None, places), None)
    address = address or os.environ.get(
        f"{_provider(model).removesuffix('-lens').upper()}_BASE_URL", ""
    )
    return address.rstrip("/") or None


class ServerAccess(NamedTuple):
    """What a request to the server behind a model needs."""

    address: str
    """With `/v1`."""
    model: str
    """The model's name there; of an adapter that is yet to be loaded, its base model's."""
    headers: dict[str, str]


def server_access(model: Model) -> ServerAccess | None:
    """How the server behind a model is asked; None where `server_address` knows none."""
    api, address = cast(Any, model.api), server_address(model)
    if address is None:
        return None
    key = getattr(api, "api_key", None)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # Inspect loads an adapter at its first request; before that the server knows the base alone.
    is_loaded_later = _is_adapter(model) and not api.adapter.is_preloaded
    name = api.base_model if is_loaded_later else api.service_model_name()
    return ServerAccess(address, name, headers)


def server_renderer(model: Model) -> "ServerRenderer | None":
    """Render through the server itself; None where it has no such address, or nothing listens there.

    Raises:
        RimError: The server answers no request for now, and did not after minutes of waiting.
    """
    import httpx

    access = server_access(model)
    if access is None:
        return None
    render = ServerRenderer(access)
    with _server_answers(model), suppress(RimError, KeyError, ValueError):
        try:
            render([{"role": "user", "content": "Hello"}], {})
        except httpx.HTTPError as error:
            if is_transient(error):
                raise
            return None
        return render
    return None


@contextmanager
def _server_answers(model: Model) -> Iterator[None]:
    """Say of a server that is away that it is away: what it renders is not known, and no switch was missed."""
    import httpx

    try:
        yield
    except httpx.HTTPError as error:
        raise RimError(
            f"The server of {model} does not answer ({error}), so its chat template could not be read. "
            "Nothing was asked: see that it serves, and give the same command again."
        ) from None


class ServerRenderer:
    """Renders prompts through vLLM's `/tokenize` and `/detokenize`.

    Looking for a switch renders many prompts, many of them alike: each request is sent once.

    Args:
        access: How the server is asked.
    """

    def __init__(self, access: ServerAccess) -> None:
        import httpx

        root = access.address.removesuffix("/v1")
        self._client = httpx.Client(base_url=root, headers=access.headers, timeout=30)
        self._name = access.model
        self._replies: dict[str, Any] = {}

    def __call__(self, messages: list[dict[str, Any]], template_kwargs: dict[str, Any], /) -> str:
        """The prompt as text.

        Raises:
            RimError: The server's template refuses these messages or words.
            httpx.HTTPError: The server has no such address, or does not answer.
        """
        return self.prompt(messages, {"chat_template_kwargs": template_kwargs})

    def prompt(self, messages: list[dict[str, Any]], body: Mapping[str, Any]) -> str:
        """The prompt as text for a request with further fields, raising as a call does.

        Args:
            messages: The conversation.
            body: The request's own template and its variables.
        """
        request = {"messages": messages, "add_generation_prompt": True, **body}
        tokens = self._post("/tokenize", request)["tokens"]
        return str(self._post("/detokenize", {"tokens": tokens})["prompt"])

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = path + json.dumps(body, sort_keys=True)
        if request not in self._replies:
            sent = {"model": self._name, **body}
            reply = send_with_retries(lambda: self._client.post(path, json=sent))
            if reply.status_code in (400, 422):
                raise RimError(f"The server's chat template refuses a request: {reply.text[:300]}")
            reply.raise_for_status()
            self._replies[request] = reply.json()
        return self._replies[request]
