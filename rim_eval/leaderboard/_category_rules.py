"""Categories of a set: those that the catalogue knows, wherever it knows them, and none left out."""

import json
from collections.abc import Iterator, Sequence
from functools import cache

from rim_eval.card import CardRun, SetCard
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets import PromptSet

__all__ = ["category_problems"]


def category_problems(found: SetCard, known: PromptSet, runs: Sequence[CardRun]) -> Iterator[str]:
    """What is wrong with the categories of a set.

    Args:
        found: The set on a card.
        known: What the catalogue says of it.
        runs: Its runs; a local file may lack the categories of the publisher's.
    """
    shown = set(found.counts.categories)
    declared = all((f.columns or known.columns).category or f.category for f in known.files)
    if shown and not declared:
        yield "it shows categories, and the set has none"
    elif declared and not shown and not _without(known, runs):
        yield "its categories are left out"
    names = _names(known)
    if names is not None and shown - names:
        yield f"categories that the set does not have: {len(shown - names)} of {len(shown)}"


def _without(known: PromptSet, runs: Sequence[CardRun]) -> bool:
    """Whether a run read a stand-in for a publisher's file that has no column of categories."""
    bare = {local.name for local in known.local if local.columns and not local.columns.category}
    return any(file.name in bare for run in runs if run.provenance for file in run.provenance.files)


def _names(known: PromptSet) -> frozenset[str] | None:
    """Names of a set's categories; None where only the publisher's file has them."""
    fixed = [file.category for file in known.files]
    if all(fixed):
        return frozenset(name for name in fixed if name)
    column = known.columns.category
    if known.source.type == "shipped" and column and known.columns.format == "json":
        return _shipped(known.name, known.files[0].path, column)
    return None


@cache
def _shipped(name: str, path: str, column: str) -> frozenset[str]:
    text = (tasks_dir() / name / path).read_text(encoding="utf-8")
    return frozenset(str(json.loads(line)[column]) for line in text.splitlines() if line)
