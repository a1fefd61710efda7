"""Hold a card against the limits of a gate: pass, fail, cannot tell, or missing, with the reason.

A limit *passes* when the whole interval keeps it and *fails* when no part of the interval does; otherwise the gate
cannot tell. The chance that a limit passes which the true figure breaks is at most half of 1 - level, and so is the
chance that one fails which it keeps.

`category: each` asks about m categories at once. It passes when all of them pass. That is an intersection-union test:
whichever category breaks the limit, its own interval has to err, so the level needs no correction (R. L. Berger,
Technometrics 24 (1982) 295-300). It fails when one of them fails, and m intervals have m chances to err, so a category
fails only when its interval at 1 - (1 - level) / m lies beyond the limit (Bonferroni: the chance that any of them
fails wrongly stays at half of 1 - level, whatever their dependence). Holm's steps would name more failing
categories and never fail another model: his first step is Bonferroni's.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import Field, NonNegativeInt, computed_field

from rim_eval.card import Card, Cell, Figures, SetCard
from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    inside,
    interval,
    only_mode_sentence,
    percent,
    points,
)
from rim_eval.labelling.figures import advice_of
from rim_eval.release_gate.rules import EACH, FIGURES, Limit, Rules, Tier, Validity, read_rules
from rim_eval.release_gate.validity import invalidities, lossy_category
from rim_eval.results.figures import figures_of
from rim_eval.results.rates import ArmRate, Difference
from rim_eval.types import FiniteModel, Mode, Sentence

Outcome = Literal["pass", "fail", "cannot tell", "missing"]
"""`missing`: there is no such figure at all; `cannot tell`: there is one that decides nothing."""

EXIT_CODES: Final[dict[Outcome, int]] = {"pass": 0, "fail": 1, "cannot tell": 2, "missing": 2}


class Ends(FiniteModel):
    """Both ends of an interval, in the unit of its figure."""

    lower: float
    upper: float
    level: float = Field(gt=0, lt=1)


class Measured(Ends):
    """What was measured: percentage points of changes, fractions from 0 to 1 of rates."""

    value: float
    n: NonNegativeInt
    """Pairs of a change, scored samples of a rate."""
    n_prompts: NonNegativeInt
    """Prompts behind it."""
    looks: int = Field(default=1, ge=1)
    """Categories that the limit looks at."""
    strict: Ends | None = None
    """The interval that must lie beyond the limit for a failure, where there are several looks."""
    advice: Sentence | None = None
    """What would narrow the interval most, of a figure that labels correct."""


class LimitResult(FiniteModel):
    """The outcome of one limit on one set, or on one of its categories."""

    outcome: Outcome
    reason: str
    """One line, with the figure where there is one."""
    limit: Limit
    dataset: str | None = None
    """None where no set was measured that the limit is on."""
    category: str | None = None
    measured: Measured | None = None
    """None where the figure is missing."""
    counts: bool = True
    """Whether what is measured counts: all that must hold does."""

    @property
    def tier(self) -> Tier:
        """What the limit decides."""
        return self.limit.tier

    @property
    def place(self) -> str:
        """The set and the category in words."""
        where = self.dataset or self.limit.set or f"any {FIGURES[self.limit.figure][0]} set"
        return f"{where}, {self.category}" if self.category else where


class Decision(FiniteModel):
    """What the gate says of one model."""

    model: str
    results: tuple[LimitResult, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the limits that block."""
        return worst(result.outcome for result in self.results if result.tier == "block")


class _Target(NamedTuple):
    """One figure that a limit is on."""

    of_set: SetCard
    figures: Figures | None
    category: str | None = None
    cells: Sequence[Cell] = ()
    """Counts of the category."""


