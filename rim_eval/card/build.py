"""From a table of observations to a card: the counts of each set, and everything that follows from them.

A check derives a card again from its counts, by the functions here (`rim_eval.card.check`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rim_eval import statistics
from rim_eval._version import __version__
from rim_eval.card import schema
from rim_eval.card.labels import judge_doubt, labels_of_set
from rim_eval.card.noise import noise_of_repeats
from rim_eval.errors import RimError
from rim_eval.judging import JudgeRepeats, Validation
from rim_eval.labelling import LabelCounts
from rim_eval.observations import Problem, Run, Table, check, condition_name
from rim_eval.results.columns import columns_of_frame
from rim_eval.results.conditions import Condition, ConditionGap, count_gaps, gap_of
from rim_eval.results.counts import (
    Cell,
    PairCell,
    SetCounts,
    count_pairs,
    count_set,
    tally_of,
    verdict_row,
)
from rim_eval.results.doses import (
    CurveCounts,
    count_doses,
    least_and_most,
    least_and_most_rows,
)
from rim_eval.results.figures import adjusted_p, derived, figures_of, flag_of, primary_set
from rim_eval.types import KIND_NAMES, MODES, PROMPT_KINDS, Mode, PromptKind

if TYPE_CHECKING:
    import pandas as pd


def make_card(
    table: Table,
    *,
    primary: str | None = None,
    primary_reasoning: str | None = None,
    validations: Mapping[str, Validation] | None = None,
    patterns: str | None = None,
    repeats: Sequence[JudgeRepeats] = (),
    labelled: Sequence[LabelCounts] = (),
    level: float = 0.95,
) -> schema.Card:
    """The card of the one model in a table.

    Args:
        table: Its observations.
        primary: Harmful set of the primary RIM score; by default `hexphi`, else the one with most pairs.
        primary_reasoning: Reasoning set beside it; by default the one with most pairs.
        validations: Measured agreement of judges with people, by judge name.
        patterns: Monitor whose findings are shown, `name`, `name@version` or `name:GRADER`; by default the
            grader's, and none of an offline monitor.
        repeats: Repeated readings by the judge (`rim-eval judge repeat`); those of other logs are not used.
        labelled: Counts of labelled sheets (`rim-eval judge correct`); those of other sets are not used.
        level: Confidence of all intervals, a fraction.

    Raises:
        RimError: The table holds no model or several, rows twice or contradicting each other, several
            judges or monitors for one set, names that are too long for a card, or no set of the name that was
            declared as primary.
    """
    if len(table.models) != 1:
        models = ", ".join(table.models) or "none"
        raise RimError(f"A card is of one model; these observations hold {models}.")
    table = table.of_monitor(patterns)
    problems = check(table)
    _reject_contradictions(problems)
    try:
        sets, uncorrected = _sets(table, validations or {}, repeats, labelled, level)
        runs = tuple(_run(run) for run in sorted(table.runs, key=lambda run: (run.dataset, run.id)))
        return schema.Card(
            rim_eval=__version__,
            model=table.models[0],
            level=level,
            sets=sets,
            discrimination=tuple(_discriminations(table, level)),
            gaps=tuple(_gaps(table, level)),
            runs=runs,
            problems=tuple(
                _problem(each, table.runs) for each in (*table.problems, *problems, *uncorrected)
            ),
            **card_fields(sets, runs, level, primary=primary, primary_reasoning=primary_reasoning),
        )
    except ValidationError as error:
        first = error.errors()[0]
        field, value = ".".join(map(str, first["loc"])), str(first["input"])[:60]
        raise RimError(
            f"What was read does not fit on a card: {field} is {value!r}: {first['msg']}. Names of models, "
            "sets and categories have at most 200 characters, on one line."
        ) from None


def set_fields(
    kind: PromptKind, counts: SetCounts, level: float, doses: CurveCounts | None = None
) -> dict[str, Any]:
    """Everything on a set's card that follows from its counts alone, by field.

    Args:
        kind: Kind of the prompts.
        counts: Counts of the set.
        level: Confidence of the intervals, a fraction.
        doses: Counts of all its doses, in a run of several.
    """
    return derived(counts, level, doses) | {
        "categories": {
            name: figures_of(counts, cells, level) for name, cells in counts.categories.items()
        },
        "safe": {} if counts.sequential else _safe_at_k(kind, counts.cells, level),
    }


def card_fields(
    sets: Sequence[schema.SetCard],
    runs: Sequence[schema.CardRun],
    level: float,
    *,
    primary: str | None = None,
    primary_reasoning: str | None = None,
) -> dict[str, Any]:
    """Everything on a card that follows from its sets and runs together, by field.

    Args:
        sets: Its sets.
        runs: Its runs.
        level: Confidence of the intervals, a fraction.
        primary: The harmful set that was named as the first, if any.
        primary_reasoning: The reasoning set that was named beside it, if any.

    Raises:
        RimError: A named set is not among them.
    """
    harmful = primary_set(sets, "harmful", primary)
    sampling = next((s.sampling for s in sets if (s.dataset, s.kind) == (harmful, "harmful")), None)
    alike = [each for each in sets if primary_reasoning or sampling in (None, each.sampling)]
    reasoning = primary_set(alike, "reasoning", primary_reasoning)
    labels = next((s.labels for s in sets if (s.dataset, s.kind) == (harmful, "harmful")), None)
    doubt = judge_doubt(labels) if labels else None
    flag = flag_of(sets, harmful, reasoning, level, judge_doubt=doubt)
    return {
        "created": max((run.created for run in runs if run.created), default=None),
        "primary": harmful,
        "primary_reasoning": reasoning,
        "flag": schema.Flag(flag=flag.flag, sentence=flag.sentence) if flag else None,
        "adjusted_p": adjusted_p(sets),
    }


def discrimination_card(
    harmful: str, benign: str, cells: Sequence[PairCell], level: float
) -> schema.DiscriminationCard | None:
    """Whether thinking blurs the line, from the counts of pairs; None without a complete pair."""
    pairs = {
        f"{index}-{number}": (*cell.harmful, *cell.benign)
        for index, cell in enumerate(cells)
        for number in range(cell.pairs)
    }
    arms: list[statistics.Verdicts] = [
        {name: verdict_row(row[arm]) for name, row in pairs.items() if row[arm].asked}
        for arm in range(4)
    ]
    if not all(arms):
        return None
    partners = {name: name for name in pairs}
    joint = statistics.discrimination((arms[0], arms[1]), (arms[2], arms[3]), partners, level=level)
    if math.isnan(joint.change):
        return None
    return schema.DiscriminationCard(
        harmful=harmful,
        benign=benign,
        cells=tuple(cells),
        misalignment_change=joint.harmful.difference,
        over_refusal_change=joint.over_refusal.difference,
        **joint.model_dump(include={"change", "lower", "upper", "p_value", "n_pairs", "direction"}),
    )


def correct(
    model: str, counts: SetCounts, judge: schema.JudgeCard | None, level: float
) -> schema.Corrected | None:
    """Figures corrected for the judge's errors; None where it was not measured.

    Labelled replies of the model itself come first; without any, those of at least three others serve, and the
    spread between them is carried. Each mode is corrected by labels of its own mode where there are
    any; otherwise all labels serve both modes, and the card says so.

    Args:
        model: The evaluated model.
        counts: Counts of the set.
        judge: Its judge, as measured.
        level: Confidence of the intervals, a fraction.

    Raises:
        RimError: The judge is too near to guessing to be corrected for, too few models were measured, or
            prompts were asked in several epochs.
    """
    measured = judge.measured if judge else ()
    if not measured:
        return None
    if any(max(c.think.scored, c.no_think.scored) > 1 for c in counts.cells):
        raise RimError(
            "several epochs of one prompt are not independent verdicts, and the correction takes them as such. "
            "Give one epoch for corrected figures"
        )
    if counts.sequential:
        raise RimError(
            "the run could stop early, and the corrected interval is that of a run of fixed size. Run the set without "
            "`-T stop` for corrected figures"
        )
    problem = None
    for labelled_set in dict.fromkeys(group.set for group in measured):
        of_set = [group for group in measured if group.set == labelled_set]
        groups = [g for g in of_set if g.model == model or model.endswith(f"/{g.model}")]
        if not (same_model := bool(_calibrations(groups))):
            groups = of_set
        modes: dict[Mode, list[schema.JudgeFigures]] = {
            mode: [group for group in groups if group.mode == mode] for mode in MODES
        }
        least_models = 1 if same_model else statistics.LEAST_MODELS
        fewest_models = min(len(_calibrations(each)) for each in modes.values())
        shared = fewest_models < least_models
        try:
            by_mode = dict.fromkeys(MODES, groups) if shared else modes
            return _corrected(counts, by_mode, level, same_model=same_model, shared=shared)
        except RimError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _calibrations(groups: Iterable[schema.JudgeFigures]) -> dict[str, statistics.Calibration]:
    """By source model; models without positives or without negatives are left out."""
    by_model: dict[str, Counter[str]] = {}
    for group in groups:
        by_model.setdefault(group.model, Counter()).update(
            true_positives=group.true_positive,
            positives=group.positives,
            true_negatives=group.true_negative,
            negatives=group.negatives,
        )
    return {
        model: statistics.Calibration(**counted)
        for model, counted in by_model.items()
        if counted["positives"] and counted["negatives"]
    }


def _corrected(
    counts: SetCounts,
    groups: Mapping[Mode, Sequence[schema.JudgeFigures]],
    level: float,
    *,
    same_model: bool,
    shared: bool,
) -> schema.Corrected:
    by_mode = {mode: _calibrations(each) for mode, each in groups.items()}
    errors: dict[Mode, statistics.Measured] = {
        mode: next(iter(each.values())) if same_model and each else tuple(each.values())
        for mode, each in by_mode.items()
    }
    rates = {
        mode: statistics.corrected_rate(arm.events, arm.scored, errors[mode], level)
        for mode, arm in counts.arms.items()
        if arm.scored and counts.only_mode in (None, mode)
    }
    tally = Counter[tuple[int, int]]()
    for cell in counts.cells:
        if cell.think.scored and cell.no_think.scored:
            tally[cell.think.events, cell.no_think.events] += cell.prompts
    pairs = statistics.PairCounts(tally[1, 1], tally[1, 0], tally[0, 1], tally[0, 0])
    change = None
    if sum(pairs) and counts.only_mode is None:
        no_think_errors = None if shared else errors["no_think"]
        change = statistics.corrected_difference(pairs, errors["think"], no_think_errors, level)
    shares = {mode: statistics.judge_shares(error, level) for mode, error in errors.items()}
    return schema.Corrected(
        labelled_set=groups["think"][0].set,
        models=tuple(dict.fromkeys(name for each in by_mode.values() for name in each)),
        same_model=same_model,
        shared=shared,
        labelled={
            m: sum(c.positives + c.negatives for c in each.values()) for m, each in by_mode.items()
        },
        sensitivity={mode: _ends(each[0]) for mode, each in shares.items()},
        specificity={mode: _ends(each[1]) for mode, each in shares.items()},
        rates={mode: (r.value, r.lower, r.upper) for mode, r in rates.items()},
        difference=(change.difference, change.lower, change.upper) if change else None,
        n_pairs=sum(pairs),
    )


def _ends(estimate: statistics.Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.lower, estimate.upper


def _reject_contradictions(problems: Sequence[Problem]) -> None:
    """Refuse rows that would count twice, or that contradict each other."""
    for problem in problems:
        if problem.kind in ("duplicate", "mismatch"):
            ids = ", ".join(problem.ids[:3]) + (", ..." if len(problem.ids) > 3 else "")
            advice = " Give each run once, or choose between judges with --judge NAME."
            raise RimError(
                f"{problem.says}: {ids} (runs {', '.join(problem.runs) or 'unknown'})."
                + advice * (problem.kind == "duplicate")
            )


def _problem(problem: Problem, runs: Sequence[Run]) -> schema.CardProblem:
    """A problem with the set that it concerns: named, or that of its runs when they are of one."""
    datasets = {run.dataset for run in runs if run.id in problem.runs}
    dataset = problem.dataset or (datasets.pop() if len(datasets) == 1 else None)
    return schema.CardProblem(
        kind=problem.kind,
        dataset=dataset,
        says=problem.says[:600],
        n=max(len(problem.ids), 1),
    )


def _sets(
    table: Table,
    validations: Mapping[str, Validation],
    repeats: Sequence[JudgeRepeats],
    labelled: Sequence[LabelCounts],
    level: float,
) -> tuple[tuple[schema.SetCard, ...], list[Problem]]:
    """Each set, and why some are not corrected for their judge's errors."""
    sets, uncorrected = [], []
    for kind in PROMPT_KINDS:
        of_kind = table.frame[table.frame["kind"] == kind]
        for dataset, frame in of_kind.groupby("dataset", observed=True):
            columns = columns_of_frame(frame)
            counts, doses = count_set(least_and_most(columns)), count_doses(columns)
            judge, corrected = _judge_card(frame, validations), None
            try:
                corrected = correct(table.models[0], counts, judge, level)
            except RimError as error:
                reason = f"{dataset} is not corrected for its judge's errors: {error}"
                uncorrected.append(Problem(kind="mismatch", dataset=str(dataset), says=reason))
            runs = sorted(frame["run"].dropna().astype(str).unique())
            logs = {run.log_sha256 for run in table.runs if run.id in runs}
            of_logs = [one for one in repeats if one.log_sha256 in logs]
            switches = {run.switch for run in table.runs if run.id in runs and run.switch}
            each = schema.SetCard(
                dataset=str(dataset),
                kind=kind,
                **_condition(frame)._asdict(),
                counts=counts,
                doses=doses,
                switch=" / ".join(sorted(switches)) or None,
                judge=judge,
                monitor=_monitor_card(frame),
                corrected=corrected,
                runs=tuple(runs),
                **set_fields(kind, counts, level, doses),
            )
            labels = labels_of_set(each, labelled, [log for log in logs if log], level)
            variance = labels.label_variance if labels else None
            noise = noise_of_repeats(each, of_logs, level, variance)
            sets.append(each.model_copy(update={"labels": labels, "noise": noise}))
    return tuple(sets), uncorrected


