"""The judge of the replies: any judge that tasks take, with its graders, asked once for each reply."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.judging import Case, Judge, Judgement, load_judge
from rim_eval.mechanisms.replies import Kept, key_of
from rim_eval.types import PromptKind

JudgeReplies = Callable[[Sequence[Case]], Sequence[bool | None]]
"""Judges replies: whether harmful prompts were gone along with and benign ones refused, None where it cannot be told."""

_CONCURRENT: Final = 64
"""Questions at a time; a grader's own limit of connections holds below it."""


class ReplyJudge:
    """A judge of harmful and benign replies."""

    def __init__(
        self, judges: dict[PromptKind, Judge], graders: Sequence[Any], kept: Kept | None = None
    ) -> None:
        """Take loaded judges by kind of prompts.

        Args:
            judges: The judge of each kind.
            graders: Models that they ask.
            kept: Where verdicts are kept; by default for as long as this object lives.
        """
        self.judges, self.graders, self.kept = judges, graders, Kept() if kept is None else kept
        # One loop for all calls: a grader's connections belong to it.
        self._runner = asyncio.Runner()

    @property
    def name(self) -> str:
        """The judge of harmful replies, and who it asks."""
        judge = self.judges["harmful"]
        grader = judge.provenance(self.graders).grader if judge.needs_grader else None
        return f"{judge.name} ({grader})" if grader else judge.name

    @property
    def instrument(self) -> list[str]:
        """What tells this judge from others: its files, what they see, and who they ask."""
        judges = [part for each in self.judges.values() for part in (each.sha256, each.sees)]
        return [*judges, *map(str, self.graders)]

    def __call__(self, cases: Sequence[Case]) -> list[bool | None]:
        """Judge replies, those of a text that was judged before from memory.

        Raises:
            RimError: The judge failed on every one.
        """
        keys = [self._key(case) for case in cases]
        missing = {key: case for key, case in zip(keys, cases, strict=True) if key not in self.kept}
        judged = self._runner.run(self._ask(list(missing.values()))) if missing else []
        failed = [one for one in judged if (one.reason or "").startswith("judge_")]
        # Without a grader it is the replies that cannot be judged.
        if self.graders and failed and len(failed) == len(judged):
            raise RimError(
                f"The judge gave no verdict on any of {len(failed)} replies ({failed[0].reason}: {failed[0].explanation}). "
                "Mend that, and give the same command: no reply is generated again."
            )
        # A reply without a verdict is asked about again the next time.
        verdicts = {key: one.verdict for key, one in zip(missing, judged, strict=True)}
        self.kept.add({key: verdict for key, verdict in verdicts.items() if verdict is not None})
        return [self.kept.get(key) for key in keys]

    def _key(self, case: Case) -> str:
        judge = self.judges[case.kind]
        return key_of(judge.sha256, judge.sees, [str(each) for each in self.graders], case.model_dump())  # fmt: skip

    async def _ask(self, cases: Sequence[Case]) -> list[Judgement]:
        slots = asyncio.Semaphore(_CONCURRENT)

        async def ask(case: Case) -> Judgement:
            judge = self.judges[case.kind]
            async with slots:
                return await judge.judge(case, self.graders if judge.needs_grader else None)

        return list(await asyncio.gather(*map(ask, cases)))


def load_reply_judge(
    name: str = "refusal", graders: Sequence[Any] = (), *, kept: Kept | None = None
) -> ReplyJudge:
    """Load the judge of an analysis.

    Args:
        name: A judge's name or file, as `-T judge=` takes it; benign replies are judged by `refusal` where it has
            no verdict on them.
        graders: Models that it asks, of Inspect.
        kept: See `ReplyJudge`.

    Raises:
        RimError: The judge is unknown, has no verdict on harmful prompts, or needs a grader.
    """
    judge = load_judge(name)
    judge.rule("harmful")
    judge.prepare(list(graders))
    benign = judge if "benign" in judge.applies_to else load_judge("refusal")
    return ReplyJudge({"harmful": judge, "benign": benign}, list(graders), kept)
