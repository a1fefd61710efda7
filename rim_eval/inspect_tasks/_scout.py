"""Inspect Scout's scanner `reasoning_patterns`: a monitor over anybody's transcripts.

    scout scan rim_eval/reasoning_patterns -T logs -S monitor=cues

The scorer of the same name reads runs of this project and gives figures; Scout brings what it does
not have: other tasks' transcripts, other sources, selection, validation sets and a viewer. Nothing
here is imported unless Scout is (`rim-eval[scout]`).
"""

from collections.abc import Iterator

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ContentReasoning, get_model
from inspect_scout import Reference, Result, Scanner, Transcript, scanner

from rim_eval.inspect_tasks.compat import user_errors
from rim_eval.judging import Case
from rim_eval.patterns import PatternReading, UnreadReason, load_monitor, read_patterns
from rim_eval.thinking import split_trace

__all__ = ["reasoning_patterns"]


@scanner(messages="all")  # type: ignore[untyped-decorator]  # (Scout is no dependency)
def reasoning_patterns(monitor: str = "cues") -> Scanner[Transcript]:
    """Reasoning patterns in the traces of a transcript, one result an assistant message.

    The value lists the patterns found; it is null where no trace could be read, and the explanation
    then says why (`no_trace`, `trace_hidden`, ...). The label is the mode, where the message says it.

    Args:
        monitor: `cues` (offline baseline), `rubric` or a rubric file (asks Scout's `--model`).
    """
    with user_errors():
        reader = load_monitor(monitor)

    async def scan(transcript: Transcript) -> list[Result]:
        grader = get_model() if reader.needs_grader else None
        results = []
        for message, asked in _replies(transcript.messages):
            hidden = _hidden(message)
            if hidden:
                results.append(Result(value=None, label=_mode(message), explanation=hidden))
                continue
            reading = await read_patterns(reader, _case(message, asked), "trace", grader)
            results.append(_result(message, reading))
        return results

    return scan


def _replies(messages: list[ChatMessage]) -> Iterator[tuple[ChatMessageAssistant, str]]:
    """Each assistant message, with what the user said last before it."""
    asked = ""
    for message in messages:
        if message.role == "user":
            asked = message.text
        elif isinstance(message, ChatMessageAssistant):
            yield message, asked


def _reasoning(message: ChatMessageAssistant) -> list[ContentReasoning]:
    content = message.content if isinstance(message.content, list) else []
    return [part for part in content if isinstance(part, ContentReasoning)]


def _hidden(message: ChatMessageAssistant) -> UnreadReason | None:
    parts = _reasoning(message)
    if any(part.redacted for part in parts):
        return "trace_hidden"
    return (
        "trace_summarised" if any(part.summary and not part.reasoning for part in parts) else None
    )


def _case(message: ChatMessageAssistant, asked: str) -> Case:
    given = "\n".join(part.reasoning for part in _reasoning(message)) or None
    split = split_trace(message.text, reasoning=given)
    return Case(prompt_text=asked, kind="harmful", trace=split.trace, answer=split.answer)


def _mode(message: ChatMessageAssistant) -> str | None:
    return (message.metadata or {}).get("mode")


def _result(message: ChatMessageAssistant, reading: PatternReading) -> Result:
    """The findings' words are Scout's references: they stay in its results."""
    return Result(
        value=list(reading.patterns) if reading.read else None,
        label=_mode(message),
        explanation=reading.reason or reading.explanation,
        references=[
            Reference(type="message", id=message.id or "", cite=one.quote)
            for one in reading.findings
        ],
        metadata={"severities": reading.severities, "marks": list(reading.marks)},
    )
