"""Tables on disk: Parquet and CSV of our own, folders of logs, many at once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from rim_eval.errors import RimError
from rim_eval.observations._columns import COLUMNS, as_table
from rim_eval.observations._inspect import read_inspect_log
from rim_eval.observations._run import Problem, Run
from rim_eval.observations._table import Table, join

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["label_of", "read", "write"]

_KEY: Final = b"rim_eval"
_VERSION: Final = 1


class _About(BaseModel):
    """What a file holds beside its rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = _VERSION
    runs: tuple[Run, ...] = ()
    problems: tuple[Problem, ...] = ()


def read(sources: Iterable[str | Path]) -> Table:
    """Read any mix of Inspect logs, folders of them, lm-eval sample files, and our own files.

    Of a run and its retries the latest log is read and the others are reported. One log at a time is
    in memory beside the table.

    Args:
        sources: Paths; `NAME=PATH` gives the rows of that path the model name NAME.

    Raises:
        RimError: A path does not exist, holds nothing to read, or cannot be read; or one run is given
            under two models' names.
    """
    _need_pandas()
    given = [(str(source), list(_tables(str(source)))) for source in sources]
    _refuse_two_names(given)
    tables = [table for _, found in given for table in found]
    return _without_unjudged(_without_copies(_without_superseded(join(list(_once(tables))))))


def write(table: Table, path: str | Path) -> None:
    """Write a table as `.parquet`, or as `.csv` with `<name>.csv.json` beside it for its runs.

    Raises:
        RimError: The ending is neither.
    """
    path = Path(path)
    about = _About(runs=table.runs, problems=table.problems).model_dump_json()
    if path.suffix == ".parquet":
        _write_parquet(table.frame, path, about)
    elif path.suffix == ".csv":
        table.frame.to_csv(path, index=False)
        _beside(path).write_text(about + "\n", encoding="utf-8")
    else:
        raise RimError(f"{path}: observations are written as .parquet or .csv.")


def _need_pandas() -> None:
    from importlib.util import find_spec

    if missing := [name for name in ("pandas", "pyarrow") if find_spec(name) is None]:
        raise RimError(
            f"Tables of observations need {' and '.join(missing)}: pip install 'rim-eval[card]'."
        )


def _tables(source: str) -> Iterator[Table]:
    label, path = label_of(source)
    found = [_read_one(each) for each in _expand(path)]
    if label is None:
        yield from found
    else:
        yield join(found).renamed(label)


def _refuse_two_names(given: Sequence[tuple[str, Sequence[Table]]]) -> None:
    """One run under two models' names would be compared with itself."""
    seen: dict[str, tuple[str, str]] = {}
    for source, tables in given:
        for table in tables:
            for run, model in _runs_of(source, table):
                first, other = seen.setdefault(run, (source, model))
                if other != model:
                    raise RimError(
                        f"{first} and {source} hold the same run under two names, {other} and {model}: compared "
                        "with itself a model differs by nothing. Each name takes logs of its own; "
                        "leave one out, or give the other model's log."
                    )


def _runs_of(source: str, table: Table) -> Iterator[tuple[str, str]]:
    """Runs with their models; a table without runs is known by its place."""
    yield from ((run.group or run.id, run.model) for run in table.runs)
    if not table.runs:
        place = str(Path(label_of(source)[1]).resolve())
        yield from ((f"{place} {number}", model) for number, model in enumerate(table.models))


def _once(tables: Iterable[Table]) -> Iterator[Table]:
    """A log that is given twice (as a file, and in its folder) counts once."""
    seen: set[tuple[str, str]] = set()
    for table in tables:
        keys = {(run.id, run.model) for run in table.runs}
        if not keys or not keys <= seen:
            yield table
        seen |= keys


def label_of(source: str) -> tuple[str | None, str]:
    """`NAME=PATH` in two, NAME None where there is none; a path that exists is a path whatever is in it."""
    name, equals, rest = source.partition("=")
    if not equals or Path(source).exists() or "/" in name:
        return None, source
    return name, rest


def _expand(path: str) -> list[str]:
    if "://" in path or Path(path).is_file():
        return [path]
    if not Path(path).is_dir():
        raise RimError(
            f"{path} does not exist. Give Inspect logs (.eval), a folder of them, lm-eval sample "
            "files (samples_*.jsonl), or tables written by rim_eval (.parquet, .csv)."
        )
    folder = Path(path)
    found = sorted(
        str(file)
        for pattern in ("*.eval", "*.parquet", "samples_*.jsonl")
        for file in folder.rglob(pattern)
    )
    if not found:
        card = (
            f" Its card is {path.rstrip('/')}/card.json."
            if (folder / "card.json").is_file()
            else ""
        )
        raise RimError(
            f"{path} holds no Inspect log (.eval), sample file or table of rim_eval.{card}"
        )
    return found


