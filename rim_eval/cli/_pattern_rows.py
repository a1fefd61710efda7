"""What the words of `rim-eval patterns` share: rows of logs, monitors by name, grader models."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_eval import patterns
from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.model import Model

    from rim_eval.observations import Observation

__all__ = ["all_rows", "grader_model", "of_judge", "planted", "rows_of_monitor", "shared_labels"]


def planted() -> dict[str, str]:
    """Prompt id to planted pattern, of the toy set."""
    from rim_eval.catalogue import load

    return {prompt.id: prompt.labels["pattern"] for prompt in load("toy").prompts}


def all_rows(logs: Sequence[Path]) -> tuple[list[patterns.PatternRow], list[Any]]:
    """Pattern rows and observations of logs and sample files; an error when no monitor has read them."""
    from rim_eval.observations import from_inspect_log

    rows, observations = [], []
    for path in patterns.find_logs(logs):
        if path.suffix == ".jsonl":
            rows += patterns.pattern_rows_of_samples(path)
            observations += patterns.observations_of_samples(path)
            continue
        log = patterns.read_log(path)
        rows += patterns.pattern_rows(log)
        observations += from_inspect_log(log)
    if not rows:
        raise RimError(
            "No monitor has read these logs yet: run `rim-eval patterns run LOGS` first."
        )
    return rows, observations


def of_judge(observations: "Sequence[Observation]", named: str | None) -> "list[Observation]":
    """One verdict a reply: those of one judge, and what no judge gives (solutions are checked).

    Args:
        observations: Rows of any judges.
        named: A judge as its name, name@version, or as this command lists it; None where there is one.

    Raises:
        RimError: Several judges gave them and none is named, or the one named gave none.
    """
    judges = sorted({_judge(row) for row in observations if row.judge is not None})
    found = [judge for judge in judges if named is None or judge.startswith(named)]
    there = "; ".join(judges) or "none"
    if named is not None and not found:
        raise RimError(f"{named!r} has not judged these logs; those that have: {there}.")
    if len(found) > 1:
        raise RimError(f"Several judges gave verdicts: {there}. Name one with --judge.")
    return [row for row in observations if row.judge is None or _judge(row) in found]


def _judge(row: "Observation") -> str:
    asked = f" asking {row.judge_model}" if row.judge_model else ""
    return f"{row.judge}{asked}, seeing {row.judge_sees or 'answer'}"


def rows_of_monitor(rows: Sequence[patterns.PatternRow], named: str) -> list[patterns.PatternRow]:
    """Rows of one monitor: `cues`, `rubric`, a rubric file, or with its grader `rubric@openai/gpt-4.1`."""
    monitor, _, grader = named.partition("@")
    name = patterns.load_monitor(monitor).identity(None).name
    found = [
        row
        for row in rows
        if row.monitor.name == name and (not grader or row.monitor.grader == grader)
    ]
    there = sorted({_name(row.monitor) for row in rows})
    if not found:
        raise RimError(
            f"Monitor {named!r} has not read these logs; those that have: {', '.join(there)}."
        )
    several = sorted({_name(row.monitor) for row in found})
    if len(several) > 1:
        raise RimError(f"{named!r} can mean {', '.join(several)}: name one with its grader.")
    return found


def _name(monitor: patterns.MonitorId) -> str:
    return f"{monitor.name}@{monitor.grader}" if monitor.grader else monitor.name


def shared_labels(first: str, second: str) -> set[str]:
    """Labels that both monitors can give, and the marks, which all give."""
    ours, theirs = (
        set(patterns.load_monitor(name.partition("@")[0]).labels) for name in (first, second)
    )
    return (ours & theirs) | set(patterns.MARKS)


def grader_model(monitor: str, name: str | None) -> "Model | None":
    """The grader that a monitor needs; an error when it is missing, or is given to an offline one."""
    if not patterns.load_monitor(monitor).needs_grader:
        if name:
            raise RimError(
                f"Monitor {monitor!r} is offline and asks no model: leave out --grader {name}."
            )
        return None
    if name is None:
        raise RimError(
            f"Monitor {monitor!r} asks a grader model: pass --grader MODEL, or read with the offline "
            "baseline: --monitor cues."
        )
    from inspect_ai.model import get_model

    try:
        return get_model(name)
    except Exception as error:
        raise RimError(f"--grader {name}: {error}") from error
