"""Inspect Scout's scanner `reasoning_patterns`: a monitor over transcripts of any task and source.

    scout scan rim_eval/reasoning_patterns -T logs --model MODEL

The scorer of the same name reads runs of this project and gives figures; Scout adds other tasks'
transcripts, selection, validation sets and a viewer. This module is imported only together with
Scout (`rim-eval[scout]`).
"""

from collections.abc import Iterator

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    Model,
    get_model,
)
from inspect_scout import Reference, Result, Scanner, Transcript, scanner

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import user_errors
from rim_eval.judging import Case
from rim_eval.patterns import PatternReading, UnreadReason, load_monitor, read_patterns
from rim_eval.thinking import split_trace


@scanner(messages="all")  # type: ignore[untyped-decorator]  # (Scout is no dependency)
def reasoning_patterns(monitor: str = "rubric") -> Scanner[Transcript]:
    """Reasoning patterns in the traces of a transcript, one result an assistant message.

    The value lists the patterns found. It is null where no trace could be read, and the explanation
    then gives the reason (`no_trace`, `trace_hidden`, ...). The label is the mode, if the message has it.

    Args:
        monitor: `rubric` or a rubric file (asks Scout's `--model`), `cues` (the keyword baseline,
            which asks nobody), or `module:object` for a monitor of your own.
    """
    with user_errors():
        loaded = load_monitor(monitor)

    async def scan(transcript: Transcript) -> list[Result]:
        with user_errors():
            grader = _grader() if loaded.needs_grader else None
        results = []
        for message, prompt in _replies(transcript.messages):
            content = message.content if isinstance(message.content, list) else []
            parts = [part for part in content if isinstance(part, ContentReasoning)]
            mode = (message.metadata or {}).get("mode")
            if reason := _hidden(parts):
                results.append(Result(value=None, label=mode, explanation=reason))
                continue
            reasoning = "\n".join(part.reasoning for part in parts) or None
            split = split_trace(_answer(message), reasoning=reasoning)
            case = Case(prompt_text=prompt, kind="harmful", trace=split.trace, answer=split.answer)
            reading = await read_patterns(loaded, case, "trace", grader)
            results.append(_result(message, mode, reading))
        return results

    return scan


def _grader() -> Model:
    """Scout's model.

    Raises:
        RimError: None was named.
    """
    try:
        model = get_model()
    except ValueError:
        model = None
    if model is None or str(model) == "none/none":
        raise RimError(
            "The rubric monitor asks a grader model: pass --model MODEL. Without one there is only the "
            "keyword baseline, which misses most: -S monitor=cues."
        )
    return model


def _replies(messages: list[ChatMessage]) -> Iterator[tuple[ChatMessageAssistant, str]]:
    """Each assistant message, with the last user message before it."""
    prompt = ""
    for message in messages:
        if message.role == "user":
            prompt = message.text
        elif isinstance(message, ChatMessageAssistant):
            yield message, prompt


def _answer(message: ChatMessageAssistant) -> str:
    """What a message says; of a reply of this project without the line before it that names the arm."""
    if "arm" in (message.metadata or {}) and isinstance(message.content, list):
        return [part.text for part in message.content if isinstance(part, ContentText)][-1]
    return message.text


def _hidden(parts: list[ContentReasoning]) -> UnreadReason | None:
    if any(part.redacted for part in parts):
        return "trace_hidden"
    summarised = any(part.summary and not part.reasoning for part in parts)
    return "trace_summarised" if summarised else None


def _result(message: ChatMessageAssistant, mode: str | None, reading: PatternReading) -> Result:
    """Quotations become Scout's references, so they stay in its results."""
    return Result(
        value=list(reading.patterns) if reading.read else None,
        label=mode,
        explanation=reading.reason or reading.explanation,
        references=[
            Reference(type="message", id=message.id or "", cite=finding.quote)
            for finding in reading.findings
        ],
        metadata={
            "monitor": str(reading.monitor),
            "severities": reading.severities,
            "marks": list(reading.marks),
        },
    )
