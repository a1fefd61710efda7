"""Contrast partners: which benign prompt looks like which harmful one."""

from collections.abc import Callable, Mapping, Sequence

from rim_eval.errors import RimError
from rim_eval.prompt_sets._records import Draft
from rim_eval.prompt_sets._schema import OffsetPairing, PromptSet, SameKeyPairing

__all__ = ["PartnerKeys", "by_key", "partners"]

PartnerKeys = Callable[[str], Mapping[str, str]]
"""Of another set by name: value of the pair column to prompt id."""


def partners(
    entry: PromptSet, drafts: Sequence[Draft], ids: Sequence[str], other: PartnerKeys
) -> list[str | None]:
    """Id of the partner of each prompt, none where it has no partner.

    Args:
        entry: The set.
        drafts: Its prompts.
        ids: Their ids.
        other: Gives the keys of another set, for rules that pair two sets.
    """
    match entry.pairing:
        case SameKeyPairing(partner=None):
            return _within(drafts, ids)
        case SameKeyPairing(partner=str(partner)):
            keys = other(partner)
            return [keys.get(draft.pair_key or "") for draft in drafts]
        case OffsetPairing(offsets=offsets):
            return _at_offset(entry, drafts, ids, offsets)
        case _:
            return [None] * len(ids)


def by_key(entry: PromptSet, drafts: Sequence[Draft], ids: Sequence[str]) -> dict[str, str]:
    """Prompt ids by the value of the pair column.

    Raises:
        RimError: when two prompts carry the same value.
    """
    keys: dict[str, str] = {}
    for draft, one in zip(drafts, ids, strict=True):
        if draft.pair_key is None:
            continue
        if draft.pair_key in keys:
            raise RimError(
                f"{entry.name}: two rows have {draft.pair_key!r} in the column "
                f"{entry.columns.pair!r}, which pairs prompts; each value may stand once."
            )
        keys[draft.pair_key] = one
    return keys


def _within(drafts: Sequence[Draft], ids: Sequence[str]) -> list[str | None]:
    groups: dict[str, list[str]] = {}
    for draft, one in zip(drafts, ids, strict=True):
        if draft.pair_key:
            groups.setdefault(draft.pair_key, []).append(one)
    twos = [group for group in groups.values() if len(group) == 2]
    other = {one: two for group in twos for one, two in (group, reversed(group))}
    return [other.get(one) for one in ids]


def _at_offset(
    entry: PromptSet, drafts: Sequence[Draft], ids: Sequence[str], offsets: Mapping[str, int]
) -> list[str | None]:
    keys = by_key(entry, drafts, ids)
    subsets = {one: draft.subset for draft, one in zip(drafts, ids, strict=True)}

    def partner(draft: Draft) -> str | None:
        number = int(draft.pair_key or 0) + offsets[draft.subset or ""]
        found = keys.get(str(number))
        return found if found and subsets[found] != draft.subset else None

    return [partner(draft) for draft in drafts]