def _read_one(path: str) -> Table:
    if path.endswith(".parquet"):
        return _read_parquet(Path(path))
    if path.endswith(".csv"):
        return _read_csv(Path(path))
    if path.endswith(".jsonl"):
        return _read_lm_eval(path)
    try:
        return read_inspect_log(path)
    except RimError as error:
        hint = " RIM cards (card.json) are for `rim-eval compare` and `rim-eval gate`."
        raise RimError(f"{error}{hint if path.endswith('.json') else ''}") from None


def _read_lm_eval(path: str) -> Table:
    import importlib

    try:
        reader: Any = importlib.import_module("rim_eval.observations._lm_eval")
    except ModuleNotFoundError:
        raise RimError(f"{path}: this version reads no lm-eval sample files.") from None
    table: Table = reader.read_lm_eval_samples(path)
    return table


def _write_parquet(frame: "pd.DataFrame", path: Path, about: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = (table.schema.metadata or {}) | {_KEY: about.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise RimError(f"{path} cannot be read as Parquet ({error}).") from None
    about = (table.schema.metadata or {}).get(_KEY)
    if about is None:
        raise RimError(f"{path} is a Parquet file, but not a table written by rim_eval.")
    frame = as_table(table.to_pandas(), str(path))
    return _with_about(frame, about, path)


def _read_csv(path: Path) -> Table:
    import pandas as pd

    texts = {name: "str" for name, kind in COLUMNS.items() if kind == "category"}
    try:
        # Only the empty field is missing: `none` is a word of ours, and an id may be `NA` or `007`.
        frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
    except (ValueError, OSError) as error:
        raise RimError(f"{path} cannot be read as CSV ({error}).") from None
    frame = as_table(frame, str(path))
    beside = _beside(path)
    return _with_about(frame, beside.read_bytes(), beside) if beside.is_file() else Table(frame)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _with_about(frame: "pd.DataFrame", about: bytes, path: Path) -> Table:
    try:
        found = _About.model_validate(json.loads(about))
    except (ValidationError, ValueError) as error:
        raise RimError(f"{path}: what it says about its runs cannot be read ({error}).") from None
    if found.schema_version != _VERSION:
        raise RimError(
            f"{path} has schema version {found.schema_version}, this version reads {_VERSION}."
        )
    return Table(frame, found.runs, found.problems)


def _without_superseded(table: Table) -> Table:
    """Leave out logs that a retry or a re-scored copy continued, and say so."""
    newest: dict[tuple[str, str], Run] = {}
    for run in table.runs:
        key = (run.group or run.id, run.model)
        if key not in newest or (run.created or "") > (newest[key].created or ""):
            newest[key] = run
    gone = {
        run.id: run.log
        for run in table.runs
        if run.created != newest[run.group or run.id, run.model].created
    }
    if not gone:
        return table
    says = f"{len(gone)} logs gave way to later ones of the same run"
    problem = Problem(kind="superseded", says=says, ids=tuple(sorted(gone.values())))
    left = table.where(~table.frame["run"].isin(list(gone)))
    runs = tuple(run for run in left.runs if run.id not in gone)
    problems = [p for p in left.problems if not p.runs or set(p.runs) - set(gone)]
    return Table(left.frame, runs, (*problems, problem))


def _without_copies(table: Table) -> Table:
    """Count a verdict once that stands in a log and in the copy of it that was judged again."""
    origin = {run.id: f"{run.group or run.id} {run.created}" for run in table.runs}
    if len(set(origin.values())) == len(origin):
        return table
    runs = table.frame["run"].astype("object")
    rows = table.frame.drop(columns="run").assign(origin=runs.map(origin).fillna(runs))
    # Within one log nothing is a copy: a row that stands there twice is a duplicate, and reported.
    first = runs.groupby([rows[name] for name in rows], observed=True, dropna=False)
    gone = runs.notna() & (runs != first.transform("first"))
    if not gone.any():
        return table
    says = f"{int(gone.sum())} verdicts stand in a log and in its copy that was judged again, and count once"
    left = table.where(~gone)
    return Table(left.frame, left.runs, (*left.problems, Problem(kind="superseded", says=says)))


def _without_unjudged(table: Table) -> Table:
    """Leave out replies that wait for a judge where the same replies were judged, and say so."""
    frame = table.frame
    reply = ["model", "dataset", "prompt_id", "mode", "epoch"]
    judged = frame["judge"].notna()
    known = judged.groupby([frame[name] for name in reply], observed=True).transform("any")
    gone = ~judged & known & (frame["kind"] != "reasoning")
    if not gone.any():
        return table
    says = f"{int(gone.sum())} unjudged rows gave way to the same replies with a verdict"
    left = table.where(~gone)
    return Table(left.frame, left.runs, (*left.problems, Problem(kind="superseded", says=says)))
