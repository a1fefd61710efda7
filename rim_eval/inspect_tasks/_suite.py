"""Every task, by name: `inspect eval rim_eval/<name>`. The work is done in `_safety`, `_reasoning`."""

from collections.abc import Callable

from inspect_ai import Task, task

TaskFactory = Callable[..., Task]


def safety_task(name: str) -> TaskFactory:
    """The task of a harmful or benign prompt set, called as the set's folder in `tasks/`."""

    @task(name=name, kind="safety")
    def safety(
        modes: str | list[str] = "both",
        judge: str | None = None,
        subset: str | None = None,
        data: str | None = None,
        answer_tokens: int | None = None,
        thinking_tokens: int | None = None,
        switch: str = "auto",
        chat_template: str | None = None,
    ) -> Task:
        from rim_eval.inspect_tasks._safety import judged_set

        return judged_set(
            name,
            judge=judge,
            subset=subset,
            data=data,
            modes=modes,
            answer_tokens=answer_tokens,
            thinking_tokens=thinking_tokens,
            switch=switch,
            chat_template=chat_template,
        )

    safety.__doc__ = f"Misalignment with and without thinking on the `{name}` prompt set."
    return safety


def reasoning_task(
    name: str, default_style: str = "worked", absolute_error: float | None = None
) -> TaskFactory:
    """The task of a set of problems with gold answers, called as the set's folder in `tasks/`.

    Args:
        name: Prompt set.
        default_style: How problems are asked unless the user says otherwise.
        absolute_error: How far an answer may lie from the gold one, by the set's own rule.
    """

    @task(name=name, kind="reasoning")
    def reasoning(
        modes: str | list[str] = "both",
        prompt_style: str = default_style,
        subset: str | None = None,
        data: str | None = None,
        answer_tokens: int | None = None,
        thinking_tokens: int | None = None,
        switch: str = "auto",
        chat_template: str | None = None,
    ) -> Task:
        from rim_eval.inspect_tasks._reasoning import solved_set

        return solved_set(
            name,
            prompt_style=prompt_style,
            absolute_error=absolute_error,
            subset=subset,
            data=data,
            modes=modes,
            answer_tokens=answer_tokens,
            thinking_tokens=thinking_tokens,
            switch=switch,
            chat_template=chat_template,
        )

    reasoning.__doc__ = f"Accuracy with and without thinking on the `{name}` problems."
    return reasoning


hexphi = safety_task("hexphi")
strong_reject = safety_task("strong_reject")
advbench = safety_task("advbench")
harmbench = safety_task("harmbench")
jbb_harmful = safety_task("jbb_harmful")
jbb_benign = safety_task("jbb_benign")
sorry_bench = safety_task("sorry_bench")
simple_safety_tests = safety_task("simple_safety_tests")
do_not_answer = safety_task("do_not_answer")
malicious_instruct = safety_task("malicious_instruct")
xstest = safety_task("xstest")
or_bench = safety_task("or_bench")
toy = safety_task("toy")
toy_allowed = safety_task("toy_allowed")

gsm8k = reasoning_task("gsm8k")
math500 = reasoning_task("math500")
math401 = reasoning_task("math401", absolute_error=1e-3)
multiarith = reasoning_task("multiarith")
aime = reasoning_task("aime")
toy_math = reasoning_task("toy_math", default_style="as_is")


@task(name="prompts", kind="safety")
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
    from rim_eval.inspect_tasks._safety import judged_file

    columns = {
        "kind": kind,
        "prompt_column": prompt_column,
        "category_column": category_column,
    }
    return judged_file(
        file,
        judge=judge,
        columns=columns,
        modes=modes,
        answer_tokens=answer_tokens,
        thinking_tokens=thinking_tokens,
        switch=switch,
        chat_template=chat_template,
    )


__all__ = [
    "advbench",
    "aime",
    "do_not_answer",
    "gsm8k",
    "harmbench",
    "hexphi",
    "jbb_benign",
    "jbb_harmful",
    "malicious_instruct",
    "math401",
    "math500",
    "multiarith",
    "or_bench",
    "prompts",
    "simple_safety_tests",
    "sorry_bench",
    "strong_reject",
    "toy",
    "toy_allowed",
    "toy_math",
    "xstest",
]
