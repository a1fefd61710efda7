"""What is known of the judges behind some observations: the files named, else those beside the judges."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.judging import Validation
    from rim_eval.observations import Table

__all__ = ["Measured", "measured_judges"]


class Measured(NamedTuple):
    """A judge's agreement with people, and the file in which it stands."""

    figures: "Validation"
    path: Path


def measured_judges(table: "Table", files: Sequence[Path]) -> dict[str, Measured]:
    """Measured agreement with people, by judge name.

    Args:
        table: The observations; figures beside a judge count only if they are of the file that judged.
        files: What `rim-eval judge validate` wrote; comes before what lies beside a judge.

    Raises:
        RimError: A file is no such file, or two are of one judge.
    """
    from rim_eval.judging import read_validation

    found: dict[str, Measured] = {}
    for path in files:
        one = read_validation(path)
        if one.judge in found:
            raise RimError(
                f"{found[one.judge].path} and {path} are both about the judge `{one.judge}`. Give one; "
                "`rim-eval judge validate --out FILE` keeps several sets in one file."
            )
        found[one.judge] = Measured(one, path)
    judges = table.frame[["judge", "judge_sha256"]].dropna().astype(str).drop_duplicates()
    for judge, sha256 in judges.itertuples(index=False):
        name = judge.split("@")[0]
        beside = None if name in found else _beside(name, sha256)
        if beside is not None:
            found[name] = beside
    return found


def _beside(name: str, sha256: str) -> Measured | None:
    """The figures of a shipped judge, or of two in a row, whose file is the one that judged."""
    from rim_eval.judging import judge_names, load_judge, load_validation, validation_path

    if not set(name.split("+")) <= set(judge_names()):
        return None
    judge = load_judge(name)
    figures = load_validation(judge) if judge.sha256 == sha256 else None
    return Measured(figures, validation_path(judge)) if figures else None
