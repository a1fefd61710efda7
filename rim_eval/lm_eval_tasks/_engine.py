"""The evaluated model as lm-eval holds it: how a request in one mode is written for it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.lm_eval_tasks._reply import Counter, keep_reasoning
from rim_eval.thinking import (
    Message,
    Recipe,
    Switch,
    explicit_switch,
    find_switch,
    modes_differ,
    require_difference,
    template_renderer,
)

__all__ = ["Asked", "Engine", "engine_of"]

_NAMES: Final = {"HFLM": "hf", "VLLM": "vllm"}


class Asked(NamedTuple):
    """One request, ready for lm-eval."""

    context: Any
    """Prompt text, or lm-eval's JSON chat for engines that render it themselves."""
    fields: dict[str, Any]
    """Generation settings that set the mode; empty where the text does."""


class Words(dict[str, Any]):
    """Template words of a request that iterate as pairs.

    lm-eval batches requests whose settings look alike, and looks at the keys of nested ones only:
    both modes would be sent with the first one's words.
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items())


class Engine:
    """One model instance of lm-eval, asked in either mode whatever its own arguments say.

    Text engines (hf, vllm, local-completions) get prompts rendered here with the mode's template
    words, so that no engine can drop them. Chat engines get the words in each request.
    """

    def __init__(self, lm: Any, write: Callable[..., Any]) -> None:
        self.lm = lm
        self._write = write
        self.is_chat = hasattr(write([{"role": "user", "content": "Hello"}]), "prompt")
        if self.is_chat and hasattr(lm, "parse_generations"):
            keep_reasoning(lm)

    @property
    def model(self) -> str:
        """The model's name, with the engine before it; of a local folder only its own name."""
        name = next(filter(None, _names(self.lm)), "unknown")
        kind = type(self.lm).__name__
        return f"{_NAMES.get(kind, kind)}/{Path(name).name if Path(name).is_dir() else name}"

    @property
    def count(self) -> Counter | None:
        """Counts tokens with the model's own tokenizer."""
        tokenizer = getattr(self.lm, "tokenizer", None)
        if tokenizer is None or not callable(tokenizer):
            return None
        return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])

    @property
    def max_length(self) -> int | None:
        """Tokens of prompt and reply together beyond which lm-eval cuts prompts; None where it cuts none."""
        limit = getattr(self.lm, "max_length", None)
        cuts = not self.is_chat and self.count is not None
        return limit if cuts and isinstance(limit, int) else None

    def length(self, context: str) -> int:
        """Tokens of a prompt as lm-eval counts them, with what its engine puts before it."""
        encode = getattr(self.lm, "tok_encode", None)
        if encode is not None:
            return len(encode(context))
        assert self.count is not None
        return self.count(context)

    def switch(self, asked: str, chat_template: str | None) -> Switch:
        """The model's thinking switch.

        Args:
            asked: `auto` to find it, or a switch in words.
            chat_template: Path of a template file to read instead of the model's own.

        Raises:
            RimError: No switch can be found, or the one asked for changes nothing.
        """
        source = None if chat_template is None else _read(chat_template)
        if asked != "auto":
            return self._named(asked, source)
        if source is not None:
            return find_switch(template_renderer(source), model=self.model)
        if self.is_chat:
            raise RimError(
                f"{self.model} renders its prompts on a server, so its thinking switch cannot be read. Name it: "
                '--metadata \'{"rim_eval": {"switch": "enable_thinking"}}\' (or thinking, system:/no_think, '
                'effort:low,high, prompted), or give the template: {"chat_template": "FILE"}.'
            )
        return find_switch(self.render, source=self._source(), model=self.model)

    def refuse_cancelled(self, switch: Switch, system: str, chat_template: str | None) -> None:
        """Refuse a system instruction beside which the switch changes nothing (Granite 3.2).

        Args:
            switch: The model's switch.
            system: The run's system instruction.
            chat_template: Path of the server's template; without it nothing is known of a chat engine.

        Raises:
            RimError: Both modes would be asked the same.
        """
        if switch.kind != "switch" or (self.is_chat and chat_template is None):
            return
        render = (
            template_renderer(_read(chat_template))
            if self.is_chat and chat_template
            else self.render
        )
        if not modes_differ(render, switch, system=system):
            raise RimError(
                f"Beside --system_instruction {system!r} the switch {switch.name!r} changes nothing: both modes would "
                "be asked the same. Leave the system instruction out, or choose another switch: "
                '--metadata \'{"rim_eval": {"switch": "..."}}\'.'
            )

    def render(self, messages: list[Message], template_kwargs: dict[str, Any], /) -> str:
        """The prompt text that a text engine is given; words that nobody set are not passed at all.

        Raises:
            RimError: The engine has no tokenizer with a chat template, or the template refuses.
        """
        apply = getattr(getattr(self.lm, "tokenizer", None), "apply_chat_template", None)
        if apply is None:
            raise RimError(
                f"{self.model} has no tokenizer with a chat template here. For local-completions add "
                "tokenizer_backend=huggingface,tokenizer=FOLDER to --model_args, or use local-chat-completions."
            )
        own = {
            word: value
            for word, value in (getattr(self.lm, "chat_template_args", None) or {}).items()
            if value is not None
        }
        template = getattr(self.lm, "hf_chat_template", None)
        chosen = {"chat_template": template} if isinstance(template, str) else {}
        try:
            return str(
                apply(
                    messages,
                    tokenize=False,
                    add_generation_prompt=True,
                    **(own | template_kwargs | chosen),
                )
            )
        except Exception as error:  # whatever a template raises, it refuses this request
            raise RimError(
                f"The chat template of {self.model} refuses a request: {error}"
            ) from None

    def ask(self, recipe: Recipe, message: str, system: str | None) -> Asked:
        """One request in the recipe's mode.

        Raises:
            RimError: The mode needs a prefilled trace and the engine's server writes the prompt.
        """
        messages = recipe.messages(system, message)
        if not self.is_chat:
            return Asked(self.render(messages, _words(recipe)) + (recipe.prefill or ""), {})
        if recipe.prefill:
            raise RimError(
                f"{self.model} always thinks, and its no-think arm needs an empty trace written for it, which "
                "chat completions cannot be given. Use local-completions with a tokenizer, vllm or hf."
            )
        return Asked(self._write(messages), _fields(recipe))

    def _named(self, asked: str, source: str | None) -> Switch:
        switch = explicit_switch(asked)
        if source is not None:
            require_difference(template_renderer(source), switch)
            return switch
        return switch if self.is_chat else explicit_switch(asked, render=self.render)

    def _source(self) -> str | None:
        own = getattr(self.lm, "hf_chat_template", None) or getattr(
            self.lm.tokenizer, "chat_template", None
        )
        return own if isinstance(own, str) else None


