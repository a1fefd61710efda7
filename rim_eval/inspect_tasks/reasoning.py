"""Reasoning tasks: accuracy with and without thinking, on problems with gold answers.

inspect eval rim_eval/gsm8k --model vllm/Qwen/Qwen3-4B
"""

from typing import Any

from inspect_ai import Task, task

__all__ = [
    "aime",
    "gsm8k",
    "math401",
    "math500",
    "multiarith",
]


@task(kind="reasoning")
def gsm8k(
    modes: str | list[str] = "both",
    prompt_style: str = "worked",
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """GSM8K: 1,319 grade-school word problems (the test split).

    Cobbe et al. 2021, Training Verifiers to Solve Math Word Problems (arXiv:2110.14168).

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
    return _solved("gsm8k", locals())


@task(kind="reasoning")
def math500(
    modes: str | list[str] = "both",
    prompt_style: str = "worked",
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """MATH-500: 500 competition problems, a sample of MATH.

    Lightman et al. 2023, Let's Verify Step by Step (arXiv:2305.20050).

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
    return _solved("math500", locals())


@task(kind="reasoning")
def math401(
    modes: str | list[str] = "both",
    prompt_style: str = "worked",
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """MATH 401: 401 arithmetic expressions, right within the authors' tolerance of 1e-3.

    Yuan et al. 2023, How well do Large Language Models perform in Arithmetic tasks? (arXiv:2304.02015).

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
    return _solved("math401", locals(), absolute_error=1e-3)


@task(kind="reasoning")
def multiarith(
    modes: str | list[str] = "both",
    prompt_style: str = "worked",
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """MultiArith: 180 word problems of several steps (the test split).

    Roy and Roth 2015, Solving General Arithmetic Word Problems (arXiv:1608.01413).

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
    return _solved("multiarith", locals())


@task(kind="reasoning")
def aime(
    modes: str | list[str] = "both",
    prompt_style: str = "worked",
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """AIME 2024 and 2025: 60 competition problems; take several epochs.

    American Invitational Mathematics Examination, Mathematical Association of America.

    Args:
        modes: `both`, `think` or `no_think`.
        prompt_style: `worked`, `direct` or `as_is`.
        subset: `aime24` or `aime25`; by default both.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _solved("aime", locals())


def _solved(name: str, arguments: dict[str, Any], absolute_error: float | None = None) -> Task:
    # A task's body passes `locals()`: its arguments stay literal for Inspect, and are written once.
    from rim_eval.inspect_tasks.build import solved_set

    return solved_set(name, arguments, absolute_error)
