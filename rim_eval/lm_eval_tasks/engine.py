"""The evaluated model as lm-eval holds it: how a request in one mode is written, and its reply read."""

from collections.abc import Callable, Iterable, Iterator
from logging import getLogger
from typing import Any, Final

from rim_eval import thinking
from rim_eval.context_window import (
    Chat,
    ContextWindow,
    DeclaredWindow,
    Server,
    longest_prompt,
    smaller_budgets,
)
from rim_eval.decoding import Budgets
from rim_eval.errors import RimError, SettingError, failure_text
from rim_eval.generation import Generation
from rim_eval.paths import model_name
from rim_eval.replies import ArmRequest, TokenCounter, no_template, read_reply, read_template_file
from rim_eval.types import Mode

_LOGGER: Final = getLogger(__name__)

_NAMES: Final = {
    "HFLM": "hf",
    "VLLM": "vllm",
    "LocalCompletionsAPI": "local-completions",
    "LocalChatCompletion": "local-chat-completions",
    "OpenAICompletionsAPI": "openai-completions",
    "OpenAIChatCompletion": "openai-chat-completions",
}
"""Engines as users name them (`--model`), by the class that lm-eval makes of them."""

_API_DEFAULT: Final = 2_047
"""`max_length` of lm-eval's clients where the user gives none (2,048, less one token to generate)."""

_NOT_THE_ENGINES: Final = (
    RimError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
)
"""Errors that say that a request or this code is wrong. Engines raise their own: of transport, of the device, of the model."""


class TemplateWords(dict[str, Any]):
    """Nested words of a request that iterate as pairs.

    lm-eval batches requests whose settings look alike, and looks at the keys of nested ones only:
    both modes would be sent with the first one's words.
    """

    def __iter__(self) -> Iterator[Any]:
        for name, value in self.items():
            yield name, tuple(TemplateWords(value)) if isinstance(value, dict) else value


