"""Human-labelled replies, to validate judges: published sets and a user's own CSV, in one shape."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from rim_eval.errors import AccessError, RimError
from rim_eval.judging._case import Case, Event
from rim_eval.prompt_sets import GithubSource, HubSource, download_file
from rim_eval.prompt_sets.formats import DataFile, read_rows
from rim_eval.prompt_sets.registry import Columns, Format

ReplyMode = Literal["think", "no_think", "unknown"]
_MODES: Final[dict[str, ReplyMode]] = {mode: mode for mode in get_args(ReplyMode)}
_TRUE: Final = ("true", "1", "1.0", "yes", "unsafe", "misaligned", "refused", "harmful")
_FALSE: Final = ("false", "0", "0.0", "no", "safe", "aligned", "answered", "harmless")


class LabelledReply(NamedTuple):
    """One reply with what people said of it."""

    case: Case
    human: bool
    """Whether the event happened, by the people's final label."""
    model: str
    """Which model wrote the reply; `unnamed` when the set does not say."""
    mode: ReplyMode
    label: str | None = None


class LabelledFile(BaseModel):
    """Which file a measurement was made on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    rows: int
    unlabelled: int = 0
    """Rows left out because people gave no usable label."""


class LabelledSet(NamedTuple):
    """Where a labelled set is published and how its rows are read."""

    event: Event
    about: str
    source: HubSource | GithubSource | None
    """Where it is published; None for the user's own file."""
    files: tuple[str, ...]
    """Paths in the publisher's repository."""
    format: Format | None
    """How a file is read; None for HarmBench's mapping of behaviours."""
    reply: Callable[[Mapping[str, Any]], LabelledReply | None]
    """Reads one row; the file's name without ending is its column `file`."""


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
    labelled_set = LABELLED_SETS.get(name)
    if labelled_set is None:
        raise RimError(f"There is no labelled set `{name}`. Sets: {', '.join(LABELLED_SETS)}.")
    if not files and labelled_set.source is None:
        raise RimError(f"The set `{name}` needs a file: --data FILE. {labelled_set.about}")
    replies: list[LabelledReply] = []
    records: list[LabelledFile] = []
    for filename, raw in _local(files) if files else _published(name, labelled_set):
        in_file, record = parse_labelled(name, filename, raw)
        if files:
            _refuse_twice(filename, record, records)
        replies += in_file
        records.append(record)
    return replies, records


def _refuse_twice(filename: str, record: LabelledFile, records: Sequence[LabelledFile]) -> None:
    same = next((before for before in records if before.sha256 == record.sha256), None)
    if same is not None:
        raise RimError(
            f"{filename} holds the same replies as {same.name}, given before (sha256 "
            f"{record.sha256[:12]}): they would count twice. Give each file once."
        )


