"""What a gate tells GitHub Actions: marks on the run, outputs of the step, a summary of the job.

The forms are those of the runner: workflow commands on the standard output, and files named by GITHUB_OUTPUT and
GITHUB_STEP_SUMMARY (docs.github.com, "Workflow commands for GitHub Actions").
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rim_eval.card import Card
from rim_eval.release_gate.decide import EXIT_CODES, Decision, Outcome, worst
from rim_eval.release_gate.rules import Tier

_COMMANDS: Final[Mapping[Tier, str]] = {"block": "error", "warn": "warning", "note": "notice"}


def annotations(decisions: Sequence[Decision], error: str | None = None) -> Iterator[str]:
    """Give the workflow commands that mark a run: one for each limit that does not pass.

    Limits that block are errors, the others warnings and notices.

    Args:
        decisions: What the gate says of each model; none where it could not check.
        error: Why it could not check.
    """
    if error is not None:
        yield _mark("error", "cannot tell", error)
    for decision in decisions:
        for result in decision.results:
            if result.outcome != "pass":
                text = f"{decision.model}: {result.reason}"
                yield _mark(_COMMANDS[result.tier], result.outcome, text)


def _mark(command: str, outcome: Outcome, text: str) -> str:
    return f"::{command} title={_property(f'RIM gate: {outcome}')}::{_data(text)}"


def without_commands(text: str) -> str:
    """Frame a text whose lines the runner must not take for workflow commands: names in it are from outside.

    Args:
        text: Lines for the standard output.
    """
    token = secrets.token_hex(16)  # nobody who wrote a name can know it
    return f"::stop-commands::{token}\n{text}\n::{token}::"


def step_outputs(decisions: Sequence[Decision], cards: Sequence[Card]) -> str:
    """Write a step's outputs, to be appended to the file that GITHUB_OUTPUT names.

    `decision` and `exit-code` are of all models; `model`, `rim-score`, `rim-score-lower` and `rim-score-upper` (percentage
    points, of the card's first harmful set) are empty where there are several models, no such score, or unverified modes.

    Args:
        decisions: What the gate says of each model; none where it could not check.
        cards: Their cards.
    """
    outcome = worst(decision.outcome for decision in decisions)
    content = {"decision": outcome, "exit-code": str(EXIT_CODES[outcome])} | _score(cards)
    delimiter = f"end-{secrets.token_hex(16)}"
    return "".join(
        f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in content.items()
    )


def _score(cards: Sequence[Card]) -> dict[str, str]:
    """The one model's name and RIM score, each empty where there is none."""
    card = cards[0] if len(cards) == 1 else None
    of_set = card.find(card.primary, "harmful") if card else None
    change = of_set.figures.difference if of_set and of_set.mode_check.verified else None
    ends = (change.value, change.lower, change.upper) if change else (None, None, None)
    names = ("rim-score", "rim-score-lower", "rim-score-upper")
    scores = ["" if end is None else f"{round(end, 1) + 0:.1f}" for end in ends]  # no -0.0
    return {"model": card.model if card else ""} | dict(zip(names, scores, strict=True))


def _data(text: str) -> str:
    """Escape a workflow command's message, so that it stays on its line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
