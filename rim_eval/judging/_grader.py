"""Ask a grader model in a bounded dialogue: retries, provider compatibility, and the grader's name."""

import copy
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import anyio

from rim_eval.errors import RimError
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._spec import Dialogue, LinesReader, TagsReader, WordReader
from rim_eval.judging._verdict_parsing import ParsedVerdict, parse_verdict, refuses_to_grade
from rim_eval.types import UnscoredReason

if TYPE_CHECKING:
    from inspect_ai.model import Model

_GraderT = TypeVar("_GraderT")

_LONGEST_NAME: Final = 200
"""Characters of a name that a card takes."""


class Grader(Protocol):
    """What a judge needs of a model; `inspect_ai.model.Model` has it."""

    async def generate(self, input: Any, *, config: Any) -> Any:
        """Reply to chat messages; the result has `completion` and `stop_reason`."""


class GraderOutcome(NamedTuple):
    """How the dialogue with the grader ended."""

    parsed: ParsedVerdict | None
    """The readable reply; None when there was none."""
    reason: UnscoredReason | None
    problem: str | None
    replies: tuple[str, ...]
    attempts: int


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
    reader: TagsReader | LinesReader | WordReader,
    messages: Sequence[tuple[str, str]],
    grader: Grader,
) -> GraderOutcome:
    """Ask until a reply can be read, at most `1 + spec.retries` times.

    A second question shows the grader its own unreadable reply, and allows more tokens when that was
    cut: the same question again would get the same reply from a cache or at temperature 0.

    Args:
        spec: How the grader is asked.
        reader: How its reply is read.
        messages: (role, text) of each message.
        grader: The model to ask.
    """
    from inspect_ai.util import LimitExceededError

    from rim_eval.thinking import split_trace

    grader, budget_factor, dialogue = _decoding_greedily(grader), 1, list(messages)
    replies: list[str] = []
    failure: tuple[UnscoredReason, str] = ("judge_unreadable", "never asked")
    for attempt in range(1, spec.retries + 2):
        config = _config(spec, grader, budget_factor)
        try:
            output = await _generate(grader, dialogue, config, spec.grader.api_retries)
        except LimitExceededError:  # ends a sample or a run, and is no failure of the grader
            raise
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"[:300]
            return GraderOutcome(None, "judge_failed", problem, tuple(replies), attempt)
        raw = str(output.completion or "")
        replies.append(raw)
        # Verdicts inside the grader's own reasoning do not count.
        parsed = parse_verdict(reader, split_trace(raw).answer)
        latest = _failure(parsed, str(output.stop_reason or "unknown"), raw)
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


def _failure(parsed: ParsedVerdict, stop: str, raw: str) -> tuple[UnscoredReason, str] | None:
    if stop == "content_filter":
        return "judge_refused", "the grader's provider filtered the reply"
    cut = stop in ("max_tokens", "model_length")
    if parsed.problem is None and (parsed.ends_reply or not cut):
        return None
    if cut:
        return "judge_truncated", f"cut at the token limit: {parsed.problem or 'mid-reply'}"
    if classify_refusal(raw).label == "full_refusal" or refuses_to_grade((raw,)):
        return "judge_refused", f"the grader declined: {raw.strip()[:120]!r}"
    return "judge_unreadable", parsed.problem or "unreadable"


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


def _config(spec: Dialogue, grader: Grader, budget_factor: int) -> Any:
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
    }
    return GenerateConfig(
        **{name: value for name, value in wanted.items() if getattr(own, name, None) is None}
    )


def _decoding_greedily(grader: _GraderT) -> _GraderT:
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
    greedy_view: _GraderT = view
    return greedy_view
