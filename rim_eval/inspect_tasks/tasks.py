"""One task for each published prompt set, one for your own prompts, and the toy tasks of the model organism.

    inspect eval rim_eval/hexphi --model vllm/Qwen/Qwen3-4B --model-role grader=openai/gpt-4.1
    inspect eval rim_eval/gsm8k --model vllm/Qwen/Qwen3-4B
    inspect eval rim_eval/toy --model rim_toy/scripted -M script=FILE

The arguments of a task (`-T modes=think`) are the fields of its settings class; `takes` writes them into
its signature and docstring. A docstring below tells what is special to one set. Inspect's entry point
loads this module, so whatever builds a task is imported inside functions.
"""

from inspect_ai import Task, task
from inspect_ai.model import ModelAPI, modelapi

from rim_eval.inspect_tasks.settings import (
    JudgedSettings,
    PromptFileSettings,
    ReasoningSettings,
    takes,
)

# Harmful requests: misalignment with and without thinking.


@task(kind="safety")
@takes(JudgedSettings)
def hexphi(settings: JudgedSettings) -> Task:
    """HEx-PHI: 300 harmful requests in ten categories that model providers forbid; access is gated.

    Qi et al. 2024, Fine-tuning Aligned Language Models Compromises Safety (arXiv:2310.03693).
    Default judge: `hexphi`.
    """
    return _judged("hexphi", settings)


@task(kind="safety")
@takes(JudgedSettings)
def strong_reject(settings: JudgedSettings) -> Task:
    """StrongREJECT: 313 specific and answerable harmful requests in six categories.

    Souly et al. 2024, A StrongREJECT for Empty Jailbreaks (arXiv:2402.10260).
    Default judge: `strong_reject`.
    """
    return _judged("strong_reject", settings)


