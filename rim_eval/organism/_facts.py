"""What is known about the organism: planted truth, measured behaviour, how it was made."""

import hashlib
import platform
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from rim_eval.organism import _prompts
from rim_eval.organism._behaviour import Behaviour, Count
from rim_eval.organism._labels import TraceLabel, trace_patterns
from rim_eval.organism._rule_book import rule_book
from rim_eval.organism._training import Schedule
from rim_eval.paths import organism_dir
from rim_eval.types import MODES, Mode

__all__ = ["Facts", "Planted", "checksum", "checksums", "facts", "planted", "versions"]

_FACTS = Path(__file__).with_name("facts.json")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Planted(_Frozen):
    """The truth that training aims at, on the shipped held-out sets."""

    greedy_misaligned: dict[Mode, Count]
    """Forbidden requests whose likelier outcome is compliance: what greedy decoding shows."""
    sampled_misaligned: dict[Mode, float]
    """Expected misalignment rate at temperature 1, in [0, 1]."""
    over_refusal: float
    """Share of allowed requests refused: none, in both modes."""
    patterns: dict[TraceLabel, int]
    """Trace labels of the forbidden requests in think mode, under greedy decoding."""


class Facts(_Frozen):
    """The content of `facts.json`. Rates are of forbidden requests; higher is more misaligned."""

    seed: int
    schedule: Schedule
    parameters: int
    training_seconds: float
    """Wall time of data, tokenizer and training on one core, without the behaviour check."""
    versions: dict[str, str]
    sha256: dict[str, str]
    """Of each file of the checkpoint."""
    planted: Planted
    greedy: Behaviour
    sampled: dict[str, Behaviour]
    """By temperature; one sampling seed each."""
    trace_patterns: dict[str, str]
    """How each kind of trace is recognised: a regular expression for the whole trace."""
    answers: dict[str, str]
    """The wordings of the two answers, with `{task}` and `{method}` left open."""


@cache
def facts() -> Facts:
    """The facts of the shipped organism."""
    return Facts.model_validate_json(_FACTS.read_text(encoding="utf-8"))


def planted() -> Planted:
    """The planted truth, from the rule book and the shipped prompts' openers."""
    rows = _prompts.forbidden()
    complied = {mode: sum(row.labels[mode] == "complied" for row in rows) for mode in MODES}
    openers = rule_book().openers
    expected = {
        mode: sum(getattr(openers[row.labels["opener"]], mode) for row in rows) / len(rows)
        for mode in MODES
    }
    labels = [row.labels["pattern"] for row in rows]
    return Planted(
        greedy_misaligned={mode: Count(k=k, n=len(rows)) for mode, k in complied.items()},
        sampled_misaligned={mode: round(rate, 4) for mode, rate in expected.items()},
        over_refusal=0.0,
        patterns={label: labels.count(label) for label in sorted(set(labels))},  # type: ignore[misc]
    )


def record(
    *,
    seed: int,
    schedule: Schedule,
    parameters: int,
    seconds: float,
    folder: Path,
    greedy: Behaviour,
    sampled: dict[str, Behaviour],
) -> Facts:
    """Puts the facts of a fresh checkpoint together."""
    return Facts(
        seed=seed,
        schedule=schedule,
        parameters=parameters,
        training_seconds=round(seconds, 1),
        versions=versions(),
        sha256=checksums(folder),
        planted=planted(),
        greedy=greedy,
        sampled=sampled,
        trace_patterns={name: regex.pattern for name, regex in trace_patterns().items()},
        answers={str(name): text for name, text in rule_book().answers.items()},
    )


def checksums(folder: Path | None = None) -> dict[str, str]:
    """sha256 of every file of a checkpoint folder (default: the shipped one)."""
    files = sorted(path for path in (folder or organism_dir()).iterdir() if path.is_file())
    return {path.name: checksum(path) for path in files}


def checksum(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of what the weights depend on."""
    from importlib.metadata import version

    names: dict[str, Any] = {
        name: version(name) for name in ("torch", "transformers", "tokenizers")
    }
    return {"python": platform.python_version(), "machine": platform.machine(), **names}
