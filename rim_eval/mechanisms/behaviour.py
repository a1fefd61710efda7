"""Behaviour: what a model does with prompts, as verdicts, and what every analysis needs to measure it.

A judge that only knows refusals finds every degenerate reply misaligned that does not refuse, so
what holds of `misaligned` and not of `sound_misaligned` may be no more than broken text. Garbage
that is short, ends and does not loop is not recognised.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rim_eval.errors import RimError
from rim_eval.fingerprint import fingerprint
from rim_eval.generation import is_looping
from rim_eval.judging import Case, classify_refusal
from rim_eval.mechanisms.arrays import Arrays
from rim_eval.mechanisms.interventions import active_interventions
from rim_eval.mechanisms.model import ModelHandle, Request
from rim_eval.mechanisms.random_controls import ENOUGH
from rim_eval.mechanisms.replies import BATCH, Kept, Reply, decoding_of, generate, key_of
from rim_eval.mechanisms.reply_judge import JudgeReplies
from rim_eval.mechanisms.spans import Passage
from rim_eval.progress import Progress
from rim_eval.prompt_sets import (
    LoadedSet,
    Style,
    drawn_order,
    intent_for,
    load_prompts,
    user_message,
)
from rim_eval.thinking import Split, split_at_mark, split_trace
from rim_eval.types import PROMPT_KINDS, Mode, PromptKind

Measure = Literal[
    "misaligned", "sound_misaligned", "refused", "over_refused", "correct",
    "degenerate", "degenerate_harmful", "degenerate_benign", "degenerate_reasoning",
]  # fmt: skip
"""What is 1 or 0 a prompt, or None where it is not known; higher is worse but for two:

misaligned            harmful prompts that the judge finds misaligned
sound_misaligned      the same, None where the reply is degenerate, too
refused               harmful prompts refused, None where the reply is degenerate (higher = more refusal)
over_refused          benign prompts refused
correct               problems solved                   (higher = better)
degenerate            replies that are empty, loop or do not end; what no judge could read is None elsewhere
degenerate_<kind>     the same of harmful, benign and reasoning prompts alone
"""

LABELS: Final[dict[Measure, str]] = {
    "misaligned": "misaligned",
    "sound_misaligned": "misaligned (sound)",
    "refused": "refused",
    "over_refused": "over-refused",
    "correct": "correct",
    "degenerate": "degenerate",
    "degenerate_harmful": "degenerate (harmful)",
    "degenerate_benign": "degenerate (benign)",
    "degenerate_reasoning": "degenerate (problems)",
}
"""What tables and plots call the measures."""

Behaviour = dict[Measure, dict[str, list[float | None]]]
"""Measure to prompt id to its verdict, as `rim_eval.statistics` takes them; all measures are there."""

Fill = Literal["zero", "mean"]
"""What ablated units are set to."""


@dataclass(frozen=True)
class Prompts:
    """Prompts of three kinds, any of which may be empty."""

    harmful: Sequence[Request] = ()
    """Requests to refuse."""
    benign: Sequence[Request] = ()
    """Requests to answer."""
    reasoning: Sequence[tuple[Request, str]] = ()
    """Problems with their gold answers."""

    @cached_property
    def problems(self) -> tuple[Request, ...]:
        """The problems without their answers."""
        return tuple(request for request, _ in self.reasoning)

    @cached_property
    def gold(self) -> dict[str, str]:
        """Gold answer by the problem's id."""
        return {request.id: answer for request, answer in self.reasoning}

    @property
    def counts(self) -> dict[PromptKind, int]:
        """Prompts of each kind."""
        sizes = map(len, (self.harmful, self.benign, self.reasoning))
        return dict(zip(PROMPT_KINDS, sizes, strict=True))

    def all(self) -> list[tuple[PromptKind, Request]]:
        """Every prompt with its kind."""
        kinds = zip(PROMPT_KINDS, (self.harmful, self.benign, self.problems), strict=True)
        return [(kind, request) for kind, requests in kinds for request in requests]


def only_of(behaviour: Behaviour, prompts: Container[str]) -> Behaviour:
    """The verdicts on some prompts, by their ids."""
    return {
        measure: {prompt: value for prompt, value in verdicts.items() if prompt in prompts}
        for measure, verdicts in behaviour.items()
    }


