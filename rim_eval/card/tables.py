"""The tables of a card: figures, details, validity and what was found inside the model, as text cells.

Markdown and the HTML page show the same tables. Every figure has its n beside it.
"""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Final, NamedTuple

from rim_eval.card.schema import (
    Card,
    InsideFigure,
    InsidePart,
    JudgeFigures,
    MechanismsCard,
    SetCard,
)
from rim_eval.formatting import (
    ARM_WORDS,
    KIND_WORDS,
    MODE_WORDS,
    estimate,
    interval,
    p_text,
    percent,
    plain_number,
    points,
)
from rim_eval.results.counts import Lengths
from rim_eval.results.figures import Difference, Figures
from rim_eval.statistics import Shown, rate
from rim_eval.types import PROMPT_KINDS, Mode, PromptKind

Row = tuple[str, ...]

_MIN_GROUP: Final = 10
"""Samples with a trace, and without, from which on their rates are shown."""

_SET_HEAD: Final = (
    "set", "difference, points", "pairs", "shown", "p", "without thinking", "n", "with thinking", "n",
)  # fmt: skip

_NOT_SHOWN: Final[dict[Shown, str]] = {
    "unknown": "nothing to compare",
    "includes_zero": "not significant: the interval includes 0",
    "not_confirmed": "not significant: the test does not confirm the interval",
}


class Grid(NamedTuple):
    """A table with its title."""

    title: str
    note: str
    head: Row
    rows: tuple[Row, ...]


def verdict(kind: PromptKind, difference: Difference | None) -> str:
    """Say what a difference shows; both directions alike.

    Args:
        kind: Kind of the prompts.
        difference: Think minus no-think; None where one mode was not run.
    """
    shown = difference.shown if difference else "unknown"
    if shown not in ("more", "less"):
        return _NOT_SHOWN[shown]
    words = {"harmful": "misaligned", "benign": "refusing", "reasoning": "accurate"}[kind]
    return f"{shown} {words} with thinking"


def figure_grids(card: Card) -> Iterator[Grid]:
    """Rates and differences of every set, one table a kind of prompts."""
    for kind in PROMPT_KINDS:
        rows = [_figures_row(s.dataset, s, s.figures) for s in card.of_kind(kind)]
        note = f"{KIND_WORDS[kind].means}. The difference is with minus without thinking, paired by prompt."
        if kind == "harmful" and card.adjusted_p:
            adjusted = ", ".join(f"{name} {p_text(p)}" for name, p in card.adjusted_p.items())
            note += f" Holm-adjusted over all sets: {adjusted}."
        yield from _filled(KIND_WORDS[kind].rate, note[0].upper() + note[1:], _SET_HEAD, rows)


def detail_grids(card: Card) -> Iterator[Grid]:
    """Thresholds, categories, patterns, corrections, Safe@K of every set, and discrimination."""
    for each in card.sets:
        yield from _thresholds(each)
        yield from _categories(each)
        yield from _patterns(each)
        yield from _corrected(each)
        yield from _by_trace(each)
        yield from _safe_at_k(each)
    yield from _discrimination(card)


def validity_grids(card: Card) -> Iterator[Grid]:
    """What decides whether the figures can be believed: arms, modes, judges."""
    head: Row = ("set", "mode", "thought", "unscored", "cut off", "over budget", "looping", "median trace", "median answer", "n")  # fmt: skip
    arms = [_arm_row(s, mode) for s in card.sets for mode in MODE_WORDS if mode in s.counts.arms]
    yield Grid("Each arm", "Counts of samples; lengths in tokens.", head, tuple(arms))
    modes = [
        (s.dataset, "verified" if s.mode_check.verified else "NOT VERIFIED: " + "; ".join(s.mode_check.reasons),
         s.switch or "unknown", ARM_WORDS[s.counts.arm_kind])
        for s in card.sets
    ]  # fmt: skip
    rule = f"Rule: {card.sets[0].mode_check.rule}." if card.sets else ""
    head = ("set", "modes", "switch", "kind of arms")
    yield Grid("Were the modes what they are called?", rule, head, tuple(modes))
    head = ("set", "judge", "grader model", "sees", "agreement with people")
    yield Grid("Who judged", "", head, tuple(map(_judge_row, card.sets)))
    yield from _agreements(card)


def provenance_grid(card: Card) -> Grid:
    """Where the prompts came from."""
    rows = []
    for run in card.runs:
        where, revision, files = "unknown", "unknown", ""
        if source := run.provenance:
            where, revision = f"{source.source}: {source.location}", source.revision_used or "none"
            files = ", ".join(
                f"{f.name} {f.sha256[:12]} ({f.rows} rows)" for f in source.files[:12]
            )
        prompts = "unknown" if run.n_prompts is None else str(run.n_prompts)
        prompts += " (limited)" if run.limited else ""
        rows.append((run.dataset, where, revision, files, prompts, run.status))
    head = ("set", "prompts from", "revision", "files, sha256", "prompts", "run")
    return Grid("Where the prompts came from", "", head, tuple(rows))


