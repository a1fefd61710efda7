"""Options of the command line from the fields of a model of settings."""

from collections.abc import Callable, Mapping
from typing import Any

import click
from pydantic.fields import FieldInfo


def field_options(
    fields: Mapping[str, FieldInfo], spell: Callable[[str], str] = lambda name: name
) -> list[Callable[[Any], Any]]:
    """One option for each field: its description is the help, and a click type among its metadata its type.

    A field without a default is required, one that is False by default is a flag, and a tuple may be given several
    times.

    Args:
        fields: `model_fields` of a pydantic model.
        spell: A field's name to the option's.
    """
    return [
        click.option(
            f"--{spell(name).replace('_', '-')}",
            name,
            type=next((x for x in field.metadata if isinstance(x, click.ParamType)), None),
            required=field.is_required(),
            default=None if field.is_required() else field.default,
            show_default=not field.is_required() and field.default not in (None, False, ()),
            multiple=isinstance(field.default, tuple),
            is_flag=field.default is False,
            help=field.description,
        )
        for name, field in fields.items()
    ]
