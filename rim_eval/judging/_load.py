"""Finding and loading judge files: shipped ones by name, a user's own by path."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Final, cast, get_args

from pydantic import ValidationError

from rim_eval.errors import RimError
from rim_eval.judging._cascade import Cascade
from rim_eval.judging._case import Sees
from rim_eval.judging._complaints import complaints, dotted
from rim_eval.judging._judge import Judge
from rim_eval.judging._prompt import check_messages
from rim_eval.judging._spec import JudgeSpec
from rim_eval.judging._yaml import MAX_BYTES, read_yaml
from rim_eval.paths import judges_dir

__all__ = ["judge_names", "load_judge", "parse_judge"]

_SUFFIXES: Final = (".yaml", ".yml")


def judge_names() -> list[str]:
    """Names of the shipped judges, sorted."""
    return sorted(path.stem for path in judges_dir().glob("*.yaml"))


def load_judge(name_or_path: str | Path) -> Judge:
    """Load a judge.

    Args:
        name_or_path: A shipped judge's name (`hexphi`), or the path of a YAML file: anything that
            ends in `.yaml` or `.yml`. A suffix says what it sees instead of what its file says:
            `hexphi:reasoning`, `mine.yaml:both`. Two with a plus are a `Cascade`, the cheap one
            first: `refusal+hexphi`.

    Returns:
        The judge, checked.

    Raises:
        RimError: No such judge or file, or the file is wrong; the message names file, line, field
            and what is allowed.
    """
    given, colon, sees = str(name_or_path).rpartition(":")
    if colon and sees in get_args(Sees):
        return load_judge(given).seeing(cast(Sees, sees))
    cheap, plus, costly = str(name_or_path).partition("+")
    if plus and (cheap in judge_names() or cheap.endswith(_SUFFIXES)):
        return Cascade.of(load_judge(cheap), load_judge(costly))
    path = _path(str(name_or_path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RimError(f"{path}: larger than {MAX_BYTES} bytes: not a judge file.")
        raw = path.read_bytes()
    except OSError as error:
        raise RimError(
            f"Judge file {path}: {error.strerror}. Pass the path of a YAML file."
        ) from None
    return replace(parse_judge(raw, str(path)), path=path)


def _path(given: str) -> Path:
    if given.endswith(_SUFFIXES):
        return Path(given).expanduser()
    if given not in judge_names():
        raise RimError(
            f"There is no judge `{given}`. Judges: {', '.join(judge_names())}. "
            "For a judge of your own pass the path of its file: judge=path/to/judge.yaml. Two in a row, the "
            "cheap one first, are joined by a plus: judge=refusal+hexphi."
        )
    return judges_dir() / f"{given}.yaml"


def parse_judge(raw: bytes, name: str) -> Judge:
    """Make a judge of a YAML file's bytes.

    Args:
        raw: The file's bytes.
        name: The file's name or path, for messages.

    Raises:
        RimError: As `load_judge`.
    """
    marked = read_yaml(raw, name)
    try:
        spec = JudgeSpec.model_validate(marked.data)
    except ValidationError as error:
        raise RimError(complaints(error, marked)) from None
    problem = check_messages(spec)
    if problem is not None:
        path, text = problem
        raise RimError(f"{name}, line {marked.line(path)}, {dotted(path)}: {text}.")
    return Judge(spec=spec, sha256=hashlib.sha256(raw).hexdigest(), sees=spec.sees)
