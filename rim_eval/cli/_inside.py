"""Reports of `rim-eval mech` and the cards that they belong to."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.card import Card
    from rim_eval.mechanisms.report import MechanismReport
    from rim_eval.plotting import Figure

__all__ = ["Pictures", "assign_reports", "with_report"]

Pictures = Sequence[tuple[str, "Figure"]]


def assign_reports(
    given: Sequence[str], models: Sequence[str]
) -> dict[str, tuple[Path, "MechanismReport"]]:
    """Each card's report.

    Args:
        given: `FILE`, which belongs to the model whose name ends as the report's does, or
            `MODEL=FILE`, which says whose it is.
        models: Models that get a card.

    Raises:
        RimError: A file is no report, or it is not clear whose it is.
    """
    from rim_eval.mechanisms.report import read_report

    found: dict[str, tuple[Path, MechanismReport]] = {}
    for one in given:
        named, _, rest = one.partition("=")
        path = Path(one) if Path(one).is_file() or not rest else Path(rest)
        report = read_report(path)
        model = named if path != Path(one) else _model_of(report.model, models)
        if model not in models:
            raise RimError(
                f"--mechanisms {one}: the report is about {report.model!r}, and the logs are of "
                f"{', '.join(models) or 'no model'}. If they are the same model, say so: "
                f"--mechanisms {models[0] if models else 'MODEL'}={path}"
            )
        if model in found:
            raise RimError(f"--mechanisms {one}: {model} has a report already, {found[model][0]}.")
        found[model] = path, report
    return found


def _model_of(name: str, models: Sequence[str]) -> str:
    """The only model whose last part is the report's; the report's own name where there is none."""
    fits = [model for model in models if model.rsplit("/", 1)[-1] == name]
    return fits[0] if len(fits) == 1 else name


def with_report(
    card: "Card", report: "tuple[Path, MechanismReport] | None"
) -> tuple["Card", Pictures]:
    """The card with its section on the inside of the model, and the section's pictures."""
    if report is None:
        return card, ()
    from rim_eval.mechanisms.card_section import card_section, section_pictures

    path, found = report
    section = card_section(found, path)
    return card.model_copy(update={"mechanisms": section}), section_pictures(found)
