"""Figures as rows of a table, for pandas: one row a set and figure."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from rim_eval.formatting import KIND_WORDS
from rim_eval.results.figures import Figures
from rim_eval.results.rates import ArmRate, Difference
from rim_eval.types import MODES, PromptKind

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    "model", "dataset", "kind", "figure", "mode", "value", "lower", "upper", "unit", "n", "p_value", "significance", "verified",
)  # fmt: skip


def figure_rows(
    model: str, dataset: str, kind: PromptKind, figures: Figures, *, verified: bool
) -> Iterator[dict[str, Any]]:
    """Each mode's rate in percent, and the change with thinking in percentage points.

    Args:
        model: Whose figures they are.
        dataset: Name of the prompt set.
        kind: Kind of its prompts.
        figures: Rates and difference.
        verified: Whether the modes passed the mode check.
    """
    about = {"model": model, "dataset": dataset, "kind": kind, "verified": verified}
    words = KIND_WORDS[kind]
    for mode in MODES:
        if rate := figures.rate(mode):
            yield (
                about
                | _ends(rate)
                | {"figure": words.rate, "mode": mode, "unit": "%", "n": rate.n_scored}
            )
    if change := figures.difference:
        test = {"n": change.n_pairs, "p_value": change.p_value, "significance": change.significance}
        yield (
            about
            | _ends(change)
            | test
            | {"figure": words.difference, "mode": "change", "unit": "points"}
        )


def figure_frame(rows: Iterable[dict[str, Any]]) -> "pd.DataFrame":
    """Rows as a data frame whose columns do not depend on what was measured."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(_COLUMNS))


def _ends(figure: ArmRate | Difference) -> dict[str, float | None]:
    value, lower, upper = figure.estimate or (None, None, None)
    return {"value": value, "lower": lower, "upper": upper}
