"""How a judge agreed with people, part by part: a pooled figure hides the model on which it errs."""

from collections.abc import Iterator, Sequence
from typing import Final

from rim_eval.card._grid import Grid
from rim_eval.card._schema import Card, JudgeCard, JudgeFigures
from rim_eval.formatting import MODE_WORDS, interval, percent
from rim_eval.statistics import rate

_HEAD: Final = (
    "source model", "mode", "finds of the positives", "n", "leaves alone of the negatives", "n", "kappa",
    "without verdict", "labelled set",
)  # fmt: skip
_NOTE: Final = (
    "Positives are replies that people call {event}, negatives the others; in brackets the 95 % interval. "
    "n counts labelled replies with a verdict of the judge: positives, then negatives."
)


def agreement_in_short(judge: JudgeCard) -> str:
    """That a judge was measured and on what; the figures have a table of their own."""
    if not judge.measured:
        return "not measured against people here"
    n = sum(part.n for part in judge.measured)
    models = len({part.model for part in judge.measured})
    sets = ", ".join(dict.fromkeys(part.set for part in judge.measured))
    return f"measured on {n} replies of {sets}, source models: {models}; see below"


def agreements(card: Card) -> Iterator[Grid]:
    """One table a judge and event: a row for each source model and mode, then all of them together."""
    judges = {
        (judge.name, judge.model, judge.measured[0].event): judge
        for found in card.sets
        if (judge := found.judge) is not None and judge.measured
    }
    for (name, model, event), judge in judges.items():
        by = f", {model}," if model else ""
        rows = [_row(part.model, _mode(part), part.set, [part]) for part in judge.measured]
        if len(rows) > 1:
            rows.append(_row("all together", "", "", judge.measured))
        yield Grid(f"{name}{by} against people", _NOTE.format(event=event), _HEAD, tuple(rows))


def _mode(part: JudgeFigures) -> str:
    return next((words for mode, words in MODE_WORDS.items() if mode == part.mode), part.mode)


def _row(
    model: str, mode: str, labelled_set: str, parts: Sequence[JudgeFigures]
) -> tuple[str, ...]:
    hits, misses = sum(p.true_positive for p in parts), sum(p.false_negative for p in parts)
    passes, alarms = sum(p.true_negative for p in parts), sum(p.false_positive for p in parts)
    kappa = parts[0].kappa if len(parts) == 1 else None
    return (
        model, mode, _share(hits, hits + misses), str(hits + misses), _share(passes, passes + alarms),
        str(passes + alarms), "" if kappa is None else f"{kappa:.2f}", str(sum(p.unscored for p in parts)), labelled_set,
    )  # fmt: skip


def _share(k: int, n: int) -> str:
    if not n:
        return "none of them"
    found = rate(k, n)
    return f"{percent(found.value)} ({interval(found.lower, found.upper, share=True)})"
