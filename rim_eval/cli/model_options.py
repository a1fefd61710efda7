"""Options about a model that a card cannot know, for submissions and exports."""

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from rim_eval.errors import RimError, first_complaint

if TYPE_CHECKING:
    from rim_eval.leaderboard import ModelFile


def model_options(*, required: bool) -> Callable[[Any], Any]:
    """Add `--model`, `--developer`, `--family` and what else a `ModelFile` holds.

    Args:
        required: Whether the first three must be given.
    """
    options = [
        click.option("--model", required=required, help="Public name, developer/name; the card's model name ends with it."),
        click.option("--developer", required=required),
        click.option("--family", required=required, help="Models that differ in size, such as Qwen3."),
        click.option("--parameters", type=float, help="All parameters, such as 4e9."),
        click.option("--active-parameters", type=float, help="Those used for one token, of a mixture of experts."),
        click.option("--organism", is_flag=True, help="A model with planted behaviour."),
        click.option("--weights", type=click.Choice(["open_weights", "closed_weights", "unknown"]), default="unknown", show_default=True),
        click.option("--deployment", type=click.Choice(["self_deployed", "externally_managed", "unknown"]), default="unknown", show_default=True),
        click.option("--evaluator", type=click.Choice(["first_party", "third_party", "collaborative", "other"]), default="other", show_default=True, help="Who measured, seen from the developer."),
    ]  # fmt: skip
    return lambda command: reduce(lambda inner, option: option(inner), reversed(options), command)


def model_of_options(*, organism: bool, **about: Any) -> "ModelFile":
    """Make the description of a model from the values of `model_options`.

    Args:
        organism: Whether the model's behaviour was planted.
        about: The other options by name.

    Raises:
        RimError: A value is not allowed.
    """
    from pydantic import ValidationError

    from rim_eval.leaderboard import ModelFile

    try:
        return ModelFile(kind="organism" if organism else "model", **about)
    except ValidationError as error:
        raise RimError(f"{first_complaint(error, 'the options')}.") from None
