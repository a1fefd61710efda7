"""Prompt ids: from the content, opaque, alike from every source and in both harnesses."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

__all__ = ["assign_ids", "prompt_id"]

_DIGITS = 12  # 48 bits: for 10,000 prompts a collision has a chance below 2e-7


class Identified(Protocol):
    """What an id is made of, and what tells repeated prompts apart."""

    @property
    def text(self) -> str: ...
    @property
    def context(self) -> str | None: ...
    @property
    def order(self) -> tuple[str, ...]: ...


def prompt_id(name: str, text: str, context: str | None = None) -> str:
    """Id of a prompt: `<set>-<12 hex digits of SHA-256>`.

    Unicode is brought to NFC and runs of white space to one space before, so that line ends, a
    trailing blank or another file format do not change the id. No text can be read back from it.

    Args:
        name: The set.
        text: The prompt.
        context: Its context, if it has one.
    """
    content = "\0".join(_normal(part) for part in (text, context or ""))
    return f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]}"


def assign_ids(name: str, prompts: Sequence[Identified]) -> list[str]:
    """Ids of all prompts of a set, in their order; repeated prompts get `-2`, `-3`, ....

    Which of several equal prompts is the first is decided by their other fields (`order`), never
    by their place in a file, so that a shuffled copy gives the same ids.
    """
    ids = [prompt_id(name, prompt.text, prompt.context) for prompt in prompts]
    by_content = sorted(range(len(ids)), key=lambda i: (ids[i], prompts[i].order))
    return _numbered(ids, by_content)


def _numbered(ids: list[str], places: Iterable[int]) -> list[str]:
    seen: Counter[str] = Counter()
    result = list(ids)
    for place in places:
        seen[ids[place]] += 1
        if seen[ids[place]] > 1:
            result[place] = f"{ids[place]}-{seen[ids[place]]}"
    return result


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())
