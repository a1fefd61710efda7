"""The comparison of models with a named reference: its figures, its finding, and how a notebook shows it."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal

from rim_eval.card.notebook import NOTEBOOK_LOOK
from rim_eval.comparison.finding import Finding, find
from rim_eval.comparison.pictures import picture_order, rates_picture
from rim_eval.comparison.schema import FamilyOverSets, SetComparison, headline_set
from rim_eval.comparison.tables import HEAD, own_rows
from rim_eval.errors import RimError
from rim_eval.formatting import KIND_WORDS
from rim_eval.results.frame import figure_frame, figure_rows
from rim_eval.types import FiniteModel

if TYPE_CHECKING:
    import pandas as pd


class Comparison(FiniteModel):
    """Models against a named reference."""

    schema_version: Literal[1] = 1
    rim_eval: str
    """Version of rim_eval."""
    reference: str
    """Model that every difference between models is from; the mode's reference is `no_think`."""
    primary: str | None = None
    """The harmful set that comes first on the reference's card; None where it has none."""
    level: float
    series: bool = False
    """Whether the models are checkpoints in order of training."""
    paired: bool = True
    """Whether differences between models are paired prompt by prompt; those between modes always are."""
    models: tuple[str, ...]
    sets: tuple[SetComparison, ...]
    families: tuple[FamilyOverSets, ...] = ()
    remarks: tuple[str, ...] = ()
    """What a reader must know: budgets that differ, sets that only some models were run on."""

    @property
    def headline(self) -> SetComparison | None:
        """The set that the finding is about; not chosen by its result."""
        return headline_set(self.sets, self.primary)

    @property
    def finding(self) -> Finding:
        """What was found, in one sentence, and what that sentence leaves out."""
        return find(self.headline, self.reference, paired=self.paired)

    @property
    def frame(self) -> "pd.DataFrame":
        """Every figure as a pandas table: one row for a set, a model, a figure and what it is measured against.

        Rates are in percent, changes with thinking and differences between models in percentage points. `against` is
        the reference of a difference between models, and missing for a model's own figures.
        """
        import pandas as pd

        columns = [*figure_frame([]).columns, "against", "p_holm"]
        return pd.DataFrame(
            [row for each in self.sets for row in self._rows(each)], columns=columns
        )

    def _rows(self, each: SetComparison) -> Iterator[dict[str, Any]]:
        words = KIND_WORDS[each.kind]
        for row in each.rows:
            yield from figure_rows(
                row.model, each.dataset, each.kind, row.figures, verified=row.verified
            )
            about = {"model": row.model, "dataset": each.dataset, "kind": each.kind, "verified": row.verified}  # fmt: skip
            for found in row.against:
                numbers = found.model_dump(include=_NUMBERS)
                figure = words.difference if found.quantity == "change" else words.rate
                said = {"figure": figure, "mode": found.quantity, "unit": "points", "significance": found.corrected}  # fmt: skip
                yield about | numbers | said | {"against": self.reference}

    def _repr_html_(self) -> str:
        """The finding, its picture and its table, for notebooks; `comparison_html` renders all of it.

        Nothing has a class or an id and there is no style sheet, so that nothing leaks into the notebook.
        """
        each, finding = self.headline, self.finding
        parts = [f"<p><b>{escape(finding.sentence)}</b></p>"]
        parts += [f"<p>{escape(detail)}</p>" for detail in finding.details]
        if each is not None:
            parts += [self._picture(each), _table(each, self.reference)]
        parts += [f"<p>{escape(remark)}</p>" for remark in self.remarks]
        return f'<div style="{NOTEBOOK_LOOK}">{"".join(parts)}</div>'

    def _picture(self, each: SetComparison) -> str:
        """The picture of a set; nothing where the renderer is not installed."""
        try:
            picture = rates_picture(each, self.reference, order=picture_order(each, self.reference))
        except RimError:
            return ""
        return f"{picture.wide}<p>{escape(picture.caption)}</p>" if picture else ""


_NUMBERS: Final = {"value", "lower", "upper", "p_value", "p_holm", "n"}


def _table(each: SetComparison, reference: str) -> str:
    rows = own_rows(each, reference)
    html = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in HEAD)}</tr>"]
    html += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(html)}</table>"
