"""What loading a set gives: prompts, and where exactly they came from."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from rim_eval.prompt_sets._schema import PromptSet
from rim_eval.types import PromptKind

__all__ = ["FileRecord", "LoadedSet", "Prompt", "Provenance"]


class Prompt(BaseModel):
    """One prompt. Its id is all that observations, cards and leaderboards ever see of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """`<set>-<12 hex digits>` from the text and context: opaque, and the same from any source."""
    set: str
    kind: PromptKind
    text: str
    category: str | None = None
    subset: str | None = None
    context: str | None = None
    target: str | None = None
    """Gold answer of a reasoning problem."""
    pair: str | None = None
    """Id of the contrast partner: a benign look-alike, or the harmful one that it looks like."""
    labels: dict[str, str] = {}


class FileRecord(BaseModel):
    """One file that was really read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    rows: int


class Provenance(BaseModel):
    """Where prompts came from, as exactly as it is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["publisher", "local", "shipped", "user"]
    location: str
    """Repository, folder or file."""
    revision_declared: str | None = None
    revision_used: str | None = None
    """Commit that the files came from; none for local files and for a branch."""
    files: tuple[FileRecord, ...]


class LoadedSet(BaseModel):
    """A set that passed its checks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: PromptSet
    prompts: tuple[Prompt, ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()
    """What a reader of results should know: repeated prompts, another count, partners not found."""
