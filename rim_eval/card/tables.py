"""The tables of a card as text cells: figures, details, validity, provenance, what was found inside the model.

Markdown and the HTML page show the same tables, with titles, notes and column names from `texts.toml`. Every figure
has its n beside it.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, Final, get_args

from pydantic import TypeAdapter

from rim_eval.card import schema
from rim_eval.card.labels import label_number, label_rows, label_sentences
from rim_eval.card.noise import bottleneck_sentence, repeat_rows, split_rows
from rim_eval.formatting import (
    ARM_WORDS,
    KIND_WORDS,
    MODE_WORDS,
    NOTHING_TO_READ,
    estimate,
    interval,
    p_text,
    percent,
    percent_of,
    plain_number,
    points,
)
from rim_eval.judging import judge_wording
from rim_eval.results.conditions import ConditionGap
from rim_eval.results.figures import Figures
from rim_eval.results.rates import ArmRate, Difference
from rim_eval.results.taxonomy import ArmOutcomes, OutcomeShare
from rim_eval.statistics import Rate, Significance, rate, significance
from rim_eval.types import PROMPT_KINDS, FrozenModel, Mode, PromptKind

Cells = Sequence[object]

_MIN_GROUP: Final = 10
"""Samples with a trace, and without, from which on their rates are shown."""

_FIGURES_HEAD: Final = ("set", "difference, points", "pairs", "significance", "p", "without thinking", "n", "with thinking", "n")  # fmt: skip
_INSIDE_HEAD: Final = ("what", "measure", "value", "95 % interval", "n")
_CONTROLS_HEAD: Final = (*_INSIDE_HEAD, "random sets: median (range)", "rank p")

_NOT_SIGNIFICANT: Final[dict[Significance, str]] = {
    "unknown": "nothing to compare",
    "includes_zero": "not significant: the interval includes 0",
}

_OUTCOME_WORDS: Final = {
    "thought_event": "thought, then harmful",
    "direct_event": "harmful without a trace",
    "thought_no_event": "thought, then safe",
    "direct_no_event": "safe without a trace",
    "looping": "looping, no harm found",
}

_UNITS: Final = {"points": points, "share": percent, "plain": plain_number}


class Grid(FrozenModel):
    """A table, or the texts of a picture; in `texts.toml` without rows, and `{...}` is filled in."""

    title: str
    note: str = ""
    remark: str = ""
    """Added to the note where it applies."""
    head: tuple[str, ...] = ()
    heading: str = ""
    """Heading of the findings of a part of the mechanisms section."""
    rows: tuple[tuple[str, ...], ...] = ()


TEXTS: Final = TypeAdapter(dict[str, Grid]).validate_python(
    tomllib.loads(Path(__file__).with_name("texts.toml").read_text(encoding="utf-8"))
)


def significance_text(kind: PromptKind, difference: Difference | None) -> str:
    """Say what a difference shows; both directions alike.

    Args:
        kind: Kind of the prompts.
        difference: Think minus no-think; None where one mode was not run.
    """
    direction = difference.significance if difference else "unknown"
    if direction not in ("more", "less"):
        return _NOT_SIGNIFICANT[direction]
    words = {"harmful": "misaligned", "benign": "refusing", "reasoning": "accurate"}[kind]
    return f"{direction} {words} with thinking"


def figure_grids(card: schema.Card) -> Iterator[Grid]:
    """Rates and differences of every set, one table a kind of prompts."""
    adjusted = ", ".join(f"{name} {p_text(p)}" for name, p in card.adjusted_p.items())
    for kind in PROMPT_KINDS:
        words, remark = KIND_WORDS[kind], kind == "harmful" and bool(adjusted)
        values = {"rate": words.rate, "means": words.means[0].upper() + words.means[1:]}
        rows = [_figures_row(s.dataset, s, s.figures) for s in card.of_kind(kind)]
        if rows:
            yield make_grid("figures", rows, _FIGURES_HEAD, remark=remark, adjusted=adjusted, **values)  # fmt: skip
        if system := [_figures_row(s.dataset, s, s.system) for s in card.of_kind(kind) if s.system]:
            yield make_grid("system", system, _FIGURES_HEAD, remark=False, **values)


SHORT_HEAD: Final = (
    "figure",
    *MODE_WORDS.values(),
    "change, points (95 % interval)",
    "pairs",
    "shows",
)


def short_rows(card: schema.Card, *, primary: bool = True) -> Iterator[tuple[str, ...]]:
    """Both rates and the change of every set, one line each.

    Args:
        card: The card.
        primary: Whether to begin with the set whose RIM score comes first.
    """
    sets = [each for kind in PROMPT_KINDS for each in card.of_kind(kind)]
    first = [each for each in sets if each.kind == "harmful" and each.dataset == card.primary]
    for each in [*(first if primary else []), *(each for each in sets if each not in first)]:
        rates = map(each.figures.rate, MODE_WORDS)
        cells = [_percent_with_n(each, rate) for rate in rates]
        name = f"{KIND_WORDS[each.kind].rate}, {each.dataset}"
        change = each.figures.difference
        value = estimate(change.value, change.lower, change.upper) if change else "n/a"
        shows = _shows(each)
        yield (name, *cells, value, str(change.n_pairs if change else 0), shows)


def _percent_with_n(each: schema.SetCard, rate: ArmRate | None) -> str:
    return f"{percent(rate.value)} (n = {rate.n_scored})" if rate else each.figures.absent


def _shows(each: schema.SetCard) -> str:
    """What a set's difference shows; that its modes are not verified comes first."""
    change = each.figures.difference
    if change is None:
        return "judged by its reasoning alone" if each.figures.only_mode else "one mode only"
    if not each.mode_check.verified:
        return "mode not verified"
    return significance_text(each.kind, change)


