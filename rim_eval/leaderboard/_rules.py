"""The rules that are data: which judges the leaderboard takes."""

import tomllib
from functools import cache

from pydantic import BaseModel, ConfigDict

from rim_eval.card import JudgeCard
from rim_eval.errors import RimError
from rim_eval.judging import load_judge
from rim_eval.paths import leaderboard_dir
from rim_eval.types import PromptKind

__all__ = ["AllowedJudge", "allowed_judges", "judge_problem"]


class AllowedJudge(BaseModel):
    """One judge that entries may rest on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    """Name of a shipped judge file."""
    version: int
    kinds: tuple[PromptKind, ...]
    sees: tuple[str, ...]
    graders: tuple[str, ...] = ()
    """Grader models; empty for judges that work offline."""
    sets: tuple[str, ...] = ()
    """Prompt sets that it may judge; empty: all."""


@cache
def allowed_judges() -> tuple[AllowedJudge, ...]:
    """The allow-list, from `leaderboard/judges.toml`."""
    found = tomllib.loads((leaderboard_dir() / "judges.toml").read_text(encoding="utf-8"))
    return tuple(AllowedJudge.model_validate(each) for each in found["allowed"])


def judge_problem(judge: JudgeCard | None, kind: PromptKind, dataset: str) -> str | None:
    """Why this judge is not taken for this set; None when it is."""
    if kind == "reasoning":
        return None if judge is None else "answers to problems are checked, not judged"
    if judge is None:
        return "nobody judged it"
    for allowed in allowed_judges():
        if _fits(allowed, judge, kind, dataset):
            return _file_problem(allowed, judge)
    grader = f" by {judge.model}" if judge.model else ""
    return (
        f"judge {judge.name}{grader}, which sees {judge.sees}, is not on the list for {kind} prompts "
        f"of {dataset} (leaderboard/judges.toml)"
    )


def _fits(allowed: AllowedJudge, judge: JudgeCard, kind: PromptKind, dataset: str) -> bool:
    grader = judge.model in allowed.graders if allowed.graders else judge.model is None
    return (
        judge.name == f"{allowed.judge}@{allowed.version}"
        and kind in allowed.kinds
        and judge.sees in allowed.sees
        and (not allowed.sets or dataset in allowed.sets)
        and grader
    )


def _file_problem(allowed: AllowedJudge, judge: JudgeCard) -> str | None:
    try:
        shipped = load_judge(allowed.judge)
    except RimError as error:
        return str(error)
    if judge.sha256 == shipped.sha256:
        return None
    return f"judge {judge.name} is another file than the shipped one (sha256 differs)"
