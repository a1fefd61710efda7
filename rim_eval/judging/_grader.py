"""The dialogue with a grader model: messages with everything from outside escaped, bounded retries."""

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

from rim_eval.errors import RimError
from rim_eval.escaping import escape_markers
from rim_eval.judging._case import Case, Sees
from rim_eval.judging._drafts import active_drafts, digest
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._request import framed, request_config, send
from rim_eval.judging._spec import Dialogue, FieldsReader, JudgeSpec
from rim_eval.judging._verdict_parsing import ParsedVerdict
from rim_eval.types import UnscoredReason
from rim_eval.yaml_file import FieldPath

if TYPE_CHECKING:
    from inspect_ai.model import Model, ResponseSchema

_TAG: Final = re.compile(r"<\s*/?\s*([A-Za-z_][\w-]*(?: [\w-]+)?)\s*>")
_SAMPLE: Final = Case(
    prompt_text="REQUEST-7391",
    context="CONTEXT-7391",
    category="CATEGORY-7391",
    kind="harmful",
    answer="ANSWER-7391",
    trace="REASONING-7391",
)
_BARE_SAMPLE: Final = _SAMPLE.model_copy(update={"context": None, "category": None})
"""Another case, since a template may branch on what a prompt set does not have."""


def seen_text(case: Case, sees: Sees) -> str:
    """What a judge sees of the reply, as one text; empty when there is nothing to judge."""
    trace = case.trace if sees != "answer" else None
    answer = case.answer if sees != "reasoning" else None
    return "\n\n".join(part.strip() for part in (trace, answer) if part and part.strip())


def render_messages(spec: JudgeSpec, case: Case, sees: Sees) -> list[tuple[str, str]]:
    """(role, text) of each message to the grader, everything from outside escaped.

    Raises:
        RimError: The publisher's prompt cannot be loaded (`JudgeSpec.fetch_prompt`).
    """
    return spec.rendered(_values(spec, case, sees, spec.fetch_prompt()))


def _values(spec: JudgeSpec, case: Case, sees: Sees, published: str = "") -> dict[str, str | None]:
    """What the templates may use, without the tags of the judge's own prompt and reply format."""
    tags = set(_TAG.findall("\n".join((published, *(message.text for message in spec.messages)))))
    if isinstance(spec.reader, FieldsReader):
        tags.update(spec.reader.fields)
    texts = {
        "request": case.prompt_text,
        "context": case.context,
        "category": case.category,
        "answer": case.answer if sees != "reasoning" else None,
        "reasoning": case.trace if sees != "answer" else None,
        "response": seen_text(case, sees),
    }
    shown = {name: escape_markers(text or "", sorted(tags)) for name, text in texts.items()}
    return {name: text if text.strip() else None for name, text in shown.items()}


def message_problem(spec: JudgeSpec) -> tuple[FieldPath, str] | None:
    """Render the messages once with sample words; where and what is wrong, or None.

    A prompt that does not show the request, the context, or what the judge is said to see would
    give verdicts about something else.
    """
    from rim_eval.sandbox import TemplateRenderError

    parts = {"answer": ["answer"], "reasoning": ["reasoning"], "both": ["reasoning", "answer"]}
    for sees, case in product(spec.inputs, (_BARE_SAMPLE, _SAMPLE)):
        values, prompt = _values(spec, case, sees), ""
        for number, message in enumerate(spec.messages):
            try:
                shown = message.published.shown if message.published else message.rendered
                prompt += shown(values)
            except TemplateRenderError as error:
                return ("messages", number, "text"), f"the template fails: {error}"
        for name in ("request", "context", *parts[sees]) if prompt else ():
            if (values[name] or "") not in prompt:
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
    failure: str | None = None
    """What failed, where the reason is `judge_failed`; never what anybody wrote."""

    @property
    def attempts(self) -> int:
        """How often the grader was asked."""
        return len(self.replies) + (self.failure is not None)


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

    grader, budget_factor, dialogue = framed(grader, spec.frame), 1, list(messages)
    replies: list[str] = []
    drafts = active_drafts()
    failure: tuple[UnscoredReason, str] = ("judge_unreadable", "never asked")
    for _ in range(1 + spec.retries):
        config = request_config(spec, grader, budget_factor, dialogue, schema)
        question = digest(str(grader), dialogue, config.model_dump(exclude_none=True))
        draft = drafts.take(question)
        try:
            output = draft or await send(grader, dialogue, config)
        except LimitExceededError:  # ends a sample or a run, and is no failure of the grader
            raise
        except Exception as error:
            return _failed(failure_name(error), f": {error}", replies)
        if not getattr(output, "choices", True):
            return _failed("reply without choices", "", replies)
        raw, stop_reason = str(output.completion or ""), str(output.stop_reason or "unknown")
        if draft is None:
            drafts.keep(question, raw, stop_reason)
        replies.append(raw)
        # Verdicts inside the grader's own reasoning do not count.
        parsed = read(split_trace(raw).answer)
        latest = _failure(parsed, stop_reason, raw)
        if latest is None:
            return GraderOutcome(parsed, None, None, tuple(replies))
        failure = latest
        if failure[0] == "judge_truncated" and config.max_tokens is not None:
            budget_factor *= 2
        elif failure[0] != "judge_truncated" and spec.reask:
            dialogue = [*messages, ("assistant", raw.strip() or "(empty)"), ("user", spec.reask)]
        else:
            break
    return GraderOutcome(None, *failure, tuple(replies))


def failure_name(error: Exception) -> str:
    """An error in a word, such as `InternalServerError 500`; its message may quote a prompt or a reply."""
    status = getattr(error, "status_code", None)
    return type(error).__name__ + (f" {status}" if isinstance(status, int) else "")


def _failed(failure: str, details: str, replies: list[str]) -> GraderOutcome[Any]:
    problem = f"{failure}{details}"[:300]
    return GraderOutcome(None, "judge_failed", problem, tuple(replies), failure)


def _failure(parsed: ParsedReply, stop: str, raw: str) -> tuple[UnscoredReason, str] | None:
    if stop == "content_filter":
        return "judge_refused", "the grader's provider filtered the reply"
    cut = stop in ("max_tokens", "model_length")
    if parsed.problem is None and (parsed.ends_reply or not cut):
        return None
    if cut:
        return "judge_truncated", f"cut at the token limit: {parsed.problem or 'mid-reply'}"
    # Of a monitor, whose reply quotes what it reads, no words are classified.
    if isinstance(parsed, ParsedVerdict) and classify_refusal(raw).label == "full_refusal":
        return "judge_refused", f"the grader declined: {raw.strip()[:120]!r}"
    return "judge_unreadable", parsed.problem or "unreadable"
