"""The registry of prompt sets: what a `tasks/<set>/set.toml` declares, and finding it by name."""

import difflib
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from rim_eval.errors import RimError
from rim_eval.paths import tasks_dir
from rim_eval.types import FrozenModel, PromptKind

_SHARED: Final = {"source", "local", "exclusive", "access", "columns"}
"""Fields that sets with the same files have in common."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Format = Literal["csv", "csv_headerless", "json", "json_groups", "lines", "parquet", "text", "yaml"]
"""How a file is read. `json` is JSON lines or one array; `json_groups` is one object of several arrays;
`lines` is one prompt a line; `csv_headerless` is one column without a header row (HEx-PHI); `yaml` is one list of
mappings, or one mapping that is a row;
`text` is one text, the whole file."""

Derivation = Literal["append_intent", "copy_span"]
"""How a set's prompts are made of those in its files (`derivations`). `append_intent`: each request, and a sentence
that makes its intent plain. `copy_span`: each problem's context, and a question whose answer is a number in it."""


class Columns(FrozenModel):
    """Which column of a file means what."""

    format: Format
    prompt: str = "prompt"
    """Name of the prompt's column; `csv_headerless` and `lines` have one unnamed column."""
    id: str | None = None
    """A user's own ids; unless given, they are made from the content."""
    category: str | None = None
    context: str | None = None
    """Text that belongs before the prompt (HarmBench's contextual behaviours)."""
    target: str | None = None
    """Gold answer."""
    target_pattern: str | None = None
    """Regular expression whose one group is the gold answer inside the target column."""
    subset: str | None = None
    """Column whose value says which subset a row belongs to."""
    pair: str | None = None
    """Column that the pairing rule compares."""
    labels: tuple[str, ...] = ()
    """Columns kept as labels; a column that holds a table gives one label per key."""
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Columns that say which rows are of the set, with the values that are; other rows are left out."""

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that every row must have."""
        columns = (
            self.prompt,
            self.id,
            self.category,
            self.context,
            self.target,
            self.subset,
            self.pair,
            *self.only,
        )
        return tuple(filter(None, columns))


class HubSource(FrozenModel):
    """A data set repository of the Hugging Face hub."""

    type: Literal["hub"]
    repo: str
    revision: Revision | None = None
    """Commit; none where no public record of one was found, and then the commit used is logged."""
    config: str | None = None
    """The publisher's name for this configuration, for readers."""
    split: str | None = None
    """The publisher's name for this split, for readers."""


class GithubSource(FrozenModel):
    """Files of a GitHub repository at a commit."""

    type: Literal["github"]
    repo: str
    revision: Revision


class FileSource(FrozenModel):
    """Files of this machine: harmless prompts beside the entry, or a file of the user's own."""

    type: Literal["shipped", "user"]


Source = Annotated[HubSource | GithubSource | FileSource, Field(discriminator="type")]


class SourceFile(FrozenModel):
    """One file as its publisher has it."""

    path: str
    """Path in the publisher's repository."""
    rows: int | None = Field(default=None, gt=0)
    """Rows it must hold; the set's count when there is one file."""
    sha256: Sha256 | None = None
    """Of the publisher's bytes, where that is known."""
    category: str | None = None
    """Category of all its rows, when no column says it."""
    subset: str | None = None
    """Subset of all its rows, when no column says it."""
    columns: Columns | None = None
    """Own columns, when they differ from the set's."""
    source: HubSource | None = None
    """Own repository, when a set is made of several."""

    @property
    def name(self) -> str:
        """File name in a local folder."""
        return PurePosixPath(self.path).name


class LocalFile(FrozenModel):
    """Another file that may stand in a local folder for a publisher's file."""

    name: str
    replaces: str
    """Name of the publisher's file."""
    rows: int | None = Field(default=None, gt=0)
    """Rows it must hold; as many as the file it replaces unless stated."""
    sha256: Sha256 | None = None
    columns: Columns | None = None
    note: str = ""


class Subset(FrozenModel):
    """A part of a set that can be loaded by name."""

    count: int = Field(gt=0)
    value: str | None = None
    """Value in the subset column; none when whole files are a subset."""
    kind: PromptKind | None = None
    """Kind of its prompts, when it differs from the set's."""


class SameKeyPairing(FrozenModel):
    """Two prompts are partners when they carry the same value in the pair column."""

    rule: Literal["same_key"]
    partner: Name | None = None
    """The set that holds the partners; the same set when none."""


class OffsetPairing(FrozenModel):
    """A prompt's partner has the number in the pair column that lies so many further."""

    rule: Literal["offset"]
    offsets: dict[str, int]
    """By subset; both directions. Partners lie in different subsets."""


class AccessRequest(FrozenModel):
    """How to get access to a set that its publisher does not hand to everybody."""

    url: str
    steps: tuple[str, ...]


class PublishedFiles(FrozenModel):
    """Files that a publisher has: where they come from, and what may stand in their place."""

    name: Name
    homepage: str = ""
    source: Source
    files: tuple[SourceFile, ...] = ()
    local: tuple[LocalFile, ...] = ()
    exclusive: str | None = None
    """Pattern: files of a local folder that match it and are not declared are an error."""
    access: AccessRequest | None = None

    @property
    def folder(self) -> str:
        """Where the files lie below a data folder."""
        return self.name

    @property
    def gated(self) -> bool:
        """Whether the publisher asks for a request before handing the files out."""
        return self.access is not None


