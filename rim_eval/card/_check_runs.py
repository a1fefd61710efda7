"""Whether the runs on a card can have asked what its sets count."""

from collections.abc import Iterator

from rim_eval.card._schema import Card, CardRun, SetCard

__all__ = ["run_problems"]


def run_problems(card: Card) -> Iterator[str]:
    """What the runs on a card say against its sets and its date."""
    latest = max((run.created for run in card.runs if run.created), default=None)
    if card.created != latest:
        yield f"created is {card.created!r}, its latest run began {latest!r}"
    ids = [run.id for run in card.runs]
    if len(set(ids)) < len(ids):
        yield "two runs have one id"
    for found in card.sets:
        runs = [run for run in card.runs if run.id in found.runs]
        if runs and len(runs) == len(set(found.runs)):
            place = f"{found.dataset} ({found.kind})"
            yield from (f"{place}: {problem}" for problem in _asked(found, runs))


def _asked(found: SetCard, runs: list[CardRun]) -> Iterator[str]:
    """A prompt was asked no more often, and no more prompts, than its runs were to ask together."""
    epochs = sum(run.epochs for run in runs)
    asked = max(max(cell.think.asked, cell.no_think.asked) for cell in found.counts.cells)
    if asked > epochs:
        yield f"a prompt was asked {asked} times, its runs have {epochs} epochs"
    known = [run.n_prompts for run in runs if run.n_prompts is not None]
    prompts = sum(cell.prompts for cell in found.counts.cells)
    if len(known) == len(runs) and prompts > sum(known):
        yield f"it counts {prompts} prompts, its runs were to ask {sum(known)}"
