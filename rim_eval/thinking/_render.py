"""Renderers: from messages and template words to the prompt that the model would read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from jinja2 import Template, TemplateError

from rim_eval.errors import RimError
from rim_eval.thinking._sandbox import MAX_SOURCE, MAX_TEXT, Budget, ChatEnvironment

__all__ = ["Message", "Renderer", "source_of", "template_renderer", "tokenizer_renderer"]

Message = dict[str, str]
"""A chat message: `role` and `content`."""


class Renderer(Protocol):
    """Renders messages, generation prompt included, as the engine would.

    A renderer may also carry the template's text in an attribute `source`.
    """

    def __call__(self, messages: list[Message], template_kwargs: dict[str, Any], /) -> str:
        """Render; raises RimError where the template refuses these messages or words."""
        ...


class _TemplateRenderer:
    def __init__(self, source: str, special_tokens: Mapping[str, str]) -> None:
        self.source = source
        self._tokens = {"bos_token": "", "eos_token": "", **special_tokens}
        # One clock for all renderings: two of them must not differ because midnight came between.
        self._environment = ChatEnvironment(datetime.now())
        self._template = self._compile(source)

    def _compile(self, source: str) -> Template:
        if len(source) > MAX_SOURCE:
            raise RimError(
                f"The chat template has {len(source):,} characters; at most {MAX_SOURCE:,} are read."
            )
        try:
            return self._environment.from_string(source)
        except (TemplateError, RecursionError, ValueError, SyntaxError) as error:
            raise RimError(
                f"The chat template cannot be parsed ({_say(error)}). Check the model's "
                "chat_template.jinja or tokenizer_config.json."
            ) from error

    def __call__(self, messages: list[Message], template_kwargs: dict[str, Any], /) -> str:
        self._environment.budget = Budget()
        words = {"tools": None, "documents": None, **self._tokens, **template_kwargs}
        words |= {
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": True,
        }
        try:
            return self._bounded_output(words)
        except RimError:
            raise
        except Exception as error:
            # A template is foreign code: whatever it raises is its answer to this request.
            raise RimError(
                f"The chat template cannot be rendered with {template_kwargs or 'no words'} and the "
                f"roles {[message['role'] for message in messages]}: {_say(error)}"
            ) from error

    def _bounded_output(self, words: dict[str, Any]) -> str:
        chunks, size = [], 0
        for chunk in self._template.generate(words):
            size += len(chunk)
            if size > MAX_TEXT:
                raise RimError(f"The chat template writes more than {MAX_TEXT:,} characters.")
            chunks.append(chunk)
        return "".join(chunks)


def _say(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"


def template_renderer(source: str, *, special_tokens: Mapping[str, str] | None = None) -> Renderer:
    """Renderer for the text of a chat template, in a sandbox with bounds (`_sandbox`).

    Args:
        source: The Jinja text (a tokenizer's `chat_template`).
        special_tokens: Words such as `bos_token` that the tokenizer would fill in; default: empty.

    Raises:
        RimError: The template is too long or cannot be parsed. The renderer itself raises RimError
            where the template refuses a request, reaches for Python's insides or outgrows its bounds.
    """
    return _TemplateRenderer(source, special_tokens or {})


class _TokenizerRenderer:
    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        source = getattr(tokenizer, "chat_template", None)
        self.source = source if isinstance(source, str) else None

    def __call__(self, messages: list[Message], template_kwargs: dict[str, Any], /) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True, **template_kwargs
                )
            )
        except Exception as error:
            raise RimError(
                f"The tokenizer cannot render its chat template with {template_kwargs or 'no words'}: "
                f"{_say(error)}"
            ) from error


def tokenizer_renderer(tokenizer: Any) -> Renderer:
    """Renderer for a Hugging Face tokenizer: exactly what its model will be given.

    Raises:
        RimError: The tokenizer has no chat template (a base model).
    """
    if not getattr(tokenizer, "chat_template", None):
        raise RimError(
            "The tokenizer has no chat template, so there are no modes to render. Use the model's "
            "chat version, or give the tokenizer a template (tokenizer.chat_template = ...)."
        )
    return _TokenizerRenderer(tokenizer)


def source_of(render: Renderer) -> str | None:
    """The template's text where the renderer knows it."""
    source = getattr(render, "source", None)
    return source if isinstance(source, str) else None
