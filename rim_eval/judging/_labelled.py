"""Human-labelled replies, to validate judges: published sets and a user's own CSV, in one shape."""

import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import filter as matching
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import Field, ValidationError

from rim_eval.errors import AccessError, RimError, first_complaint
from rim_eval.files import parse_json
from rim_eval.judging._case import Case, Event
from rim_eval.prompt_sets.formats import DataFile, Row, read_rows
from rim_eval.prompt_sets.records import FileRecord, record_file
from rim_eval.prompt_sets.registry import Columns, Format, PublishedFiles, SourceFile
from rim_eval.prompt_sets.sources import obtain
from rim_eval.types import FrozenModel, PromptKind

ReplyMode = Literal["think", "no_think", "unknown"]
_WORDS: Final = dict.fromkeys(
    ("true", "1", "1.0", "yes", "unsafe", "misaligned", "refused", "harmful"), True
) | dict.fromkeys(("false", "0", "0.0", "no", "safe", "aligned", "answered", "harmless"), False)
"""What people's labels mean, unless the set has labels of its own."""


class LabelledReply(NamedTuple):
    """One reply with what people said of it."""

    case: Case
    human: bool
    """Whether the event happened, by the people's final label."""
    model: str
    """Which model wrote the reply; `unnamed` when the set does not say."""
    mode: ReplyMode
    label: str | None = None
    prompt_kind: PromptKind = "harmful"
    """What the prompt asks for; the case's kind says which event the label is about."""
    file: str = ""
    """Name of the file that it comes from."""


class LabelledColumns(FrozenModel):
    """Which column means what; those that are None are not in the set."""

    prompt: str
    answer: str
    label: str
    trace: str | None = None
    context: str | None = None
    kind: str | None = None
    model: str | None = None
    mode: str | None = None
    chat: str | None = None
    """A list of messages, whose last ones are read as columns named by their roles. The trace is
    then part of the answer, and the mode follows from it."""