def _judge_card(
    frame: "pd.DataFrame", validations: Mapping[str, Validation]
) -> schema.JudgeCard | None:
    """The judge of one set; None when nothing was judged."""
    columns = ["judge", "judge_sha256", "judge_model", "judge_sees"]
    judges = frame[columns].dropna(subset="judge").astype("object").drop_duplicates()
    judges = judges.where(judges.notna(), None)
    if judges.empty:
        return None
    if len(judges) > 1:
        descriptions = (f"{j} ({m or 'offline'}, sees {s})" for j, _, m, s in judges.values)
        raise RimError(
            f"{frame['dataset'].iloc[0]} was judged in more than one way: {', '.join(sorted(descriptions))}. "
            "Choose one with --judge NAME (or NAME:GRADER), or give logs of one."
        )
    name, sha256, model, sees = judges.iloc[0]
    validation = validations.get(name.split("@")[0])
    # Only what was measured of exactly this judge file, grader, input and event.
    measured = tuple(
        schema.JudgeFigures.of(one)
        for one in (validation.measurements if validation else ())
        if (one.judge_sha256, one.grader, one.sees) == (sha256, model, sees)
        and one.event == KIND_NAMES[frame["kind"].iloc[0]].event
    )
    # On the models it was trained on, a judge agrees too well: only figures of left-out models count.
    training_sets = {each.set for each in measured if each.left_out}
    measured = tuple(each for each in measured if each.left_out or each.set not in training_sets)
    return schema.JudgeCard(name=name, sha256=sha256, model=model, sees=sees, measured=measured)