def detail_grids(card: schema.Card) -> list[Grid]:
    """Thresholds, categories, patterns, corrections, Safe@K of every set, and discrimination."""
    grids = [grid for each in card.sets for grid in set_grids(each)]
    return [*grids, *([discrimination_grid(card)] if card.discrimination else [])]


def discrimination_grid(card: schema.Card) -> Grid:
    """How well harmful and harmless prompts are told apart."""
    return make_grid("discrimination", map(_discrimination_row, card.discrimination))


def set_grids(each: schema.SetCard) -> list[Grid]:
    """Thresholds, categories, patterns, corrections, Safe@K of one set."""
    words = KIND_WORDS[each.kind]
    lines = [_figures_row(f"score {k} and more", each, f) for k, f in each.thresholds.items()]
    categories = [_figures_row(k, each, f) for k, f in sorted(each.categories.items())]
    table = partial(make_grid, dataset=each.dataset, event=words.event, rate=words.rate.lower(), monitor=monitor_name(each))  # fmt: skip
    grids = [
        table("thresholds", lines, _FIGURES_HEAD),
        table("categories", categories if len(categories) > 1 else (), _FIGURES_HEAD),
        table("patterns", _pattern_rows(each)),
        *_corrected_grid(each),
        *_labels_grid(each),
        table("by_trace", _trace_rows(each)),
        table("outcomes", _outcome_rows(each)),
        table("safe_at_k", _safe_rows(each)),
        table("doses", _dose_rows(each)),
        table("variance", _variance_rows(each)),
        *_noise_grid(each),
    ]
    return [grid for grid in grids if grid.rows]


def validity_grids(card: schema.Card) -> Iterator[Grid]:
    """Evidence for and against the figures: arms, modes, judges."""
    modes = [
        (s.dataset, "verified" if s.mode_check.verified else "NOT VERIFIED: " + "; ".join(s.mode_check.reasons),
         s.switch or "unknown", ARM_WORDS[s.counts.arm_kind])
        for s in card.sets
    ]  # fmt: skip
    rule = f"Rule: {card.sets[0].mode_check.rule}." if card.sets else ""
    arms = [_arm_row(s, mode) for s in card.sets for mode in MODE_WORDS if mode in s.counts.arms]
    yield make_grid("arms", arms)
    yield make_grid("modes", modes, rule=rule)
    yield make_grid("judges", map(_judge_row, card.sets))
    if any(each.noise for each in card.sets):
        yield make_grid("repeats", chain.from_iterable(map(repeat_rows, card.sets)))
    judges = {
        (judge.name, judge.model, judge.measured[0].event): judge.measured
        for each in card.sets
        if (judge := each.judge) is not None and judge.measured
    }
    for (name, model, event), measured in judges.items():
        judge_text = f"{name}, {model}," if model else name
        yield make_grid("agreement", _agreement_rows(measured), judge=judge_text, event=event)


