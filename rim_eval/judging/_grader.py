"""The dialogue with a grader model: messages with everything from outside escaped, bounded retries, its name."""

import copy
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

import anyio

from rim_eval.errors import RimError
from rim_eval.judging._case import Case, Sees
from rim_eval.judging._drafts import DraftedReply, active_drafts, question_hash
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._spec import Dialogue, FieldsReader, JudgeSpec
from rim_eval.types import UnscoredReason
from rim_eval.yaml_file import FieldPath

if TYPE_CHECKING:
    from inspect_ai.model import Model, ResponseSchema

_LONGEST_NAME: Final = 200
"""Characters of a name that a card takes."""

_LOOK_ALIKES: Final = str.maketrans("<>[]◁▷", "‹›⟦⟧‹›")
"""One character each: a reader sees the same text, a tokenizer no special token."""

_MARKER_TAGS: Final = (
    "s", "bos", "eos", "pad", "unk", "start_of_turn", "end_of_turn", "start_of_image", "think", "thinking", "channel", "turn",
    "reasoning", "seed:[a-z_]+", "start_of_role", "end_of_role", "tool_call", "tool_response",
)  # fmt: skip
_MARKERS: Final = (
    r"<[|｜/]?[|｜][^<>\n]{0,64}>",  # <|im_end|>, <|eot_id|>, <｜User｜>
    r"<[^<>\n]{0,64}[|｜]>",
    r"◁/?[a-z]+▷",
    r"<<\s*/?\s*SYS\s*>>",
    r"\[\s*/?\s*(?:INST|SYSTEM_PROMPT|THINK|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\s*\]",
    r"\[(?:BEGIN|END) (?:DATA|CONVERSATION)\]",
    r"</?(?:begin|end)[ _-]?of[ _-]?(?:text|sentence|turn)>",
)
_TAG: Final = re.compile(r"<\s*/?\s*([A-Za-z_][\w-]*)\s*>")
_SENTINEL: Final = "7391"
_SAMPLE: Final = Case(
    prompt_text=f"REQUEST-{_SENTINEL}",
    context=f"CONTEXT-{_SENTINEL}",
    category=f"CATEGORY-{_SENTINEL}",
    kind="harmful",
    answer=f"ANSWER-{_SENTINEL}",
    trace=f"REASONING-{_SENTINEL}",
)
_BARE_SAMPLE: Final = _SAMPLE.model_copy(update={"context": None, "category": None})
"""Another case, since a template may branch on what a prompt set does not have."""


def seen_text(case: Case, sees: Sees) -> str:
    """What a judge sees of the reply, as one text; empty when there is nothing to judge."""
    trace = case.trace if sees != "answer" else None
    answer = case.answer if sees != "reasoning" else None
    return "\n\n".join(part.strip() for part in (trace, answer) if part and part.strip())


def escape_markers(text: str, tags: Iterable[str] = ()) -> str:
    """Replace the brackets of chat markers and of `tags`, so that text stays data in a judge's prompt.

    Such delimiters could end the prompt or fake a verdict. The text keeps its length and every other
    character, so a grader still sees what was there (`[/INST]` becomes `⟦/INST⟧`). Escaping twice
    changes nothing.

    Args:
        text: Anything that a model or a data set wrote.
        tags: Names of the tags that the judge's own prompt and reply format use.

    Returns:
        The text without any chat marker, and without any opening or closing tag of `tags`.
    """
    pattern, before = _marker_pattern(tuple(tags)), ""
    while text != before:  # markers can be nested in markers
        before, text = text, pattern.sub(lambda match: match[0].translate(_LOOK_ALIKES), text)
    return text


@lru_cache(maxsize=64)
def _marker_pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join((*_MARKER_TAGS, *(re.escape(tag) for tag in tags)))
    # A tag is taken with or without attributes, spaces and its closing bracket: models that read
    # the prompt are as lenient as that.
    tag = rf"<\s*/?\s*(?:{names})(?![\w-])[^<>\n]{{0,64}}>?"
    return re.compile("|".join((*_MARKERS, tag)), re.IGNORECASE)


def render_messages(spec: JudgeSpec, case: Case, sees: Sees) -> list[tuple[str, str]]:
    """(role, text) of each message to the grader, everything from outside escaped."""
    return spec.rendered(_values(spec, case, sees))


def _values(spec: JudgeSpec, case: Case, sees: Sees) -> dict[str, str | None]:
    """What the templates may use, without the tags of the judge's own prompt and reply format."""
    tags = {name for message in spec.messages for name in _TAG.findall(message.text)}
    if isinstance(spec.reader, FieldsReader):
        tags |= set(spec.reader.fields)

    def escaped(text: str | None) -> str:
        return escape_markers(text, sorted(tags)) if text and text.strip() else ""

    return {
        "request": escape_markers(case.prompt_text, sorted(tags)),
        "context": escaped(case.context) or None,
        "category": escaped(case.category) or None,
        "answer": escaped(case.answer if sees != "reasoning" else None) or None,
        "reasoning": escaped(case.trace if sees != "answer" else None) or None,
        "response": escaped(seen_text(case, sees)),
    }