def gate(card: Card, rules: Rules | Path | str) -> Decision:
    """Check every limit on every set, and on every category, that it concerns.

    A limit passes when the whole interval keeps it and fails when no part of the interval does. The gate
    cannot tell otherwise, or when the figures do not count; what was not measured is missing.

    Args:
        card: The model's card.
        rules: The limits, or the path of a YAML file of them.

    Raises:
        RimError: The file cannot be read, or has content that is not allowed.
    """
    if not isinstance(rules, Rules):
        rules = read_rules(Path(rules))
    results = (each for limit in rules.limits for each in _check(card, limit, rules.validity))
    return Decision(model=card.model, results=tuple(results))


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Give the first of `fail`, `missing`, `cannot tell` that any outcome is, else `pass`."""
    severity: tuple[Outcome, ...] = ("pass", "cannot tell", "missing", "fail")
    return max(outcomes, key=severity.index, default="cannot tell")


def decide(limit: Limit, ends: Ends, strict: Ends | None = None) -> Outcome:
    """Hold an interval against a limit.

    Args:
        limit: The limit.
        ends: The interval that must keep it.
        strict: The interval no part of which may keep it for a failure; `ends` by default.
    """
    beyond = strict or ends
    if limit.at_most is not None:
        keeps, breaks = ends.upper <= limit.bound, beyond.lower > limit.bound
    else:
        keeps, breaks = ends.lower >= limit.bound, beyond.upper < limit.bound
    return "pass" if keeps else "fail" if breaks else "cannot tell"


def strict_level(level: float, looks: int) -> float:
    """Level of each of several intervals that all hold at the level of one (Bonferroni).

    Args:
        level: Confidence of all together, a fraction.
        looks: How many intervals there are.
    """
    return 1 - (1 - level) / looks


def _check(card: Card, limit: Limit, validity: Validity) -> Iterator[LimitResult]:
    kind, _ = FIGURES[limit.figure]
    sets = [each for each in card.of_kind(kind) if limit.set in (None, each.dataset)]
    targets = [target for each in sets for target in _targets(each, limit)]
    if not targets:
        reason = f"{limit.figure}: {_absence(card, limit, sets)}"
        yield LimitResult(
            outcome="missing", reason=reason, limit=limit, category=_named_category(limit)
        )
    looks = len(targets) if limit.category == EACH else 1
    for target in targets:
        yield _check_target(card, limit, validity, target, looks)


def _targets(each: SetCard, limit: Limit) -> Iterator[_Target]:
    """The figures of a set that a limit is on."""
    if limit.category is not None:
        for name, of_category in each.categories.items():
            if limit.category in (EACH, name):
                yield _Target(each, of_category, name, each.counts.categories[name])
    elif limit.score is not None:
        yield _Target(each, each.thresholds.get(str(limit.score)))
    else:
        yield _Target(each, (limit.level == "system" and each.system) or each.figures)


def _absence(card: Card, limit: Limit, sets: Sequence[SetCard]) -> str:
    """Why there is no figure that a limit is on."""
    kind, _ = FIGURES[limit.figure]
    if not sets:
        return f"{card.model} was not measured on a {f'set {limit.set}' if limit.set else f'{kind} set'}"
    names = ", ".join(each.dataset for each in sets)
    categories = ", ".join(dict.fromkeys(name for each in sets for name in each.categories))
    if not categories:
        return f"{names} has no categories"
    return f"{names} has no category {limit.category!r}, but {categories}"


def _named_category(limit: Limit) -> str | None:
    return None if limit.category == EACH else limit.category


def _check_target(
    card: Card, limit: Limit, validity: Validity, target: _Target, looks: int
) -> LimitResult:
    """Hold one figure against a limit, as one of several that it looks at."""
    of_set, category = target.of_set, target.category
    measured = _measured(target, limit, looks)
    place = f"{of_set.dataset}, {category}," if category else of_set.dataset
    outcome: Outcome = "missing"
    if measured is None:
        reason = f"{place} {limit.figure}: {_no_figure(target, limit)}"
        doubts = []
    else:
        doubts = [
            *invalidities(card, of_set, limit, validity),
            *lossy_category(of_set, target.cells, validity),
        ]
        outcome = "cannot tell" if doubts else decide(limit, measured, measured.strict)
        why = "; ".join(doubts) or _why(limit, measured, outcome)
        reason = f"{place} {_describe(measured, limit)}: {why}"
    return LimitResult(
        outcome=outcome,
        reason=reason,
        limit=limit,
        dataset=of_set.dataset,
        category=category,
        measured=measured,
        counts=not doubts,
    )


def _no_figure(target: _Target, limit: Limit) -> str:
    if limit.by == "labels" and target.of_set.labels is None:
        return (
            "no labels of this run correct it (rim-eval judge sample, judge correct --out FILE, then --labels FILE of "
            "rim-eval gate or card)"
        )
    only_mode = target.figures is not None and target.figures.only_mode
    return only_mode_sentence(FIGURES[limit.figure][0]) if only_mode else "there is no such figure"


def _measured(target: _Target, limit: Limit, looks: int) -> Measured | None:
    """The figure and its intervals; None where it is missing."""
    if limit.by == "labels":
        return _by_labels(target.of_set, FIGURES[limit.figure][1])
    figure = _figure(target.figures, limit)
    if figure is None or figure.value is None or (ends := _ends(figure)) is None:
        return None
    wide = None
    if looks > 1:
        level = strict_level(figure.level, looks)
        wide = _figure(figures_of(target.of_set.counts, target.cells, level), limit)
    n = (
        (figure.n_scored, figure.n_prompts_scored)
        if isinstance(figure, ArmRate)
        else (figure.n_pairs,) * 2
    )
    return Measured(
        **ends.model_dump(),
        value=figure.value,
        n=n[0],
        n_prompts=n[1],
        looks=looks,
        strict=None if wide is None else _ends(wide),
    )


def _by_labels(each: SetCard, mode: Mode | None) -> Measured | None:
    """The figure that labels correct; None without labels."""
    if each.labels is None:
        return None
    figures = each.labels.figures
    figure = figures.rates.get(mode) if mode else figures.difference
    if figure is None or figure.value is None or figure.lower is None or figure.upper is None:
        return None
    return Measured(
        value=figure.value,
        lower=figure.lower,
        upper=figure.upper,
        level=figures.level,
        n=figure.n,
        n_prompts=figure.n,
        advice=advice_of(figure),
    )


def _ends(figure: ArmRate | Difference) -> Ends | None:
    if figure.lower is None or figure.upper is None:
        return None
    return Ends(lower=figure.lower, upper=figure.upper, level=figure.level)


def _figure(of: Figures | None, limit: Limit) -> ArmRate | Difference | None:
    mode = FIGURES[limit.figure][1]
    if of is None:
        return None
    return of.rate(mode) if mode else of.difference


def _why(limit: Limit, measured: Measured, outcome: Outcome) -> str:
    """Which part of the interval keeps the limit, and of which interval where several categories are looked at."""
    alone = decide(limit, measured)
    part = {"pass": "all", "fail": "none"}.get(alone, "only part")
    sentence = f"{part} of the interval is {limit.words}"
    if measured.strict is None or outcome == "pass":
        return sentence
    share = FIGURES[limit.figure][1] is not None
    ends = interval(measured.strict.lower, measured.strict.upper, share=share)
    level = f"{100 * measured.strict.level:.4g} %"
    lies = "and it does" if outcome == "fail" else "and it does not"
    return (
        f"{sentence}; as one of {measured.looks} categories it fails only with the {level} interval beyond the limit "
        f"({ends}), {lies}"
    )


def _describe(measured: Measured, limit: Limit) -> str:
    """The figure in words, with its interval and n."""
    kind, mode = FIGURES[limit.figure]
    words = KIND_WORDS[kind]
    name = (
        f"{inside(words.rate)} {MODE_WORDS[mode]}" if mode else inside(words.difference)
    ) + limit.variant
    ends = interval(measured.lower, measured.upper, share=mode is not None)
    if mode is None:
        return f"{name} {points(measured.value)} points ({ends}, n = {measured.n} pairs)"
    return f"{name} {percent(measured.value)} ({ends}, n = {measured.n})"
