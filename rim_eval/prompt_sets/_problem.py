"""The one shape of a message about a file that is not as it should be."""

from rim_eval.errors import RimError

__all__ = ["problem"]


def problem(
    name: str, file: str, found: str, *, expected: str, step: str, row: int | None = None
) -> RimError:
    """Error that names the set, the file, the row, what was found, what was expected, what to do.

    Args:
        name: The set.
        file: Name of the file.
        found: What is wrong with it; never prompt text.
        expected: What a good file has.
        step: What the user can do next.
        row: Number of the record, from 1, without the header.
    """
    where = file if row is None else f"{file}, row {row}"
    return RimError(f"{name}: {where}: {found}; expected {expected}.\nNext: {step}")
