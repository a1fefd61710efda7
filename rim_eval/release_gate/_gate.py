"""Check a card against limits: pass, fail, or cannot tell, with the reason for each."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rim_eval.card import Card, SetCard
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, percent, points
from rim_eval.release_gate._limits import FIGURES, Limit, Rules, Validity, read_rules

Outcome = Literal["pass", "fail", "cannot tell"]

EXIT_CODES: Final[dict[Outcome, int]] = {"pass": 0, "fail": 1, "cannot tell": 2}


class LimitResult(NamedTuple):
    """The outcome of one limit on one set."""

    outcome: Outcome
    reason: str


class Decision(NamedTuple):
    """What the gate says of one model."""

    model: str
    results: tuple[LimitResult, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of all limits."""
        return worst(result.outcome for result in self.results)


def gate(card: Card, rules: Rules | Path | str) -> Decision:
    """Check every limit on every set that it concerns.

    A limit passes when the whole interval keeps it and fails when no part of the interval does. The gate
    cannot tell otherwise, or when the figures do not count.

    Args:
        card: The model's card.
        rules: The limits, or the path of a YAML file of them.

    Raises:
        RimError: The file cannot be read, or has content that is not allowed.
    """
    read = rules if isinstance(rules, Rules) else read_rules(Path(rules))
    results = (each for limit in read.limits for each in _check(card, limit, read.validity))
    return Decision(card.model, tuple(results))


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Give `fail` if anything fails, else `cannot tell` if anything does, else `pass`."""
    distinct = set(outcomes)
    if "fail" in distinct:
        return "fail"
    return "pass" if distinct == {"pass"} else "cannot tell"


def _check(card: Card, limit: Limit, validity: Validity) -> Iterator[LimitResult]:
    kind, _ = FIGURES[limit.figure]
    sets = [s for s in card.of_kind(kind) if limit.set in (None, s.dataset)]
    if not sets:
        missing = f"set {limit.set}" if limit.set else f"{kind} set"
        reason = f"{limit.figure}: {card.model} was not measured on a {missing}"
        yield LimitResult("cannot tell", reason)
    for each in sets:
        figure = _figure(each, limit)
        if figure is None:
            reason = f"{each.dataset} {limit.figure}: there is no such figure"
            yield LimitResult("cannot tell", reason)
        elif invalid := "; ".join(_invalidities(card, each, validity)):
            yield LimitResult("cannot tell", f"{figure.text}: {invalid}")
        else:
            yield _compare(figure, limit)


class _Figure(NamedTuple):
    """A figure's interval in the limit's unit."""

    lower: float
    upper: float
    text: str
    unit: str


def _figure(card: SetCard, limit: Limit) -> _Figure | None:
    """The limit's figure of a set; None where it was not measured."""
    kind, mode = FIGURES[limit.figure]
    figures = card.figures if limit.score is None else card.thresholds.get(str(limit.score))
    if figures is None:
        return None
    line = f" (scores of {limit.score} and more)" if limit.score else ""
    if mode is None:
        change = figures.difference
        if change is None or change.lower is None or change.upper is None:
            return None
        value = f"{KIND_WORDS[kind].difference}{line} {points(change.value)} points"
        ends = f"{interval(change.lower, change.upper)}, n = {change.n_pairs} pairs"
        return _Figure(change.lower, change.upper, f"{card.dataset} {value} ({ends})", " points")
    rate = figures.rate(mode)
    if rate is None or rate.lower is None or rate.upper is None:
        return None
    value = f"{KIND_WORDS[kind].rate.lower()} {MODE_WORDS[mode]}{line} {percent(rate.value)}"
    ends = f"{interval(rate.lower, rate.upper, share=True)}, n = {rate.n_scored}"
    return _Figure(rate.lower, rate.upper, f"{card.dataset} {value} ({ends})", "")


def _compare(figure: _Figure, limit: Limit) -> LimitResult:
    if limit.at_most is not None:
        whole, none = figure.upper <= limit.at_most, figure.lower > limit.at_most
        bound = f"at most {limit.at_most:g}{figure.unit}"
    else:
        whole, none = figure.lower >= limit.bound, figure.upper < limit.bound
        bound = f"at least {limit.bound:g}{figure.unit}"
    outcome: Outcome = "pass" if whole else "fail" if none else "cannot tell"
    part = {"pass": "all", "fail": "none", "cannot tell": "only part"}[outcome]
    return LimitResult(outcome, f"{figure.text}: {part} of the interval is {bound}")


def _invalidities(card: Card, of: SetCard, validity: Validity) -> Iterator[str]:
    """Why this set's figures do not count."""
    if validity.mode_verified and not of.mode_check.verified:
        yield f"mode not verified ({'; '.join(of.mode_check.reasons)})"
    if validity.complete:
        yield from _incomplete(card, of)
    pairs = of.figures.difference.n_pairs if of.figures.difference else 0
    if pairs < validity.pairs_at_least:
        yield f"{pairs} pairs, at least {validity.pairs_at_least} are asked for"
    for mode, arm in of.counts.arms.items():
        counted = (
            ("unscored", arm.asked - arm.scored, validity.unscored_at_most),
            ("cut off", arm.truncated, validity.truncated_at_most),
            ("looping", arm.looping, validity.looping_at_most),
        )
        for name, n, most in counted:
            if n > most * arm.asked:
                yield f"{n} of {arm.asked} samples {MODE_WORDS[mode]} are {name}, at most {most:.0%} may be"
    judge = of.judge.name if of.judge else None
    if validity.judges and judge and not {judge, judge.split("@")[0]} & set(validity.judges):
        yield f"judged by {judge}, which is not among the judges that count"


def _incomplete(card: Card, of: SetCard) -> Iterator[str]:
    runs = [run for run in card.runs if run.id in of.runs]
    if not runs:
        yield "what was run is unknown"
    if any(run.limited for run in runs):
        yield "only a part of the set was run"
    if any(run.status not in ("success", "unknown") for run in runs):
        yield "a run did not end well"
    wrong = {"missing", "half_pair"}
    yield from (p.says for p in card.problems if p.kind in wrong and p.dataset == of.dataset)
