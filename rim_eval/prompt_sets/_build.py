"""Checked rows to prompts: ids, partners, the subset that was asked for, provenance."""

from collections.abc import Sequence

from rim_eval.errors import AccessError
from rim_eval.prompt_sets._check import Checked
from rim_eval.prompt_sets._ids import assign_ids, prompt_id
from rim_eval.prompt_sets._pairs import PartnerKeys, partners
from rim_eval.prompt_sets._prompt import LoadedSet, Prompt, Provenance
from rim_eval.prompt_sets._publisher import declared_revision
from rim_eval.prompt_sets._records import Draft

__all__ = ["build"]


def build(checked: Checked, subsets: Sequence[str], keys_of: PartnerKeys) -> LoadedSet:
    """Makes the loaded set.

    Ids and partners are found over the whole set before the subset is taken, so that they do not
    depend on what was asked for.

    Args:
        checked: The set's rows.
        subsets: Names to keep; all when empty.
        keys_of: Keys of the set that holds the partners.
    """
    ids = assign_ids(checked.entry.name, checked.drafts)
    notes = [*checked.notes, *_repeats(checked.drafts)]
    try:
        pairs = partners(checked.entry, checked.drafts, ids, keys_of)
    except AccessError as error:
        pairs = [None] * len(ids)
        notes.append(f"no contrast pairs: {str(error).splitlines()[0]}")
    rows = zip(checked.drafts, ids, pairs, strict=True)
    prompts = (_prompt(checked.entry.name, *row) for row in rows)
    return LoadedSet(
        entry=checked.entry,
        prompts=tuple(one for one in prompts if not subsets or one.subset in subsets),
        provenance=_provenance(checked),
        notes=tuple(notes),
    )


def _prompt(name: str, draft: Draft, own: str, pair: str | None) -> Prompt:
    return Prompt(
        id=own,
        set=name,
        kind=draft.kind,
        text=draft.text,
        category=draft.category,
        subset=draft.subset,
        context=draft.context,
        target=draft.target,
        pair=pair,
        labels=draft.labels,
    )


def _repeats(drafts: Sequence[Draft]) -> list[str]:
    different = len({prompt_id("", draft.text, draft.context) for draft in drafts})
    repeats = len(drafts) - different
    return [f"{repeats} prompts repeat another one; their ids end in -2, -3, ..."] * bool(repeats)


def _provenance(checked: Checked) -> Provenance:
    batch = checked.batch
    return Provenance(
        source=batch.source,
        location=batch.location,
        revision_declared=declared_revision(checked.entry),
        revision_used=batch.revision,
        files=checked.records,
    )
