"""Families for readers: a table that says for each interval what it generalises to, and its lines of the forest plot."""

from collections.abc import Iterator
from typing import Final

from rim_eval import plots
from rim_eval.comparison.comparison import Comparison
from rim_eval.comparison.schema import FamilyMean, FamilyOverSets, SetComparison
from rim_eval.formatting import KIND_WORDS, interval, p_text, points
from rim_eval.statistics import LEAST_FAMILY, RandomEffects, Significance
from rim_eval.types import PromptKind

Row = tuple[str, ...]

FAMILY_HEAD: Final = ("family", "holds for", "change, points", "95 % interval", "significance")
_VERSUS: Final = "with thinking"
_IN_ORDER: Final = (
    "Checkpoints in order of training are no sample of models: their mean says nothing of others."
)
_COULD_STOP: Final = (
    "Where a family's run could stop early, nothing is said of further models: its change leans to the side on which it "
    "stopped. Run the whole set without `stop`."
)


def family_rows(each: SetComparison) -> Iterator[Row]:
    """The means of a set's families: for other prompts, for other models, for the next model, and how models differ."""
    for mean in each.families:
        state = _state(each.kind, mean.significance, _verified(each, mean))
        test = f", {p_text(mean.p_value)}" if mean.p_value is not None else ""
        holds = f"other prompts, {_these(len(mean.models))} (n = {mean.n})"
        yield (
            mean.family,
            holds,
            points(mean.value),
            interval(mean.lower, mean.upper),
            state + test,
        )
        if mean.further_models:
            yield from _further(
                mean.family, each.kind, mean.further_models, "", _verified(each, mean)
            )


def over_sets_rows(found: FamilyOverSets, comparison: Comparison) -> Iterator[Row]:
    """The same over all sets of a kind.

    Args:
        found: The family over sets.
        comparison: Where it stands.
    """
    verified = _verified_over_sets(found, comparison)
    yield from _further(found.family, found.kind, found.these_sets, ", these sets", verified)
    if found.further_sets:
        holds = "other models, other sets"
        yield _mean_row(found.family, found.kind, found.further_sets, holds, verified)


def over_sets_title(found: FamilyOverSets) -> str:
    """Name the table of a family over sets."""
    return f"{KIND_WORDS[found.kind].rate}, mean of {len(found.datasets)} sets ({', '.join(found.datasets)})"


def family_notes(comparison: Comparison) -> Iterator[str]:
    """What the figures of families generalise to, each thing once."""
    means = [mean for each in comparison.sets for mean in each.families]
    further = [mean.further_models for mean in means if mean.further_models]
    if any(each.answered for each in further):
        yield (
            "Other models and the next model: if the models of a family are a fair sample of it. The interval for other prompts "
            "says nothing of models that were not measured."
        )
    yield from dict.fromkeys(
        f"{mean.family}: {mean.further_models.sentence}"
        for mean in means
        if mean.further_models and not mean.further_models.answered
    )
    if len(further) < len(means):
        yield _IN_ORDER if comparison.series else _COULD_STOP
    if not comparison.paired and means:
        yield (
            "Families from cards: cards hold no prompts, so nobody knows how far the models err alike. The intervals suppose that "
            "they do so in full, the worst case. Logs give narrower ones, and how far the models differ."
        )


def family_forest(each: SetComparison, group: str) -> Iterator[plots.ForestRow]:
    """Lines of a set's families in the forest plot.

    Args:
        each: The set.
        group: Name of its lines.
    """
    for f in each.families:
        verified = _verified(each, f)
        state = plots.state_of(each.kind, f.significance, verified)
        label = f"{f.family} (other prompts)"
        yield plots.ForestRow(group, label, f.value, f.lower, f.upper, state)
        if f.further_models:
            yield from _further_forest(f.family, each.kind, f.further_models, group, verified)


def over_sets_forest(found: FamilyOverSets, comparison: Comparison) -> Iterator[plots.ForestRow]:
    """Lines of a family over sets.

    Args:
        found: The family over sets.
        comparison: Where it stands.
    """
    group = f"{KIND_WORDS[found.kind].difference}, mean of {len(found.datasets)} sets"
    verified = _verified_over_sets(found, comparison)
    yield from _further_forest(found.family, found.kind, found.these_sets, group, verified)


def _further_forest(
    family: str, kind: PromptKind, found: RandomEffects, group: str, verified: bool
) -> Iterator[plots.ForestRow]:
    if found.answered:
        state = plots.state_of(kind, found.mean_significance, verified)
        label = f"{family} (other models)"
        yield plots.ForestRow(group, label, found.mean, found.lower, found.upper, state)
        state = plots.state_of(kind, found.next_significance, verified)
        label = f"{family} (next model)"
        ends = (found.mean, found.next_lower, found.next_upper)
        yield plots.ForestRow(group, label, *ends, state, prediction=True)


def _further(
    family: str, kind: PromptKind, found: RandomEffects, where: str, verified: bool
) -> Iterator[Row]:
    """Rows of what a family says of further models."""
    if not found.answered:
        yield (
            family,
            "other models",
            "n/a",
            "n/a",
            f"cannot tell: {_models(found.n_models)}, {LEAST_FAMILY} are needed",
        )
        return
    yield _mean_row(family, kind, found, f"other models{where}", verified)
    ahead = _state(kind, found.next_significance, verified)
    if found.next_significance == "includes_zero" and verified:
        ahead = "may go either way"
    yield (
        family,
        f"the next model{where}",
        "",
        interval(found.next_lower, found.next_upper),
        ahead,
    )
    if found.tau == found.tau:
        share = f"{100 * found.i_squared:.0f} % of the variance between models is not sampling"
        ends = f"{found.tau_lower:.1f} to {found.tau_upper:.1f}"
        yield (family, "models differ by (tau)", f"{found.tau:.1f}", ends, share)


def _mean_row(
    family: str, kind: PromptKind, found: RandomEffects, holds: str, verified: bool
) -> Row:
    state = _state(kind, found.mean_significance, verified)
    return (family, holds, points(found.mean), interval(found.lower, found.upper), state)


def _models(n: int) -> str:
    return "1 model" if n == 1 else f"{n} models"


def _these(n: int) -> str:
    return "this model" if n == 1 else f"these {n} models"


def _state(kind: PromptKind, significance: Significance, verified: bool) -> str:
    return plots.state_label(plots.state_of(kind, significance, verified), _VERSUS)


def _verified(each: SetComparison, mean: FamilyMean) -> bool:
    """Whether the modes of all models of a family passed the mode check."""
    return all(row.verified for row in each.rows if row.model in mean.models)


def _verified_over_sets(found: FamilyOverSets, comparison: Comparison) -> bool:
    """The same on every set that a family is taken over."""
    return all(
        row.verified
        for each in comparison.sets
        if each.dataset in found.datasets and each.kind == found.kind
        for row in each.rows
        if row.model in found.models
    )
