"""The part of a card that says how it was measured and whether that went well."""

from collections.abc import Iterator
from typing import Final

from rim_eval.card._agreement import agreement_in_short, agreements
from rim_eval.card._grid import Grid
from rim_eval.card._schema import Card, SetCard
from rim_eval.formatting import ARM_WORDS, MODE_WORDS, percent
from rim_eval.results.counts import Lengths
from rim_eval.types import Mode

__all__ = ["facts", "provenance", "validity"]

_BACK: Final[tuple[Mode, ...]] = ("no_think", "think")


def validity(card: Card) -> Iterator[Grid]:
    """What decides whether the figures can be believed: arms, modes, judges."""
    head = ("set", "mode", "thought", "unscored", "cut off", "over budget", "looping", "median trace", "median answer", "n")  # fmt: skip
    rows = [_arm(found, mode) for found in card.sets for mode in _BACK if mode in found.counts.arms]
    yield Grid("Each arm", "Counts of samples; lengths in tokens.", head, tuple(rows))
    gates = [
        (s.dataset, "verified" if s.gate.verified else "NOT VERIFIED: " + "; ".join(s.gate.reasons),
         s.switch or "unknown", ARM_WORDS[s.counts.arm_kind])
        for s in card.sets
    ]  # fmt: skip
    note = f"Rule: {card.sets[0].gate.rule}." if card.sets else ""
    yield Grid("Were the modes what they are called?", note, ("set", "modes", "switch", "kind of arms"), tuple(gates))  # fmt: skip
    yield from _judges(card)


def _arm(found: SetCard, mode: Mode) -> tuple[str, ...]:
    arm = found.counts.arms[mode]
    reasons = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in arm.unscored.items())
    unscored = arm.asked - arm.scored
    return (
        found.dataset, MODE_WORDS[mode],
        f"{percent(arm.adopted / arm.returned)} (n = {arm.returned})" if arm.returned else "n/a",
        f"{unscored} ({reasons})" if unscored else "0",
        str(arm.truncated), str(arm.over_budget), str(arm.looping),
        _median(arm.trace_tokens, "none"),
        _median(arm.answer_tokens, "unknown"),
        str(arm.asked),
    )  # fmt: skip


def _median(lengths: Lengths | None, nothing: str) -> str:
    return f"{lengths.median:g} (n = {lengths.n})" if lengths else nothing


def _judges(card: Card) -> Iterator[Grid]:
    rows = []
    for found in card.sets:
        if found.judge is None:
            what = (
                "answers are compared with the gold answer"
                if found.kind == "reasoning"
                else "not judged"
            )
            rows.append((found.dataset, what, "", "", ""))
        else:
            judge = found.judge
            by = judge.model or "offline, no model"
            short = agreement_in_short(judge)
            rows.append((found.dataset, judge.name, by, judge.sees or "", short))
    yield Grid(
        "Who judged",
        "",
        ("set", "judge", "grader model", "sees", "agreement with people"),
        tuple(rows),
    )
    yield from agreements(card)


def provenance(card: Card) -> Grid:
    """Where the prompts came from."""
    rows = []
    for run in card.runs:
        found = run.provenance
        where = f"{found.source}: {found.location}" if found else "unknown"
        revision = (found.revision_used or "none") if found else "unknown"
        files = (
            ", ".join(f"{f.name} {f.sha256[:12]} ({f.rows} rows)" for f in found.files[:12])
            if found
            else ""
        )
        asked = f"{run.n_prompts if run.n_prompts is not None else 'unknown'}{' (limited)' if run.limited else ''}"
        rows.append((run.dataset, where, revision, files, asked, run.status))
    head = ("set", "prompts from", "revision", "files, sha256", "prompts", "run")
    return Grid("Where the prompts came from", "", head, tuple(rows))


def facts(card: Card) -> Iterator[tuple[str, str]]:
    """Settings and versions, each once."""

    def joined(values: list[str]) -> str:
        return ", ".join(dict.fromkeys(value for value in values if value)) or "unknown"

    yield "model", card.model
    yield "measured", card.created or "unknown"
    yield "engine", joined([run.engine or "" for run in card.runs])
    yield (
        "decoding",
        joined([", ".join(f"{k} {v}" for k, v in run.decoding.items()) for run in card.runs]),
    )
    yield (
        "answer budget",
        joined([f"{run.answer_tokens} tokens" for run in card.runs if run.answer_tokens]),
    )
    yield (
        "thinking budget",
        joined(
            [f"{run.thinking_tokens} tokens on top" for run in card.runs if run.thinking_tokens]
        ),
    )
    yield "epochs", joined([str(run.epochs) for run in card.runs])
    yield "versions", joined([f"{k} {v}" for run in card.runs for k, v in run.versions.items()])
    yield "figures by", f"rim_eval {card.rim_eval}, card schema {card.schema_version}"