def _names(lm: Any) -> Iterator[str | None]:
    """The places in which lm-eval's models keep a name; some keep the weights there."""
    arguments = getattr(lm, "model_args", None) or {}
    for found in (
        getattr(lm, "pretrained", None),
        arguments.get("model"),
        getattr(lm, "model", ""),
    ):
        yield found if isinstance(found, str) else None


def engine_of(chat_template: Callable[..., Any] | None) -> Engine:
    """The engine behind the template function that lm-eval gives to a task.

    Raises:
        RimError: lm-eval runs without the model's chat template.
    """
    lm = getattr(chat_template, "__self__", None)
    if chat_template is None or lm is None:
        raise RimError(
            "The rim tasks ask chat models, and lm-eval was started without the model's chat template: "
            "add --apply_chat_template."
        )
    return Engine(lm, chat_template)


def _words(recipe: Recipe) -> dict[str, Any]:
    """Template words; templates that know effort read it under the request's own name."""
    effort = recipe.reasoning_effort
    return recipe.template_kwargs | ({"reasoning_effort": effort} if effort else {})


def _fields(recipe: Recipe) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if recipe.template_kwargs:
        fields["chat_template_kwargs"] = Words(recipe.template_kwargs)
    if recipe.reasoning_effort:
        fields["reasoning_effort"] = recipe.reasoning_effort
    return fields


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RimError(
            f"chat_template={path} cannot be read ({error}). Give the path of a Jinja chat template."
        ) from None
