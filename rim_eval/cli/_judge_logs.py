"""What `rim-eval judge run` is given: logs, sample files, and folders of them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rim_eval.errors import RimError

__all__ = ["logs_to_judge"]


def logs_to_judge(given: Iterable[Path]) -> list[Path]:
    """Files to judge: of a folder all logs and sample files, but not the copies made by judging.

    Args:
        given: Files and folders.

    Raises:
        RimError: A folder holds neither.
    """
    return list(dict.fromkeys(file for path in given for file in _files(path)))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted([*path.rglob("*.eval"), *path.rglob("samples_*.jsonl")])
    if not found:
        raise RimError(
            f"{path} holds no Inspect log (.eval) and no lm-eval sample file (samples_*.jsonl). "
            "lm_eval writes them with --log_samples --output_path FOLDER."
        )
    there = set(found)
    yield from (file for file in found if not _is_copy(file, there))


def _is_copy(file: Path, there: set[Path]) -> bool:
    """Whether this is LOG.JUDGE.eval and LOG.eval lies beside it."""
    origin, dot, _ = file.stem.rpartition(".")
    return bool(dot) and file.with_name(origin + file.suffix) in there
