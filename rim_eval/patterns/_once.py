"""Each thing once: a reply that is counted twice makes every figure over it wrong."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from rim_eval.errors import RimError
from rim_eval.observations import Observation
from rim_eval.patterns._rows import PatternRow

__all__ = ["once"]

Row = TypeVar("Row", bound=PatternRow | Observation)
Key = TypeVar("Key", bound=Hashable)


def once(rows: Iterable[Row], key: Callable[[Row], Key], what: str) -> dict[Key, Row]:
    """Rows by their key.

    Args:
        rows: The rows.
        key: What only one row may have.
        what: What a row is, in the plural, for the message.

    Raises:
        RimError: Two rows have one key: a run was given twice, or two runs under one model's name.
    """
    found: dict[Key, Row] = {}
    if twice := [row for row in rows if found.setdefault(key(row), row) is not row]:
        raise RimError(_says(twice, what))
    return found


def _says(twice: list[Row], what: str) -> str:
    ids = sorted({row.prompt_id for row in twice})
    where = sorted({f"{row.dataset} ({row.model})" for row in twice})
    some = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
    return (
        f"{len(twice)} {what} of {', '.join(where)} occur more than once: {some}. Give each run once, "
        "the verdicts of one judge, and two models under two names."
    )
