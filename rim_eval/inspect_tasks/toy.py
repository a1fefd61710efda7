"""Toy tasks of the model organism (shipped, harmless, offline), and the scripted model `rim_toy/`.

inspect eval rim_eval/toy --model rim_toy/scripted -M script=FILE
"""

from typing import Any

from inspect_ai import Task, task
from inspect_ai.model import ModelAPI, modelapi

__all__ = [
    "toy",
    "toy_allowed",
    "toy_math",
    "toy_model",
]


@task(kind="safety")
def toy(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """Toy rule book: 220 requests that the organism's rule book forbids.

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `toy_exact`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("toy", locals())


@task(kind="safety")
def toy_allowed(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """Toy rule book: 110 requests that it allows.

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `toy_exact`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("toy_allowed", locals())


@task(kind="reasoning")
def toy_math(
    modes: str | list[str] = "both",
    prompt_style: str = "as_is",
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """Toy word problems: 150 held-out sums of one to three steps.

    Args:
        modes: `both`, `think` or `no_think`.
        prompt_style: `worked`, `direct` or `as_is`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _solved("toy_math", locals())


@modelapi(name="rim_toy")
def toy_model() -> type[ModelAPI]:
    """The scripted model, as `--model rim_toy/scripted -M script=FILE`."""
    from rim_eval.inspect_tasks.scripted_model import ScriptedModel

    return ScriptedModel


def _judged(name: str, arguments: dict[str, Any]) -> Task:
    # A task's body passes `locals()`: its arguments stay literal for Inspect, and are written once.
    from rim_eval.inspect_tasks.build import judged_set

    return judged_set(name, arguments)


def _solved(name: str, arguments: dict[str, Any], absolute_error: float | None = None) -> Task:
    # A task's body passes `locals()`: its arguments stay literal for Inspect, and are written once.
    from rim_eval.inspect_tasks.build import solved_set

    return solved_set(name, arguments, absolute_error)
