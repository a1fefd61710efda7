"""A cheap judge first, a costly one only where the cheap one's label is not final.

Such as the offline refusal matcher before a model (`refusal+hexphi`): a reply that it calls a full
refusal costs no call. What decided stands in each judgement's votes; name, version and hash are
those of both judges for every reply, since together they are one instrument.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rim_eval.errors import RimError
from rim_eval.judging._case import Case, Event, Judgement, JudgeProvenance, Sees
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge
from rim_eval.types import PromptKind

__all__ = ["Cascade"]


@dataclass(frozen=True)
class Cascade(Judge):
    """Two judges as one: to those who use it, the costly one under both names."""

    stages: tuple[Judge, ...] = ()
    """The cheap judge and the costly one."""

    @classmethod
    def of(cls, cheap: Judge, costly: Judge) -> "Cascade":
        """Put a cheap judge before a costly one.

        Raises:
            RimError: The cheap one asks a model, or none of its labels is final; it may not see what
                the costly one sees, or they have no kind of prompts in common.
        """
        if cheap.needs_grader or not cheap.spec.final_labels:
            lacks = (
                "it asks a model itself" if cheap.needs_grader else "none of its labels is final"
            )
            raise RimError(
                f"Judge `{cheap.name}` cannot go before `{costly.name}`: {lacks}. Put `refusal` first, or "
                "an offline judge whose file names labels that need no second look (`final`)."
            )
        if not set(cheap.applies_to) & set(costly.applies_to):
            raise RimError(
                f"Judge `{cheap.name}` reads {' and '.join(cheap.applies_to)} prompts and `{costly.name}` "
                f"{' and '.join(costly.applies_to)} ones: they cannot judge together."
            )
        together = hashlib.sha256(f"{cheap.sha256}+{costly.sha256}".encode()).hexdigest()
        stages = (cheap.seeing(costly.sees), costly)
        name = f"{cheap.name}+{costly.name}.yaml"  # no such file; its figures lie beside where it would
        path = costly.path.with_name(name) if costly.path else None
        return cls(spec=costly.spec, sha256=together, sees=costly.sees, path=path, stages=stages)

    @property
    def name(self) -> str:
        """Both names, in the order of asking."""
        return "+".join(stage.name for stage in self.stages)

    @property
    def applies_to(self) -> tuple[PromptKind, ...]:
        """The kinds of prompts that both read."""
        cheap, costly = self.stages
        return tuple(kind for kind in costly.applies_to if kind in cheap.applies_to)

    def event(self, kind: PromptKind) -> Event:
        """What a true verdict means for prompts of this kind; both must know it."""
        return [stage.event(kind) for stage in self.stages][-1]

    def seeing(self, sees: Sees) -> Judge:
        """Both, shown another part of the reply."""
        return replace(self, sees=sees, stages=tuple(one.seeing(sees) for one in self.stages))

    def provenance(self, grader: Grader | Sequence[Grader] | None) -> JudgeProvenance:
        """Of both, whichever decides."""
        version = "+".join(str(stage.spec.version) for stage in self.stages)
        return super().provenance(grader).model_copy(update={"version": version})

    async def judge(self, case: Case, grader: Grader | Sequence[Grader] | None = None) -> Judgement:
        """Judge one reply; the judgement that decided, with every vote kept."""
        cheap, costly = self.stages
        about: dict[str, Any] = {"provenance": self.provenance(grader)}
        first = await cheap.judge(case)
        if first.verdict is not None and first.label in cheap.spec.final_labels:
            return first.model_copy(update=about | {"votes": (first,)})
        second = await costly.judge(case, grader)
        return second.model_copy(update=about | {"votes": (first, *(second.votes or (second,)))})
