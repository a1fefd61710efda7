"""Read observations from logs, sample files and tables; write tables as Parquet or CSV."""

import gc
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from rim_eval.errors import RimError
from rim_eval.files import parse_json, read_bounded, whole_file, write_whole
from rim_eval.observations.inspect_logs import NothingToReadError, read_inspect_log
from rim_eval.observations.lm_eval_samples import read_lm_eval_samples
from rim_eval.observations.runs import merge_runs, refuse_two_names
from rim_eval.observations.schema import Problem, Run
from rim_eval.observations.table import COLUMNS, Table, as_table, refuse_several_models
from rim_eval.types import FrozenModel

if TYPE_CHECKING:
    import pandas as pd

_LOGGER = logging.getLogger(__name__)

_KEY: Final = b"rim_eval"
_VERSION: Final = 1


class _About(FrozenModel):
    """What a file holds beside its rows."""

    schema_version: int = _VERSION
    runs: tuple[Run, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_observations(sources: Iterable[str | Path]) -> Table:
    """Read any mix of Inspect logs, folders of them, lm-eval sample files, and tables of rim_eval.

    Of a run and its retries the latest log is read and the others are reported (`merge_runs`). One log
    at a time is in memory beside the table. Files of a folder that hold no observations (other people's
    logs, logs without samples) are passed over with a warning.

    Args:
        sources: Paths; `NAME=PATH` gives the rows of that path the model name NAME.

    Raises:
        RimError: A path does not exist, holds nothing to read, or cannot be read; or one run is given
            under two models' names.
    """
    if missing := [name for name in ("pandas", "pyarrow") if find_spec(name) is None]:
        raise RimError(
            f"Tables of observations need {' and '.join(missing)}: pip install 'rim-eval[card]'."
        )
    sources = list(sources)
    named = {label_of(str(source))[1] for source in sources}
    tables: list[tuple[str, Table]] = []
    passed_over: list[str] = []
    models: dict[str, set[str]] = defaultdict(set)
    for label, path in log_files(sources):
        try:
            with _garbage_left():
                table, source = _read_one(path), path
        except NothingToReadError as error:
            if path in named:
                raise
            passed_over.append(f"Passed over: {error}")
            continue
        if label is not None:
            models[label] |= set(table.models)
            table, source = table.renamed(label), f"{label}={path}"
        tables.append((source, table))
    if not tables:
        raise RimError("\n".join(["There are no observations to read.", *passed_over]))
    for line in passed_over:
        _LOGGER.warning(line)
    for label, several in models.items():
        refuse_several_models(label, several)
    runs = list[tuple[str, str, str]]()
    for source, table in tables:
        # A table without runs is known by its place.
        place = str(Path(label_of(source)[1]).resolve())
        ids = [(run.group or run.id, run.model) for run in table.runs]
        ids = ids or [(f"{place} {number}", model) for number, model in enumerate(table.models)]
        runs += [(source, *each) for each in ids]
    refuse_two_names(runs)
    return merge_runs([table for _, table in tables])


def write_observations(table: Table, path: str | Path) -> None:
    """Write a table as `.parquet`, or as `.csv` with `<name>.csv.json` beside it for its runs.

    Raises:
        RimError: The ending is neither.
    """
    path = Path(path)
    about = _About(runs=table.runs, problems=table.problems).model_dump_json()
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = pa.Table.from_pandas(table.frame, preserve_index=False)
        metadata = (rows.schema.metadata or {}) | {_KEY: about.encode()}
        with whole_file(path) as partial:
            pq.write_table(rows.replace_schema_metadata(metadata), partial, compression="zstd")
    elif path.suffix == ".csv":
        write_whole({path: table.frame.to_csv(index=False), _beside(path): about + "\n"})
    else:
        raise RimError(f"{path}: observations are written as .parquet or .csv.")


def label_of(source: str) -> tuple[str | None, str]:
    """`NAME=PATH` in two, NAME None where there is none; a path that exists is a path whatever is in it."""
    name, equals, rest = source.partition("=")
    if not equals or Path(source).exists() or "/" in name:
        return None, source
    return name, rest


LOGS: Final = ("*.eval", "*.json", "samples_rim_*.jsonl")
"""File names of both harnesses' logs of rim_eval tasks; of JSON files Inspect's logs only are taken."""

_JSON_LOG: Final = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:\s*"')
"""How Inspect begins a JSON log. Cards, results of lm-eval and lists of logs begin with other keys."""


def log_files(
    sources: Iterable[str | Path], names: Sequence[str] = (*LOGS, "*.parquet")
) -> list[tuple[str | None, str]]:
    """Expand paths, folders and `NAME=PATH` to files with their NAME, each once under each name.

    Args:
        sources: Files, folders, and addresses that Inspect can read.
        names: Patterns of the file names to take from a folder.

    Raises:
        RimError: A path does not exist, or a folder holds no such file.
    """
    labelled = (label_of(str(source)) for source in sources)
    files = ((label, file) for label, path in labelled for file in _files_in(path, names))
    # `a.eval` and `./a.eval` are one file; an address stays as it is given.
    return list({(label, Path(file)): (label, file) for label, file in files}.values())


def _files_in(path: str, names: Sequence[str]) -> list[str]:
    folder = Path(path)
    if "://" in path or folder.is_file():
        return [path]
    if not folder.is_dir():
        tables = ", or tables written by rim_eval (.parquet, .csv)" if "*.parquet" in names else ""
        raise RimError(
            f"{path} does not exist. Give Inspect logs (.eval, .json), a folder of them, or lm-eval sample "
            f"files (samples_rim_*.jsonl){tables}."
        )
    files = sorted(str(file) for name in names for file in folder.rglob(name) if _may_be_log(file))
    if not files:
        has_card = (folder / "card.json").is_file()
        card = f" Its card is {path.rstrip('/')}/card.json." if has_card else ""
        raise RimError(
            f"{path} holds no Inspect log (.eval, .json), no lm-eval sample file (samples_rim_*.jsonl) and no table of "
            f"rim_eval.{card}"
        )
    return files


def _may_be_log(file: Path) -> bool:
    if file.suffix != ".json":
        return True
    with file.open("rb") as content:
        return _JSON_LOG.match(content.read(200)) is not None


@contextmanager
def _garbage_left() -> Iterator[None]:
    """Look for no garbage meanwhile: of the objects that a log's reading makes nearly all live on.

    Looking through them again and again took two fifths of the time of a log of 5,000 samples.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_one(path: str) -> Table:
    if path.endswith(".parquet"):
        return _read_parquet(Path(path))
    if path.endswith(".csv"):
        return _read_csv(Path(path))
    if path.endswith(".jsonl"):
        return read_lm_eval_samples(path)
    try:
        return read_inspect_log(path)
    except RimError as error:
        hint = " RIM cards (card.json) are for `rim-eval compare` and `rim-eval gate`."
        raise type(error)(f"{error}{hint if path.endswith('.json') else ''}") from None


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise RimError(f"{path} cannot be read as Parquet ({error}).") from None
    about = (table.schema.metadata or {}).get(_KEY)
    if about is None:
        raise NothingToReadError(f"{path} is a Parquet file, but not a table written by rim_eval.")
    return _with_about(as_table(table.to_pandas(), str(path)), about, path)


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
    if not beside.is_file():
        return Table(frame)
    table = _with_about(frame, read_bounded(beside), beside)
    described = {run.id for run in table.runs}
    if described and (others := set(frame["run"].dropna()) - described):
        raise RimError(
            f"{path} and {beside.name} were not written together: rows are of run {min(others)}, which "
            f"{beside.name} does not describe. A command that wrote them was stopped; give it again."
        )
    return table


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _with_about(frame: "pd.DataFrame", about: bytes, path: Path) -> Table:
    try:
        header = _About.model_validate(parse_json(about))
    except (ValidationError, ValueError) as error:
        raise RimError(f"{path}: what it says about its runs cannot be read ({error}).") from None
    if header.schema_version != _VERSION:
        raise RimError(
            f"{path} has schema version {header.schema_version}, this version reads {_VERSION}."
        )
    return Table(frame, header.runs, header.problems)