def provenance_grid(card: schema.Card) -> Grid:
    """Where the prompts came from."""
    rows = []
    for run in card.runs:
        location, revision, files = "unknown", "unknown", ""
        if source := run.provenance:
            location = f"{source.source}: {source.location}"
            revision = source.revision_used or "none"
            files = ", ".join(
                f"{f.name} {f.sha256[:12]} ({f.rows} rows)" for f in source.files[:12]
            )
        prompts = "unknown" if run.n_prompts is None else str(run.n_prompts)
        seeded = run.sample_seed is not None
        part = f"sample, seed {run.sample_seed}" if seeded else "limited"
        prompts += f" ({part})" * run.limited
        if run.stopping is not None and run.stopping.stopped:
            prompts += f" (stopped after {run.stopping.asked})"
        rows.append((run.dataset, location, revision, files, prompts, run.status))
    return make_grid("provenance", rows)


def settings(card: schema.Card) -> tuple[tuple[str, str], ...]:
    """Settings and versions, each distinct value once."""

    def distinct(values: Iterable[str | None]) -> str:
        return ", ".join(dict.fromkeys(filter(None, values))) or "unknown"

    runs = card.runs
    protocols = distinct(run.protocol for run in runs)
    decoding = (", ".join(f"{k} {v}" for k, v in run.decoding.items()) for run in runs)
    answers = (f"{r.answer_tokens} tokens" for r in runs if r.answer_tokens)
    thinking = (f"{r.thinking_tokens} tokens on top" for r in runs if r.thinking_tokens)
    return (
        ("model", card.model),
        ("measured", card.created or "unknown"),
        *([("protocol", protocols)] if any(run.protocol for run in runs) else []),
        ("engine", distinct(run.engine for run in runs)),
        ("decoding", distinct(decoding)),
        ("answer budget", distinct(answers)),
        ("thinking budget", distinct(thinking)),
        ("epochs", distinct(str(run.epochs) for run in runs)),
        ("versions", distinct(f"{k} {v}" for run in runs for k, v in run.versions.items())),
        ("figures by", f"rim_eval {card.rim_eval}, card schema {card.schema_version}"),
    )


def inside_findings(section: schema.MechanismsCard) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each part of the mechanisms section that has findings, with their sentences."""
    sentences = {
        TEXTS[part].heading: tuple(f.says for f in section.findings if f.part == part)
        for part in get_args(schema.InsidePart)
    }
    return tuple((heading, each) for heading, each in sentences.items() if each)


def inside_grids(section: schema.MechanismsCard) -> Iterator[Grid]:
    """The figures of the mechanisms section, one table a part."""
    for part in get_args(schema.InsidePart):
        if figures := [figure for figure in section.figures if figure.part == part]:
            head = _CONTROLS_HEAD if any(figure.random for figure in figures) else _INSIDE_HEAD
            yield make_grid(part, (_inside_row(figure)[: len(head)] for figure in figures), head)


def make_grid(name: str, rows: Iterable[Cells], head: tuple[str, ...] = (), *, remark: bool = False, **values: Any) -> Grid:  # fmt: skip
    """The table of a name in `texts.toml`; cells become text.

    Args:
        name: Name of its texts.
        rows: Its cells.
        head: Column names, where the texts have none.
        remark: Whether its remark applies.
        values: What the texts name in braces.
    """
    texts = TEXTS[name]
    return Grid(
        title=texts.title.format(**values),
        note=(texts.note + texts.remark * remark).format(**values),
        head=head or tuple(column.format(**values) for column in texts.head),
        rows=tuple(tuple(map(str, row)) for row in rows),
    )


def _share(share: Rate | ArmRate | OutcomeShare) -> str:
    return estimate(share.value, share.lower, share.upper, share=True)


def _figures_row(name: str, each: schema.SetCard, figures: Figures) -> Cells:
    rates = (figures.rate(mode) for mode in MODE_WORDS)
    arms = [cell for r in rates for cell in ((_share(r), r.n_scored) if r else (figures.absent, 0))]
    change = figures.difference
    if change is None:
        reason = "judged by its reasoning alone" if figures.only_mode else "one mode only"
        return (name, "n/a", 0, reason, "no test", *arms)
    verified = each.mode_check.verified
    significance = significance_text(each.kind, change) if verified else "mode not verified"
    value = estimate(change.value, change.lower, change.upper)
    return (name, value, change.n_pairs, significance, _tests_text(change), *arms)


def _tests_text(change: Difference) -> str:
    """The p value that belongs to the interval, and that of the permutation test beside it."""
    text, beside = p_text(change.p_value), change.permutation_p_value
    return (
        text if beside is None else f"{text} ({p_text(beside).removeprefix('p = ')} by permutation)"
    )


def monitor_name(each: schema.SetCard) -> str:
    """Name of the monitor that read a set's traces."""
    return str(each.monitor or "a monitor that this card does not name")