class LabelledSet(PublishedFiles):
    """Where a labelled set is published and how its rows are read (`labelled_sets.toml`)."""

    event: Event
    about: str
    format: Format | Literal["by_behaviour"]
    """How a file is read; `by_behaviour` is one JSON mapping from behaviours to lists of replies."""
    columns: LabelledColumns
    kind: PromptKind = "harmful"
    harmful_prompts: dict[str, str] = Field(default={})
    """Where labels of one event are about prompts of both kinds: the harmful ones, by a column's pattern."""
    mode: ReplyMode = "no_think"
    labels: dict[str, bool] | None = None
    """Whether the event happened, by people's label; None for yes and no in the usual words."""
    model_in_file_name: tuple[str, ...] | None = None
    """Where no column names the model, the file does, behind one of these prefixes."""

    def rows(self, file: DataFile) -> list[Row]:
        """Return the rows of a file by column.

        Raises:
            RimError: The bytes are not of the set's format.
        """
        try:
            if self.format == "by_behaviour":
                return [dict(row) for group in parse_json(file.content).values() for row in group]
            names = self.columns
            return read_rows(file, Columns(format=self.format, prompt=names.chat or names.prompt))
        except (RimError, ValueError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise RimError(
                f"{file.name}: not a file of the set `{self.name}` ({reason})."
            ) from None

    def read(self, row: Mapping[str, Any], stem: str) -> LabelledReply | None:
        """Read one row.

        Args:
            row: The cells by column.
            stem: The file's name without its ending.

        Returns:
            The reply; None where people gave no usable label, or as many said yes as no.

        Raises:
            KeyError: A column is missing.
            ValueError: A cell holds what is not allowed there.
        """
        columns, labels = self.columns, self.labels or _WORDS
        if columns.chat:
            row = {**row, **{one["role"]: str(one["content"]) for one in row[columns.chat]}}

        def cell(column: str | None) -> Any:
            return (row.get(column) or None) if column else None

        names = matching(row, columns.label) if "*" in columns.label else [columns.label]
        words = [str(row[name]).strip().casefold() for name in names]
        votes = [labels[word] for word in words if word in labels]
        answer, trace = row[columns.answer] or "", cell(columns.trace)
        mode: Any = cell(columns.mode) or self.mode
        if columns.chat:
            from rim_eval.thinking import split_trace

            split = split_trace(answer)
            answer, trace, mode = split.answer, split.trace, "think" if split.trace else "no_think"
        if mode not in get_args(ReplyMode):
            raise ValueError(f"mode is {mode!r}, not one of {', '.join(get_args(ReplyMode))}")
        case = Case(
            prompt_text=row[columns.prompt],
            context=cell(columns.context),
            kind=cell(columns.kind) or self.kind,
            answer=answer,
            trace=trace,
        )
        for prefix in self.model_in_file_name or ():
            stem = stem.removeprefix(prefix)
        model = cell(columns.model) or ("unnamed" if self.model_in_file_name is None else stem)
        if sum(votes) * 2 == len(votes):
            return None
        # Labels of a set's own are numbered: `2_full_refusal`.
        label = words[0].partition("_")[2] if self.labels else None
        patterns = self.harmful_prompts.items()
        harmful = [fnmatchcase(str(row.get(column)), pattern) for column, pattern in patterns]
        prompt_kind = "harmful" if harmful and all(harmful) else case.kind
        human = sum(votes) * 2 > len(votes)
        return LabelledReply(case, human, str(model), mode, label, prompt_kind)


LABELLED_SETS: Final = {
    name: LabelledSet.model_validate({"name": name, **table})
    for name, table in tomllib.loads(
        Path(__file__).with_name("labelled_sets.toml").read_text(encoding="utf-8")
    ).items()
}
"""Human-labelled sets by name, and `csv` for a user's own file."""


def load_labelled(
    name: str, files: Sequence[Path] = ()
) -> tuple[list[LabelledReply], list[FileRecord]]:
    """Return all labelled replies of a set.

    Args:
        name: A key of `LABELLED_SETS`.
        files: Local files in the publisher's format, which count as the published ones where their names
            do; without any the set comes from the folder in `RIM_EVAL_DATA`, or from its publisher.

    Raises:
        RimError: There is no such set, or a file is missing, given twice, or not as it should be.
        AccessError: The publisher cannot be reached.
    """
    if name not in LABELLED_SETS:
        raise RimError(f"There is no labelled set `{name}`. Sets: {', '.join(LABELLED_SETS)}.")
    labelled_set = LABELLED_SETS[name]
    if not files and not labelled_set.files:
        raise RimError(f"The set `{name}` needs a file: --data FILE. {labelled_set.about}")
    try:
        contents = [DataFile(name, file.name, file.read_bytes()) for file in files]
    except OSError as error:
        raise RimError(f"--data {error.filename}: {error.strerror}.") from None
    if not files:
        try:
            published = obtain(labelled_set, None).files
        except AccessError as error:
            step = f"Or name your copies: --set {name} --data FILE."
            raise type(error)(f"{error}\n{step}") from error
        contents = [DataFile(name, declared.name, content) for declared, content, _ in published]
    replies: list[LabelledReply] = []
    records: dict[str, FileRecord] = {}
    for content in contents:
        in_file, record = _parse(labelled_set, content, records)
        replies += in_file
        records[record.sha256] = record
    return replies, list(records.values())


def _parse(
    labelled_set: LabelledSet, file: DataFile, earlier: Mapping[str, FileRecord]
) -> tuple[list[LabelledReply], FileRecord]:
    """The labelled replies of one file, once it passed its checks."""
    rows, replies = labelled_set.rows(file), []
    by_name = {declared.name: declared for declared in labelled_set.files}
    declared = by_name.get(file.name, SourceFile(path=file.name))
    record = record_file(file, declared, len(rows), declared.rows, earlier)
    for number, row in enumerate(rows, start=1):
        try:
            reply = labelled_set.read(row, Path(file.name).stem)
        except (KeyError, ValueError, TypeError) as error:
            problem = str(error)
            if isinstance(error, KeyError):
                problem = f"no column {error}; there are {sorted(map(str, row))}"
            elif isinstance(error, ValidationError):
                problem = first_complaint(error, "the reply")
            raise RimError(f"{file.name}, row {number}: {problem}. {labelled_set.about}") from None
        replies += [reply._replace(file=file.name)] if reply else []
    if not replies:
        raise RimError(f"{file.name}: no row has a usable label. {labelled_set.about}")
    return replies, record
