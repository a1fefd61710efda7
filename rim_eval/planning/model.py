"""What is known of a model without loading it: its switch, its window, and how it cuts a prompt into tokens."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval import thinking
from rim_eval.context_window import DeclaredWindow, window_of_config
from rim_eval.errors import RimError
from rim_eval.files import read_json_object
from rim_eval.inspect_tasks.compat import model_providers
from rim_eval.inspect_tasks.switches import template_in
from rim_eval.replies import read_template_file

_WITH_SERVICE: Final = "openai-api"


class PlannedModel(NamedTuple):
    """A model, as far as files on this machine and its name tell."""

    name: str
    """As Inspect takes it."""
    switch: thinking.Switch | None
    """None where it is assumed to have a true switch."""
    says: str
    """How its modes are brought about, or what is assumed."""
    render: thinking.Renderer | None = None
    count_tokens: Callable[[str], int] | None = None
    """Tokens of a text; None where its tokenizer is not here."""
    window: DeclaredWindow | None = None

    @property
    def provider(self) -> str:
        """Inspect's name of the provider."""
        return self.name.partition("/")[0]

    @property
    def reads_prompts(self) -> bool:
        """Whether its prompts can be written and counted exactly as the model gets them."""
        return None not in (self.switch, self.render, self.count_tokens)


def planned_model(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    switch: str = "auto",
    chat_template: str | None = None,
) -> PlannedModel:
    """Find out about a model what its folder or its name tells; nothing is loaded, started or asked.

    Args:
        name: The model as Inspect takes it, such as `vllm/Qwen/Qwen3-4B`, `hf/FOLDER` or `openai/gpt-5`.
        arguments: Arguments of the model, as `-M` gives them; `model_path` names a folder.
        switch: `auto`, or a thinking switch in words.
        chat_template: Path of a chat template to read in place of the model's own.

    Raises:
        RimError: The template or a file of the folder cannot be read, or the switch is none.
    """
    if problem := unknown_provider(name):
        raise RimError(f"--model {problem}.")
    provider, _, rest = name.partition("/")
    route, weights = provider, rest
    if provider == _WITH_SERVICE:
        service, _, weights = rest.partition("/")
        route = f"{provider}/{service}"
    folder = Path((arguments or {}).get("model_path") or weights).expanduser()
    template = read_template_file(chat_template) if chat_template else template_in(folder)
    render = thinking.template_renderer(template) if template else None
    found, says = _switch(switch, route, weights, template, render)
    return PlannedModel(name, found, says, render, _counter(folder), _window(folder))


def unknown_provider(model: str) -> str | None:
    """What is wrong with the provider that a model's name begins with; None where nothing is.

    Args:
        model: The model as Inspect takes it.
    """
    provider, _, rest = model.partition("/")
    if not rest:
        return f"{model}: name the provider too, as Inspect does: vllm/{model}, hf/{model}, openai/{model}"
    known = model_providers()
    if provider in known:
        return None
    return (
        f"{model}: Inspect knows no provider called {provider}; there are {', '.join(sorted(known))}, and those of "
        "packages that are not installed here"
    )


def _switch(
    requested: str, route: str, weights: str, template: str | None, render: "thinking.Renderer | None"
) -> tuple[thinking.Switch | None, str]:  # fmt: skip
    """The switch, and one sentence on it."""
    if requested != "auto":
        found = thinking.explicit_switch(requested, render=render)
        return found, f"{found.kind}, as -T switch={requested} says"
    if render is not None:
        found = thinking.find_switch(render, source=template, model=weights)
        return found, f"{found.kind}: {found.evidence}"
    if hosted := thinking.hosted_switch(route, weights):
        return hosted, f"{hosted.kind}: {hosted.evidence}"
    return None, (
        "assumed: a true switch. The chat template is not on this machine; -T chat_template=FILE, or a local folder as "
        "the model, lets it be read"
    )


def _counter(folder: Path) -> Callable[[str], int] | None:
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _window(folder: Path) -> DeclaredWindow | None:
    file = folder / "config.json"
    tokens = window_of_config(read_json_object(file)) if file.is_file() else None
    if tokens is None:
        return None
    source, remedy = "max_position_embeddings", "choose a model with a longer window"
    return DeclaredWindow(tokens, source, remedy)