class Engine:
    """One model instance of lm-eval, asked in either mode whatever its own arguments say.

    Text engines (hf, vllm, local-completions) get prompts rendered here with the mode's template
    words, so that no engine can drop them. Chat engines get the words in each request.
    """

    def __init__(self, lm: Any, write: Callable[..., Any]) -> None:
        self.lm = lm
        self._write = write
        self._tokenizer = getattr(lm, "tokenizer", None)
        self._template = getattr(lm, "hf_chat_template", None)
        self._has_template = True
        try:
            self.is_chat = hasattr(write([{"role": "user", "content": "Hello"}]), "prompt")
        except ValueError:  # so transformers says that there is none
            self.is_chat = self._has_template = False
        if hasattr(lm, "parse_generations"):
            _keep_server_replies(lm)

    @property
    def model(self) -> str:
        """The model's name, with the engine before it; of a local folder only its own name."""
        kind = type(self.lm).__name__
        return f"{_NAMES.get(kind, kind)}/{model_name(self.weights_name)}"

    @property
    def weights_name(self) -> str:
        """The model's name as the user gave it: on the hub, on the server, or a folder's path."""
        # lm-eval's models keep a name in different places; some keep the weights there.
        lm, arguments = self.lm, getattr(self.lm, "model_args", None) or {}
        places = (getattr(lm, "pretrained", ""), arguments.get("model"), getattr(lm, "model", ""))
        return next((name for name in places if name and isinstance(name, str)), "unknown")

    @property
    def names(self) -> tuple[str, ...]:
        """The name that is sent to a server; empty where there is no server."""
        sent = getattr(self.lm, "model", None)
        return (sent,) if isinstance(sent, str) else ()

    @property
    def count(self) -> TokenCounter | None:
        """Counts tokens with the model's own tokenizer."""
        tokenizer = self._tokenizer
        if not callable(tokenizer):
            return None
        return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])

    def switch(self, requested: str, chat_template: str | None) -> thinking.Switch:
        """The model's thinking switch.

        Args:
            requested: `auto` to find it, or a switch in words.
            chat_template: Path of a template file to read instead of the model's own.

        Raises:
            RimError: No switch can be found, or the requested one changes nothing.
        """
        if chat_template is not None and not self._has_template:
            self._template, self._has_template = read_template_file(chat_template), True
        render = self._renderer(chat_template)
        if requested != "auto" and (render or self.is_chat):
            return thinking.explicit_switch(requested, render=render)
        if render is None:
            raise no_template(self.model)
        own = self._template or getattr(self._tokenizer, "chat_template", None)
        source = thinking.default_template(own) if chat_template is None else None
        return thinking.find_switch(render, source=source, model=self.model)

    def refuse_cancelled(
        self, switch: thinking.Switch, system: str, chat_template: str | None
    ) -> None:
        """Refuse a system instruction beside which the switch changes nothing (Granite 3.2).

        Args:
            switch: The model's switch.
            system: The run's system instruction.
            chat_template: Path of the server's template; without it nothing is known of a chat engine.

        Raises:
            RimError: Both modes would be asked the same.
        """
        render = self._renderer(chat_template if self.is_chat else None)
        if switch.kind == "switch" and render is not None:
            thinking.require_difference(render, switch, system=system)

    def _renderer(self, chat_template: str | None) -> thinking.Renderer | None:
        """Renders with a template file, else as the engine does; None where a server renders unseen, or nothing."""
        if chat_template is not None:
            return thinking.template_renderer(read_template_file(chat_template))
        return self.render if self._has_template and not self.is_chat else None

    def render(self, messages: list[thinking.Message], template_kwargs: dict[str, Any], /) -> str:
        """The prompt text that a text engine is given; words that nobody set are not passed at all.

        Raises:
            RimError: The engine has no tokenizer with a chat template, or the template refuses.
        """
        apply = getattr(self._tokenizer, "apply_chat_template", None)
        if apply is None:
            raise RimError(
                f"{self.model} has no tokenizer with a chat template here. For local-completions add "
                "tokenizer_backend=huggingface,tokenizer=FOLDER to --model_args, or use local-chat-completions."
            )
        defaults = getattr(self.lm, "chat_template_args", None) or {}
        words = {name: word for name, word in defaults.items() if word is not None}
        words |= template_kwargs
        if isinstance(self._template, str):
            words["chat_template"] = self._template
        try:
            return str(apply(messages, tokenize=False, add_generation_prompt=True, **words))
        except Exception as error:  # whatever a template raises, it refuses this request
            raise RimError(
                f"The chat template of {self.model} refuses a request: {error}"
            ) from None

    def request(
        self, recipe: thinking.Recipe, message: str, system: str | None
    ) -> tuple[Any, dict[str, Any]]:
        """One request in the recipe's mode.

        Returns:
            Prompt text (lm-eval's JSON chat for engines that render it themselves), and the generation
            settings that set the mode, empty where the text does.

        Raises:
            RimError: The mode needs a prefilled trace and the engine's server writes the prompt.
        """
        messages, words = recipe.messages(system, message), recipe.template_kwargs
        # Templates that know effort read it under the request's own name.
        effort = {"reasoning_effort": recipe.reasoning_effort} if recipe.reasoning_effort else {}
        if recipe.body and not self.is_chat:
            raise RimError(
                f"{self.model} is given a prompt, and the switch is a field of chat requests. Use "
                "local-chat-completions, or name a switch of the chat template."
            )
        if not self.is_chat:
            return self.render(messages, words | effort) + (recipe.prefill or ""), {}
        if recipe.prefill:
            raise RimError(
                f"{self.model} always thinks, and its no-think arm needs an empty trace written for it, which "
                "chat completions cannot be given. Use local-completions with a tokenizer, vllm or hf."
            )
        fields = recipe.body | ({"chat_template_kwargs": words} if words else {}) | effort
        return self._write(messages), {
            name: TemplateWords(value) if isinstance(value, dict) else value
            for name, value in fields.items()
        }

    def generate(self, requests: Iterable[tuple[Any, dict[str, Any]]]) -> list[str]:
        """Replies to requests outside of the run; none where the engine fails, which the run itself will show.

        Args:
            requests: Prompt and generation settings of each, as `request` makes them.

        Raises:
            RimError: The model cannot be asked; other errors that are not the engine's own come through as well.
        """
        from lm_eval.api.instance import Instance

        instances = [
            Instance("generate_until", {}, (context, dict(settings)), index)
            for index, (context, settings) in enumerate(requests)
        ]
        try:
            return list(self.lm.generate_until(instances))
        except _NOT_THE_ENGINES:
            raise
        except Exception as error:
            _LOGGER.warning(f"The engine failed before the first prompt: {failure_text(error)}")
            return []

    def context_window(
        self, messages: Iterable[str], write: Callable[[str], Chat]
    ) -> ContextWindow | None:
        """The model's window and what the longest prompt needs of it; None where nobody says how long it is.

        Args:
            messages: The user messages of the task.
            write: Writes the conversation of one, with the run's system instruction.

        Raises:
            RimError: The server of a chat engine does not answer, or does not serve the model.
        """
        server = self._server() if self.is_chat else None
        declared = server.window() if server else self._own_window()
        if declared is None:
            return None
        prompt_tokens = longest_prompt(messages, write, server.count if server else self._tokens)
        return ContextWindow(model=self.model, declared=declared, prompt_tokens=prompt_tokens)

    def _own_window(self) -> DeclaredWindow | None:
        """The engine's `max_length`, unless a client says it of a server that it does not know."""
        tokens = getattr(self.lm, "max_length", None)
        is_default = hasattr(self.lm, "base_url") and tokens == _API_DEFAULT
        if not isinstance(tokens, int) or is_default:
            return None
        remedy = "if it takes as much, say --model_args max_length={needed}"
        return DeclaredWindow(tokens, "max_length", remedy)

    def _server(self) -> Server | None:
        address = getattr(self.lm, "base_url", None)
        if not isinstance(address, str):
            return None
        name = str(getattr(self.lm, "model", ""))
        # Without a key, lm-eval's header ends in a blank, which httpx does not send.
        headers = {header: value.strip() for header, value in self.lm.header.items()}
        server = Server(address.removesuffix("/chat/completions"), name, headers)
        server.refuse_unknown_model()
        return server

    def _tokens(self, chat: Chat) -> int | None:
        return self._length(self.render(chat, {})) if self.count else None

    def _length(self, prompt: str) -> int:
        """Tokens of a prompt, with what the engine itself puts before it."""
        encode = getattr(self.lm, "tok_encode", None)
        return len(encode(prompt)) if encode else (self.count or len)(prompt)

    def refuse_cut_prompts(self, contexts: Iterable[str], budgets: Budgets, mode: Mode) -> None:
        """Refuse a run in which lm-eval would cut prompts from the left to make room for the replies.

        The sample files would hold the whole prompts all the same.

        Args:
            contexts: The prompts, as they are sent.
            budgets: The run's token budgets.
            mode: Mode of the task.

        Raises:
            RimError: A prompt and its mode's budget are longer together than the engine's `max_length`.
        """
        limit = getattr(self.lm, "max_length", None)
        if self.is_chat or self.count is None or not isinstance(limit, int):
            return
        lengths = [self._length(text) for text in contexts]
        cut = sum(length + budgets.total(mode) > limit for length in lengths)
        if not cut:
            return
        needed = max(lengths) + budgets.total(mode)
        trace = f" and thinking_tokens={budgets.thinking_tokens}" if mode == "think" else ""
        problem = (
            f"{cut} of {len(lengths)} prompts would be cut: {self.model} has room for max_length={limit} tokens, and "
            f"the longest prompt ({max(lengths)} tokens) with answer_tokens={budgets.answer_tokens}{trace} needs "
            f"{needed}. If the model and its server take as much, say --model_args max_length={needed + 1}"
        )
        smaller = smaller_budgets(budgets, limit - max(lengths), (mode,))
        if smaller is None:
            raise RimError(f"{problem}; else leave the longest prompts out.")
        raise SettingError(f"{problem}; else give smaller budgets", **smaller.model_dump())

    def read(self, text: str, request: ArmRequest) -> Generation:
        """Split and measure one reply.

        Args:
            text: The reply, a `ServerReply` where the engine tells more than its text.
            request: What was asked.
        """
        server = text if isinstance(text, ServerReply) else ServerReply(text)
        tokens = server.tokens
        if tokens is None and self.count is not None:
            tokens = self.count(str(text))
        stop_reason = server.finish_reason
        if stop_reason is None and tokens is not None:
            # lm-eval's text engines do not say why they stopped; a reply as long as its budget was cut.
            cut = tokens >= request.budgets.total(request.mode)
            stop_reason = "max_tokens" if cut else "stop"
        reply = read_reply(
            request,
            str(text),
            stop_reason,
            reasoning=server.reasoning,
            output_tokens=server.tokens,
            reasoning_tokens=server.reasoning_tokens,
            served_model=server.served_model,
            count=self.count,
        )
        return reply.model_copy(update={"output_tokens": tokens})


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


