"""The dialogue with a grader model: messages with everything from outside escaped, bounded retries."""

import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar

from rim_eval.errors import failure_name, failure_text
from rim_eval.escaping import escape_markers
from rim_eval.judging._case import Case, Sees
from rim_eval.judging._drafts import digest, keep_draft, take_draft
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._request import grader_view, send
from rim_eval.judging._spec import Dialogue, FieldsReader, JudgeSpec
from rim_eval.judging._verdict_parsing import ParsedVerdict
from rim_eval.types import UnscoredReason
from rim_eval.yaml_file import FieldPath

if TYPE_CHECKING:
    from inspect_ai.model import ResponseSchema

Parsed = TypeVar("Parsed")
_TAG: Final = re.compile(r"<\s*/?\s*([A-Za-z_][\w-]*(?: [\w-]+)?)\s*>")


def _seen_parts(case: Case, sees: Sees) -> dict[str, str | None]:
    trace, answer = sees != "answer", sees != "reasoning"
    return {"reasoning": case.trace if trace else None, "answer": case.answer if answer else None}


def seen_text(case: Case, sees: Sees) -> str:
    """What a judge sees of the reply, unchanged and as one text; blank when there is nothing to judge."""
    return "\n\n".join(part for part in _seen_parts(case, sees).values() if part and part.strip())


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
    texts = {"request": case.prompt_text, "context": case.context, "category": case.category}
    texts |= _seen_parts(case, sees) | {"response": seen_text(case, sees)}
    return {
        name: escape_markers(text, sorted(tags)) if text and text.strip() else None
        for name, text in texts.items()
    }


def message_problem(spec: JudgeSpec) -> tuple[FieldPath, str] | None:
    """Render the messages with placeholders; where and what is wrong, or None.

    A prompt that does not show the request, the context, or what the judge is said to see would
    give verdicts about something else.
    """
    from rim_eval.sandbox import TemplateRenderError

    texts: dict[str, Any] = {
        name: f"{{{{ {name} }}}}" for name in ("answer", "context", "category")
    }
    full = Case(prompt_text="{{ request }}", kind="harmful", trace="{{ reasoning }}", **texts)
    # A template may branch on what a prompt set does not have.
    bare = full.model_copy(update={"context": None, "category": None})
    for sees, case in product(spec.inputs if spec.messages else (), (bare, full)):
        values, prompt = _values(spec, case, sees), ""
        for number, message in enumerate(spec.messages):
            render = message.published.placed_values if message.published else message.rendered
            try:
                prompt += render(values)
            except TemplateRenderError as error:
                return ("messages", number, "text"), f"the template fails: {error}"
        for name in ("request", "context", "reasoning", "answer"):
            if (text := values[name]) and text not in prompt:
                reply = f"{{{{ response }}}} is what it sees of a reply ({sees})"
                return ("messages",), f"no message shows {text}; {reply}"
    return None


class Grader(Protocol):
    """What a judge needs of a model; `inspect_ai.model.Model` has it."""

    async def generate(self, input: Any, *, config: Any) -> Any:
        """Reply to chat messages; the result has `completion` and `stop_reason`."""


class GraderOutcome(NamedTuple, Generic[Parsed]):
    """How the dialogue with the grader ended."""

    parsed: Parsed | None = None
    """The readable reply; None when there was none."""
    reason: UnscoredReason | None = None
    problem: str | None = None
    replies: tuple[str, ...] = ()
    failure: str | None = None
    """What failed, where the reason is `judge_failed`; never what anybody wrote."""

    @property
    def attempts(self) -> int:
        """How often the grader was asked."""
        return len(self.replies) + (self.failure is not None)


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
        read: Parses a reply, the grader's own trace already removed, to an object with `problem` (why it is
            unreadable, or None) and `ends_reply` (whether nothing follows, so that it counts even if cut there).
        messages: (role, text) of each message.
        grader: The model to ask.
        schema: The form of the reply, for providers that hold a model to one.
    """
    from inspect_ai.util import LimitExceededError

    from rim_eval.thinking import split_trace

    grader = grader_view(grader, spec)
    user_config = getattr(grader, "config", None)
    user_limit, settings = getattr(user_config, "max_tokens", None), str(user_config)
    dialogue, budget_factor = list(messages), 1
    replies: list[str] = []
    while True:
        question = digest(str(grader), settings, dialogue, budget_factor)
        reply = take_draft(question)
        if reply is None:
            try:
                output = await send(grader, spec, dialogue, schema, budget_factor)
            except LimitExceededError:  # ends a sample or a run, and is no failure of the grader
                raise
            except Exception as error:
                return failed_outcome(error, replies)
            if not getattr(output, "choices", True):
                failure = "reply without choices"
                return GraderOutcome(None, "judge_failed", failure, tuple(replies), failure)
            reply = str(output.completion or ""), str(output.stop_reason)
            keep_draft(question, reply)
        raw, stop_reason = reply
        replies.append(raw)
        # Verdicts inside the grader's own reasoning do not count.
        parsed = read(split_trace(raw).answer)
        reason, problem = _unread_reason(parsed, raw, stop_reason)
        if reason is None:
            return GraderOutcome(parsed, replies=tuple(replies))
        if reason == "judge_truncated":
            budget_factor, can_improve = 2 * budget_factor, user_limit is None
        else:
            can_improve = spec.reask is not None
            unread = [("assistant", raw.strip() or "(empty)"), ("user", spec.reask or "")]
            dialogue = [*messages, *unread]
        if not can_improve or len(replies) > spec.retries:
            return GraderOutcome(None, reason, problem, tuple(replies))


def failed_outcome(error: Exception, replies: Sequence[str] = ()) -> GraderOutcome[Any]:
    """The outcome where the grader, or a classifier, raised an error."""
    failure = failure_name(error)
    return GraderOutcome(None, "judge_failed", failure_text(error), tuple(replies), failure)


def _unread_reason(
    parsed: Any, raw: str, stop_reason: str
) -> tuple[UnscoredReason | None, str | None]:
    """Why a reply gives no verdict, and the details; None and None when it gives one."""
    is_cut = stop_reason in ("max_tokens", "model_length")
    if stop_reason == "content_filter":
        return "judge_refused", "the grader's provider filtered the reply"
    if parsed.problem is None and (parsed.ends_reply or not is_cut):
        return None, None
    if is_cut:
        return "judge_truncated", f"cut at the token limit: {parsed.problem or 'mid-reply'}"
    # Of a monitor, whose reply quotes what it reads, no words are classified.
    if isinstance(parsed, ParsedVerdict) and classify_refusal(raw).label == "full_refusal":
        return "judge_refused", f"the grader declined: {raw.strip()[:120]!r}"
    return "judge_unreadable", parsed.problem