def _pattern_rows(each: schema.SetCard) -> Iterator[Cells]:
    for mode, arm in each.counts.arms.items():
        n = arm.patterns_read
        for name, count in arm.patterns.items():
            shares = (percent_of(count.n, n), percent_of(count.events, count.scored))
            traces = f"{count.n} of {n}"
            yield (name.replace("_", " "), MODE_WORDS[mode], traces, *shares, count.scored)


def _corrected_grid(each: schema.SetCard) -> Iterator[Grid]:
    if corrected := each.corrected:
        name = "corrected" if corrected.same_model else "corrected_by_others"
        yield make_grid(
            name,
            _corrected_rows(each, corrected),
            remark=corrected.shared,
            dataset=each.dataset,
            labelled_set=corrected.labelled_set,
            models=", ".join(corrected.models),
        )


def _corrected_rows(each: schema.SetCard, corrected: schema.Corrected) -> Iterator[Cells]:
    change = each.figures.difference
    for mode in (mode for mode in MODE_WORDS if mode in corrected.rates):
        value, *ends = corrected.rates[mode]
        raw = each.figures.rate(mode)
        shares = (percent(raw.value if raw else None), percent(value), interval(*ends, share=True))
        judge = (
            estimate(*s[mode], share=True) for s in (corrected.sensitivity, corrected.specificity)
        )
        n = each.counts.arms[mode].scored
        yield (MODE_WORDS[mode], *shares, n, *judge, corrected.labelled[mode])
    if corrected.difference is not None and change is not None:
        value, *ends = corrected.difference
        cells = (points(change.value), points(value), interval(*ends), corrected.n_pairs)
        yield ("difference, points", *cells, "", "", "")


def _trace_rows(each: schema.SetCard) -> Iterator[Cells]:
    """Rates given a trace and given none; only where a mode has some of both."""
    for mode, outcomes in each.outcomes.items():
        groups = (outcomes.given_trace, outcomes.given_none)
        if all(group is not None and group.n >= _MIN_GROUP for group in groups):
            yield (MODE_WORDS[mode], *(cell for g in groups if g for cell in (_share(g), g.n)))


def _outcome_rows(each: schema.SetCard) -> Iterator[Cells]:
    """What every sample of a harmful set did, in both modes, and their sum last."""
    arms = {mode: each.outcomes.get(mode) for mode in MODE_WORDS if each.kind == "harmful"}
    ran = [arm for arm in arms.values() if arm]
    if not ran:
        return
    for name in dict.fromkeys(name for arm in ran for name in arm.shares):
        cells = [_outcome_cells(arm, name) for arm in arms.values()]
        yield (_OUTCOME_WORDS.get(name, f"unscored: {name.replace('_', ' ')}"), *chain(*cells))
    yield ("all", *chain(*(("", arm.n if arm else "") for arm in arms.values())))