def message_problem(spec: JudgeSpec) -> tuple[FieldPath, str] | None:
    """Render the messages once with sample words; where and what is wrong, or None.

    A prompt that does not show the request, the context, or what the judge is said to see would
    give verdicts about something else.
    """
    from rim_eval.sandbox import TemplateRenderError, render_template

    for number, message in enumerate(spec.messages):
        try:
            for case, sees in product((_SAMPLE, _BARE_SAMPLE), spec.inputs):
                render_template(message.text, _values(spec, case, sees), strict=True)
        except TemplateRenderError as error:
            return ("messages", number, "text"), f"the template fails: {error}"
    parts = {"answer": ["answer"], "reasoning": ["reasoning"], "both": ["reasoning", "answer"]}
    for sees in spec.inputs if spec.messages else ():
        prompt = "\n".join(text for _, text in render_messages(spec, _SAMPLE, sees))
        for name in ("request", "context", *parts[sees]):
            if f"{name.upper()}-{_SENTINEL}" not in prompt:
                hint = f" (or {{{{ response }}}}) when it sees {sees}" * (name in parts[sees])
                return ("messages",), f"no message shows {{{{ {name} }}}}{hint}"
    return None


class Grader(Protocol):
    """What a judge needs of a model; `inspect_ai.model.Model` has it."""

    async def generate(self, input: Any, *, config: Any) -> Any:
        """Reply to chat messages; the result has `completion` and `stop_reason`."""


class ParsedReply(Protocol):
    """What a grader's reply says, as one way of reading takes it."""

    @property
    def problem(self) -> str | None:
        """Why the reply is unreadable; None when it is readable."""

    @property
    def ends_reply(self) -> bool:
        """Whether it is complete and nothing follows: true even of a reply cut there."""


Parsed = TypeVar("Parsed", bound=ParsedReply)


class GraderOutcome(NamedTuple, Generic[Parsed]):
    """How the dialogue with the grader ended."""

    parsed: Parsed | None
    """The readable reply; None when there was none."""
    reason: UnscoredReason | None
    problem: str | None
    replies: tuple[str, ...]
    attempts: int
    failure: str | None = None
    """What failed, where the reason is `judge_failed`; never what anybody wrote."""


def load_grader(name: str) -> "Model":
    """Load the model that `--grader NAME` names.

    Raises:
        RimError: Inspect cannot load it: an unknown provider, a missing key or package.
    """
    from inspect_ai.model import get_model

    try:
        return get_model(name)
    except Exception as error:
        raise RimError(f"--grader {name}: {error}") from error


def graders_name(names: Sequence[str]) -> str | None:
    """One name for one instrument: of several graders it says how many vote.

    Args:
        names: The graders' names, in their order.

    Returns:
        `openai/gpt-4.1`, or `panel of 3: a, b, c`; a name too long for a card ends in a hash of all
        of them (each vote names its own grader). None without graders.
    """
    if len(names) < 2:
        return next(iter(names), None)
    whole = f"panel of {len(names)}: {', '.join(names)}"
    if len(whole) <= _LONGEST_NAME:
        return whole
    end = f"... ({hashlib.sha256(whole.encode()).hexdigest()[:12]})"
    return whole[: _LONGEST_NAME - len(end)] + end


async def ask_grader(
    spec: Dialogue,
    read: Callable[[str], Parsed],
    messages: Sequence[tuple[str, str]],
    grader: Grader,
    schema: "ResponseSchema | None" = None,
) -> GraderOutcome[Parsed]:
    """Ask until a reply can be read, at most `1 + spec.retries` times.

    A second question shows the grader its own unreadable reply, and allows more tokens when that was
    cut: the same question again would get the same reply from a cache or at temperature 0.

    Args:
        spec: How the grader is asked.
        read: Reads a reply, the grader's own trace already removed; never raises.
        messages: (role, text) of each message.
        grader: The model to ask.
        schema: The form of the reply, for providers that hold a model to one.
    """
    from inspect_ai.util import LimitExceededError

    from rim_eval.thinking import split_trace

    grader, budget_factor, dialogue = _decoding_greedily(grader), 1, list(messages)
    replies: list[str] = []
    drafts = active_drafts()
    failure: tuple[UnscoredReason, str] = ("judge_unreadable", "never asked")
    for attempt in range(1, spec.retries + 2):
        config = _config(spec, grader, budget_factor, schema)
        question = question_hash(grader, dialogue, config)
        draft = drafts.take(question)
        try:
            output = draft or await _generate_in_form(
                grader, dialogue, config, spec.grader.api_retries
            )
        except LimitExceededError:  # ends a sample or a run, and is no failure of the grader
            raise
        except Exception as error:
            return _failed(failure_name(error), f": {error}"[:300], replies, attempt)
        if not getattr(output, "choices", True):
            return _failed("reply without choices", "", replies, attempt)
        raw, stop_reason = str(output.completion or ""), str(output.stop_reason or "unknown")
        if draft is None:
            drafts.keep(question, DraftedReply(raw, stop_reason))
        replies.append(raw)
        # Verdicts inside the grader's own reasoning do not count.
        parsed = read(split_trace(raw).answer)
        latest = _failure(parsed, stop_reason, raw)
        if latest is None:
            return GraderOutcome(parsed, None, None, tuple(replies), attempt)
        failure = latest
        if failure[0] == "judge_truncated" and config.max_tokens is not None:
            budget_factor *= 2
        elif failure[0] != "judge_truncated" and spec.reask:
            dialogue = [*messages, ("assistant", raw.strip() or "(empty)"), ("user", spec.reask)]
        else:
            break
    return GraderOutcome(None, *failure, tuple(replies), len(replies))


