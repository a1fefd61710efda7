"""Human-labelled replies, to validate judges: published sets and a user's own CSV, in one shape."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import filter as matching
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import ValidationError

from rim_eval.errors import AccessError, RimError, first_complaint
from rim_eval.files import parse_json
from rim_eval.judging._case import Case, Event
from rim_eval.prompt_sets import FileRecord, GithubSource, HubSource, download_file
from rim_eval.prompt_sets.formats import DataFile, read_rows
from rim_eval.prompt_sets.registry import Columns, Format
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


class LabelledFile(FileRecord):
    """Which file a measurement was made on."""

    unlabelled: int = 0
    """Rows left out because people gave no usable label."""


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


class LabelledSet(FrozenModel):
    """Where a labelled set is published and how its rows are read (`labelled_sets.toml`)."""

    event: Event
    about: str
    source: HubSource | GithubSource | None = None
    """Where it is published; None for the user's own file."""
    files: tuple[str, ...] = ()
    """Paths in the publisher's repository."""
    format: Format | Literal["by_behaviour"]
    """How a file is read; `by_behaviour` is one JSON mapping from behaviours to lists of replies."""
    columns: LabelledColumns
    kind: PromptKind = "harmful"
    mode: ReplyMode = "no_think"
    labels: dict[str, bool] | None = None
    """Whether the event happened, by people's label; None for yes and no in the usual words."""
    model_in_file_name: tuple[str, ...] | None = None
    """Where no column names the model, the file does, behind one of these prefixes."""

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
        names = matching(row, columns.label) if "*" in columns.label else [columns.label]
        words = [str(row[name]).strip().casefold() for name in names]
        votes = [labels[word] for word in words if word in labels]

        def cell(column: str | None) -> Any:
            return (row.get(column) or None) if column else None

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
        return LabelledReply(case, sum(votes) * 2 > len(votes), str(model), mode, label)


LABELLED_SETS: Final = {
    name: LabelledSet.model_validate(table)
    for name, table in tomllib.loads(
        Path(__file__).with_name("labelled_sets.toml").read_text(encoding="utf-8")
    ).items()
}
"""Human-labelled sets by name, and `csv` for a user's own file."""


def load_labelled(
    name: str, files: Sequence[Path] = ()
) -> tuple[list[LabelledReply], list[LabelledFile]]:
    """Return all labelled replies of a set.

    Args:
        name: A key of `LABELLED_SETS`.
        files: Local files in the publisher's format; without any the set is downloaded and cached.

    Raises:
        RimError: There is no such set, a file is missing, given twice, or has another shape.
        AccessError: The publisher cannot be reached.
    """
    if name not in LABELLED_SETS:
        raise RimError(f"There is no labelled set `{name}`. Sets: {', '.join(LABELLED_SETS)}.")
    labelled_set = LABELLED_SETS[name]
    source = labelled_set.source
    if not files and source is None:
        raise RimError(f"The set `{name}` needs a file: --data FILE. {labelled_set.about}")
    replies: list[LabelledReply] = []
    records: list[LabelledFile] = []
    for file in files or labelled_set.files:
        try:
            remote = source if isinstance(file, str) else None
            raw = download_file(remote, str(file)).content if remote else Path(file).read_bytes()
        except OSError as error:
            raise RimError(f"--data {file}: {error.strerror}.") from None
        except RimError as error:
            raise AccessError(
                f"{source and source.repo}: {file} could not be loaded "
                f"({str(error).splitlines()[0][:200]}). With a copy of your own: --set {name} --data FILE."
            ) from None
        in_file, record = parse_labelled(name, str(file), raw)
        same = [before.name for before in records if before.sha256 == record.sha256]
        if files and same:
            raise RimError(
                f"{file} holds the same replies as {same[0]}, given before (sha256 "
                f"{record.sha256[:12]}): they would count twice. Give each file once."
            )
        replies += in_file
        records.append(record)
    return replies, records


def parse_labelled(
    name: str, filename: str, raw: bytes
) -> tuple[list[LabelledReply], LabelledFile]:
    """Return the labelled replies of one file.

    Args:
        name: A key of `LABELLED_SETS`.
        filename: The file's name; XSTest's names the model in it.
        raw: The file's bytes.

    Raises:
        RimError: The file has not the set's shape; it names the row and what is missing.
    """
    labelled_set, path = LABELLED_SETS[name], Path(filename)
    try:
        if labelled_set.format == "by_behaviour":
            rows = [dict(row) for group in parse_json(raw).values() for row in group]
        else:
            rows = read_rows(DataFile(name, path.name, raw), Columns(format=labelled_set.format))
    except (RimError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise RimError(f"{filename}: not a file of the set `{name}` ({reason}).") from None
    replies = []
    for number, row in enumerate(rows, start=1):
        try:
            replies.append(labelled_set.read(row, path.stem))
        except (KeyError, ValueError, TypeError) as error:
            problem = str(error)
            if isinstance(error, KeyError):
                problem = f"no column {error}; there are {sorted(map(str, row))}"
            elif isinstance(error, ValidationError):
                problem = first_complaint(error, "the reply")
            raise RimError(f"{filename}, row {number}: {problem}. {labelled_set.about}") from None
    labelled = [reply for reply in replies if reply is not None]
    if not labelled:
        raise RimError(f"{filename}: no row has a usable label. {labelled_set.about}")
    record = LabelledFile(
        name=path.name,
        sha256=hashlib.sha256(raw).hexdigest(),
        rows=len(rows),
        unlabelled=len(rows) - len(labelled),
    )
    return labelled, record