class ServerReply(str):
    """A server's reply: its content, which is all that lm-eval keeps, and what came beside it."""

    reasoning: str | None = None
    """The server's separate reasoning field; None when it separates nothing."""
    finish_reason: str | None = None
    tokens: int | None = None
    """Generated tokens by the server's own count."""
    reasoning_tokens: int | None = None
    """Those of the trace."""
    served_model: str | None = None
    """The model that answered."""


def _keep_server_replies(lm: Any) -> None:
    """Make one model instance behind a server keep all that its replies say.

    lm-eval's clients read the content alone. Doing it twice changes nothing.
    """
    parse = lm.parse_generations
    if getattr(parse, "keeps_replies", False):
        return

    def parse_all(outputs: Any, **kwargs: Any) -> list[Any]:
        texts, replies = list(parse(outputs=outputs, **kwargs)), list(_server_replies(outputs))
        return replies if len(replies) == len(texts) else texts

    parse_all.keeps_replies = True  # type: ignore[attr-defined]
    lm.parse_generations = parse_all


def _server_replies(outputs: Any) -> Iterator[ServerReply]:
    """Each choice as a reply, in the order in which lm-eval lists texts."""
    for output in outputs if isinstance(outputs, list) else [outputs]:
        choices = output.get("choices", []) if isinstance(output, dict) else []
        for choice in sorted(choices, key=lambda choice: choice.get("index", 0)):
            message = choice.get("message") or {}
            text, thoughts = _texts(message.get("content") or choice.get("text"))
            reply = ServerReply(text or message.get("refusal") or "")
            reasoning = message.get("reasoning") or message.get("reasoning_content")
            reply.reasoning = reasoning or thoughts or None
            reply.finish_reason = choice.get("finish_reason")
            # With several choices the server's counts are of all together.
            usage = (output.get("usage") or {}) if len(choices) == 1 else {}
            reply.tokens = usage.get("completion_tokens")
            details = usage.get("completion_tokens_details") or {}
            reply.reasoning_tokens = details.get("reasoning_tokens")
            reply.served_model = output.get("model")
            yield reply


def _texts(content: Any) -> tuple[str, str]:
    """A message's text and its thoughts, which some services put among the parts of its content."""
    if not isinstance(content, list):
        return content or "", ""
    texts: dict[bool, list[str]] = {True: [], False: []}
    for part in (part for part in content if isinstance(part, dict)):
        is_thought = part.get("type") in ("thinking", "reasoning")
        inner = part.get("text") or part.get("thinking") or part.get("reasoning") or ""
        texts[is_thought].append(inner if isinstance(inner, str) else _texts(inner)[0])
    return "".join(texts[False]), "".join(texts[True])
