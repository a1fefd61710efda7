"""From a table of observations to a card."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from pydantic import ValidationError

from rim_eval import __version__
from rim_eval.card._derived import discrimination_card, safe_of
from rim_eval.card._judge import correct, judge_card
from rim_eval.card._schema import (
    Card,
    CardProblem,
    CardRun,
    Corrected,
    DiscriminationCard,
    Flag,
    JudgeCard,
    SetCard,
)
from rim_eval.errors import RimError
from rim_eval.judging import Validation
from rim_eval.observations import Problem, Run, Table, check
from rim_eval.results.counting import columns_of_frame, count_pairs, count_set
from rim_eval.results.counts import SetCounts
from rim_eval.results.endpoints import adjusted_p, flag_of, primary_set
from rim_eval.results.figures import check_modes, figures
from rim_eval.types import PROMPT_KINDS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["make_card"]


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
    try:
        return _card(table, primary, primary_reasoning, validations or {}, level)
    except ValidationError as error:
        first = error.errors()[0]
        place, given = ".".join(map(str, first["loc"])), str(first["input"])[:60]
        raise RimError(
            f"What was read does not fit on a card: {place} is {given!r}: {first['msg']}. Names of models, "
            "sets and categories have at most 200 characters, on one line."
        ) from None


def _card(
    table: Table,
    primary: str | None,
    primary_reasoning: str | None,
    validations: Mapping[str, Validation],
    level: float,
) -> Card:
    model = _one_model(table)
    found = check(table)
    _refuse(found)
    remarks: list[Problem] = []
    sets = tuple(_sets(table, validations, level, remarks))
    first = primary_set(sets, "harmful", primary)
    second = primary_set(sets, "reasoning", primary_reasoning)
    flag = flag_of(sets, first, second, level)
    runs = tuple(_run(run) for run in sorted(table.runs, key=lambda r: (r.dataset, r.id)))
    return Card(
        rim_eval=__version__,
        model=model,
        created=max((run.created for run in table.runs if run.created), default=None),
        level=level,
        primary=first,
        primary_reasoning=second,
        flag=None if flag is None else Flag(flag=flag.flag, sentence=flag.sentence),
        sets=sets,
        adjusted_p=adjusted_p(sets),
        discrimination=tuple(_discriminations(table, level)),
        runs=runs,
        problems=tuple(
            CardProblem(
                kind=p.kind,
                dataset=_dataset(p, table.runs),
                says=p.says[:600],
                n=max(len(p.ids), 1),
            )
            for p in (*table.problems, *found, *remarks)
        ),
    )


def _dataset(problem: Problem, runs: Sequence[Run]) -> str | None:
    """The set that a problem concerns: named, or that of its runs when they are of one."""
    there = {run.dataset for run in runs if run.id in problem.runs}
    return problem.dataset or (there.pop() if len(there) == 1 else None)


def _one_model(table: Table) -> str:
    if len(table.models) != 1:
        there = ", ".join(table.models) or "none"
        raise RimError(f"A card is of one model; these observations hold {there}.")
    return table.models[0]


def _refuse(problems: Sequence[Problem]) -> None:
    """Rows that would count twice, or that contradict each other, make no figure."""
    for problem in problems:
        if problem.kind in ("duplicate", "mismatch"):
            some = ", ".join(problem.ids[:3]) + (", ..." if len(problem.ids) > 3 else "")
            advice = (
                " Give each run once, or choose between judges with --judge NAME."
                if problem.kind == "duplicate"
                else ""
            )
            raise RimError(
                f"{problem.says}: {some} (runs {', '.join(problem.runs) or 'unknown'}).{advice}"
            )


def _sets(
    table: Table, validations: Mapping[str, Validation], level: float, remarks: list[Problem]
) -> Iterator[SetCard]:
    for kind in PROMPT_KINDS:
        ours = table.frame[table.frame["kind"] == kind]
        for name, frame in ours.groupby("dataset", observed=True):
            counts = count_set(columns_of_frame(frame))
            judge = judge_card(frame, validations)
            yield SetCard(
                dataset=str(name),
                kind=kind,
                counts=counts,
                figures=figures(counts.cells, level),
                thresholds={k: figures(c, level) for k, c in counts.thresholds.items()},
                categories={k: figures(c, level) for k, c in counts.categories.items()},
                gate=check_modes(counts),
                switch=_switch(table, frame),
                judge=judge,
                corrected=_corrected(str(name), counts, judge, level, remarks),
                safe=safe_of(kind, counts.cells, level),
                runs=tuple(sorted(frame["run"].dropna().astype(str).unique())),
            )


def _corrected(
    name: str, counts: SetCounts, judge: JudgeCard | None, level: float, remarks: list[Problem]
) -> Corrected | None:
    try:
        return correct(counts, judge, level)
    except RimError as error:
        says = f"{name} is not corrected for its judge's errors: {error}"
        remarks.append(Problem(kind="mismatch", dataset=name, says=says))
        return None


def _switch(table: Table, frame: "pd.DataFrame") -> str | None:
    ids = set(frame["run"].dropna().astype(str).unique())
    names = {run.switch for run in table.runs if run.id in ids and run.switch}
    return " / ".join(sorted(names)) or None


def _discriminations(table: Table, level: float) -> Iterator[DiscriminationCard]:
    """One for each harmful set whose prompts have partners in a benign set that was run too."""
    frame = table.frame
    benign = frame[frame["kind"] == "benign"]
    for harmful, left in frame[frame["kind"] == "harmful"].groupby("dataset", observed=True):
        for name, right in benign.groupby("dataset", observed=True):
            cells = count_pairs(columns_of_frame(left), columns_of_frame(right))
            found = discrimination_card(str(harmful), str(name), cells, level)
            if found is not None:
                yield found


def _run(run: Run) -> CardRun:
    kept = run.model_dump(
        exclude={"group", "log", "model", "switch", "modes", "provenance"}, exclude_none=True
    )
    if run.provenance is not None:
        place = run.provenance.location
        outside = run.provenance.source in ("local", "user")
        location = PurePath(place).name if outside or PurePath(place).is_absolute() else place
        kept["provenance"] = run.provenance.model_dump() | {"location": location or "."}
    return CardRun.model_validate(kept)
