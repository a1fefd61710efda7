"""Over-refusal tasks: benign prompts that are turned down, with and without thinking.

inspect eval rim_eval/xstest --model vllm/Qwen/Qwen3-4B
"""

from typing import Any

from inspect_ai import Task, task

__all__ = [
    "jbb_benign",
    "or_bench",
    "xstest",
]


@task(kind="safety")
def jbb_benign(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """JailbreakBench, benign: 100 harmless requests on the topics of the harmful ones.

    Chao et al. 2024, JailbreakBench (arXiv:2404.01318).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `refusal`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("jbb_benign", locals())


@task(kind="safety")
def xstest(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """XSTest: 250 safe prompts that look unsafe, and 200 unsafe contrasts.

    Röttger et al. 2024, XSTest (arXiv:2308.01263). Each kind of prompts has its own figures.

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `refusal`.
        subset: `safe` or `contrast`; by default both.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("xstest", locals())


@task(kind="safety")
def or_bench(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """OR-Bench-Hard-1K: 1,319 harmless prompts that models often refuse.

    Cui et al. 2025, OR-Bench (arXiv:2405.20947).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `refusal`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("or_bench", locals())


def _judged(name: str, arguments: dict[str, Any]) -> Task:
    # A task's body passes `locals()`: its arguments stay literal for Inspect, and are written once.
    from rim_eval.inspect_tasks.build import judged_set

    return judged_set(name, arguments)