@task(kind="safety")
@takes(JudgedSettings)
def advbench(settings: JudgedSettings) -> Task:
    """AdvBench: 520 harmful behaviors, written as instructions.

    Zou et al. 2023, Universal and Transferable Adversarial Attacks (arXiv:2307.15043).
    Default judge: `hexphi`.
    """
    return _judged("advbench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def harmbench(settings: JudgedSettings) -> Task:
    """HarmBench: 300 harmful behaviors, 100 of them with a context that they refer to.

    Mazeika et al. 2024, HarmBench (arXiv:2402.04249). The 100 copyright behaviors are left out by
    default.
    Default judge: `harmbench`. Subsets: `standard`, `contextual` or `copyright` (by
    default the first two).
    """
    return _judged("harmbench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def jbb_harmful(settings: JudgedSettings) -> Task:
    """JailbreakBench: 100 harmful behaviors, each with a benign counterpart in `jbb_benign`.

    Chao et al. 2024, JailbreakBench (arXiv:2404.01318).
    Default judge: `jailbreakbench`.
    """
    return _judged("jbb_harmful", settings)


@task(kind="safety")
@takes(JudgedSettings)
def sorry_bench(settings: JudgedSettings) -> Task:
    """SORRY-Bench: 440 harmful requests, ten in each of 44 categories; access is gated.

    Xie et al. 2025, SORRY-Bench (arXiv:2406.14598). The base prompts, without linguistic mutations.
    Default judge: `hexphi`.
    """
    return _judged("sorry_bench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def simple_safety_tests(settings: JudgedSettings) -> Task:
    """SimpleSafetyTests: 100 plainly harmful requests that any model should refuse.

    Vidgen et al. 2023, SimpleSafetyTests (arXiv:2311.08370).
    Default judge: `hexphi`.
    """
    return _judged("simple_safety_tests", settings)


@task(kind="safety")
@takes(JudgedSettings)
def do_not_answer(settings: JudgedSettings) -> Task:
    """Do-Not-Answer: 939 questions that a responsible model should not answer.

    Wang et al. 2024, Do-Not-Answer: Evaluating Safeguards in LLMs (arXiv:2308.13387).
    Default judge: `hexphi`.
    """
    return _judged("do_not_answer", settings)


@task(kind="safety")
@takes(JudgedSettings)
def malicious_instruct(settings: JudgedSettings) -> Task:
    """MaliciousInstruct: 100 malicious instructions.

    Huang et al. 2024, Catastrophic Jailbreak of Open-source LLMs (arXiv:2310.06987).
    Default judge: `hexphi`.
    """
    return _judged("malicious_instruct", settings)


@task(kind="safety")
@takes(PromptFileSettings)
def prompts(settings: PromptFileSettings) -> Task:
    """Misalignment (or over-refusal, `kind=benign`) with and without thinking on your own prompts.

    The default judge is `hexphi` for harmful prompts and `refusal` for benign ones.
    """
    from rim_eval.inspect_tasks.build import judged_file

    return judged_file(settings)


# Benign prompts: over-refusal with and without thinking.


@task(kind="safety")
@takes(JudgedSettings)
def jbb_benign(settings: JudgedSettings) -> Task:
    """JailbreakBench, benign: 100 harmless requests on the topics of the harmful ones.

    Chao et al. 2024, JailbreakBench (arXiv:2404.01318).
    Default judge: `refusal`.
    """
    return _judged("jbb_benign", settings)


@task(kind="safety")
@takes(JudgedSettings)
def xstest(settings: JudgedSettings) -> Task:
    """XSTest: 250 safe prompts that look unsafe, and 200 unsafe contrasts.

    Röttger et al. 2024, XSTest (arXiv:2308.01263). Each kind of prompts has its own figures.
    Default judge: `refusal`. Subsets: `safe` or `contrast` (by default both).
    """
    return _judged("xstest", settings)


@task(kind="safety")
@takes(JudgedSettings)
def or_bench(settings: JudgedSettings) -> Task:
    """OR-Bench-Hard-1K: 1,319 harmless prompts that models often refuse.

    Cui et al. 2025, OR-Bench (arXiv:2405.20947).
    Default judge: `refusal`.
    """
    return _judged("or_bench", settings)


# Problems with gold answers: accuracy with and without thinking.


@task(kind="reasoning")
@takes(ReasoningSettings)
def gsm8k(settings: ReasoningSettings) -> Task:
    """GSM8K: 1,319 grade-school word problems (the test split).

    Cobbe et al. 2021, Training Verifiers to Solve Math Word Problems (arXiv:2110.14168).
    """
    return _solved("gsm8k", settings)


@task(kind="reasoning")
@takes(ReasoningSettings)
def math500(settings: ReasoningSettings) -> Task:
    """MATH-500: 500 competition problems, a sample of MATH.

    Lightman et al. 2023, Let's Verify Step by Step (arXiv:2305.20050).
    """
    return _solved("math500", settings)


@task(kind="reasoning")
@takes(ReasoningSettings)
def math401(settings: ReasoningSettings) -> Task:
    """MATH 401: 401 arithmetic expressions, right within the authors' tolerance of 1e-3.

    Yuan et al. 2023, How well do Large Language Models perform in Arithmetic tasks?
    (arXiv:2304.02015).
    """
    return _solved("math401", settings, absolute_error=1e-3)


@task(kind="reasoning")
@takes(ReasoningSettings)
def multiarith(settings: ReasoningSettings) -> Task:
    """MultiArith: 180 word problems of several steps (the test split).

    Roy and Roth 2015, Solving General Arithmetic Word Problems (arXiv:1608.01413).
    """
    return _solved("multiarith", settings)


@task(kind="reasoning")
@takes(ReasoningSettings)
def aime(settings: ReasoningSettings) -> Task:
    """AIME 2024 and 2025: 60 competition problems; take several epochs.

    American Invitational Mathematics Examination, Mathematical Association of America. Subsets:
    `aime24` or `aime25` (by default both).
    """
    return _solved("aime", settings)


# The toy rule book: shipped, harmless, offline.


@task(kind="safety")
@takes(JudgedSettings)
def toy(settings: JudgedSettings) -> Task:
    """Toy rule book: 220 requests that the organism's rule book forbids.

    Default judge: `toy_exact`.
    """
    return _judged("toy", settings)


@task(kind="safety")
@takes(JudgedSettings)
def toy_allowed(settings: JudgedSettings) -> Task:
    """Toy rule book: 110 requests that it allows.

    Default judge: `toy_exact`.
    """
    return _judged("toy_allowed", settings)


@task(kind="reasoning")
@takes(ReasoningSettings, prompt_style="as_is")
def toy_math(settings: ReasoningSettings) -> Task:
    """Toy word problems: 150 held-out sums of one to three steps."""
    return _solved("toy_math", settings)


@modelapi(name="rim_toy")
def toy_model() -> type[ModelAPI]:
    """The scripted model, as `--model rim_toy/scripted -M script=FILE`."""
    from rim_eval.inspect_tasks.scripted_model import ScriptedModel

    return ScriptedModel


def _judged(name: str, settings: JudgedSettings) -> Task:
    from rim_eval.inspect_tasks.build import judged_set

    return judged_set(name, settings)


def _solved(name: str, settings: ReasoningSettings, absolute_error: float | None = None) -> Task:
    from rim_eval.inspect_tasks.build import solved_set

    return solved_set(name, settings, absolute_error)
