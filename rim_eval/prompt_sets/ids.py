"""Prompt ids, and contrast partners: which benign prompt looks like which harmful one.

Ids come from the content. They are opaque, and alike from every source and in both harnesses.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from rim_eval.errors import RimError
from rim_eval.prompt_sets.records import Record
from rim_eval.prompt_sets.registry import OffsetPairing, PromptSet, SameKeyPairing


def prompt_id(name: str, text: str, context: str | None = None) -> str:
    """Return the id of a prompt: `<set>-<12 hex digits of SHA-256>`.

    Unicode is brought to NFC and runs of white space to one space before, so that line ends, a
    trailing blank or another file format do not change the id. No text can be read back from it.

    Args:
        name: The set.
        text: The prompt.
        context: Its context, if it has one.
    """
    parts = (unicodedata.normalize("NFC", part) for part in (text, context or ""))
    content = "\0".join(" ".join(part.split()) for part in parts)
    # 48 bits: for 10,000 prompts a collision has a chance below 2e-7.
    return f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def assign_ids(name: str, records: Sequence[Record]) -> list[str]:
    """Return the ids of all prompts of a set, in their order; repeated prompts get `-2`, `-3`, ....

    Which of several equal prompts is the first is decided by their other fields (`order`), never
    by their place in a file, so that a shuffled copy gives the same ids.

    Args:
        name: The set.
        records: Its prompts.
    """
    ids = [prompt_id(name, record.text, record.context) for record in records]
    times: Counter[str] = Counter()
    for place in sorted(range(len(ids)), key=lambda i: (ids[i], records[i].order)):
        own_id = ids[place]
        times[own_id] += 1
        if times[own_id] > 1:
            ids[place] = f"{own_id}-{times[own_id]}"
    return ids


PartnerKeys = Callable[[str], Mapping[str, str]]
"""Of another set by name: value of the pair column to prompt id."""


def partners(
    entry: PromptSet, records: Sequence[Record], ids: Sequence[str], keys_of: PartnerKeys
) -> list[str | None]:
    """Return the id of each prompt's partner, None where it has none.

    Args:
        entry: The set.
        records: Its prompts.
        ids: Their ids.
        keys_of: Gives the keys of another set, for rules that pair two sets.
    """
    match entry.pairing:
        case SameKeyPairing(partner=None):
            groups: dict[str, list[str]] = {}
            for record, own_id in zip(records, ids, strict=True):
                if record.pair_key:
                    groups.setdefault(record.pair_key, []).append(own_id)
            pairs = [group for group in groups.values() if len(group) == 2]
            partner_of = {one: other for pair in pairs for one, other in (pair, reversed(pair))}
            return [partner_of.get(own_id) for own_id in ids]
        case SameKeyPairing(partner=str(partner)):
            keys = keys_of(partner)
            return [keys.get(record.pair_key or "") for record in records]
        case OffsetPairing(offsets=offsets):
            keys = ids_by_key(entry, records, ids)
            numbers = [int(one.pair_key or 0) + offsets[one.subset or ""] for one in records]
            others = [keys.get(str(number)) for number in numbers]
            subsets = {own_id: one.subset for one, own_id in zip(records, ids, strict=True)}
            return [
                other if other and subsets[other] != record.subset else None
                for record, other in zip(records, others, strict=True)
            ]
        case _:
            return [None] * len(ids)


def ids_by_key(entry: PromptSet, records: Sequence[Record], ids: Sequence[str]) -> dict[str, str]:
    """Return prompt ids by the value of the pair column.

    Args:
        entry: The set.
        records: Its prompts.
        ids: Their ids.

    Raises:
        RimError: Two prompts carry the same value.
    """
    keys: dict[str, str] = {}
    for record, own_id in zip(records, ids, strict=True):
        if record.pair_key is None:
            continue
        if record.pair_key in keys:
            raise RimError(
                f"{entry.name}: two rows have {record.pair_key!r} in the column "
                f"{entry.columns.pair!r}, which pairs prompts; each value may stand once."
            )
        keys[record.pair_key] = own_id
    return keys
