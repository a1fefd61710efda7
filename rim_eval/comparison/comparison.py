"""The comparison of models with a named reference: its figures, its finding, and how a notebook shows it."""

import base64
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal

from rim_eval.comparison.finding import Finding, find
from rim_eval.comparison.pictures import picture_order, rates_picture
from rim_eval.comparison.schema import FamilyOverSets, SetComparison, headline_set
from rim_eval.comparison.tables import HEAD, own_rows
from rim_eval.errors import RimError
from rim_eval.types import MODES, FiniteModel

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
        """Every figure as a pandas table: one row for a set, a model, a quantity and what it is measured against.

        Rates are in percent, changes and differences in percentage points. `against` is the reference of a difference
        between models, `no_think` for a model's own change, and missing for a rate.
        """
        import pandas as pd

        columns = ["dataset", "kind", "model", "quantity", "against", *_NUMBERS, "verified"]
        return pd.DataFrame(
            [row for each in self.sets for row in self._rows(each)], columns=columns
        )

    def _rows(self, each: SetComparison) -> list[dict[str, Any]]:
        rows = []
        for row in each.rows:
            about = {"dataset": each.dataset, "kind": each.kind, "model": row.model, "verified": row.verified}  # fmt: skip
            for mode in reversed(MODES):
                rate = row.figures.rate(mode)
                if rate and (ends := rate.estimate):
                    rows.append(about | ends._asdict() | {"quantity": mode, "n": rate.n_scored})
            if change := row.figures.difference:
                numbers = change.model_dump(include={"value", "lower", "upper", "p_value"})
                rows.append(about | numbers | {"quantity": "change", "against": "no_think", "n": change.n_pairs})  # fmt: skip
            for found in row.against:
                numbers = found.model_dump(include={"quantity", *_NUMBERS})
                rows.append(about | numbers | {"against": self.reference})
        return rows

    def _repr_html_(self) -> str:
        """The finding, its picture and its table, for notebooks; `comparison_html` renders all of it.

        The picture is an image of its own and nothing has a class or an id, so that neither the notebook's style nor a
        second comparison reaches into it.
        """
        each, finding = self.headline, self.finding
        parts = [f"<p><b>{escape(finding.sentence)}</b></p>"]
        parts += [f"<p>{escape(detail)}</p>" for detail in finding.details]
        if each is not None:
            parts += [self._image(each), _table(each, self.reference)]
        parts += [f"<p>{escape(remark)}</p>" for remark in self.remarks]
        return f"<div>{''.join(parts)}</div>"

    def _image(self, each: SetComparison) -> str:
        """The picture of a set; nothing where the renderer is not installed."""
        try:
            picture = rates_picture(each, self.reference, order=picture_order(each, self.reference))
        except RimError:
            return ""
        if picture is None:
            return ""
        data = base64.b64encode(picture.wide.encode()).decode()
        look = "max-width:100%;background:#fff;color-scheme:light"
        return f'<img alt="{escape(picture.caption)}" style="{look}" src="data:image/svg+xml;base64,{data}">'


_NUMBERS: Final = ("value", "lower", "upper", "p_value", "p_holm", "n")


def _table(each: SetComparison, reference: str) -> str:
    rows = own_rows(each, reference)
    html = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in HEAD)}</tr>"]
    html += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(html)}</table>"
