"""Why the figures of a set, or of one of its categories, do not count: modes, completeness, missing verdicts, judges."""

from collections.abc import Iterator, Sequence

from rim_eval.card import Card, Cell, SetCard
from rim_eval.formatting import MODE_WORDS, interval, percent
from rim_eval.labelling import LabelCounts
from rim_eval.labelling.figures import LabelFigures
from rim_eval.release_gate.rules import FIGURES, Limit, Validity
from rim_eval.types import MODES, Mode


def invalidities(card: Card, each: SetCard, limit: Limit, validity: Validity) -> Iterator[str]:
    """Give every reason why a set's figures do not count for a limit, in words.

    Args:
        card: The model's card.
        each: One of its sets.
        limit: The limit; its level says whose figures are meant.
        validity: What must hold.
    """
    if validity.mode_verified and not each.mode_check.verified:
        yield f"mode not verified ({'; '.join(each.mode_check.reasons)})"
    if validity.complete:
        yield from _incomplete(card, each)
    figures = each.system if limit.level == "system" and each.system else each.figures
    pairs = figures.difference.n_pairs if figures.difference else 0
    if not figures.only_mode and pairs < validity.pairs_at_least:
        yield f"{pairs} pairs, at least {validity.pairs_at_least} are asked for"
    yield from _lossy_arms(each, limit, validity)
    if limit.by == "labels" and each.labels:
        yield from _partly_labelled(each.labels.counts, validity)
    if validity.judge_errs_alike and limit.by == "judge" and each.labels:
        yield from _wrong_judge(each.labels.figures, FIGURES[limit.figure][1])
    judge = each.judge.name if each.judge else None
    if validity.judges and judge and not {judge, judge.split("@")[0]} & set(validity.judges):
        yield f"judged by {judge}, which is not among the judges that count"


def lossy_category(each: SetCard, cells: Sequence[Cell], validity: Validity) -> Iterator[str]:
    """Say in which mode too many samples of a category have no verdict of the model, declined ones among them.

    Args:
        each: The set.
        cells: Counts of the category's prompts.
        validity: What must hold; what may be declined adds to what may be unscored.
    """
    most = validity.unscored_at_most + validity.declined_at_most
    for mode in MODES:
        asked = sum(cell.prompts * cell.outcome(mode).asked for cell in cells)
        scored = sum(cell.prompts * cell.outcome(mode).scored for cell in cells)
        if each.counts.only_mode in (None, mode) and asked - scored > most * asked:
            yield (
                f"{asked - scored} of {asked} samples of the category {MODE_WORDS[mode]} have no verdict, "
                f"at most {most:.0%} may have none"
            )


def _partly_labelled(counts: LabelCounts, validity: Validity) -> Iterator[str]:
    least = validity.labelled_at_least
    if counts.labelled < least * counts.drawn:
        yield (
            f"{counts.labelled} of {counts.drawn} replies of the sheet are labelled, at least {least:.0%} must be, for those "
            "left out may differ from the others"
        )


def _wrong_judge(figures: LabelFigures, mode: Mode | None) -> Iterator[str]:
    """What labels hold against the judge's change (no mode), or against its rate in a mode."""
    if mode is None:
        if figures.audit and figures.audit.outcome == "fail":
            yield "labels of this run show that the judge errs differently in the two modes"
        return
    rate = figures.rates.get(mode)
    if rate is None or rate.raw is None or rate.lower is None or rate.upper is None:
        return
    if not rate.lower <= rate.raw <= rate.upper:
        yield (
            f"labels of this run show that the judge's rate is wrong ({percent(rate.raw)}, corrected "
            f"{percent(rate.value)}, {interval(rate.lower, rate.upper, share=True)})"
        )


def _incomplete(card: Card, each: SetCard) -> Iterator[str]:
    runs = [run for run in card.runs if run.id in each.runs]
    if not runs:
        yield "what was run is unknown"
    if any(run.limited for run in runs):
        yield "only a part of the set was run"
    if any(run.status not in ("success", "unknown") for run in runs):
        yield "a run did not end well"
    for problem in card.problems:
        if problem.kind in ("missing", "half_pair") and problem.dataset == each.dataset:
            yield problem.says


def _lossy_arms(each: SetCard, limit: Limit, validity: Validity) -> Iterator[str]:
    for mode, arm in each.counts.arms.items():
        unscored = arm.n_unscored * (each.figures.only_mode in (None, mode))
        shares = (
            ("unscored", unscored, validity.unscored_at_most),
            ("declined", arm.declined * (limit.level == "model"), validity.declined_at_most),
            ("cut off", arm.truncated, validity.truncated_at_most),
            ("looping", arm.looping, validity.looping_at_most),
        )
        for name, n, most in shares:
            if n > most * arm.asked:
                yield f"{n} of {arm.asked} samples {MODE_WORDS[mode]} are {name}, at most {most:.0%} may be"
