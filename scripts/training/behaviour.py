"""What a model does, before and after: verdicts by prompt, and how many replies hold a trace.

Think mode is the plain prompt: whatever trace there is the model writes by itself. It is what the experiment is about,
as for the paper's models without a thinking switch. No-think mode begins after an empty trace that is written for the
model (`forced_empty`). What a tuned model says there may be what its rows of training say, whatever it was asked: how
many replies are degenerate stands beside its rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rim_eval.mechanisms import AnalysisConfig, ModelHandle, Prompts, Request, load_model
from rim_eval.mechanisms.behaviour import Measure
from rim_eval.mechanisms.model import Reply
from rim_eval.statistics._result import Result
from rim_eval.thinking import explicit_switch, split_trace, tokenizer_renderer
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


@dataclass(frozen=True)
class _Listening(ModelHandle):
    """A model whose replies are kept, so that traces can be counted."""

    heard: dict[str, Reply] = field(default_factory=dict)

    def replies(self, requests: Sequence[Request], mode: Mode, **options: Any) -> list[Reply]:
        """Generate replies, see `ModelHandle`."""
        replies = super().replies(requests, mode, **options)
        asked = (request.id for request in requests)
        self.heard.update(zip(asked, replies, strict=True))
        return replies


def load(folder: Path, dtype: str, name: str) -> ModelHandle:
    """Load a checkpoint with the two modes of this experiment.

    Args:
        folder: Folder of a checkpoint.
        dtype: torch's name of a number type, or `auto`.
        name: What reports call it.
    """
    handle = load_model(folder, dtype=dtype, name=name)
    switch = explicit_switch("forced_empty", render=tokenizer_renderer(handle.tokenizer))
    return _Listening(handle.model, handle.tokenizer, switch, name)


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
    parts = [
        replace(config, prompts=prompts, max_new_tokens=tokens).observe(mode)
        for prompts, tokens in zip((requests, problems), budgets, strict=True)
        if prompts.all()
    ]
    verdicts: dict[Measure, Verdicts] = {
        measure: {id: verdict for part in parts for id, verdict in part[measure].items()}
        for measure in parts[0]
    }
    return Observed(verdicts=verdicts, **_traces(config.handle, mode, (requests, problems)))


def _traces(
    handle: ModelHandle, mode: Mode, prompts: Sequence[Prompts]
) -> dict[str, dict[PromptKind, int]]:
    heard = handle.heard if isinstance(handle, _Listening) else {}
    opened = handle.switch.recipe(mode).opened_by_prompt
    counts: dict[str, dict[PromptKind, int]] = {
        name: dict.fromkeys(PROMPT_KINDS, 0) for name in ("traces", "unclosed", "boxed", "asked")
    }
    for kind, request in (each for part in prompts for each in part.all()):
        split = split_trace(heard[request.id].text, opened_by_prompt=opened)
        counts["asked"][kind] += 1
        counts["traces"][kind] += bool(split.trace)
        counts["unclosed"][kind] += split.closed is False
        counts["boxed"][kind] += "\\boxed" in split.answer
    return counts
