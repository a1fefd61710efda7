"""The runs behind a set: whole, successful, of that set, and as large as what the set counts."""

from collections.abc import Iterator, Sequence

from rim_eval.card import Card, CardRun, SetCard
from rim_eval.leaderboard._source_rules import source_problems
from rim_eval.prompt_sets import PromptSet
from rim_eval.types import MODES

__all__ = ["run_problems"]


def run_problems(card: Card, found: SetCard, known: PromptSet) -> Iterator[str]:
    """Why the runs of a set are not taken.

    Args:
        card: The card.
        found: One of its sets.
        known: What the catalogue says of that set.
    """
    runs = [run for run in card.runs if run.id in found.runs]
    if not found.runs or len(runs) < len(found.runs):
        yield "its runs are not described"
    for run in runs:
        yield from _run(run, found)
        yield from source_problems(run, known)
        yield from _size(card, found, run, lone=len(runs) == 1)
    yield from _budget(found, runs)


def _run(run: CardRun, found: SetCard) -> Iterator[str]:
    if run.dataset != found.dataset:
        yield f"run {run.id} is of another set"
    if run.status != "success":
        yield f"run {run.id} ended as {run.status}"
    if run.limited:
        yield f"run {run.id} was limited to a part of the set"


def _size(card: Card, found: SetCard, run: CardRun, *, lone: bool) -> Iterator[str]:
    """A run of both kinds of prompts (XSTest) stands in two sets; a set may be asked in several runs."""
    asked = max((c.think.asked for c in found.counts.cells), default=0)
    if run.epochs > asked or (lone and run.epochs != asked):
        yield f"run {run.id} has {run.epochs} epochs, its prompts were asked {asked} times"
    prompts = sum(
        cell.prompts for each in card.sets if run.id in each.runs for cell in each.counts.cells
    )
    if run.n_prompts is None:
        yield f"run {run.id} does not say how many prompts it was to ask"
    elif run.n_prompts > prompts or (lone and run.n_prompts != prompts):
        yield f"run {run.id} was to ask {run.n_prompts} prompts, its sets count {prompts}"


def _budget(found: SetCard, runs: Sequence[CardRun]) -> Iterator[str]:
    """Answers longer than the shared budget are counted; their lengths have to agree with that."""
    budgets = {run.answer_tokens for run in runs}
    if len(budgets) != 1 or None in budgets:
        return
    [budget] = budgets
    for mode in MODES:
        arm = found.counts.arms.get(mode)
        if arm is None or arm.answer_tokens is None or budget is None:
            continue
        known = arm.answer_tokens
        for tenth, length in ((1, known.p10), (5, known.median), (9, known.p90)):
            least, most = _over(tenth * (known.n - 1), known.n, over=length > budget)
            if not least <= arm.over_budget <= most:
                yield (
                    f"{mode}: {arm.over_budget} answers are longer than {budget} tokens, and the "
                    f"lengths ({length:g} at {tenth}0 %) say otherwise"
                )


def _over(tenths: int, n: int, *, over: bool) -> tuple[int, int]:
    """How many of n sorted lengths lie over a line, when the quantile at `tenths / 10` does or does not."""
    below, above = tenths // 10, -(-tenths // 10)
    return (n - above, n) if over else (0, n - 1 - below)
