"""From a table of observations to a card."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from rim_eval._version import __version__
from rim_eval.card.derived import card_fields, correct, discrimination_card, set_fields
from rim_eval.card.schema import (
    Card,
    CardProblem,
    CardRun,
    DiscriminationCard,
    JudgeCard,
    JudgeFigures,
    SetCard,
)
from rim_eval.errors import RimError
from rim_eval.judging import Validation
from rim_eval.observations import Problem, Run, Table, check
from rim_eval.results.counting import columns_of_frame, count_pairs, count_set
from rim_eval.types import KIND_NAMES, PROMPT_KINDS

if TYPE_CHECKING:
    import pandas as pd


_AGREEMENT_COUNTS = {"true_positive", "false_positive", "true_negative", "false_negative"}


def make_card(
    table: Table,
    *,
    primary: str | None = None,
    primary_reasoning: str | None = None,
    validations: Mapping[str, Validation] | None = None,
    level: float = 0.95,
) -> Card:
    """The card of the one model in a table.

    Args:
        table: Its observations.
        primary: Harmful set whose RIM score comes first; by default `hexphi`, else the one with most pairs.
        primary_reasoning: Reasoning set beside it; by default the one with most pairs.
        validations: Measured agreement of judges with people, by judge name.
        level: Confidence of all intervals, a fraction.

    Raises:
        RimError: The table holds no model or several, rows twice or contradicting each other, several
            judges for one set, names that are too long for a card, or a named primary set is not there.
    """
    if len(table.models) != 1:
        models = ", ".join(table.models) or "none"
        raise RimError(f"A card is of one model; these observations hold {models}.")
    problems = check(table)
    _reject_contradictions(problems)
    try:
        sets, uncorrected = _sets(table, validations or {}, level)
        runs = tuple(_run(run) for run in sorted(table.runs, key=lambda run: (run.dataset, run.id)))
        return Card(
            rim_eval=__version__,
            model=table.models[0],
            level=level,
            sets=sets,
            discrimination=tuple(_discriminations(table, level)),
            runs=runs,
            problems=tuple(
                _problem(each, table.runs) for each in (*table.problems, *problems, *uncorrected)
            ),
            **card_fields(sets, runs, level, primary=primary, primary_reasoning=primary_reasoning),
        )
    except ValidationError as error:
        first = error.errors()[0]
        place, value = ".".join(map(str, first["loc"])), str(first["input"])[:60]
        raise RimError(
            f"What was read does not fit on a card: {place} is {value!r}: {first['msg']}. Names of models, "
            "sets and categories have at most 200 characters, on one line."
        ) from None


def _reject_contradictions(problems: Sequence[Problem]) -> None:
    """Refuse rows that would count twice, or that contradict each other."""
    for problem in problems:
        if problem.kind in ("duplicate", "mismatch"):
            some = ", ".join(problem.ids[:3]) + (", ..." if len(problem.ids) > 3 else "")
            advice = " Give each run once, or choose between judges with --judge NAME."
            raise RimError(
                f"{problem.says}: {some} (runs {', '.join(problem.runs) or 'unknown'})."
                + advice * (problem.kind == "duplicate")
            )


def _problem(problem: Problem, runs: Sequence[Run]) -> CardProblem:
    """A problem with the set that it concerns: named, or that of its runs when they are of one."""
    datasets = {run.dataset for run in runs if run.id in problem.runs}
    dataset = problem.dataset or (datasets.pop() if len(datasets) == 1 else None)
    says, n = problem.says[:600], max(len(problem.ids), 1)
    return CardProblem(kind=problem.kind, dataset=dataset, says=says, n=n)


def _sets(
    table: Table, validations: Mapping[str, Validation], level: float
) -> tuple[tuple[SetCard, ...], list[Problem]]:
    """Each set, and why some are not corrected for their judge's errors."""
    sets, uncorrected = [], []
    for kind in PROMPT_KINDS:
        of_kind = table.frame[table.frame["kind"] == kind]
        for dataset, frame in of_kind.groupby("dataset", observed=True):
            counts = count_set(columns_of_frame(frame))
            judge, corrected = _judge_card(frame, validations), None
            try:
                corrected = correct(counts, judge, level)
            except RimError as error:
                reason = f"{dataset} is not corrected for its judge's errors: {error}"
                uncorrected.append(Problem(kind="mismatch", dataset=str(dataset), says=reason))
            runs = sorted(frame["run"].dropna().astype(str).unique())
            switches = {run.switch for run in table.runs if run.id in runs and run.switch}
            sets.append(
                SetCard(
                    dataset=str(dataset),
                    kind=kind,
                    counts=counts,
                    switch=" / ".join(sorted(switches)) or None,
                    judge=judge,
                    corrected=corrected,
                    runs=tuple(runs),
                    **set_fields(kind, counts, level),
                )
            )
    return tuple(sets), uncorrected


def _judge_card(frame: "pd.DataFrame", validations: Mapping[str, Validation]) -> JudgeCard | None:
    """The judge of one set; None when nothing was judged."""
    columns = ["judge", "judge_sha256", "judge_model", "judge_sees"]
    judges = frame[columns].dropna(subset="judge").astype("object").drop_duplicates()
    judges = judges.where(judges.notna(), None)
    if judges.empty:
        return None
    if len(judges) > 1:
        ways = (f"{j} ({m or 'offline'}, sees {s})" for j, _, m, s in judges.values)
        raise RimError(
            f"{frame['dataset'].iloc[0]} was judged in more than one way: {', '.join(sorted(ways))}. "
            "Choose one with --judge NAME (or NAME:GRADER), or give logs of one."
        )
    name, sha256, model, sees = judges.iloc[0]
    validation = validations.get(name.split("@")[0])
    # Only what was measured of exactly this judge file, grader, input and event.
    measured = tuple(
        JudgeFigures(
            set=measurement.set,
            grader=measurement.grader,
            unscored=group.agreement.n - group.agreement.n_scored,
            kappa=group.agreement.kappa.value,
            **group.model_dump(exclude={"agreement"}),
            **group.agreement.model_dump(include=_AGREEMENT_COUNTS),
        )
        for measurement in (validation.measurements if validation else ())
        for group in measurement.groups
        if (measurement.judge_sha256, measurement.grader, measurement.sees) == (sha256, model, sees)
        and group.event == KIND_NAMES[frame["kind"].iloc[0]].event
    )
    return JudgeCard(name=name, sha256=sha256, model=model, sees=sees, measured=measured)


def _discriminations(table: Table, level: float) -> Iterator[DiscriminationCard]:
    """One for each harmful set whose prompts have partners in a benign set that was run too."""
    frame = table.frame
    benign = frame[frame["kind"] == "benign"]
    for harmful, left in frame[frame["kind"] == "harmful"].groupby("dataset", observed=True):
        for name, right in benign.groupby("dataset", observed=True):
            cells = count_pairs(columns_of_frame(left), columns_of_frame(right))
            if card := discrimination_card(str(harmful), str(name), cells, level):
                yield card


def _run(run: Run) -> CardRun:
    """A run as the card tells it: of prompts on the user's machine only the last part of their path."""
    facts = run.model_dump(
        exclude={"group", "log", "model", "switch", "modes", "provenance"}, exclude_none=True
    )
    if run.provenance is not None:
        place = run.provenance.location
        outside = run.provenance.source in ("local", "user")
        location = PurePath(place).name if outside or PurePath(place).is_absolute() else place
        facts["provenance"] = run.provenance.model_dump() | {"location": location or "."}
    return CardRun.model_validate(facts)
