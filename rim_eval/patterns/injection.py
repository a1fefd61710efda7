"""Injection: statements for and against a pattern, and their effects, paired prompt by prompt.

Each difference names its reference. Target against control is Figure 2 of Yan et al.; a control
statement is itself an injection, so both arms are also compared with the un-injected one.
"""

import hashlib
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from rim_eval.errors import RimError, first_complaint
from rim_eval.formatting import estimate, p_text
from rim_eval.patterns.logs import read_rows
from rim_eval.patterns.prevalence import rate_text
from rim_eval.patterns.rows import InjectionRow, index_unique, reply_of, verdicts_by_prompt
from rim_eval.statistics import ArmSummary, PairedDifference, arm_summary, paired_difference
from rim_eval.types import PATTERNS, FrozenModel, Pattern

Side = Literal["control", "target"]
"""`control` speaks against the pattern, `target` for it (the paper's clean and dark)."""

UNINJECTED: Final = "uninjected"

_ARMS: Final = (UNINJECTED, *get_args(Side))
_DIFFERENCES: Final = (("target", "control"), ("target", UNINJECTED), ("control", UNINJECTED))
"""The compared arms, each with its reference."""

_SHIPPED: Final = Path(__file__).with_name("statements.toml")


class _StatementPair(FrozenModel):
    control: str = Field(min_length=1)
    target: str = Field(min_length=1)


class Statements(FrozenModel):
    """Content of a statements file."""

    name: str
    version: int = Field(ge=1)
    after: str = "\n\n"
    """Written after each statement, before the model goes on."""
    statements: dict[Pattern, _StatementPair] = Field(min_length=1)
    sha256: str = ""
    """Of the file, in hexadecimal; set on loading."""

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        same = [name for name, pair in self.statements.items() if pair.control == pair.target]
        if same:
            raise ValueError(f"control and target of {', '.join(same)} are the same")
        return self

    def arms(self, patterns: Sequence[Pattern] = PATTERNS) -> dict[str, str | None]:
        """Return the text that each arm begins with, by its name (such as `heuristic_reliance:target`).

        The first arm is `uninjected` with None, then come two of each pattern.

        Raises:
            RimError: The file has no statements for a pattern.
        """
        missing = [pattern for pattern in patterns if pattern not in self.statements]
        if missing:
            raise RimError(
                f"The statements {self.name!r} have none for {', '.join(missing)}; they have "
                f"{', '.join(self.statements)}. Name those with -T patterns=..."
            )
        injected = {
            f"{pattern}:{side}": getattr(self.statements[pattern], side) + self.after
            for pattern in patterns
            for side in get_args(Side)
        }
        return {UNINJECTED: None} | injected


@cache
def load_statements(path: str | Path | None = None) -> Statements:
    """Load a statements file, by default the shipped one.

    Raises:
        RimError: The file cannot be read or is invalid.
    """
    path = _SHIPPED if path is None else Path(path).expanduser()
    try:
        raw = path.read_bytes()
        data = tomllib.loads(raw.decode("utf-8"))
        return Statements.model_validate(data | {"sha256": hashlib.sha256(raw).hexdigest()})
    except OSError as error:
        raise RimError(
            f"Statements {path}: {error.strerror}. Pass the path of a TOML file."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RimError(f"{path}: not valid TOML ({error}).") from None
    except ValidationError as error:
        raise RimError(
            f"{path}, {first_complaint(error, 'whole file')}. The shipped file shows every field: {_SHIPPED}."
        ) from None


def read_injection_runs(sources: Iterable[str | Path]) -> list[InjectionRow]:
    """Read the rows of injection logs by every judge, from sources as `read_rows` takes them; ignore other logs.

    Raises:
        RimError: `read_rows` raises it, or none of the logs is of an injection run.
    """
    rows, _ = read_rows(sources, InjectionRow)
    if not rows:
        raise RimError(
            "No injection run in these logs: run `inspect eval rim_eval/injection` first."
        )
    return rows


class InjectionEffect(FrozenModel):
    """One pattern's three arms on one data set.

    Rates are fractions; differences are percentage points, target minus reference.
    """

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
    declined: dict[str, int]
    """Replies of each arm that the provider declined: they are among its summary's unscored."""


def injection_effects(rows: Iterable[InjectionRow], level: float = 0.95) -> list[InjectionEffect]:
    """Compare the arms of each pattern prompt by prompt, by model, set and statements file.

    Args:
        rows: Rows of injection runs, by one judge.
        level: Confidence level of the intervals.

    Raises:
        RimError: A reply occurs more than once.
    """
    unique = index_unique(rows, lambda row: (reply_of(row), row.statements_sha256), "replies")
    groups: dict[tuple[str, ...], dict[str, list[InjectionRow]]] = {}
    for row in unique.values():
        group = (row.model, row.dataset, row.statements, row.statements_sha256)
        groups.setdefault(group, defaultdict(list))[row.arm].append(row)
    return [
        _effect(pattern, arms, level)
        for arms in groups.values()
        for pattern in PATTERNS
        if any(arm.startswith(f"{pattern}:") for arm in arms)
    ]


def _effect(
    pattern: Pattern, rows: Mapping[str, Sequence[InjectionRow]], level: float
) -> InjectionEffect:
    names = {arm: arm if arm == UNINJECTED else f"{pattern}:{arm}" for arm in _ARMS}
    verdicts = {
        arm: verdicts_by_prompt(rows.get(name, ()), lambda row: row.verdict)
        for arm, name in names.items()
    }
    first = next(iter(rows.values()))[0]
    fields: dict[str, Any] = first.model_dump(include={"model", "dataset", "statements"})
    fields |= {arm: arm_summary(verdicts[arm], level) for arm in _ARMS}
    fields["declined"] = {
        arm: sum(row.reason == "provider_declined" for row in rows.get(name, ()))
        for arm, name in names.items()
    }
    for arm, reference in _DIFFERENCES:
        fields[f"{arm}_against_{reference}"] = paired_difference(
            verdicts[arm],
            verdicts[reference],
            target_name=names[arm],
            reference_name=names[reference],
            level=level,
        )
    return InjectionEffect(pattern=pattern, **fields)


def injection_table(effects: Iterable[InjectionEffect]) -> str:
    """Format the arms' rates and their paired differences as text."""
    tables: list[str] = []
    for one in effects:
        lines = [f"INJECTION  {one.pattern}: {one.dataset}; {one.statements}; {one.model}"]
        for arm in _ARMS:
            rate: ArmSummary = getattr(one, arm)
            declined = one.declined[arm]
            missing = f"{rate.n_unscored - declined} unscored, {declined} declined"
            lines.append(f"  {arm:<28}{rate_text(rate)}, {missing}")
        for target, reference in _DIFFERENCES:
            paired: PairedDifference = getattr(one, f"{target}_against_{reference}")
            difference = estimate(paired.difference, paired.lower, paired.upper)
            lines.append(
                f"  {f'{target} against {reference}':<28}{difference} points, "
                f"{paired.n_pairs} pairs, {p_text(paired.p_value)}"
            )
        tables.append("\n".join(lines))
    return "\n\n".join(tables)