def _local(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        try:
            yield str(path), path.read_bytes()
        except OSError as error:
            raise RimError(f"--data {path}: {error.strerror}.") from None


def _published(name: str, labelled_set: LabelledSet) -> Iterator[tuple[str, bytes]]:
    source = labelled_set.source
    if source is None:
        return
    for file in labelled_set.files:
        try:
            yield file, download_file(source, file).content
        except RimError as error:
            raise AccessError(
                f"{source.repo}: {file} could not be loaded ({str(error).splitlines()[0][:200]}). "
                f"With a copy of your own: --set {name} --data FILE."
            ) from None


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
    labelled_set = LABELLED_SETS[name]
    rows = _rows(labelled_set, name, filename, raw)
    replies = list(_replies(labelled_set, filename, rows))
    if not replies:
        raise RimError(f"{filename}: no row has a usable label. {labelled_set.about}")
    record = LabelledFile(
        name=Path(filename).name,
        sha256=hashlib.sha256(raw).hexdigest(),
        rows=len(rows),
        unlabelled=len(rows) - len(replies),
    )
    return replies, record


def _rows(labelled_set: LabelledSet, name: str, filename: str, raw: bytes) -> list[dict[str, Any]]:
    try:
        if labelled_set.format is None:
            return _by_behaviour(raw)
        file = DataFile(name, Path(filename).name, raw)
        return read_rows(file, Columns(format=labelled_set.format))
    except (RimError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise RimError(f"{filename}: not a file of the set `{name}` ({reason}).") from None


def _replies(
    labelled_set: LabelledSet, filename: str, rows: Sequence[Mapping[str, Any]]
) -> Iterator[LabelledReply]:
    for number, row in enumerate(rows, start=1):
        try:
            reply = labelled_set.reply({**row, "file": Path(filename).stem})
        except KeyError as error:
            raise RimError(
                f"{filename}, row {number}: no column {error}; there are {sorted(map(str, row))}. {labelled_set.about}"
            ) from None
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"{first['loc'][0]}: {first['msg']} (given: {first['input']!r:.40})"
            raise RimError(f"{filename}, row {number}: {problem}. {labelled_set.about}") from None
        except (ValueError, TypeError, IndexError) as error:
            raise RimError(f"{filename}, row {number}: {error}. {labelled_set.about}") from None
        if reply is not None:
            yield reply


def _by_behaviour(raw: bytes) -> list[dict[str, Any]]:
    """HarmBench's rows: one JSON mapping, from behaviours to lists of replies."""
    by_id = json.loads(raw)
    return [{"behavior_id": key, **row} for key, rows in by_id.items() for row in rows]


def _yes(value: object) -> bool | None:
    word = str(value).strip().casefold()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def _xstest(row: Mapping[str, Any]) -> LabelledReply | None:
    label = str(row["final_label"]).strip()[2:]
    if label not in ("full_compliance", "full_refusal", "partial_refusal"):
        return None
    # The labels say whether the reply refuses, for safe and unsafe prompts alike.
    case = Case(prompt_text=row["prompt"], kind="benign", answer=row["completion"] or "")
    model = (
        str(row["file"]).removeprefix("xstest_human_labels_").removeprefix("xstest_v2_completions_")
    )
    return LabelledReply(case, label != "full_compliance", model, "no_think", label)


def _jbb(row: Mapping[str, Any]) -> LabelledReply | None:
    human = _yes(row["human_majority"])
    case = Case(prompt_text=row["goal"], kind="harmful", answer=row["target_response"] or "")
    return None if human is None else LabelledReply(case, human, "unnamed", "no_think")


def _qwen3guard(row: Mapping[str, Any]) -> LabelledReply | None:
    from rim_eval.thinking import split_trace

    human = _yes(row["label"])
    request, reply = (_last(row["message"], role) for role in ("user", "assistant"))
    split = split_trace(reply)
    case = Case(prompt_text=request, kind="harmful", answer=split.answer, trace=split.trace)
    mode: ReplyMode = "think" if split.trace else "no_think"
    return (
        None
        if human is None
        else LabelledReply(case, human, str(row.get("source") or "unnamed"), mode)
    )


def _last(messages: Iterable[Mapping[str, Any]], role: str) -> str:
    return [str(message["content"]) for message in messages if message["role"] == role][-1]


def _harmbench(row: Mapping[str, Any]) -> LabelledReply | None:
    votes = [_yes(row[key]) for key in row if str(key).startswith("human_")]
    cast = [vote for vote in votes if vote is not None]
    if not cast or sum(cast) * 2 == len(cast):
        return None
    case = Case(prompt_text=row["test_case"], kind="harmful", answer=row["generation"] or "")
    return LabelledReply(
        case, sum(cast) * 2 > len(cast), str(row.get("model") or "unnamed"), "no_think"
    )


def _own(row: Mapping[str, Any]) -> LabelledReply | None:
    human = _yes(row["label"])
    mode = _MODES.get(row.get("mode") or "unknown")
    if mode is None:
        raise ValueError(f"mode is {row['mode']!r}, not one of {', '.join(_MODES)}")
    case = Case(
        prompt_text=row["prompt"],
        answer=row["answer"] or "",
        trace=row.get("trace") or None,
        context=row.get("context") or None,
        kind=row.get("kind") or "harmful",
    )
    return (
        None if human is None else LabelledReply(case, human, row.get("model") or row["file"], mode)
    )


LABELLED_SETS: Final[dict[str, LabelledSet]] = {
    "xstest": LabelledSet(
        event="refused",
        about="XSTest replies of five models (CC-BY-4.0): columns prompt, completion, final_label.",
        source=GithubSource(
            type="github",
            repo="paul-rottger/exaggerated-safety",
            revision="a3bb396ddc1939c6f264f17b7cf5b7a5d82833de",
        ),
        files=tuple(
            f"model_completions/xstest_v2_completions_{model}.csv"
            for model in ("gpt4", "llama2new", "llama2orig", "mistralguard", "mistralinstruct")
        ),
        format="csv",
        reply=_xstest,
    ),
    "jailbreakbench": LabelledSet(
        event="misaligned",
        about="JailbreakBench judge comparison (MIT): columns goal, target_response, human_majority.",
        source=HubSource(
            type="hub",
            repo="JailbreakBench/JBB-Behaviors",
            revision="886acc352a31533ffbcf4ef22c744658688086fc",
        ),
        files=("data/judge-comparison.csv",),
        format="csv",
        reply=_jbb,
    ),
    "qwen3guardtest": LabelledSet(
        event="misaligned",
        about="Qwen3GuardTest, thinking (CC-BY-NC-4.0): JSON lines with message, label, source.",
        # No commit is known, so the newest is loaded once and cached; the file's SHA-256 is recorded.
        source=HubSource(type="hub", repo="Qwen/Qwen3GuardTest"),
        files=("thinking.jsonl",),
        format="json",
        reply=_qwen3guard,
    ),
    "harmbench": LabelledSet(
        event="misaligned",
        about="HarmBench validation (MIT): behaviours with test_case, generation, human_0 ...",
        source=GithubSource(
            type="github",
            repo="centerforaisafety/HarmBench",
            revision="8e1604d1171fe8a48d8febecd22f600e462bdcdd",
        ),
        files=("data/classifier_val_sets/text_behaviors_val_set.json",),
        format=None,
        reply=_harmbench,
    ),
    "csv": LabelledSet(
        event="misaligned",
        about=(
            "A CSV of your own: columns prompt, answer, label (true or false: the event happened), "
            "and, if known, trace, context, kind (harmful or benign), model, mode (think or no_think)."
        ),
        source=None,
        files=(),
        format="csv",
        reply=_own,
    ),
}
"""Human-labelled sets by name, and `csv` for a user's own file."""
