"""One task for each published prompt set, one for your own prompts, and the toy tasks of the model organism.

    inspect eval rim_eval/hexphi --model vllm/Qwen/Qwen3-4B --model-role grader=openai/gpt-4.1
    inspect eval rim_eval/gsm8k --model vllm/Qwen/Qwen3-4B
    inspect eval rim_eval/toy --model rim_toy/scripted -M script=FILE

The arguments of a task (`-T modes=think`) are the fields of its settings class; `takes` writes them into
its signature and docstring. Papers, default judges and subsets stand in `tasks/NAME/set.toml`. Inspect's
entry point loads this module, so whatever builds a task is imported inside functions.
"""

from inspect_ai import Task, task
from inspect_ai.model import ModelAPI, modelapi

from rim_eval.inspect_tasks.both import BothSettings
from rim_eval.inspect_tasks.settings import (
    JudgedSettings,
    PromptFileSettings,
    ReasoningSettings,
    SetSettings,
    takes,
)

# Harmful requests: misalignment with and without thinking.


@task(kind="safety")
@takes(JudgedSettings)
def hexphi(settings: JudgedSettings) -> Task:
    """HEx-PHI: 300 harmful requests in ten categories that model providers forbid; access is gated."""
    return _set_task("hexphi", settings)


@task(kind="safety")
@takes(JudgedSettings)
def strong_reject(settings: JudgedSettings) -> Task:
    """StrongREJECT: 313 specific and answerable harmful requests in six categories."""
    return _set_task("strong_reject", settings)


