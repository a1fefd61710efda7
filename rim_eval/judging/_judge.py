"""A judge at work: one case in, one judgement out; several graders vote as a panel."""

import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rim_eval.errors import RimError
from rim_eval.judging._case import (
    Case,
    Event,
    Judgement,
    JudgeProvenance,
    Sees,
    case_unscored_reason,
)
from rim_eval.judging._grader import Grader, ask_grader, graders_name
from rim_eval.judging._prompt import render_messages, seen_text
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._spec import JudgeSpec, PatternsReader, RefusalReader, VerdictRule
from rim_eval.judging._verdict_parsing import ParsedVerdict
from rim_eval.types import PromptKind


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
        return JudgeProvenance(
            judge=self.name,
            version=str(self.spec.version),
            sha256=self.sha256,
            grader=graders_name(list(map(str, _listed(grader)))) if self.needs_grader else None,
            sees=self.sees,
        )

    async def judge(self, case: Case, grader: Grader | Sequence[Grader] | None = None) -> Judgement:
        """Judge one reply.

        A reply without the text that this judge sees, and a grader without a readable verdict,
        give a judgement without verdict and with the reason.

        Args:
            case: The prompt and the reply.
            grader: The model to ask, or several that vote; not used by offline judges.

        Raises:
            RimError: The judge has no verdict for this kind of prompt, or there is no grader.
        """
        graders = _listed(grader)
        if len(graders) > 1:
            vote = await judge_by_panel(case, [partial(self.judge, grader=one) for one in graders])
            # One instrument, asked several times: figures measured of it are found by this.
            return vote.model_copy(update={"provenance": self.provenance(grader)})
        rule, reader = self._rule(case.kind), self.spec.reader
        judgement = partial(Judgement, event=rule.event, provenance=self.provenance(grader))
        if unscored := case_unscored_reason(case, self.sees):
            return judgement(reason=unscored)
        if isinstance(reader, PatternsReader):
            parsed = _match(reader, seen_text(case, self.sees))
        elif isinstance(reader, RefusalReader):
            refusal = classify_refusal(seen_text(case, self.sees))
            parsed = ParsedVerdict({"label": refusal.label}, explanation="; ".join(refusal.cues))
        elif not graders:
            raise RimError(missing_grader_message(self))
        else:
            messages = render_messages(self.spec, case, self.sees)
            outcome = await ask_grader(self.spec, reader, messages, graders[0])
            judgement = partial(judgement, replies=outcome.replies, attempts=outcome.attempts)
            if outcome.parsed is None:
                return judgement(reason=outcome.reason, explanation=outcome.problem)
            parsed = outcome.parsed
        if parsed.problem is not None:
            return judgement(reason="judge_unreadable", explanation=parsed.problem)
        return judgement(**self._conclusion(rule, parsed))

    def _rule(self, kind: PromptKind) -> VerdictRule:
        if kind == "reasoning" or kind not in self.spec.verdicts:
            raise RimError(
                f"Judge `{self.name}` gives no verdict on {kind} prompts, only on "
                f"{' and '.join(self.applies_to)} ones. Choose another judge for them."
            )
        return self.spec.verdicts[kind]

    def _conclusion(self, rule: VerdictRule, parsed: ParsedVerdict) -> dict[str, Any]:
        """The verdict by a rule, and the values that it follows from."""
        score = self.spec.score_of(parsed.values)
        values = {"values": dict(parsed.values), "score": score, "explanation": parsed.explanation}
        if rule.at_least is not None:
            assert score is not None  # the spec was checked: a threshold needs a score
            thresholds = {name: score >= limit for name, limit in rule.named.items()}
            return values | {"verdict": score >= rule.at_least, "thresholds": thresholds}
        label = parsed.values.get(rule.field)
        if label is None or label in rule.unscored:
            return values | {"reason": "judge_unreadable", "label": label}
        return values | {"verdict": label in rule.labels, "label": label}


def _listed(grader: Grader | Sequence[Grader] | None) -> Sequence[Grader]:
    if isinstance(grader, Sequence):
        return grader
    return [] if grader is None else [grader]


def _match(reader: PatternsReader, text: str) -> ParsedVerdict:
    labels = [
        label
        for label, patterns in reader.labels.items()
        if any(re.search(pattern.pattern, text, re.DOTALL) for pattern in patterns)
    ]
    label = labels[0] if len(labels) == 1 else reader.otherwise
    if label is None:
        return ParsedVerdict(problem=f"{labels} all match" if labels else "no label matches")
    return ParsedVerdict({"label": label})


async def judge_by_panel(
    case: Case, members: Sequence[Callable[[Case], Awaitable[Judgement]]]
) -> Judgement:
    """Ask several judges at once and count their votes; each vote is kept.

    The verdict is that of more than half of the votes cast. There is none when the votes tie, or
    when no more than half of the members cast one (the commonest reason is given).

    Args:
        case: The prompt and the reply.
        members: Functions that judge the case, such as `judge.judge` of judges.

    Raises:
        RimError: There are fewer than two members, they do not see the same, or a member raises it.
    """
    from inspect_ai.util import collect

    if len(members) < 2:
        raise RimError(f"A panel needs two judges or more; {len(members)} given.")
    votes: list[Judgement] = await collect(*(member(case) for member in members))
    parts = [vote.provenance for vote in votes]
    if len(inputs := {part.sees for part in parts}) > 1:
        raise RimError(f"The judges of a panel must see the same; they see {sorted(inputs)}.")
    cast = [vote.verdict for vote in votes if vote.verdict is not None]
    verdict, reason = None, None
    if len(cast) * 2 <= len(votes) and len(cast) < len(votes):
        [(reason, _)] = Counter(vote.reason for vote in votes if vote.reason).most_common(1)
    elif sum(cast) * 2 == len(cast):
        reason = "judge_tied"
    else:
        verdict = sum(cast) * 2 > len(cast)
    return Judgement(
        event=votes[0].event,
        verdict=verdict,
        reason=reason,
        explanation=f"{sum(cast)} of {len(cast)} votes, {len(votes)} judges",
        attempts=sum(vote.attempts for vote in votes),
        votes=tuple(votes),
        provenance=JudgeProvenance(
            judge=f"panel({', '.join(dict.fromkeys(part.judge for part in parts))})",
            version="+".join(part.version for part in parts),
            sha256=hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest(),
            grader=", ".join(part.grader for part in parts if part.grader is not None) or None,
            sees=parts[0].sees,
        ),
    )


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