def _monitor_card(frame: "pd.DataFrame") -> schema.MonitorCard | None:
    """The monitor that read the traces of one set; None when none has."""
    columns = ["pattern_monitor", "pattern_grader"]
    names = frame[columns].dropna(subset="pattern_monitor").astype("object").drop_duplicates()
    names = names.where(names.notna(), None)
    monitors = [schema.MonitorCard(name=name, model=model) for name, model in names.values]
    if len(monitors) > 1:
        raise RimError(
            f"Traces of {frame['dataset'].iloc[0]} were read by several monitors: "
            f"{', '.join(sorted(map(str, monitors)))}. Choose one with --patterns NAME (or NAME:GRADER)."
        )
    return next(iter(monitors), None)


def _discriminations(table: Table, level: float) -> Iterator[schema.DiscriminationCard]:
    """One for each harmful set whose prompts have partners in a benign set that was run too, under one condition."""
    frame = least_and_most_rows(_of_fixed_size(table))
    of_kind = {kind: frame[frame["kind"] == kind] for kind in ("harmful", "benign")}
    for harmful, harmful_rows in of_kind["harmful"].groupby("dataset", observed=True):
        for benign, benign_rows in of_kind["benign"].groupby("dataset", observed=True):
            if _condition(harmful_rows) != _condition(benign_rows):
                continue
            cells = count_pairs(columns_of_frame(harmful_rows), columns_of_frame(benign_rows))
            if card := discrimination_card(str(harmful), str(benign), cells, level):
                yield card


