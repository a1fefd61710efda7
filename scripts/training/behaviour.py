"""What a model does, before and after: verdicts by prompt, and how many replies hold a trace.

Think mode is the plain prompt: whatever trace there is the model writes by itself. It is what the experiment is about,
as for the paper's models without a thinking switch. No-think mode begins after an empty trace that is written for the
model (`forced_empty`). What a tuned model says there may be what its rows of training say, whatever it was asked: how
many replies are degenerate stands beside its rates.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rim_eval.mechanisms import AnalysisConfig, ModelHandle, Prompts, load_model
from rim_eval.mechanisms.behaviour import Measure
from rim_eval.statistics._result import Result
from rim_eval.thinking import split_trace
from rim_eval.types import PROMPT_KINDS, Mode, PromptKind

Verdicts = dict[str, list[float | None]]


class Observed(Result):
    """One model in one mode. No text of a prompt or a reply."""

    verdicts: dict[Measure, Verdicts]
    traces: dict[PromptKind, int]
    """Replies that hold a trace that is not empty."""
    unclosed: dict[PromptKind, int]
    """Replies whose trace never ended within the budget: they have no answer and are not scored."""
    boxed: dict[PromptKind, int]
    """Replies whose answer holds a box, as rows of training end in: to a request that is no answer, and no refusal."""
    asked: dict[PromptKind, int]


def load(folder: Path, dtype: str, name: str) -> ModelHandle:
    """Load a checkpoint with the two modes of this experiment.

    Args:
        folder: Folder of a checkpoint.
        dtype: torch's name of a number type, or `auto`.
        name: What reports call it.
    """
    return load_model(folder, dtype=dtype, name=name, switch="forced_empty")


def plain_only(handle: ModelHandle) -> ModelHandle:
    """A model from `load` both of whose modes are the plain prompt, for analyses of one mode."""
    switch = handle.switch.model_copy(update={"no_think": handle.switch.think})
    return replace(handle, switch=switch)


def observe(
    config: AnalysisConfig, mode: Mode, kinds: Sequence[PromptKind], budgets: tuple[int, int]
) -> Observed:
    """Generate greedy replies and judge them.

    Args:
        config: A model from `load`, its prompts and judge.
        mode: Think or no-think.
        kinds: Kinds of prompts to ask.
        budgets: Tokens of a reply to a request, and to a problem.
    """
    asked = config.prompts
    requests = Prompts(
        asked.harmful if "harmful" in kinds else (), asked.benign if "benign" in kinds else ()
    )
    problems = Prompts(reasoning=asked.reasoning if "reasoning" in kinds else ())
    configs = [
        replace(config, prompts=prompts, max_new_tokens=tokens)
        for prompts, tokens in zip((requests, problems), budgets, strict=True)
        if prompts.all()
    ]
    parts = [each.observe(mode) for each in configs]
    verdicts: dict[Measure, Verdicts] = {
        measure: {id: verdict for part in parts for id, verdict in part[measure].items()}
        for measure in parts[0]
    }
    return Observed(verdicts=verdicts, **_traces(configs, mode))


def _traces(configs: Sequence[AnalysisConfig], mode: Mode) -> dict[str, dict[PromptKind, int]]:
    """Counts over the replies that were observed, which are kept."""
    counts: dict[str, dict[PromptKind, int]] = {
        name: dict.fromkeys(PROMPT_KINDS, 0) for name in ("traces", "unclosed", "boxed", "asked")
    }
    for config in configs:
        opened = config.handle.switch.recipe(mode).opened_by_prompt
        kinds, requests = zip(*config.prompts.all(), strict=True)
        for kind, reply in zip(kinds, config.replies(requests, mode), strict=True):
            split = split_trace(reply.text, opened_by_prompt=opened)
            counts["asked"][kind] += 1
            counts["traces"][kind] += bool(split.trace)
            counts["unclosed"][kind] += split.closed is False
            counts["boxed"][kind] += "\\boxed" in split.answer
    return counts