def failure_name(error: Exception) -> str:
    """An error in a word, such as `InternalServerError 500`; its message may quote a prompt or a reply."""
    status = getattr(error, "status_code", None)
    return type(error).__name__ + (f" {status}" if isinstance(status, int) else "")


def _failed(failure: str, details: str, replies: list[str], attempts: int) -> GraderOutcome[Any]:
    problem = f"{failure}{details}"
    return GraderOutcome(None, "judge_failed", problem, tuple(replies), attempts, failure)


def _failure(parsed: ParsedReply, stop: str, raw: str) -> tuple[UnscoredReason, str] | None:
    if stop == "content_filter":
        return "judge_refused", "the grader's provider filtered the reply"
    cut = stop in ("max_tokens", "model_length")
    if parsed.problem is None and (parsed.ends_reply or not cut):
        return None
    if cut:
        return "judge_truncated", f"cut at the token limit: {parsed.problem or 'mid-reply'}"
    if classify_refusal(raw).label == "full_refusal":
        return "judge_refused", f"the grader declined: {raw.strip()[:120]!r}"
    return "judge_unreadable", parsed.problem or "unreadable"


async def _generate_in_form(
    grader: Grader, dialogue: Sequence[tuple[str, str]], config: Any, retries: int
) -> Any:
    """The grader's reply; without the schema where its model or server takes none."""
    try:
        return await _generate(grader, dialogue, config, retries)
    except Exception as error:
        if config.response_schema is None or getattr(error, "status_code", None) != 400:
            raise
        free = config.model_copy(update={"response_schema": None})
        return await _generate(grader, dialogue, free, retries)


async def _generate(
    grader: Grader, dialogue: Sequence[tuple[str, str]], config: Any, retries: int
) -> Any:
    """The grader's reply; asked again while nobody answers at its address.

    Inspect repeats rate limits and server errors, but gives up at once when a local vLLM server restarts. So
    this waits 2, 4, 8, ... at most 60 seconds between attempts (six retries: two minutes in all).
    """
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
    from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

    roles = {
        "system": ChatMessageSystem,
        "user": ChatMessageUser,
        "assistant": ChatMessageAssistant,
    }
    attempts = AsyncRetrying(
        retry=retry_if_exception(_unreachable),
        stop=stop_after_attempt(retries + 1),
        wait=wait_exponential(multiplier=2, max=60),
        sleep=anyio.sleep,
        reraise=True,
    )
    chat = [roles[role](content=text) for role, text in dialogue]
    return await attempts(partial(grader.generate, input=chat, config=config))


def _unreachable(error: BaseException) -> bool:
    """A refused or broken connection; a time-out is none, Inspect has repeated that already."""
    import httpx
    from openai import APIConnectionError, APITimeoutError

    broken = isinstance(error, APIConnectionError | httpx.NetworkError | ConnectionError)
    return broken and not isinstance(error, APITimeoutError)


def _config(
    spec: Dialogue, grader: Grader, budget_factor: int, schema: "ResponseSchema | None"
) -> Any:
    """Generation settings of one call: the judge file's, where the user's model sets none."""
    from inspect_ai.model import GenerateConfig

    own, settings = getattr(grader, "config", None), spec.grader
    api = getattr(grader, "api", None)
    # An `hf/` model that decodes greedily says so by `do_sample`, and rejects temperature 0.
    greedy = getattr(api, "do_sample", None) is False and "generate" not in vars(api)
    wanted: dict[str, Any] = {
        "temperature": None if greedy else settings.temperature,
        "max_tokens": settings.max_tokens * budget_factor,
        "max_retries": settings.api_retries,
        "attempt_timeout": settings.call_timeout,
        "response_schema": schema,
    }
    return GenerateConfig(
        **{name: value for name, value in wanted.items() if getattr(own, name, None) is None}
    )


def _decoding_greedily(grader: Any) -> Any:
    """The grader itself, or for `hf/` a view of it, on the same weights, that decodes greedily.

    A user's own temperature stands, and a provider whose `generate` was replaced on the instance
    (as this package's tasks do for the evaluated model) takes temperature 0 by itself.
    """
    api: Any = getattr(grader, "api", None)
    own = getattr(getattr(grader, "config", None), "temperature", None)
    if own is not None or getattr(api, "do_sample", None) is not True or "generate" in vars(api):
        return grader
    view: Any = copy.copy(grader)
    view.api = copy.copy(api)
    view.api.do_sample = False
    return view