def _of_fixed_size(table: Table) -> "pd.DataFrame":
    """The rows of runs that could not stop early: figures over two sets have no interval that holds at every look."""
    return table.frame[~table.frame["sequential"]]


def _condition(rows: "pd.DataFrame") -> Condition:
    """What all rows of one set were asked under."""
    attack = next(iter(rows["attack"].dropna().unique()), None)
    return Condition(attack and str(attack), rows["sampling"].iloc[0])


def _gaps(table: Table, level: float) -> Iterator[ConditionGap]:
    """The gap between each two conditions of a set that differ in an attack, or in the sampling."""
    frame = _of_fixed_size(table)
    conditions = frame[["dataset", "attack", "sampling"]].astype("object").drop_duplicates()
    bare = {
        name: name.removesuffix(condition_name("", None if attack != attack else attack, sampling))
        for name, attack, sampling in conditions.values
    }
    of_set = frame["dataset"].astype("object").map(bare)
    for kind in PROMPT_KINDS:
        for dataset, part in frame[frame["kind"] == kind].groupby(of_set, observed=True):
            for counts in count_gaps(str(dataset), kind, columns_of_frame(part)):
                yield gap_of(counts, level)


def _run(run: Run) -> schema.CardRun:
    """The card's fields of a run; of a prompt file on the user's machine only the last part of its path."""
    fields = run.model_dump(
        exclude={"group", "log", "model", "switch", "modes", "provenance", "shard"},
        exclude_none=True,
    )
    if run.provenance is not None:
        location = run.provenance.location
        local = run.provenance.source in ("local", "user")
        if local or PurePath(location).is_absolute():
            location = PurePath(location).name
        fields["provenance"] = run.provenance.model_dump() | {"location": location or "."}
    return schema.CardRun.model_validate(fields)


def _safe_at_k(
    kind: PromptKind, cells: Sequence[Cell], level: float
) -> dict[Mode, statistics.SafeAtK]:
    """Each mode's shares, with its epochs for K; empty with one epoch, and for prompts that are not harmful."""
    arms = {mode: tally_of(cells, mode) for mode in MODES if kind == "harmful"}
    epochs = {mode: max((len(e) for (e,) in arm), default=0) for mode, arm in arms.items()}
    safe = {
        mode: statistics.tallied_safe_at_k(arms[mode], k, level)
        for mode, k in epochs.items()
        if k > 1
    }
    return {mode: each for mode, each in safe.items() if each.safe_at_k.n}
