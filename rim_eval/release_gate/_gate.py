"""Holds a card against rules: pass, fail, or cannot tell, with the reason for each."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from rim_eval.card import Card, SetCard
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, percent, points
from rim_eval.release_gate._rules import FIGURES, Limit, Rules, Validity

__all__ = ["EXIT_CODES", "Finding", "Outcome", "hold", "worst"]

Outcome = Literal["pass", "fail", "cannot tell"]

EXIT_CODES: Final[dict[Outcome, int]] = {"pass": 0, "fail": 1, "cannot tell": 2}


class Finding(NamedTuple):
    """What came of one limit on one set."""

    outcome: Outcome
    says: str


def hold(card: Card, rules: Rules) -> tuple[Finding, ...]:
    """Every limit on every set it concerns.

    A limit passes when the whole interval keeps it, fails when no part of the interval does, and cannot
    be told otherwise, or when the figures under it do not count.
    """
    return tuple(
        finding for limit in rules.limits for finding in _limit(card, limit, rules.validity)
    )


def worst(findings: Sequence[Finding]) -> Outcome:
    """`fail` if anything fails, else `cannot tell` if anything cannot be told, else `pass`."""
    outcomes = {finding.outcome for finding in findings}
    if "fail" in outcomes:
        return "fail"
    return "pass" if outcomes == {"pass"} else "cannot tell"


def _limit(card: Card, limit: Limit, validity: Validity) -> Iterator[Finding]:
    kind, _ = FIGURES[limit.figure]
    sets = [s for s in card.of_kind(kind) if limit.set in (None, s.dataset)]
    if not sets:
        missing = f"set {limit.set}" if limit.set else f"{kind} set"
        yield Finding(
            "cannot tell", f"{limit.figure}: {card.model} was not measured on a {missing}"
        )
    for found in sets:
        missed = list(_missed(card, found, validity))
        shown = _shown(found, limit)
        if shown is None:
            yield Finding("cannot tell", f"{found.dataset} {limit.figure}: there is no such figure")
        elif missed:
            yield Finding("cannot tell", f"{shown.says}: {'; '.join(missed)}")
        else:
            yield _held(shown, limit)


class _Shown(NamedTuple):
    lower: float
    upper: float
    says: str
    unit: str


def _shown(found: SetCard, limit: Limit) -> _Shown | None:
    """The figure with its interval, in the limit's unit; None where it was not measured."""
    kind, mode = FIGURES[limit.figure]
    figures = found.figures if limit.score is None else found.thresholds.get(str(limit.score))
    if figures is None:
        return None
    line = f" (scores of {limit.score} and more)" if limit.score else ""
    if mode is None:
        change = figures.difference
        if change is None or change.lower is None or change.upper is None:
            return None
        says = f"{KIND_WORDS[kind].difference}{line} {points(change.value)} points"
        ends = f"{interval(change.lower, change.upper)}, n = {change.n_pairs} pairs"
        return _Shown(change.lower, change.upper, f"{found.dataset} {says} ({ends})", " points")
    rate = figures.rate(mode)
    if rate is None or rate.lower is None or rate.upper is None:
        return None
    says = f"{KIND_WORDS[kind].rate.lower()} {MODE_WORDS[mode]}{line} {percent(rate.value)}"
    ends = f"{interval(rate.lower, rate.upper, share=True)}, n = {rate.n_scored}"
    return _Shown(rate.lower, rate.upper, f"{found.dataset} {says} ({ends})", "")


def _held(shown: _Shown, limit: Limit) -> Finding:
    most = limit.at_most is not None
    bound = limit.at_most if limit.at_most is not None else limit.at_least
    assert bound is not None  # Rules refuse a limit without a bound.
    far, near = (shown.upper, shown.lower) if most else (shown.lower, shown.upper)
    kept, beyond = (far <= bound, near > bound) if most else (far >= bound, near < bound)
    asked = f"{'at most' if most else 'at least'} {bound:g}{shown.unit}"
    if kept:
        return Finding("pass", f"{shown.says}: all of the interval is {asked}")
    if beyond:
        return Finding("fail", f"{shown.says}: none of the interval is {asked}")
    return Finding("cannot tell", f"{shown.says}: only part of the interval is {asked}")


def _missed(card: Card, found: SetCard, validity: Validity) -> Iterator[str]:
    """Why this set's figures do not count."""
    if validity.mode_verified and not found.gate.verified:
        yield f"mode not verified ({'; '.join(found.gate.reasons)})"
    if validity.complete:
        yield from _incomplete(card, found)
    pairs = found.figures.difference.n_pairs if found.figures.difference else 0
    if pairs < validity.pairs_at_least:
        yield f"{pairs} pairs, at least {validity.pairs_at_least} are asked for"
    for mode, arm in found.counts.arms.items():
        counted = (
            ("unscored", arm.asked - arm.scored, validity.unscored_at_most),
            ("cut off", arm.truncated, validity.truncated_at_most),
            ("looping", arm.looping, validity.looping_at_most),
        )
        for name, n, most in counted:
            if n > most * arm.asked:
                yield f"{n} of {arm.asked} samples {MODE_WORDS[mode]} are {name}, at most {most:.0%} may be"
    judge = found.judge.name if found.judge else None
    if validity.judges and judge and not {judge, judge.split("@")[0]} & set(validity.judges):
        yield f"judged by {judge}, which is not among the judges that count"


def _incomplete(card: Card, found: SetCard) -> Iterator[str]:
    runs = [run for run in card.runs if run.id in found.runs]
    if not runs:
        yield "what was run is unknown"
    if any(run.limited for run in runs):
        yield "only a part of the set was run"
    if any(run.status not in ("success", "unknown") for run in runs):
        yield "a run did not end well"
    wrong = {"missing", "half_pair"}
    yield from (p.says for p in card.problems if p.kind in wrong and p.dataset == found.dataset)