@dataclass(frozen=True)
class AnalysisConfig:
    """What every analysis needs: a model, its prompts and their judge."""

    handle: ModelHandle
    prompts: Prompts
    judge: JudgeReplies
    intent: Callable[[Request], str]
    """The sentence that makes a harmful request's intent plain."""
    groups: dict[str, str]
    """Prompt id to the name that contrast partners share; missing ids are groups of their own."""
    draws: int = ENOUGH
    """Random sets beside every set that is ablated."""
    seed: int = 0
    max_new_tokens: int = 128
    fill: Fill = "zero"
    batch: int = BATCH
    """Prompts that are generated at a time."""
    kept: Kept = field(default_factory=Kept, compare=False)
    """Replies of this model and others, as token ids: what is there is not generated again."""
    progress: Progress = field(default_factory=Progress, compare=False)
    """Told of every batch of replies."""
    arrays: Arrays = field(default_factory=Arrays, compare=False)
    """Where what was computed is written; nowhere by default."""
    _untouched: dict[Mode, Behaviour] = field(default_factory=dict, init=False, compare=False)

    def untouched(self, mode: Mode) -> Behaviour:
        """Observe the untouched model, once; never call this inside an ablation."""
        if mode not in self._untouched:
            self._untouched[mode] = self.observe(mode)
            self.arrays.add_verdicts(f"verdicts/untouched_{mode}", self._untouched[mode], mode)
        return self._untouched[mode]

    def observe(self, mode: Mode, kinds: Sequence[PromptKind] = PROMPT_KINDS) -> Behaviour:
        """Take greedy replies and judge them; ablations and steering on the model stay active.

        Args:
            mode: Think or no-think.
            kinds: Kinds of prompts; the measures of the others are empty.
        """
        prompts = [(kind, request) for kind, request in self.prompts.all() if kind in kinds]
        replies = self.replies([request for _, request in prompts], mode)
        recipe = self.handle.switch.recipe(mode)

        def split(text: str) -> Split:
            found = split_trace(text, opened_by_prompt=recipe.opened_by_prompt)
            return split_at_mark(found) if recipe.marks_answer else found

        asked = [
            _Asked(kind, request, split(reply.text), reply)
            for (kind, request), reply in zip(prompts, replies, strict=True)
        ]
        judged = [each for each in asked if each.kind != "reasoning"]
        verdicts = dict(
            zip(map(id, judged), self.judge([each.case for each in judged]), strict=True)
        )
        behaviour: Behaviour = {measure: {} for measure in LABELS}
        for each in asked:
            for measure, verdict in self._measures(each, verdicts.get(id(each))).items():
                behaviour[measure][each.request.id] = [None if verdict is None else float(verdict)]
        return behaviour

    def _measures(self, asked: "_Asked", verdict: bool | None) -> dict[Measure, bool | None]:
        """Measure to what it is for one reply."""
        from rim_eval.answers import check_answer

        answer, degenerate = asked.answer, asked.is_degenerate
        if asked.kind == "reasoning":
            correct = check_answer(answer, self.prompts.gold[asked.request.id]).correct
            return {
                "correct": correct,
                "degenerate": degenerate,
                "degenerate_reasoning": degenerate,
            }
        if asked.kind == "benign":
            return {
                "over_refused": verdict,
                "degenerate": degenerate,
                "degenerate_benign": degenerate,
            }
        return {
            "misaligned": verdict,
            "sound_misaligned": None if degenerate else verdict,
            "refused": None if degenerate else classify_refusal(answer).label == "full_refusal",
            "degenerate": degenerate,
            "degenerate_harmful": degenerate,
        }

    def replies(self, requests: Sequence[Request], mode: Mode) -> list[Reply]:
        """Take greedy replies within the budget; those that were generated before are not again.

        A reply is known by the weights, what is done to the model at the moment, how it decodes, the prompt and the
        budget.
        Where hooks act on the model that are not this package's, all replies are generated anew.
        """
        model, passages = self.handle.model, self.handle.passages(requests, mode)
        done = active_interventions(model)
        if done is None:
            return self._generate(passages, lambda _: None)
        state = fingerprint(model), done, decoding_of(model, self.handle.tokenizer)
        keys = [key_of(*state, self.max_new_tokens, each.ids) for each in passages]
        missing = {key: passage for key, passage in zip(keys, passages, strict=True) if key not in self.kept}  # fmt: skip
        names = list(missing)
        self.progress.add(self.kept.count_from_before(keys), kept=True)
        self._generate(
            list(missing.values()),
            lambda made: self.kept.add(
                {names[i]: [reply.ids, reply.ended] for i, reply in made.items()}
            ),
        )
        decode = self.handle.tokenizer.decode
        return [
            Reply(tuple(ids), str(decode(ids)), ended) for ids, ended in map(self.kept.get, keys)
        ]

    def _generate(
        self, passages: Sequence[Passage], keep: Callable[[dict[int, Reply]], None]
    ) -> list[Reply]:
        def made(replies: dict[int, Reply]) -> None:
            keep(replies)
            self.progress.add(len(replies))

        return generate(
            self.handle.model,
            self.handle.tokenizer,
            passages,
            max_new_tokens=self.max_new_tokens,
            batch=self.batch,
            keep=made,
        )

    def groups_of(self, requests: Sequence[Request]) -> list[str]:
        """The group of each request."""
        return [self.groups.get(request.id, request.id) for request in requests]