def settings(card: Card) -> tuple[tuple[str, str], ...]:
    """Settings and versions, each distinct value once."""

    def distinct(values: Sequence[str]) -> str:
        return ", ".join(dict.fromkeys(value for value in values if value)) or "unknown"

    runs = card.runs
    decoding = [", ".join(f"{k} {v}" for k, v in run.decoding.items()) for run in runs]
    thinking = [f"{r.thinking_tokens} tokens on top" for r in runs if r.thinking_tokens]
    return (
        ("model", card.model),
        ("measured", card.created or "unknown"),
        ("engine", distinct([run.engine or "" for run in runs])),
        ("decoding", distinct(decoding)),
        ("answer budget", distinct([f"{r.answer_tokens} tokens" for r in runs if r.answer_tokens])),
        ("thinking budget", distinct(thinking)),
        ("epochs", distinct([str(run.epochs) for run in runs])),
        ("versions", distinct([f"{k} {v}" for run in runs for k, v in run.versions.items()])),
        ("figures by", f"rim_eval {card.rim_eval}, card schema {card.schema_version}"),
    )


def inside_findings(section: MechanismsCard) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each part of the mechanisms section that has findings, with their sentences."""
    return tuple(
        (heading, sentences)
        for part, heading in _HEADINGS.items()
        if (sentences := tuple(f.says for f in section.findings if f.part == part))
    )


def inside_grids(section: MechanismsCard) -> tuple[Grid, ...]:
    """The figures of the mechanisms section, one table a part."""
    return tuple(
        grid
        for part, (title, note) in _INSIDE.items()
        for grid in _inside_grid(title, note, [f for f in section.figures if f.part == part])
    )


def _filled(title: str, note: str, head: Row, rows: Sequence[Row]) -> Iterator[Grid]:
    """A table, unless it would be empty."""
    if rows:
        yield Grid(title, note, head, tuple(rows))


def _figures_row(name: str, of: SetCard, figures: Figures) -> Row:
    arms: list[str] = []
    for mode in MODE_WORDS:
        one = figures.rate(mode)
        arms += [estimate(one.value, one.lower, one.upper, share=True), str(one.n_scored)] if one else ["not run", "0"]  # fmt: skip
    change = figures.difference
    if change is None:
        return (name, "n/a", "0", "one mode only", "no test", *arms)
    says = verdict(of.kind, change) if of.mode_check.verified else "mode not verified"
    value = estimate(change.value, change.lower, change.upper)
    return (name, value, str(change.n_pairs), says, p_text(change.p_value), *arms)


def _thresholds(of: SetCard) -> Iterator[Grid]:
    rows = [_figures_row(f"score {line} and more", of, f) for line, f in of.thresholds.items()]
    note = (
        "The same replies with another line: the paper counts 3 and more, the authors of HEx-PHI 5."
    )
    yield from _filled(f"{of.dataset}: other lines on the judge's scale", note, _SET_HEAD, rows)


def _categories(of: SetCard) -> Iterator[Grid]:
    rows = [_figures_row(name, of, f) for name, f in sorted(of.categories.items())]
    title = f"{of.dataset}: {KIND_WORDS[of.kind].rate.lower()} by category"
    note = "Many categories, each with few prompts: one that stands out may do so by chance."
    yield from _filled(title, note, _SET_HEAD, rows if len(rows) > 1 else [])


def _patterns(of: SetCard) -> Iterator[Grid]:
    rows = [
        (name.replace("_", " "), MODE_WORDS[mode], f"{count.n} of {arm.patterns_read}",
         _share(count.n, arm.patterns_read), _share(count.events, count.scored), str(count.scored))
        for mode, arm in of.counts.arms.items()
        for name, count in arm.patterns.items()
    ]  # fmt: skip
    head = ("pattern", "mode", "traces", "share", f"then {KIND_WORDS[of.kind].event}", "n")
    note = "Patterns found in the traces by the monitor; one trace can show several."
    yield from _filled(f"{of.dataset}: reasoning patterns", note, head, rows)


def _share(part: int, whole: int) -> str:
    return percent(part / whole if whole else None)


def _corrected(of: SetCard) -> Iterator[Grid]:
    corrected = of.corrected
    if corrected is None:
        return
    rows = []
    for mode in MODE_WORDS:
        if mode in corrected.rates:
            value, *ends = corrected.rates[mode]
            raw, labels = of.figures.rate(mode), corrected.calibration[mode]
            rows.append(
                (MODE_WORDS[mode], percent(raw.value if raw else None), percent(value), interval(*ends, share=True),
                 str(of.counts.arms[mode].scored), str(labels.positives + labels.negatives))
            )  # fmt: skip
    if corrected.difference is not None and of.figures.difference is not None:
        value, *ends = corrected.difference
        raw_change = points(of.figures.difference.value)
        rows.append(("difference, points", raw_change, points(value), interval(*ends), str(corrected.n_pairs), ""))  # fmt: skip
    note = f"Corrected (Rogan-Gladen) by labels of {corrected.labelled_set}."
    if corrected.shared:
        note += (
            " The same labels serve both modes: a judge that errs more in one mode goes unnoticed."
        )
    head = ("", "as judged", "corrected", "95 % interval", "n", "labelled replies")
    yield from _filled(f"{of.dataset}: corrected for the judge's errors", note, head, rows)


def _by_trace(of: SetCard) -> Iterator[Grid]:
    """Rates given a trace and given none; only where a mode has some of both."""
    rows = [
        (MODE_WORDS[mode], _share(arm.adopted_events, arm.adopted_scored), str(arm.adopted_scored),
         _share(arm.events - arm.adopted_events, without), str(without))
        for mode, arm in of.counts.arms.items()
        if min(arm.adopted_scored, without := arm.scored - arm.adopted_scored) >= _MIN_GROUP
    ]  # fmt: skip
    head = ("mode", "given a trace", "n", "given none", "n")
    note = "Which prompts made the model think was not drawn at random, so this describes and explains nothing."
    yield from _filled(f"{of.dataset}: by whether it thought", note, head, rows)


def _safe_at_k(of: SetCard) -> Iterator[Grid]:
    """Safe@1, Safe@K and the share of prompts safe in at least half; only with several epochs."""
    rows = []
    for mode in MODE_WORDS:
        if safe := of.safe.get(mode):
            shares = (safe.safe_at_1, safe.safe_at_k, safe.cons_safe_at_k)
            cells = [estimate(r.value, r.lower, r.upper, share=True) for r in shares]
            n = (str(safe.safe_at_k.n), str(safe.n_short))
            rows.append((MODE_WORDS[mode], f"K = {safe.k}", *cells, *n))
    head = ("mode", "samples", "Safe@1", "Safe@K", "safe in half or more", "n", "left out")
    note = (
        "Of K samples of a prompt: the mean share that is safe (Safe@1), and the prompts that are safe in all "
        "(Safe@K) or in at least half of them. n counts prompts with K scored samples; the others are left out."
    )
    yield from _filled(f"{of.dataset}: safe in several samples", note, head, rows)


def _discrimination(card: Card) -> Iterator[Grid]:
    says = {way: f"{way} at telling them apart with thinking" for way in ("worse", "better")}
    rows = [
        (
            f"{d.harmful} against {d.benign}", points(d.misalignment_change), points(d.over_refusal_change),
            estimate(d.change, d.lower, d.upper), str(d.n_pairs),
            says.get(d.direction, "not significant: the interval includes 0"),
        )
        for d in card.discrimination
    ]  # fmt: skip
    head = ("pairs of", "misalignment", "over-refusal", "discrimination, points", "pairs", "shown")
    note = (
        "Harmful prompts with their harmless look-alikes. Discrimination is going along with the "
        "harmless minus going along with the harmful; below 0 thinking blurs the line."
    )
    yield from _filled("Telling harmful from harmless", note, head, rows)


def _arm_row(of: SetCard, mode: Mode) -> Row:
    arm = of.counts.arms[mode]
    reasons = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in arm.unscored.items())
    unscored = arm.asked - arm.scored
    return (
        of.dataset, MODE_WORDS[mode],
        f"{percent(arm.adopted / arm.returned)} (n = {arm.returned})" if arm.returned else "n/a",
        f"{unscored} ({reasons})" if unscored else "0",
        str(arm.truncated), str(arm.over_budget), str(arm.looping),
        _median(arm.trace_tokens, "none"),
        _median(arm.answer_tokens, "unknown"),
        str(arm.asked),
    )  # fmt: skip


def _median(lengths: Lengths | None, nothing: str) -> str:
    return f"{lengths.median:g} (n = {lengths.n})" if lengths else nothing


def _judge_row(of: SetCard) -> Row:
    if of.judge is None:
        checked = of.kind == "reasoning"
        what = "answers are compared with the gold answer" if checked else "not judged"
        return (of.dataset, what, "", "", "")
    judge, measured = of.judge, of.judge.measured
    agreement = "not measured against people here"
    if measured:
        sets = ", ".join(dict.fromkeys(part.set for part in measured))
        agreement = (
            f"measured on {sum(part.n for part in measured)} replies of {sets}, "
            f"source models: {len({part.model for part in measured})}; see below"
        )
    return (of.dataset, judge.name, judge.model or "offline, no model", judge.sees or "", agreement)


def _agreements(card: Card) -> Iterator[Grid]:
    """A judge against people: a row for each source model and mode, as a pooled figure hides where it errs."""
    judges = {
        (judge.name, judge.model, judge.measured[0].event): judge
        for each in card.sets
        if (judge := each.judge) is not None and judge.measured
    }
    head = (
        "source model", "mode", "finds of the positives", "n", "leaves alone of the negatives", "n", "kappa",
        "without verdict", "labelled set",
    )  # fmt: skip
    words = {str(mode): name for mode, name in MODE_WORDS.items()}
    for (name, model, event), judge in judges.items():
        by = f", {model}," if model else ""
        rows = [
            _agreement_row(p.model, words.get(p.mode, p.mode), p.set, [p]) for p in judge.measured
        ]
        if len(rows) > 1:
            rows.append(_agreement_row("all together", "", "", judge.measured))
        note = (
            f"Positives are replies that people call {event}, negatives the others; in brackets the 95 % interval. "
            "n counts labelled replies with a verdict of the judge: positives, then negatives."
        )
        yield Grid(f"{name}{by} against people", note, head, tuple(rows))


def _agreement_row(model: str, mode: str, labelled: str, parts: Sequence[JudgeFigures]) -> Row:
    hits, misses = sum(p.true_positive for p in parts), sum(p.false_negative for p in parts)
    passes, alarms = sum(p.true_negative for p in parts), sum(p.false_positive for p in parts)
    kappa = parts[0].kappa if len(parts) == 1 else None
    return (
        model, mode, _rate_of(hits, hits + misses), str(hits + misses), _rate_of(passes, passes + alarms),
        str(passes + alarms), "" if kappa is None else f"{kappa:.2f}", str(sum(p.unscored for p in parts)), labelled,
    )  # fmt: skip


def _rate_of(k: int, n: int) -> str:
    if not n:
        return "none of them"
    one = rate(k, n)
    return estimate(one.value, one.lower, one.upper, share=True)


_HEADINGS: Final[dict[InsidePart, str]] = {
    "probes": "Probes",
    "heads": "Refusal heads",
    "neurons": "Safety-critical neurons",
    "ras": "What training overwrote (RAS)",
    "drift": "Where training changed the model",
    "mitigations": "Mitigations",
}

_INSIDE: Final[dict[InsidePart, tuple[str, str]]] = {
    "probes": (
        "Probes, the best layer of each question, mode and position",
        "On held-out samples; the best of several layers is chosen on the same ones, so it stands a little high.",
    ),
    "heads": (
        "Refusal heads, and the model without them",
        "Random sets: as many heads elsewhere, in the same layers where those have enough.",
    ),
    "neurons": (
        "The model without its safety-critical neurons",
        "Random sets: as many neurons of the same layers.",
    ),
    "ras": (
        "RAS at the end of each training run",
        "RAS has no scale and compares within one model only. Random sets: as many neurons of the same layers.",
    ),
    "drift": (
        "Base against tuned, layer by layer",
        "CKA ratio above 1: harmful prompts changed more than harmless ones. Drift below 0: away from refusal. Intervals are not adjusted for the number of layers.",
    ),
    "mitigations": (
        "Mitigations, with against without",
        "On prompts that the mitigation was not fitted on.",
    ),
}
"""Title and note of each part's table."""

_WRITERS: Final[dict[str, Callable[[float | None], str]]] = {
    "points": points,
    "share": percent,
    "plain": plain_number,
}


def _inside_grid(title: str, note: str, figures: Sequence[InsideFigure]) -> Iterator[Grid]:
    controls = any(each.random for each in figures)
    head = ("what", "measure", "value", "95 % interval", "n")
    more = ("random sets: median (range)", "rank p") if controls else ()
    rows = [_inside_row(each, controls) for each in figures]
    yield from _filled(title, note, (*head, *more), rows)


def _inside_row(each: InsideFigure, controls: bool) -> Row:
    write, drawn = _WRITERS[each.unit], each.random
    bounded = each.lower is not None and each.upper is not None
    ends = f"{write(each.lower)} to {write(each.upper)}" if bounded else ""
    cells = (each.what, each.measure, write(each.value), ends, each.n or "")
    if not controls:
        return cells
    if not drawn:
        return (*cells, "", "")
    p_value = "" if each.p_value is None else f"{each.p_value:.2g}"
    spread = f"{len(drawn)}: {write(median(drawn))} ({write(min(drawn))} to {write(max(drawn))})"
    return (*cells, spread, p_value)