def _outcome_cells(arm: ArmOutcomes | None, name: str) -> Cells:
    """The share of one outcome and its samples."""
    if arm is None:
        return ("n/a", "")
    share = arm.shares.get(name)
    return (_share(share), share.samples) if share else (percent(0), 0)


def _safe_rows(each: schema.SetCard) -> Iterator[Cells]:
    """Safe@1, Safe@K and the share of prompts safe in at least half; only with several epochs."""
    for mode in MODE_WORDS:
        if safe := each.safe.get(mode):
            shares = (safe.safe_at_1, safe.safe_at_k, safe.cons_safe_at_k)
            yield (
                MODE_WORDS[mode],
                f"K = {safe.k}",
                *map(_share, shares),
                safe.safe_at_k.n,
                safe.n_short,
            )


def _discrimination_row(pairs: schema.DiscriminationCard) -> Cells:
    state = significance(pairs.lower, pairs.upper)
    significant = f"{pairs.direction} at telling them apart with thinking"
    verdict = _NOT_SIGNIFICANT.get(state, significant)
    change = estimate(pairs.change, pairs.lower, pairs.upper)
    changes = (points(pairs.misalignment_change), points(pairs.over_refusal_change), change)
    names = f"{pairs.harmful} against {pairs.benign}"
    return (names, *changes, pairs.n_pairs, verdict, p_text(pairs.p_value))


def gaps_grid(card: schema.Card) -> Grid:
    """How the difference between the modes depends on an attack or on the sampling."""
    return make_grid("gaps", map(_gap_row, card.gaps))


def _gap_row(gap: ConditionGap) -> Cells:
    target, reference = gap.names
    changes = [
        estimate(c.value, c.lower, c.upper) for c in (gap.reference_change, gap.target_change)
    ]
    state = gap.significance
    verdict = _NOT_SIGNIFICANT.get(state, f"{'higher' if state == 'more' else 'lower'} on {target}")
    verdict = "the sign flips" if gap.sign_flips else verdict
    value = estimate(gap.value, gap.lower, gap.upper)
    names = f"{target} against {reference}"
    return (names, *changes, value, gap.n_prompts_scored, verdict, p_text(gap.p_value))


def _dose_rows(each: schema.SetCard) -> Iterator[Cells]:
    """Each dose with its rate, and the trend last."""
    if each.curve is None or each.doses is None:
        return
    for point, dose in zip(each.curve.points, each.doses.doses, strict=True):
        spent = "unknown" if point.mean_tokens is None else f"{point.mean_tokens:.0f}"
        closed = f"{dose.closed_at_budget} of {dose.returned}"
        check = (
            "taken" if point.check.verified else f"NOT VERIFIED: {'; '.join(point.check.reasons)}"
        )
        yield (point.name, spent, closed, _share(point.rate), point.rate.n_scored, check)
    trend = each.curve.trend
    value = f"{estimate(trend.value, trend.lower, trend.upper)} points"
    yield (
        "trend",
        "",
        "",
        value,
        f"{trend.n_blocks} prompts",
        f"{_trend_text(each)} ({p_text(trend.p_value)})",
    )


def _trend_text(each: schema.SetCard) -> str:
    assert each.curve is not None
    if not each.curve.verified:
        return "doses not verified"
    state = each.curve.trend.significance
    return _NOT_SIGNIFICANT.get(
        state, "rises with thinking" if state == "more" else "falls with thinking"
    )


def _variance_rows(each: schema.SetCard) -> Iterator[Cells]:
    """Where the uncertainty of the difference comes from; only with several epochs."""
    if parts := each.variance:
        errors = (
            parts.standard_error,
            parts.standard_error_twice_prompts,
            parts.standard_error_twice_epochs,
        )
        yield (
            f"{parts.epochs:.3g}",
            percent(parts.sampling_share),
            *(f"{e:.1f}" for e in errors),
            parts.n,
        )


def _labels_grid(each: schema.SetCard) -> Iterator[Grid]:
    if each.labels:
        n, sentence = label_number(each.labels), label_sentences(each.labels)
        yield make_grid("labels", label_rows(each), dataset=each.dataset, n=n, sentence=sentence)


