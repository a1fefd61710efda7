"""Reading patterns in lm-eval's sample files of rim tasks, without the model that wrote them."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.judging import Case, Grader, case_of_generation
from rim_eval.observations import sample_lines
from rim_eval.patterns._monitor import Monitor, read_patterns
from rim_eval.patterns._reading import Part
from rim_eval.patterns._rows import PatternRow, rows_of_metadata

__all__ = ["pattern_rows_of_samples", "read_sample_file"]

_AT_ONCE: Final = 32
_ROWS: Final = "patterns"
_QUOTES: Final = "pattern_quotes"


def read_sample_file(
    path: Path, monitor: Monitor, parts: Sequence[Part], grader: Grader | None, target: Path
) -> list[PatternRow]:
    """Let a monitor read every reply of a sample file, and write the file with what was found.

    Earlier rows of other monitors are kept; the observations take the newest trace findings.

    Args:
        path: The sample file.
        monitor: What reads.
        parts: What it reads.
        grader: The model to ask.
        target: Where the file is written; may be `path` itself.

    Returns:
        The new rows.

    Raises:
        RimError: The file is not of a rim task.
    """
    samples = [_checked(path, sample) for sample in sample_lines(path)]
    found = asyncio.run(_read_all(samples, monitor, parts, grader))
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = target.with_suffix(".part")
    with whole.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    whole.replace(target)
    return found


async def _read_all(
    samples: Sequence[dict[str, Any]],
    monitor: Monitor,
    parts: Sequence[Part],
    grader: Grader | None,
) -> list[PatternRow]:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(sample: dict[str, Any]) -> list[PatternRow]:
        async with free:
            return [await _read(sample, monitor, part, grader) for part in parts]

    rows = await asyncio.gather(*map(one, samples))
    return [row for of_sample in rows for row in of_sample]


async def _read(
    sample: dict[str, Any], monitor: Monitor, part: Part, grader: Grader | None
) -> PatternRow:
    """Read one part and leave in the sample what was found."""
    observation = sample["record"]["observation"]
    reply = Generation.model_validate(sample["record"]["generation"])
    reading = await read_patterns(monitor, _case(sample["doc"], reply), part, grader, reply)
    names = ("model", "dataset", "prompt_id", "kind", "category", "mode", "epoch")
    row = PatternRow.of({name: observation[name] for name in names if name in observation}, reading)
    sample.setdefault(_ROWS, []).append(row.model_dump(mode="json", exclude_defaults=True))
    sample.setdefault(_QUOTES, []).append([one.model_dump(mode="json") for one in reading.findings])
    if part == "trace":
        observation["patterns"] = list(row.patterns) if row.read else None
    return row


def _case(doc: dict[str, Any], reply: Generation) -> Case:
    return case_of_generation(
        doc["request"],
        reply,
        kind=doc["kind"],
        category=doc.get("category"),
        context=doc.get("context"),
    )


def _checked(path: Path, sample: dict[str, Any]) -> dict[str, Any]:
    if not {"generation", "observation"} <= set(sample.get("record") or ()):
        raise RimError(
            f"{path}: not samples of a rim task. Give sample files of `rim_...` tasks (samples_rim_*.jsonl)."
        )
    return sample


def pattern_rows_of_samples(path: Path) -> list[PatternRow]:
    """All pattern rows of a sample file; of readings by the same monitor, the newest."""
    newest = {row.reading: row for sample in sample_lines(path) for row in rows_of_metadata(sample)}
    return list(newest.values())