class PromptSet(PublishedFiles):
    """One prompt set: what it is, where it comes from, and what a good copy looks like."""

    title: str
    kind: PromptKind
    judge: str | None = None
    """Canonical judge by name; none for reasoning sets, whose answers are checked."""
    count: int = Field(gt=0)
    """Prompts of all files together."""
    absolute_error: float | None = None
    """How far an answer may lie from the gold one, by the publisher's rule; None where it must be equal."""
    files_of: Name | None = None
    """Another set whose files these are: source, files, access and, unless given, columns are that set's."""
    derivation: Derivation | None = None
    """How prompts are made of those in the files; none where they stand there."""
    licence: str
    citation: str
    note: str = ""
    files: tuple[SourceFile, ...] = Field(min_length=1)
    columns: Columns
    subsets: dict[Name, Subset] = Field(default_factory=dict)
    default_subsets: tuple[Name, ...] = ()
    """What is loaded unless asked otherwise; all when empty."""
    pairing: Annotated[SameKeyPairing | OffsetPairing, Field(discriminator="rule")] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rows = sum(map(self.expected_rows, self.files))
        if rows < self.count or (rows > self.count and not self.leaves_out):
            raise ValueError(f"count is {self.count} but the files declare {rows} rows")
        parts = sum(subset.count for subset in self.subsets.values())
        if self.subsets and parts != self.count:
            raise ValueError(f"count is {self.count} but the subsets declare {parts} prompts")
        subsets = {*self.default_subsets, *(file.subset for file in self.files if file.subset)}
        replaced = {file.replaces for file in self.local}
        if unknown := (subsets - {*self.subsets}) | (replaced - {file.name for file in self.files}):
            raise ValueError(f"names that are not declared: {', '.join(sorted(unknown))}")
        if (self.judge is None) != (self.kind == "reasoning"):
            raise ValueError("harmful and benign sets name a judge, reasoning sets do not")
        return self

    @property
    def folder(self) -> str:
        """Where the files lie below a data folder: under the name of the set whose files they are."""
        return self.files_of or self.name

    @property
    def leaves_out(self) -> bool:
        """Whether some rows of the files may give no prompt."""
        columns = (self.columns, *(file.columns for file in self.files if file.columns))
        return self.derivation is not None or any(each.only for each in columns)

    @property
    def default_count(self) -> int:
        """Prompts that `load` gives when no subset is named."""
        return self.count_of(None)

    def subsets_named(self, words: str | None) -> tuple[Name, ...]:
        """The subsets that a user names, the default ones for None; empty where all are loaded.

        Args:
            words: One subset, several with commas between them, or `all`.

        Raises:
            RimError: There is no such subset.
        """
        if words is None:
            return self.default_subsets
        names = () if words == "all" else tuple(part.strip() for part in words.split(","))
        if unknown := [name for name in names if name not in self.subsets]:
            allowed = ", ".join([*self.subsets, "all"])
            raise RimError(f"{self.name} has no subset {unknown[0]!r}. Allowed: {allowed}.")
        return names

    def count_of(self, words: str | None) -> int:
        """Prompts of the subsets that a user names, as declared.

        Args:
            words: As `subsets_named` takes them.
        """
        return sum(self.subsets[name].count for name in self.subsets_named(words)) or self.count

    @property
    def sources(self) -> tuple[Source, ...]:
        """The different places that its files come from, in their order."""
        return tuple(dict.fromkeys(file.source or self.source for file in self.files))

    def expected_rows(self, file: SourceFile) -> int:
        """Rows that a publisher's file must hold."""
        is_whole = len(self.files) == 1 and not self.leaves_out
        return file.rows or (self.count if is_whole else 0)


def entries() -> dict[str, PromptSet]:
    """Return all prompt sets by name, sorted."""
    return dict(_read_all(tasks_dir()))


def entry(name: str) -> PromptSet:
    """Return one prompt set's entry.

    Raises:
        RimError: There is no set of this name; the message lists the names.
    """
    sets = _read_all(tasks_dir())
    if name not in sets:
        near = difflib.get_close_matches(name, sets, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RimError(
            f"no prompt set is called {name!r}.{hint} There are: {', '.join(sets)}. "
            "A file of your own is loaded by its path."
        )
    return sets[name]


def read_entry(path: Path) -> PromptSet:
    """Read and check one `set.toml`, which must lie in a folder of the set's name.

    Raises:
        RimError: The file is not valid.
    """
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
        prompt_set = PromptSet.model_validate(_files_declared(declared, path) | declared)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise RimError(f"{path} is not a valid entry of a prompt set: {error}") from error
    if prompt_set.name != (folder := path.parent.name):
        raise RimError(f"{path} names the set {prompt_set.name!r}, but its folder {folder!r}")
    return prompt_set


def _files_declared(declared: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What an entry takes over from the set whose files it shares; nothing where it has files of its own."""
    if not (name := declared.get("files_of")):
        return {}
    other = path.parent.parent / str(name) / path.name
    if not other.is_file():
        raise RimError(f"{path}: files_of names {name!r}, and there is no {other}")
    owner = read_entry(other)
    taken = owner.model_dump(include=_SHARED, exclude_none=True)
    files = [file.model_copy(update={"rows": owner.expected_rows(file)}) for file in owner.files]
    return taken | {"files": files}


@cache
def _read_all(tasks: Path) -> dict[str, PromptSet]:
    return {path.parent.name: read_entry(path) for path in sorted(tasks.glob("*/set.toml"))}