def _noise_grid(each: schema.SetCard) -> Iterator[Grid]:
    if each.noise and (split := each.noise.split):
        sentence = bottleneck_sentence(split)
        yield make_grid("noise", split_rows(split), dataset=each.dataset, sentence=sentence)


def _arm_row(each: schema.SetCard, mode: Mode) -> Cells:
    arm = each.counts.arms[mode]
    trace, answer = (
        f"{lengths.median:g} (n = {lengths.n})" if lengths else missing
        for lengths, missing in ((arm.trace_tokens, "none"), (arm.answer_tokens, "unknown"))
    )
    reasons = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in arm.unscored.items())
    unscored: object = f"{arm.n_unscored} ({reasons})" if reasons else 0
    if each.counts.only_mode not in (None, mode):
        unscored = NOTHING_TO_READ
    return (
        each.dataset, MODE_WORDS[mode],
        f"{percent(arm.adoption)} (n = {arm.returned})" if arm.returned else "n/a",
        unscored, arm.declined,
        arm.truncated, f"{arm.over_budget} / {arm.trace_over_budget} / {arm.over_limit}", arm.looping,
        trace, answer, arm.asked,
    )  # fmt: skip


def _judge_row(each: schema.SetCard) -> Cells:
    judge = each.judge
    if judge is None:
        checked = each.kind == "reasoning"
        by = "answers are compared with the gold answer" if checked else "not judged"
        return (each.dataset, by, "", "", "")
    agreement = measured_text(judge.measured)
    model = judge.model or "offline, no model"
    wording = judge_wording(judge.name, judge.sha256)
    name = f"{judge.name} ({wording})" if wording else judge.name
    return (each.dataset, name, model, judge.sees or "", agreement)


def measured_text(groups: Sequence[schema.JudgeFigures]) -> str:
    """Say on which models a judge was compared with people, how well it agreed, and on which prompts."""
    if not groups:
        return "not measured against people here"
    models = list(dict.fromkeys(group.model for group in groups))
    kappas = sorted(group.kappa for group in groups if group.kappa is not None)
    counts = Counter[str]()
    for group in groups:
        counts.update(group.prompts)
    words = {"benign": "harmless", "harmful": "harmful"}
    prompts = [
        f"{n} replies to {words.get(kind, kind)} prompts" for kind, n in sorted(counts.items()) if n
    ]
    where = ", ".join([*dict.fromkeys(group.set for group in groups), *prompts])
    out = " left out of its training" * all(group.left_out for group in groups)
    kappa = f"kappa {kappas[0]:.2f} to {kappas[-1]:.2f}" if kappas else "kappa not defined"
    plural = "s" * (len(models) != 1)
    return f"measured on {len(models)} model{plural}{out} ({', '.join(models)}): {kappa}; {where}"


def _agreement_rows(measured: Sequence[schema.JudgeFigures]) -> Iterator[Cells]:
    """A row for each source model and mode, as a pooled figure hides where a judge errs."""
    modes = {str(mode): name for mode, name in MODE_WORDS.items()}
    for part in measured:
        shares: list[object] = []
        for k, n in (
            (part.true_positive, part.positives),
            (part.true_negative, part.negatives),
        ):
            shares += [_share(rate(k, n)) if n else "none of them", n]
        kappa = "" if part.kappa is None else f"{part.kappa:.2f}"
        model = f"{part.model} (left out of the judge's training)" if part.left_out else part.model
        yield (model, modes.get(part.mode, part.mode), *shares, kappa, part.unscored, part.set)


def _inside_row(figure: schema.InsideFigure) -> Cells:
    text, controls, p_value = _UNITS[figure.unit], figure.random, figure.p_value
    bounded = figure.lower is not None and figure.upper is not None
    ends = f"{text(figure.lower)} to {text(figure.upper)}" if bounded else ""
    cells = (figure.what, figure.measure, text(figure.value), ends, figure.n or "")
    if not controls:
        return (*cells, "", "")
    spread = f"{text(median(controls))} ({text(min(controls))} to {text(max(controls))})"
    return (*cells, f"{len(controls)}: {spread}", "" if p_value is None else f"{p_value:.2g}")