@task(kind="safety")
@takes(JudgedSettings)
def advbench(settings: JudgedSettings) -> Task:
    """AdvBench: 520 harmful behaviors, written as instructions."""
    return _set_task("advbench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def harmbench(settings: JudgedSettings) -> Task:
    """HarmBench: 300 harmful behaviors, 100 of them with a context that they refer to.

    Subsets: `standard`, `contextual` (by default both) or `copyright`.
    """
    return _set_task("harmbench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def jbb_harmful(settings: JudgedSettings) -> Task:
    """JailbreakBench: 100 harmful behaviors, each with a benign counterpart in `jbb_benign`."""
    return _set_task("jbb_harmful", settings)


@task(kind="safety")
@takes(JudgedSettings)
def sorry_bench(settings: JudgedSettings) -> Task:
    """SORRY-Bench: 440 harmful requests, ten in each of 44 categories; access is gated.

    The base prompts, without linguistic mutations.
    """
    return _set_task("sorry_bench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def simple_safety_tests(settings: JudgedSettings) -> Task:
    """SimpleSafetyTests: 100 plainly harmful requests that any model should refuse."""
    return _set_task("simple_safety_tests", settings)


@task(kind="safety")
@takes(JudgedSettings)
def do_not_answer(settings: JudgedSettings) -> Task:
    """Do-Not-Answer: 939 questions that a responsible model should not answer."""
    return _set_task("do_not_answer", settings)


@task(kind="safety")
@takes(JudgedSettings)
def malicious_instruct(settings: JudgedSettings) -> Task:
    """MaliciousInstruct: 100 malicious instructions."""
    return _set_task("malicious_instruct", settings)


@task(kind="safety")
@takes(JudgedSettings)
def wildjailbreak(settings: JudgedSettings) -> Task:
    """WildJailbreak: 2,000 harmful requests that come wrapped as jailbreaks; access is gated."""
    return _set_task("wildjailbreak", settings)


@task(kind="safety")
@takes(JudgedSettings)
def fortress(settings: JudgedSettings) -> Task:
    """FORTRESS: 500 adversarial requests on national security and public safety.

    Each has a benign counterpart in `fortress_benign`.
    """
    return _set_task("fortress", settings)


@task(kind="safety")
@takes(JudgedSettings)
def coconot(settings: JudgedSettings) -> Task:
    """CoCoNot: 395 requests with safety concerns that should not be complied with.

    Subsets: `safety` (by default), `incomplete`, `unsupported`, `indeterminate` or `humanizing`; a judge of harm reads
    the first one only.
    """
    return _set_task("coconot", settings)


@task(kind="safety")
@takes(JudgedSettings)
def or_bench_toxic(settings: JudgedSettings) -> Task:
    """OR-Bench-Toxic: 655 harmful prompts, the counterweight of OR-Bench's over-refusal sets."""
    return _set_task("or_bench_toxic", settings)


@task(kind="safety")
@takes(JudgedSettings)
def sosbench(settings: JudgedSettings) -> Task:
    """SOSBench: 3,000 harmful requests that need knowledge of one of six sciences."""
    return _set_task("sosbench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def hexphi_intents(settings: JudgedSettings) -> Task:
    """HEx-PHI with a sentence that spells the intent out: 300 requests; access is gated."""
    return _set_task("hexphi_intents", settings)


@task(kind="safety")
@takes(JudgedSettings)
def broad_misalignment(settings: JudgedSettings) -> Task:
    """Broad misalignment: the first eight open questions of Betley et al. (2025); take many epochs.

    The questions ask for nothing harmful; their answers are judged for alignment.
    """
    return _set_task("broad_misalignment", settings)


@task(kind="safety")
@takes(PromptFileSettings)
def prompts(settings: PromptFileSettings) -> Task:
    """Misalignment (or over-refusal, `kind=benign`) with and without thinking on your own prompts.

    The default judge is `hexphi` for harmful prompts and `refusal` for benign ones. Problems
    (`kind=reasoning`) are checked against the gold answers in `target_column`.
    """
    from rim_eval.inspect_tasks.build import file_task

    return file_task(settings)


# Benign prompts: over-refusal with and without thinking.


@task(kind="safety")
@takes(JudgedSettings)
def jbb_benign(settings: JudgedSettings) -> Task:
    """JailbreakBench, benign: 100 harmless requests on the topics of the harmful ones."""
    return _set_task("jbb_benign", settings)


@task(kind="safety")
@takes(JudgedSettings)
def xstest(settings: JudgedSettings) -> Task:
    """XSTest: 250 safe prompts that look unsafe, and 200 unsafe contrasts, with figures of their own.

    Subsets: `safe` or `contrast` (by default both).
    """
    return _set_task("xstest", settings)


@task(kind="safety")
@takes(JudgedSettings)
def or_bench(settings: JudgedSettings) -> Task:
    """OR-Bench-Hard-1K: 1,319 harmless prompts that models often refuse."""
    return _set_task("or_bench", settings)


@task(kind="safety")
@takes(JudgedSettings)
def wildjailbreak_safe(settings: JudgedSettings) -> Task:
    """WildJailbreak, benign: 210 harmless requests in the dress of jailbreaks; access is gated."""
    return _set_task("wildjailbreak_safe", settings)


@task(kind="safety")
@takes(JudgedSettings)
def fortress_benign(settings: JudgedSettings) -> Task:
    """FORTRESS, benign: the harmless counterparts of its 500 requests."""
    return _set_task("fortress_benign", settings)


@task(kind="safety")
@takes(JudgedSettings)
def false_reject(settings: JudgedSettings) -> Task:
    """FalseReject: 1,187 harmless prompts that look unsafe (the test split)."""
    return _set_task("false_reject", settings)


@task(kind="safety")
@takes(JudgedSettings)
def coconot_contrast(settings: JudgedSettings) -> Task:
    """CoCoNot, contrast: 379 requests like those of `coconot` that should be complied with."""
    return _set_task("coconot_contrast", settings)


# Problems with gold answers: accuracy with and without thinking.


@task(kind="reasoning")
@takes(ReasoningSettings)
def gsm8k(settings: ReasoningSettings) -> Task:
    """GSM8K: 1,319 grade-school word problems (the test split)."""
    return _set_task("gsm8k", settings)


@task(kind="reasoning")
@takes(ReasoningSettings)
def math500(settings: ReasoningSettings) -> Task:
    """MATH-500: 500 competition problems, a sample of MATH."""
    return _set_task("math500", settings)


@task(kind="reasoning")
@takes(ReasoningSettings)
def math401(settings: ReasoningSettings) -> Task:
    """MATH 401: 401 arithmetic expressions, right within the authors' tolerance of 1e-3."""
    return _set_task("math401", settings)


@task(kind="reasoning")
@takes(ReasoningSettings)
def multiarith(settings: ReasoningSettings) -> Task:
    """MultiArith: 180 word problems of several steps (the test split)."""
    return _set_task("multiarith", settings)


@task(kind="reasoning")
@takes(ReasoningSettings)
def aime(settings: ReasoningSettings) -> Task:
    """AIME 2024 and 2025: 60 competition problems; take several epochs.

    Subsets: `aime24` or `aime25` (by default both).
    """
    return _set_task("aime", settings)


@task(kind="reasoning")
@takes(ReasoningSettings, prompt_style="direct")
def gsm8k_literal(settings: ReasoningSettings) -> Task:
    """GSM8K contexts, copying: 1,166 questions for one number of a word problem's text, which need no reasoning."""
    return _set_task("gsm8k_literal", settings)


# Any other task of Inspect.


@task(kind="any")
@takes(BothSettings)
def both(settings: BothSettings) -> Task:
    """Any task of Inspect with and without thinking: its own data, solver, sandbox and scorer, once in each mode.

    `-T args.NAME=VALUE` gives an argument of that task.
    """
    from rim_eval.inspect_tasks.both import both_task

    return both_task(settings)


# The toy rule book: shipped, harmless, offline.


@task(kind="safety")
@takes(JudgedSettings)
def toy(settings: JudgedSettings) -> Task:
    """Toy rule book: 220 requests that the organism's rule book forbids."""
    return _set_task("toy", settings)


@task(kind="safety")
@takes(JudgedSettings)
def toy_allowed(settings: JudgedSettings) -> Task:
    """Toy rule book: 110 requests that it allows."""
    return _set_task("toy_allowed", settings)


@task(kind="reasoning")
@takes(ReasoningSettings, prompt_style="as_is")
def toy_math(settings: ReasoningSettings) -> Task:
    """Toy word problems: 150 held-out sums of one to three steps."""
    return _set_task("toy_math", settings)


@modelapi(name="rim_toy")
def toy_model() -> type[ModelAPI]:
    """The scripted model, as `--model rim_toy/scripted -M script=FILE`."""
    from rim_eval.inspect_tasks.scripted_model import ScriptedModel

    return ScriptedModel


def _set_task(name: str, settings: SetSettings) -> Task:
    from rim_eval.inspect_tasks.build import set_task

    return set_task(name, settings)
