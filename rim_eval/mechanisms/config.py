"""Analysis configuration: what every analysis needs, a model with its prompts and their judge."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.behaviour import Behaviour, JudgeReply, Prompts, observe
from rim_eval.mechanisms.model import ModelHandle, Reply, Request
from rim_eval.mechanisms.random_controls import ENOUGH
from rim_eval.mechanisms.spans import Passage
from rim_eval.types import MODES, PROMPT_KINDS, Mode, PromptKind

Fill = Literal["zero", "mean"]
"""What ablated units are set to."""


@dataclass(frozen=True)
class AnalysisConfig:
    """What every analysis needs."""

    handle: ModelHandle
    prompts: Prompts
    judge: JudgeReply
    intent: Callable[[Request], str]
    """The sentence that makes a harmful request's intent plain."""
    groups: dict[str, str]
    """Prompt id to the name that contrast partners share; missing ids are groups of their own."""
    draws: int = ENOUGH
    """Random sets beside every set that is ablated."""
    seed: int = 0
    max_new_tokens: int = 128
    fill: Fill = "zero"
    _untouched: dict[Mode, Behaviour] = field(default_factory=dict, init=False, compare=False)

    def untouched(self, mode: Mode) -> Behaviour:
        """Observe the untouched model, once; never call this inside an ablation."""
        if mode not in self._untouched:
            self._untouched[mode] = self.observe(mode)
        return self._untouched[mode]

    def observe(self, mode: Mode) -> Behaviour:
        """Observe the behaviour of the model as it stands."""
        return observe(
            self.handle, self.prompts, mode, self.judge, max_new_tokens=self.max_new_tokens
        )

    def replies(self, requests: Sequence[Request], mode: Mode) -> list[Reply]:
        """Generate greedy replies within the budget."""
        return self.handle.replies(requests, mode, max_new_tokens=self.max_new_tokens)

    def reference_passages(self) -> list[Passage]:
        """Texts over which means are taken: every prompt with its reply, in both modes."""
        requests = [request for _, request in self.prompts.all()]
        return [
            passage
            for mode in MODES
            for passage in self.handle.passages(requests, mode, self.replies(requests, mode))
        ]

    def groups_of(self, requests: Sequence[Request]) -> list[str]:
        """The group of each request."""
        return [self.groups.get(request.id, request.id) for request in requests]


class AnalysisPrompts(NamedTuple):
    """Prompts of named sets, as an `AnalysisConfig` takes them."""

    prompts: Prompts
    intent: Callable[[Request], str]
    groups: dict[str, str]
    counts: dict[PromptKind, int]
    """Prompts of each kind."""


def load_analysis_prompts(
    sets: dict[PromptKind, str],
    *,
    data: Path | None = None,
    limit: int | None = None,
    worked: bool = True,
) -> AnalysisPrompts:
    """Load prompt sets for an analysis.

    Args:
        sets: Kind of prompts to the name of a set; an empty name leaves the kind out.
        data: Local folder of the sets, see `rim_eval.prompt_sets.load_prompts`.
        limit: At most so many prompts of each set.
        worked: Whether problems are asked with the instruction to work out the solution first.

    Raises:
        RimError: A set is unknown or holds no prompts of its kind.
    """
    from rim_eval import prompt_sets
    from rim_eval.prompt_sets import user_message

    loaded = {}
    for kind in PROMPT_KINDS:
        if name := sets.get(kind):
            prompts = prompt_sets.load_prompts(name, data=data).prompts
            loaded[kind] = [prompt for prompt in prompts if prompt.kind == kind][:limit]
            if not loaded[kind]:
                raise RimError(f"--{kind} {name}: this set holds no {kind} prompts.")
    by_id = {prompt.id: prompt for prompts in loaded.values() for prompt in prompts}
    requests = {
        kind: [Request(prompt.id, user_message(prompt)) for prompt in loaded.get(kind, ())]
        for kind in ("harmful", "benign")
    }
    problems = [
        (
            Request(prompt.id, user_message(prompt, "worked" if worked else "as_is")),
            prompt.target or "",
        )
        for prompt in loaded.get("reasoning", ())
    ]
    return AnalysisPrompts(
        Prompts(requests["harmful"], requests["benign"], problems),
        lambda request: intent_for(by_id[request.id].set, by_id[request.id].category),
        {id: "|".join(sorted((id, prompt.pair))) for id, prompt in by_id.items() if prompt.pair},
        {kind: len(prompts) for kind, prompts in loaded.items()},
    )


_INTENTS: Final = Path(__file__).with_name("intents.toml")


def intent_for(prompt_set: str, category: str | None) -> str:
    """Choose the sentence that makes a request's intent plain, from `intents.toml`.

    Args:
        prompt_set: Name of a prompt set; sets without sentences of their own get the general one.
        category: The prompt's category.
    """
    sentences = _intents().get(prompt_set, {})
    return sentences.get(category or "", sentences.get("default", _intents()["general"]["default"]))


@cache
def _intents() -> dict[str, dict[str, str]]:
    intents: dict[str, dict[str, str]] = tomllib.loads(_INTENTS.read_text(encoding="utf-8"))
    return intents
