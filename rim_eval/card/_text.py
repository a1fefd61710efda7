"""The only texts a card may hold: short ones, on one line."""

from typing import Annotated, Final

from pydantic import StringConstraints

__all__ = ["Command", "Name", "Sentence"]

_ONE_LINE: Final = r"^[^\x00-\x1f\x7f\u2028\u2029]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_ONE_LINE)]
"""A model, a set, a category, a judge, a version."""

Sentence = Annotated[str, StringConstraints(max_length=600, pattern=_ONE_LINE)]
"""A reason or a remark that this program wrote."""

Command = Annotated[str, StringConstraints(max_length=4000, pattern=_ONE_LINE)]
