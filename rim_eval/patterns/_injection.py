"""What injected statements do: control, target and un-injected arms, paired prompt by prompt.

Each difference names its reference. Target against control is the paper's Figure 2; a control
statement is itself an injection, so both are also compared with the arm that has none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from rim_eval.observations import Observation
from rim_eval.patterns._once import once
from rim_eval.patterns._rows import Reply, reply_of
from rim_eval.patterns._rubric import PATTERNS, Pattern
from rim_eval.patterns._statements import UNINJECTED, Arm
from rim_eval.statistics import ArmSummary, PairedDifference, arm_summary, paired_difference

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

__all__ = [
    "InjectionEffect",
    "InjectionRow",
    "injection_effects",
    "injection_rows",
    "injection_rows_of_metadata",
    "injection_table",
]


class InjectionRow(Observation):
    """An observation of one arm of an injection run."""

    arm: str
    """`uninjected`, or the pattern and the side, such as `heuristic_reliance:target`."""
    statements: str
    """Name and version of the statements file."""
    statements_sha256: str


class InjectionEffect(BaseModel):
    """One pattern's three arms on one data set. Differences are percentage points, target minus reference."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    model: str
    dataset: str
    statements: str
    """Name and version of the statements file."""
    pattern: Pattern
    uninjected: ArmSummary
    control: ArmSummary
    target: ArmSummary
    target_against_control: PairedDifference
    target_against_uninjected: PairedDifference
    control_against_uninjected: PairedDifference


def injection_rows_of_metadata(metadata: Mapping[str, Any] | None) -> Iterator[InjectionRow]:
    """The rows in one score's metadata."""
    for row in (metadata or {}).get("injection", ()):
        yield InjectionRow.model_validate(row)


def injection_rows(log: "EvalLog") -> list[InjectionRow]:
    """All rows of one Inspect log of an injection run."""
    return [
        row
        for sample in log.samples or []
        for score in (sample.scores or {}).values()
        for row in injection_rows_of_metadata(score.metadata)
    ]


def injection_effects(rows: Iterable[InjectionRow], level: float = 0.95) -> list[InjectionEffect]:
    """The arms of each pattern, compared prompt by prompt; apart for each model, set and statements file.

    Args:
        rows: Rows of injection runs, by one judge.
        level: Confidence level of the intervals.

    Raises:
        RimError: A reply occurs more than once.
    """
    groups: dict[_Where, list[InjectionRow]] = defaultdict(list)
    for row in once(rows, _reply, "replies").values():
        where = _Where(row.model, row.dataset, row.statements, row.statements_sha256)
        groups[where].append(row)
    return [
        _effect(where, pattern, _arms(ours), level)
        for where, ours in groups.items()
        for pattern in PATTERNS
        if any(row.arm.startswith(f"{pattern}:") for row in ours)
    ]


class _Where(NamedTuple):
    """Rows that are compared: never across models, sets or statements files."""

    model: str
    dataset: str
    statements: str
    sha256: str


def _reply(row: InjectionRow) -> tuple[Reply, str, str]:
    return (reply_of(row), row.statements_sha256, row.arm)


Verdicts = dict[str, list[float | None]]


def _arms(rows: Sequence[InjectionRow]) -> dict[str, Verdicts]:
    arms: dict[str, Verdicts] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row.epoch):
        verdict = None if row.verdict is None else float(row.verdict)
        arms[row.arm][row.prompt_id].append(verdict)
    return arms


def _effect(
    where: _Where, pattern: Pattern, arms: Mapping[str, Verdicts], level: float
) -> InjectionEffect:
    names = {side: Arm(pattern, side).name for side in ("control", "target")}
    names[UNINJECTED] = UNINJECTED

    def against(target: str, reference: str) -> PairedDifference:
        return paired_difference(
            arms[names[target]],
            arms[names[reference]],
            target_name=names[target],
            reference_name=names[reference],
            level=level,
        )

    return InjectionEffect(
        model=where.model,
        dataset=where.dataset,
        statements=where.statements,
        pattern=pattern,
        uninjected=arm_summary(arms[UNINJECTED], level),
        control=arm_summary(arms[names["control"]], level),
        target=arm_summary(arms[names["target"]], level),
        target_against_control=against("target", "control"),
        target_against_uninjected=against("target", UNINJECTED),
        control_against_uninjected=against("control", UNINJECTED),
    )


def injection_table(effects: Iterable[InjectionEffect]) -> str:
    """The arms' rates and their paired differences as text."""
    return "\n\n".join("\n".join(_lines(effect)) for effect in effects)


def _lines(effect: InjectionEffect) -> Iterator[str]:
    yield f"INJECTION  {effect.pattern}: {effect.dataset}; {effect.statements}; {effect.model}"
    for name in ("uninjected", "control", "target"):
        rate: ArmSummary = getattr(effect, name)
        yield (
            f"  {name:<28}{100 * rate.value:5.1f} % [{100 * rate.lower:.1f}, {100 * rate.upper:.1f}]"
            f"  n = {rate.n_prompts_scored}, {rate.n_unscored} unscored"
        )
    for name in (
        "target_against_control",
        "target_against_uninjected",
        "control_against_uninjected",
    ):
        found: PairedDifference = getattr(effect, name)
        yield (
            f"  {name.replace('_', ' '):<28}{found.difference:+5.1f} [{found.lower:+.1f}, {found.upper:+.1f}]"
            f"  points, {found.n_pairs} pairs, p = {found.p_value:.2g}"
        )
