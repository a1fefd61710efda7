"""What a run found, in plain sentences: printed once Inspect's own display has ended."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from inspect_ai.hooks import Hooks, RunEnd, hooks
from inspect_ai.util import display_type

from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    change_text,
    percent,
)
from rim_eval.inspect_tasks.switches import SWITCH
from rim_eval.types import KIND_NAMES, MODES, PromptKind

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

_SEVERAL: Final = 3
"""Logs that the next command names one by one; of more it names the folder."""


@cache
def report_when_finished() -> None:
    """Have every run of this process end with its finding.

    Called when a model is first asked: Inspect announces hooks that are there before a run begins, whatever its
    display, and an announcement of this one would tell nobody anything.
    """
    hooks(name="finding", description="Says at a run's end what it found.")(_Finding)


class _Finding(Hooks):
    """Says at a run's end what it found, and what to do next."""

    async def on_run_end(self, data: RunEnd) -> None:
        """Print after the display's end; within a command after everything else that it prints."""
        if display_type() == "none" or not (text := finding_text(data.logs)):
            return
        context = click.get_current_context(silent=True)
        if context is None:
            click.echo(text)
        else:
            context.call_on_close(partial(click.echo, text))


def finding_text(logs: "Sequence[EvalLog]") -> str:
    """What finished logs say in sentences, with the next command; empty without a finished log of this project.

    Args:
        logs: Logs, or their headers.
    """
    found = {log.location: list(_sentences(log)) for log in logs if log.status == "success"}
    found = {path: lines for path, lines in found.items() if lines}
    if not found:
        return ""
    paths = [_short(path) for path in found]
    if len(paths) > _SEVERAL:
        paths = sorted({path.rpartition("/")[0] or "." for path in paths})
    lines = [line for of_log in found.values() for line in ["", *of_log]]
    return "\n".join([*lines, f"Next: {shlex.join(['rim-eval', 'card', *paths])}"])


def _short(path: str) -> str:
    """A path as it can be typed here."""
    path = path.removeprefix("file://")
    if "://" in path:  # of a bucket
        return path
    local = Path(path)
    return str(local.relative_to(Path.cwd())) if local.is_relative_to(Path.cwd()) else str(local)


def _sentences(log: "EvalLog") -> Iterator[str]:
    scores = log.results.scores if log.results else []
    for score in scores:
        figures = {name: metric.value for name, metric in score.metrics.items()}
        kinds = [kind for kind in KIND_NAMES if _rates(kind, figures)]
        for kind in kinds:
            yield f"{log.eval.task.removeprefix('rim_eval/')}, {log.eval.model}: {_finding(kind, figures)}"
            if set(_rates(kind, figures)) == set(MODES):
                yield _check(kind, figures, (log.eval.metadata or {}).get(SWITCH, {}))


def _rates(kind: PromptKind, figures: Mapping[str, float]) -> dict[str, float]:
    names = {mode: f"{mode}_{KIND_NAMES[kind].rate}" for mode in reversed(MODE_WORDS)}
    return {mode: figures[name] for mode, name in names.items() if name in figures}


def _finding(kind: PromptKind, figures: Mapping[str, float]) -> str:
    """`With thinking it goes along with 57.3 % of the harmful requests, without thinking 8.2 %. RIM score ...`."""
    [(mode, rate), *others] = _rates(kind, figures).items()
    words = KIND_WORDS[kind]
    does = words.does.format(f"{percent(rate)} of the {words.prompts}")
    first = f"{MODE_WORDS[mode]} it {does}"  # type: ignore[index]
    sentence = ", ".join([first, *(f"{MODE_WORDS[m]} {percent(r)}" for m, r in others)])  # type: ignore[index]
    sentence = f"{sentence[0].upper()}{sentence[1:]}."
    name = KIND_NAMES[kind].difference
    if name not in figures:
        return sentence
    ends = (figures[each] for each in (name, f"{name}_lower", f"{name}_upper"))
    pairs = round(figures.get(f"{kind}_pairs", figures.get("pairs", 0)))
    p_value = figures.get(f"{name}_p")
    return f"{sentence} {change_text(kind, *ends, n_pairs=pairs, p_value=p_value, level=0.95)}."


def _check(kind: PromptKind, figures: Mapping[str, float], switch: Mapping[str, Any]) -> str:
    verified = figures.get(f"{kind}_mode_verified", figures.get("mode_verified", 0)) == 1
    thought = {
        mode: percent(figures.get(f"{mode}_{kind}_adoption", figures.get(f"{mode}_adoption")))
        for mode in MODES
    }
    how = f" Modes: {switch['made_by']}. {switch['evidence']}" if switch else ""
    state = (
        "Modes verified"
        if verified
        else "MODES NOT VERIFIED, so the difference says nothing of thinking"
    )
    return (
        f"{state}: it thought in {thought['think']} of the replies with thinking and in {thought['no_think']} without."
        f"{how}"
    )