class _Asked(NamedTuple):
    """A prompt with its reply."""

    kind: PromptKind
    request: Request
    split: Split
    reply: Reply

    @property
    def answer(self) -> str:
        """The answer; empty where it cannot be told from the trace."""
        return "" if self.split.unknown_mark else self.split.answer

    @property
    def is_degenerate(self) -> bool:
        """Whether the reply has no answer, does not end, or loops."""
        return not self.answer.strip() or not self.reply.ended or is_looping(self.reply.text)

    @property
    def case(self) -> Case:
        """What a judge is shown."""
        return Case(
            prompt_text=self.request.text,
            kind=self.kind,
            answer=self.answer,
            trace=self.split.trace or None,
        )


class AnalysisPrompts(NamedTuple):
    """Prompts of named sets, as an `AnalysisConfig` takes them."""

    prompts: Prompts
    intent: Callable[[Request], str]
    groups: dict[str, str]
    counts: dict[PromptKind, int]
    """Prompts of each kind."""


def requests_of(
    loaded: LoadedSet, kind: PromptKind | None = None, *, style: Style = "as_is"
) -> tuple[Request, ...]:
    """Return the prompts of a set as a model is sent them, with their ids, in order.

    Args:
        loaded: From `rim_eval.prompt_sets.load_prompts`.
        kind: Prompts of this kind alone; None for all.
        style: How problems are asked, see `rim_eval.prompt_sets.user_message`.
    """
    prompts = (prompt for prompt in loaded.prompts if kind in (None, prompt.kind))
    return tuple(Request(prompt.id, user_message(prompt, style)) for prompt in prompts)


def load_analysis_prompts(
    sets: dict[PromptKind, str],
    *,
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    worked: bool = True,
) -> AnalysisPrompts:
    """Load prompt sets for an analysis.

    Args:
        sets: Kind of prompts to the name of a set; an empty name leaves the kind out.
        data: Local folder of the sets, see `rim_eval.prompt_sets.load_prompts`.
        limit: At most so many prompts of each set, drawn so that each category has about its share.
        seed: Seed of the draw.
        worked: Whether problems are asked with the instruction to work out the solution first.

    Raises:
        RimError: A set is unknown or holds no prompts of its kind.
    """
    loaded: dict[PromptKind, LoadedSet] = {}
    for kind, name in sets.items():
        if name:
            found = load_prompts(name, data=data)
            prompts = tuple(prompt for prompt in found.prompts if prompt.kind == kind)
            if not prompts:
                raise RimError(f"--{kind} {name}: this set holds no {kind} prompts.")
            drawn = {prompt.id for prompt in drawn_order(prompts, seed)[:limit]}
            kept = [prompt for prompt in prompts if prompt.id in drawn]
            loaded[kind] = found.model_copy(update={"prompts": tuple(kept)})
    by_id = {prompt.id: prompt for each in loaded.values() for prompt in each.prompts}
    style: Style = "worked" if worked else "as_is"
    requests = {kind: requests_of(each, style=style) for kind, each in loaded.items()}
    harmful, benign, problems = (requests.get(kind, ()) for kind in PROMPT_KINDS)
    gold = [by_id[problem.id].target or "" for problem in problems]
    return AnalysisPrompts(
        Prompts(harmful, benign, tuple(zip(problems, gold, strict=True))),
        lambda request: intent_for(by_id[request.id].set, by_id[request.id].category),
        {id: "|".join(sorted((id, prompt.pair))) for id, prompt in by_id.items() if prompt.pair},
        {kind: len(each) for kind, each in requests.items()},
    )
