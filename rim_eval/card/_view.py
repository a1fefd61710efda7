"""What a reader sees of a card, as texts and tables: the same for Markdown and the page."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rim_eval.card._grid import Grid
from rim_eval.card._schema import Card, SetCard
from rim_eval.card._validity import facts, provenance, validity
from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    interval,
    p_text,
    percent,
    points,
)
from rim_eval.plotting import state_of
from rim_eval.results.figures import Difference, Figures
from rim_eval.statistics import Shown
from rim_eval.types import PROMPT_KINDS, Mode, PromptKind

__all__ = ["Headline", "View", "verdict", "view"]

_BACK: Final[tuple[Mode, ...]] = ("no_think", "think")


class Headline(NamedTuple):
    """One of the figures that come first."""

    name: str
    dataset: str
    figure: str
    unit: str
    interval: str
    rates: str
    n: str
    verdict: str
    state: str
    """`worse`, `better`, `not` (significant) or `unverified`, for its look; `verdict` says it in words."""


class View(NamedTuple):
    """A card in words."""

    title: str
    flag: str
    flag_state: str
    headlines: tuple[Headline, ...]
    grids: tuple[Grid, ...]
    """Rates and differences of every set, by kind."""
    details: tuple[Grid, ...]
    """Thresholds, categories, patterns, discrimination, corrections."""
    validity: tuple[Grid, ...]
    commands: tuple[tuple[str, str], ...]
    provenance: Grid
    facts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


def view(card: Card) -> View:
    """Everything that is shown of a card."""
    return View(
        title=card.model,
        flag=card.flag.sentence if card.flag else "There is no RIM score on this card.",
        flag_state={"yes": "RIM shown", "no": "RIM not shown"}.get(
            card.flag.flag if card.flag else "", "Cannot tell"
        ),
        headlines=tuple(_headlines(card)),
        grids=tuple(_grid(card, kind) for kind in PROMPT_KINDS if card.of_kind(kind)),
        details=tuple(_details(card)),
        validity=tuple(validity(card)),
        commands=tuple((run.dataset, run.command) for run in card.runs if run.command is not None),
        provenance=provenance(card),
        facts=tuple(facts(card)),
        problems=tuple(f"{problem.says} (n = {problem.n})" for problem in card.problems),
    )


def verdict(kind: PromptKind, found: Difference | None) -> str:
    """What a difference shows, in words; both directions alike."""
    says = found.shown if found else "unknown"
    if says not in ("more", "less"):
        return _NOT_SHOWN[says]
    words = {"harmful": "misaligned", "benign": "refusing", "reasoning": "accurate"}[kind]
    return f"{says} {words} with thinking"


_NOT_SHOWN: Final[dict[Shown, str]] = {
    "unknown": "nothing to compare",
    "includes_zero": "not significant: the interval includes 0",
    "not_confirmed": "not significant: the test does not confirm the interval",
}


def _headlines(card: Card) -> Iterator[Headline]:
    named: tuple[tuple[PromptKind, str | None], ...] = (
        ("harmful", card.primary),
        ("reasoning", card.primary_reasoning),
        ("benign", _largest(card.of_kind("benign"))),
    )
    for kind, dataset in named:
        found = card.find(dataset, kind)
        if found is not None:
            yield _headline(found)


def _largest(sets: Sequence[SetCard]) -> str | None:
    return max(sets, key=_n).dataset if sets else None


def _n(found: SetCard) -> int:
    return found.figures.difference.n_pairs if found.figures.difference else 0


def _headline(found: SetCard) -> Headline:
    words, shown = KIND_WORDS[found.kind], found.figures.difference
    state = "not"
    if shown is not None:
        state = state_of(found.kind, shown.shown).split()[0]
    said = verdict(found.kind, shown)
    if not found.gate.verified:
        state, said = "unverified", f"mode not verified; {said}"
    return Headline(
        name=words.difference,
        dataset=found.dataset,
        figure=points(shown.value if shown else None),
        unit="percentage points",
        interval=f"95 % interval {interval(shown.lower, shown.upper)}" if shown else "",
        rates=_rates(found.figures, words.rate),
        n=f"n = {shown.n_pairs} pairs, {p_text(shown.p_value)}" if shown else "one mode only",
        verdict=said,
        state=state,
    )


def _rates(found: Figures, name: str) -> str:
    parts = [
        f"{percent(rate.value)} {MODE_WORDS[mode]} (n = {rate.n_scored})"
        for mode in _BACK
        if (rate := found.rate(mode)) is not None
    ]
    return f"{name}: {', '.join(parts)}"


_FEW: Final = 10

_SET_HEAD: Final = (
    "set", "difference, points", "pairs", "shown", "p", "without thinking", "n", "with thinking", "n",
)  # fmt: skip


def _grid(card: Card, kind: PromptKind) -> Grid:
    words = KIND_WORDS[kind]
    rows = [_row(s.dataset, kind, s.figures, s.gate.verified) for s in card.of_kind(kind)]
    note = f"{words.means}. The difference is with minus without thinking, paired by prompt."
    if kind == "harmful" and card.adjusted_p:
        adjusted = ", ".join(f"{name} {p_text(p)}" for name, p in card.adjusted_p.items())
        note += f" Holm-adjusted over all sets: {adjusted}."
    return Grid(words.rate, note[0].upper() + note[1:], _SET_HEAD, tuple(rows))


def _row(name: str, kind: PromptKind, found: Figures, verified: bool = True) -> tuple[str, ...]:
    arms: list[str] = []
    for mode in _BACK:
        rate = found.rate(mode)
        ends = rate and interval(rate.lower, rate.upper, share=True)
        arms += (
            [f"{percent(rate.value)} ({ends})", str(rate.n_scored)] if rate else ["not run", "0"]
        )
    shown = found.difference
    if shown is None:
        return (name, "n/a", "0", "one mode only", "no test", *arms)
    said = verdict(kind, shown) if verified else "mode not verified"
    value = f"{points(shown.value)} ({interval(shown.lower, shown.upper)})"
    return (name, value, str(shown.n_pairs), said, p_text(shown.p_value), *arms)


def _details(card: Card) -> Iterator[Grid]:
    for found in card.sets:
        words, name = KIND_WORDS[found.kind], found.dataset
        if found.thresholds:
            rows = [
                _row(f"score {line} and more", found.kind, figures, found.gate.verified)
                for line, figures in found.thresholds.items()
            ]
            note = "The same replies with another line: the paper counts 3 and more, the authors of HEx-PHI 5."
            yield Grid(f"{name}: other lines on the judge's scale", note, _SET_HEAD, tuple(rows))
        if len(found.categories) > 1:
            rows = [
                _row(c, found.kind, f, found.gate.verified)
                for c, f in sorted(found.categories.items())
            ]
            note = (
                "Many categories, each with few prompts: one that stands out may do so by chance."
            )
            yield Grid(f"{name}: {words.rate.lower()} by category", note, _SET_HEAD, tuple(rows))
        yield from _patterns(found)
        yield from _corrected(found)
        yield from _given_thought(found)
        yield from _safe(found)
    yield from _discrimination(card)


def _patterns(found: SetCard) -> Iterator[Grid]:
    rows = []
    for mode, arm in found.counts.arms.items():
        for name, count in arm.patterns.items():
            share = count.n / arm.patterns_read if arm.patterns_read else None
            rate = count.events / count.scored if count.scored else None
            rows.append(
                (name.replace("_", " "), MODE_WORDS[mode], f"{count.n} of {arm.patterns_read}",
                 percent(share), percent(rate), str(count.scored))
            )  # fmt: skip
    if rows:
        head = ("pattern", "mode", "traces", "share", f"then {KIND_WORDS[found.kind].event}", "n")
        note = "Patterns found in the traces by the monitor; one trace can show several."
        yield Grid(f"{found.dataset}: reasoning patterns", note, head, tuple(rows))


def _corrected(found: SetCard) -> Iterator[Grid]:
    shown = found.corrected
    if shown is None:
        return
    rows = [
        (MODE_WORDS[mode], percent(_raw(found, mode)), percent(shown.rates[mode][0]),
         interval(*shown.rates[mode][1:], share=True), str(found.counts.arms[mode].scored), _labels(found, mode))
        for mode in _BACK if mode in shown.rates
    ]  # fmt: skip
    if shown.difference is not None and found.figures.difference is not None:
        value, lower, upper = shown.difference
        raw = points(found.figures.difference.value)
        rows.append(
            (
                "difference, points",
                raw,
                points(value),
                interval(lower, upper),
                str(shown.n_pairs),
                "",
            )
        )
    note = f"Corrected (Rogan-Gladen) by labels of {shown.labelled_set}."
    if shown.shared:
        note += (
            " The same labels serve both modes: a judge that errs more in one mode goes unnoticed."
        )
    head = ("", "as judged", "corrected", "95 % interval", "n", "labelled replies")
    yield Grid(f"{found.dataset}: corrected for the judge's errors", note, head, tuple(rows))


def _raw(found: SetCard, mode: Mode) -> float | None:
    rate = found.figures.rate(mode)
    return rate.value if rate else None


def _labels(found: SetCard, mode: Mode) -> str:
    if found.corrected is None:
        return ""
    counts = found.corrected.calibration[mode]
    return str(counts.positives + counts.negatives)


def _given_thought(found: SetCard) -> Iterator[Grid]:
    """Rates given a trace and given none; only where a mode has some of both."""
    rows = []
    for mode, arm in found.counts.arms.items():
        without = arm.scored - arm.adopted_scored
        if min(arm.adopted_scored, without) >= _FEW:
            rest = arm.events - arm.adopted_events
            rows.append(
                (MODE_WORDS[mode], percent(arm.adopted_events / arm.adopted_scored),
                 str(arm.adopted_scored), percent(rest / without), str(without))
            )  # fmt: skip
    if rows:
        head = ("mode", "given a trace", "n", "given none", "n")
        note = "Which prompts made the model think was not drawn at random, so this describes and explains nothing."
        yield Grid(f"{found.dataset}: by whether it thought", note, head, tuple(rows))


def _safe(found: SetCard) -> Iterator[Grid]:
    """Safe@1, Safe@K and the share of prompts safe in at least half; only with several epochs."""
    rows = []
    for mode in _BACK:
        if shown := found.safe.get(mode):
            shares = (shown.safe_at_1, shown.safe_at_k, shown.cons_safe_at_k)
            said = [
                f"{percent(r.value)} ({interval(r.lower, r.upper, share=True)})" for r in shares
            ]
            about = (str(shown.safe_at_k.n), str(shown.n_short))
            rows.append((MODE_WORDS[mode], f"K = {shown.k}", *said, *about))
    if rows:
        head = ("mode", "samples", "Safe@1", "Safe@K", "safe in half or more", "n", "left out")
        note = (
            "Of K samples of a prompt: the mean share that is safe (Safe@1), and the prompts that are safe in all "
            "(Safe@K) or in at least half of them. n counts prompts with K scored samples; the others are left out."
        )
        yield Grid(f"{found.dataset}: safe in several samples", note, head, tuple(rows))


def _discrimination(card: Card) -> Iterator[Grid]:
    rows = [
        (
            f"{d.harmful} against {d.benign}", points(d.misalignment_change), points(d.over_refusal_change),
            f"{points(d.change)} ({interval(d.lower, d.upper)})", str(d.n_pairs),
            {"worse": "worse at telling them apart with thinking", "better": "better at telling them apart with thinking"}
            .get(d.direction, "not significant: the interval includes 0"),
        )
        for d in card.discrimination
    ]  # fmt: skip
    if rows:
        head = (
            "pairs of",
            "misalignment",
            "over-refusal",
            "discrimination, points",
            "pairs",
            "shown",
        )
        note = (
            "Harmful prompts with their harmless look-alikes. Discrimination is going along with the "
            "harmless minus going along with the harmful; below 0 thinking blurs the line."
        )
        yield Grid("Telling harmful from harmless", note, head, tuple(rows))
