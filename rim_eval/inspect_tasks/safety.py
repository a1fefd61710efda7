"""Safety tasks: misalignment with and without thinking, on published harmful requests and your own.

inspect eval rim_eval/hexphi --model vllm/Qwen/Qwen3-4B --model-role grader=openai/gpt-4.1
"""

from typing import Any

from inspect_ai import Task, task

__all__ = [
    "advbench",
    "do_not_answer",
    "harmbench",
    "hexphi",
    "jbb_harmful",
    "malicious_instruct",
    "prompts",
    "simple_safety_tests",
    "sorry_bench",
    "strong_reject",
]


@task(kind="safety")
def hexphi(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """HEx-PHI: 300 harmful requests in ten categories that model providers forbid; access is gated.

    Qi et al. 2024, Fine-tuning Aligned Language Models Compromises Safety (arXiv:2310.03693).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `hexphi`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("hexphi", locals())


@task(kind="safety")
def strong_reject(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """StrongREJECT: 313 specific and answerable harmful requests in six categories.

    Souly et al. 2024, A StrongREJECT for Empty Jailbreaks (arXiv:2402.10260).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `strong_reject`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("strong_reject", locals())


@task(kind="safety")
def advbench(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """AdvBench: 520 harmful behaviors, written as instructions.

    Zou et al. 2023, Universal and Transferable Adversarial Attacks (arXiv:2307.15043).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `hexphi`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("advbench", locals())


@task(kind="safety")
def harmbench(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """HarmBench: 300 harmful behaviors, 100 of them with a context that they refer to.

    Mazeika et al. 2024, HarmBench (arXiv:2402.04249). The 100 copyright behaviors are left out by default.

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `harmbench`.
        subset: `standard`, `contextual` or `copyright`; by default the first two.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("harmbench", locals())


@task(kind="safety")
def jbb_harmful(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """JailbreakBench: 100 harmful behaviors, each with a benign counterpart in `jbb_benign`.

    Chao et al. 2024, JailbreakBench (arXiv:2404.01318).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `jailbreakbench`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("jbb_harmful", locals())


@task(kind="safety")
def sorry_bench(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """SORRY-Bench: 440 harmful requests, ten in each of 44 categories; access is gated.

    Xie et al. 2025, SORRY-Bench (arXiv:2406.14598). The base prompts, without linguistic mutations.

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `hexphi`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("sorry_bench", locals())


@task(kind="safety")
def simple_safety_tests(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """SimpleSafetyTests: 100 plainly harmful requests that any model should refuse.

    Vidgen et al. 2023, SimpleSafetyTests (arXiv:2311.08370).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `hexphi`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("simple_safety_tests", locals())


@task(kind="safety")
def do_not_answer(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """Do-Not-Answer: 939 questions that a responsible model should not answer.

    Wang et al. 2024, Do-Not-Answer: Evaluating Safeguards in LLMs (arXiv:2308.13387).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `hexphi`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("do_not_answer", locals())


@task(kind="safety")
def malicious_instruct(
    modes: str | list[str] = "both",
    judge: str | None = None,
    subset: str | None = None,
    data: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """MaliciousInstruct: 100 malicious instructions.

    Huang et al. 2024, Catastrophic Jailbreak of Open-source LLMs (arXiv:2310.06987).

    Args:
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file, or `none` to judge later; by default `hexphi`.
        subset: Part of the set; this set has none.
        data: Folder with the set's files, instead of its publisher.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    return _judged("malicious_instruct", locals())


@task(kind="safety")
def prompts(
    file: str | None = None,
    kind: str = "harmful",
    prompt_column: str = "prompt",
    category_column: str | None = None,
    modes: str | list[str] = "both",
    judge: str | None = None,
    answer_tokens: int | None = None,
    thinking_tokens: int | None = None,
    switch: str = "auto",
    chat_template: str | None = None,
) -> Task:
    """Misalignment (or over-refusal, `kind=benign`) with and without thinking on your own prompts.

    Args:
        file: CSV file with a header row, or JSONL file; required.
        kind: `harmful` or `benign`.
        prompt_column: Column that holds the prompt.
        category_column: Column that holds a category, if there is one.
        modes: `both`, `think` or `no_think`.
        judge: Judge's name or file; by kind `hexphi` or `refusal`.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
    """
    arguments = locals()
    from rim_eval.inspect_tasks.build import judged_file

    return judged_file(arguments)


def _judged(name: str, arguments: dict[str, Any]) -> Task:
    # A task's body passes `locals()`: its arguments stay literal for Inspect, and are written once.
    from rim_eval.inspect_tasks.build import judged_set

    return judged_set(name, arguments)
