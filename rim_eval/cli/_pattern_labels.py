"""The three kinds of known labels, and a monitor measured on each."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rim_eval import patterns
from rim_eval.cli._pattern_files import plain
from rim_eval.cli._pattern_monitors import grader_model, rows_of_monitor
from rim_eval.errors import RimError

__all__ = ["Measured", "on_planted", "on_sentences", "on_texts"]


class Measured(NamedTuple):
    """Figures of one set."""

    name: str
    """What the figures are kept under."""
    says: str
    figures: Any


def on_planted(monitor: str, data: Sequence[str], grader: str | None) -> Iterator[Measured]:
    """On the toy task's logs, whose traces show the pattern that was planted for their prompt.

    Args:
        monitor: The monitor, which has read the logs.
        data: The logs.
        grader: Not asked: the logs hold what was found.

    Raises:
        RimError: No log is named, or the monitor has not read them.
    """
    _needed("planted", data)
    _ = grader
    rows = rows_of_monitor(patterns.read_runs(data).rows, monitor)
    thought = [row for row in rows if row.mode == "think"]
    found = patterns.compare_with_labels(thought, _planted(), "planted labels of toy")
    yield Measured("planted", patterns.agreement_table(found), plain(found))


def _planted() -> dict[str, str]:
    """Prompt id to planted pattern, of the toy set."""
    from rim_eval.prompt_sets import load_prompts

    return {prompt.id: prompt.labels["pattern"] for prompt in load_prompts("toy").prompts}


def on_texts(monitor: str, data: Sequence[str], grader: str | None) -> Iterator[Measured]:
    """On labelled texts, by default the shipped paraphrases.

    Args:
        monitor: The monitor.
        data: JSONL files.
        grader: The model to ask, by name.

    Raises:
        RimError: A file cannot be read, or the monitor needs a grader.
    """
    reader, model = patterns.load_monitor(monitor), grader_model(monitor, grader)
    found: list[patterns.LabelAgreement] = []
    for path in _files(data) or [patterns.PARAPHRASES]:
        texts = patterns.load_labelled_texts(path)
        found += asyncio.run(patterns.measure_texts(reader, texts, path.name, model))
    yield Measured("texts", patterns.agreement_table(found), plain(found))


def on_sentences(monitor: str, data: Sequence[str], grader: str | None) -> Iterator[Measured]:
    """On the labelled sentences of the Self-Jailbreaking files, file by file.

    Args:
        monitor: The monitor.
        data: The files.
        grader: The model to ask, by name.

    Raises:
        RimError: No file is named, one cannot be read, or the monitor needs a grader.
    """
    _needed("self_jailbreaking", data)
    reader, model = patterns.load_monitor(monitor), grader_model(monitor, grader)
    for path in _files(data):
        traces, skipped = patterns.load_self_jailbreaking(path)
        found = asyncio.run(patterns.measure_sentences(reader, traces, skipped, model))
        head = f"{path.name}: {len(traces)} labelled traces, {skipped} without labels left out"
        figures = {name: _dumped(value) for name, value in found._asdict().items()}
        yield Measured(path.name, f"{head}\n{patterns.sentence_table(found)}", figures)


def _dumped(value: Any) -> Any:
    return value if isinstance(value, int) else json.loads(value.model_dump_json())


def _needed(name: str, data: Sequence[str]) -> None:
    if not data:
        raise RimError(f"--set {name} needs files that hold its labels or traces: --data PATH.")


def _files(data: Sequence[str]) -> list[Path]:
    """The files; figures go by their names, so that no two may share one."""
    paths = [Path(name) for name in data]
    names = [path.name for path in paths]
    for path in paths:
        if names.count(path.name) > 1:
            raise RimError(
                f"--data names several files {path.name}, and figures go by that name: give each file "
                "once, under a name of its own."
            )
    return paths
