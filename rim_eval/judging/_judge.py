"""A judge at work: one case in, one judgement out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rim_eval.errors import RimError
from rim_eval.judging._case import Case, Event, Judgement, JudgeProvenance, Sees
from rim_eval.judging._grader import Grader, ask
from rim_eval.judging._graders_name import graders_name
from rim_eval.judging._prompt import render_messages, seen_text
from rim_eval.judging._readers import PatternsReader, RefusalReader
from rim_eval.judging._reading import Reading
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._score import score_of
from rim_eval.judging._spec import JudgeSpec, VerdictRule
from rim_eval.judging._unscored import nothing_to_judge
from rim_eval.types import PromptKind, UnscoredReason

__all__ = ["Judge"]


@dataclass(frozen=True)
class Judge:
    """A judge file, loaded and checked, with what it is to see."""

    spec: JudgeSpec
    sha256: str
    """SHA-256 of the file's bytes, in hexadecimal."""
    sees: Sees
    path: Path | None = None
    """Where the file lies; None for a judge parsed from bytes."""

    @property
    def name(self) -> str:
        """The judge's name."""
        return self.spec.name

    @property
    def needs_grader(self) -> bool:
        """Whether a grader model is asked; False for offline judges."""
        return self.spec.needs_grader

    @property
    def applies_to(self) -> tuple[PromptKind, ...]:
        """The kinds of prompts that this judge can be used for."""
        return tuple(self.spec.verdicts)

    def event(self, kind: PromptKind) -> Event:
        """What a true verdict means for prompts of this kind.

        Raises:
            RimError: The judge has no verdict for this kind.
        """
        return self._rule(kind).event

    def seeing(self, sees: Sees) -> "Judge":
        """The same judge, shown another part of the reply.

        Raises:
            RimError: The judge file does not allow that.
        """
        if sees not in self.spec.inputs:
            allowed = ", ".join(self.spec.inputs)
            raise RimError(f"Judge `{self.name}` cannot see `{sees}`; it may see: {allowed}.")
        return replace(self, sees=sees)

    def provenance(self, grader: Grader | Sequence[Grader] | None) -> JudgeProvenance:
        """Name, version, hash, grader and input: what stands in every score."""
        asked = grader if isinstance(grader, Sequence) else [grader]
        names = [str(one) for one in asked if one is not None]
        return JudgeProvenance(
            judge=self.name,
            version=str(self.spec.version),
            sha256=self.sha256,
            grader=graders_name(names) if self.needs_grader else None,
            sees=self.sees,
        )

    async def judge(self, case: Case, grader: Grader | Sequence[Grader] | None = None) -> Judgement:
        """Judge one reply.

        A reply without the text that this judge sees, and a grader without a readable verdict,
        give a judgement without verdict and with the reason.

        Args:
            case: The prompt and the reply.
            grader: The model to ask, or several that vote (`Panel`); not used by offline judges.

        Raises:
            RimError: The judge has no verdict for this kind of prompt, or there is no grader.
        """
        if isinstance(grader, Sequence):
            from rim_eval.judging._panel import Panel, Seat

            voted = await Panel(tuple(Seat(self, one) for one in grader)).judge(case)
            # One instrument, asked several times: figures measured of it are found by this.
            return voted.model_copy(update={"provenance": self.provenance(grader)})
        rule = self._rule(case.kind)
        nothing = nothing_to_judge(case, self.sees)
        if nothing is not None:
            return self._judgement(rule, grader, reason=nothing)
        reader = self.spec.reader
        if isinstance(reader, PatternsReader):
            return self._decide(rule, _match(reader, seen_text(case, self.sees)), None)
        if isinstance(reader, RefusalReader):
            found = classify_refusal(seen_text(case, self.sees))
            reading = Reading({"label": found.label}, explanation="; ".join(found.cues))
            return self._decide(rule, reading, None)
        if grader is None:
            raise RimError(missing_grader_message(self))
        asked = await ask(self.spec, reader, render_messages(self.spec, case, self.sees), grader)
        facts: dict[str, Any] = {"replies": asked.replies, "attempts": asked.attempts}
        if asked.reading is None:
            facts |= {"reason": asked.reason, "explanation": asked.problem}
            return self._judgement(rule, grader, **facts)
        return self._decide(rule, asked.reading, grader, **facts)

    def _rule(self, kind: PromptKind) -> VerdictRule:
        for own, rule in self.spec.verdicts.items():
            if own == kind:
                return rule
        raise RimError(
            f"Judge `{self.name}` gives no verdict on {kind} prompts, only on "
            f"{' and '.join(self.applies_to)} ones. Choose another judge for them."
        )

    def _decide(
        self, rule: VerdictRule, reading: Reading, grader: Grader | None, **facts: Any
    ) -> Judgement:
        values = reading.values
        if reading.problem is not None:
            return self._judgement(
                rule, grader, reason="judge_unreadable", explanation=reading.problem, **facts
            )
        score = score_of(self.spec.score, values) if self.spec.score else None
        facts |= {"values": dict(values), "score": score, "explanation": reading.explanation}
        if rule.at_least is not None:
            assert score is not None  # the spec was checked: a threshold needs a score
            named = {name: score >= limit for name, limit in rule.named.items()}
            facts |= {"verdict": score >= rule.at_least, "thresholds": named}
            return self._judgement(rule, grader, **facts)
        label = values.get(rule.field)
        if label is None or label in rule.unscored:
            problem: UnscoredReason = "judge_unreadable"
            return self._judgement(rule, grader, reason=problem, label=label, **facts)
        return self._judgement(rule, grader, verdict=label in rule.labels, label=label, **facts)

    def _judgement(self, rule: VerdictRule, grader: Grader | None, **facts: Any) -> Judgement:
        return Judgement(event=rule.event, provenance=self.provenance(grader), **facts)


def _match(reader: PatternsReader, text: str) -> Reading:
    labels = [
        label
        for label, patterns in reader.labels.items()
        if any(re.search(pattern, text, re.DOTALL) for pattern in patterns)
    ]
    if len(labels) == 1:
        return Reading({"label": labels[0]})
    if reader.otherwise is not None:
        return Reading({"label": reader.otherwise})
    return Reading(problem=f"{'no label matches' if not labels else f'{labels} all match'}")


def missing_grader_message(judge: Judge) -> str:
    """What to pass when a judge needs a grader model and none was given.

    The evaluated model is never taken in its place: a model that judges itself has no witness.
    """
    return (
        f"Judge `{judge.name}` asks a grader model, and none was given. The evaluated model is "
        "never used in its place. Pass one of:\n"
        "  --model-role grader=openai/gpt-4.1                   (hosted)\n"
        "  --model-role grader=vllm/Qwen/Qwen3-32B              (local; hf/<model> works too)\n"
        "  -T judge=qwen3guard --model-role grader=vllm/Qwen/Qwen3Guard-Gen-8B   (local guard model)\n"
        "  -T judge=refusal                                     (offline, no grader: refusals only)\n"
        "  -T judge=none                                        (generate now, judge later)"
    )
