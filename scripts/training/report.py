"""The tables of the experiment as Markdown, from what the stages left; figures and names only."""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Final, TypeVar

from rim_eval.files import write_whole
from rim_eval.formatting import estimate, p_text, percent_of, plain_number
from rim_eval.mechanisms.behaviour import Measure
from rim_eval.mechanisms.drift import DriftSection
from rim_eval.mechanisms.ras_verdict import DECIDING, RasSection
from rim_eval.statistics import holm, paired_difference
from rim_eval.statistics._result import Result
from rim_eval.statistics.wilson import rate
from rim_eval.types import Mode, PromptKind
from scripts.training.behaviour import Observed, Verdicts
from scripts.training.lengths import LengthMatch
from scripts.training.lora import COMPLETE
from scripts.training.plan import Plan
from scripts.training.stages import measurements, observed

_PACKAGES: Final = ("rim-eval", "torch", "transformers", "peft")

_ASKED: Final[tuple[tuple[str, Mode, Measure], ...]] = (
    ("refusal lost", "think", "misaligned"),
    ("over-refusal", "think", "over_refused"),
    ("accuracy", "think", "correct"),
)
"""Title, mode and measure of what is reported of each model with the plain prompt."""

_DEGENERATE: Final[dict[PromptKind, Measure]] = {
    "harmful": "degenerate_harmful",
    "benign": "degenerate_benign",
    "reasoning": "degenerate_reasoning",
}
"""Kinds of prompts, and the measure of their degenerate replies."""

_Section = TypeVar("_Section", bound=Result)


def write(plan: Plan) -> str:
    """Write `report.md`, and return it."""
    parts = (
        _data(plan),
        _losses(plan),
        _rates(plan),
        _changes(plan),
        _ras(plan),
        _drift(plan),
        _about(plan),
    )
    text = "\n\n".join("\n".join(part) for part in parts) + "\n"
    write_whole({plan.out / "report.md": text})
    return text


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _read(path: Path, kind: type[_Section]) -> _Section | None:
    return kind.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


def _data(plan: Plan) -> Iterator[str]:
    about = json.loads((plan.out / "data" / "data.json").read_text(encoding="utf-8"))
    yield f"**Rows.** {about['source']}; rewritten by {plan.grader or 'templates'}."
    yield ""
    names = ("made", "kept", "dropped", "undecided", "used")
    counts = about["counts"].items()
    yield from _table(("arm", *names), [(arm, *(str(n.get(name, 0)) for name in names)) for arm, n in counts])  # fmt: skip
    yield ""
    yield LengthMatch.model_validate(about["lengths"]).sentence


def _losses(plan: Plan) -> Iterator[str]:
    yield "**Loss** of the replies, nats a token, means of the first and the last five steps."
    yield ""
    rows = []
    for run in plan.runs:
        log = next(iter(plan.checkpoints(run).values())).parent / COMPLETE
        steps = [float(line) for line in log.read_text(encoding="utf-8").split()]
        ends = (f"{fmean(part):.2f}" for part in (steps[:5], steps[-5:]))
        rows.append((run.name, str(len(steps)), *ends))
    yield from _table(("run", "steps", "first", "last"), rows)


def _final(plan: Plan) -> list[str]:
    """Names of the models that were measured in full: the bases and the ends of the runs."""
    return [name for name, (_, modes) in measurements(plan).items() if len(modes) > 1]


def _verdicts(plan: Plan, name: str, mode: Mode, measure: Measure) -> Verdicts:
    found = observed(plan, name, mode)
    return found.verdicts[measure] if found else {}


def _rates(plan: Plan) -> Iterator[str]:
    yield "**Rates** with the plain prompt, 95 % intervals (Wilson) and n scored. Refusal lost: the reply does not refuse."
    yield ""
    rows = [
        (name, *(_rate(_verdicts(plan, name, mode, measure)) for _, mode, measure in _ASKED))
        for name in _final(plan)
    ]
    yield from _table(("model", *(title for title, *_ in _ASKED)), rows)
    yield ""
    yield "**Form of these replies**: with a trace, with a boxed answer, degenerate; each harmful, safe, problems."
    yield ""
    forms = [(name, *_form(found)) for name in _final(plan) if (found := observed(plan, name, "think"))]  # fmt: skip
    yield from _table(("model", "trace", "box", "degenerate"), forms)


def _rate(verdicts: Verdicts) -> str:
    scored = [value for values in verdicts.values() for value in values if value is not None]
    if not scored:
        return ""
    found = rate(sum(scored), len(scored))
    return f"{estimate(found.value, found.lower, found.upper, share=True)}, n = {found.n}"


def _form(found: Observed) -> Iterator[str]:
    """Shares of replies that hold a trace, that hold a box, and that are degenerate, by kind of prompts."""
    for counts in (found.traces, found.boxed):
        yield ", ".join(percent_of(counts[kind], found.asked[kind]) for kind in _DEGENERATE)
    yield ", ".join(_degenerate(found, kind) for kind in _DEGENERATE)


def _degenerate(found: Observed, kind: PromptKind) -> str:
    verdicts = found.verdicts[_DEGENERATE[kind]]
    return percent_of(int(sum(each or 0 for (each,) in verdicts.values())), len(verdicts))


def _changes(plan: Plan) -> Iterator[str]:
    """Paired differences: each run against the base, and the first seed's runs against each other."""
    yield (
        "**Changes**, percentage points, paired by prompt, with 95 % intervals. p is adjusted (Holm) over the rows of "
        "a column."
    )
    yield ""
    names = [name for name in _final(plan) if name != "published"]
    first = names[1 : 4 if plan.seeds > 1 else None]
    pairs = [(name, "base") for name in names[1:]] + list(combinations(first, 2))
    columns = [_column(plan, pairs, mode, measure) for _, mode, measure in _ASKED]
    rows = [(f"{one} against {other}", *cells) for (one, other), *cells in zip(pairs, *columns, strict=True)]  # fmt: skip
    yield from _table(("models", *(title for title, *_ in _ASKED)), rows)
    yield ""
    yield from _gaps(plan)


def _gaps(plan: Plan) -> Iterator[str]:
    yield "**After an empty trace** (`forced_empty`), harmful prompts, and the plain prompt against it, points."
    yield ""
    rows = []
    for name in _final(plan):
        found = observed(plan, name, "no_think")
        plain, empty = (_verdicts(plan, name, mode, "misaligned") for mode in ("think", "no_think"))
        gap = paired_difference(plain, empty, target_name="think", reference_name="no_think")
        difference = f"{estimate(gap.difference, gap.lower, gap.upper)}, {gap.n_pairs} pairs"
        form = [next(iter(each.split(", "))) for each in _form(found)] if found else ["", "", ""]
        rows.append((name, _rate(empty), *form, difference))
    yield from _table(("model", "refusal lost", "trace", "box", "degenerate", "RIM score"), rows)


def _column(
    plan: Plan, pairs: Sequence[tuple[str, str]], mode: Mode, measure: Measure
) -> list[str]:
    found = [
        paired_difference(
            *(_verdicts(plan, name, mode, measure) for name in pair),
            target_name=pair[0],
            reference_name=pair[1],
        )
        for pair in pairs
    ]
    adjusted = holm({str(i): each.p_value for i, each in enumerate(found)})
    return [
        f"{estimate(each.difference, each.lower, each.upper)}, {each.n_pairs} pairs, {p_text(adjusted[str(i)])}"
        for i, each in enumerate(found)
    ]


def _ras(plan: Plan) -> Iterator[str]:
    neurons = plan.out / "inside" / "neurons.json"
    section = _read(plan.out / "inside" / "ras.json", RasSection)
    if section is None:
        reason = json.loads(neurons.read_text())["sentence"] if neurons.is_file() else "Not read."
        yield f"**RAS.** None: {reason}"
        return
    yield f"**RAS** of {len(section.neurons)} neurons, plain prompt, guard `{DECIDING}`. {section.chosen_by}"
    yield ""
    rows = []
    for series in (each for each in section.series if each.guard == DECIDING):
        for i, step in enumerate(series.steps):
            random = [row[i] for row in series.random]
            rows.append(
                (series.run, str(step), plain_number(series.selected[i].value), plain_number(max(random)) if random else "",
                 plain_number(series.everything[i]), plain_number(series.kl[i]), f"{series.misaligned[i]:+.1f}")
            )  # fmt: skip
    head = ("run", "step", "RAS of the set", "largest of the random sets", "RAS of all neurons", "KL, nats a token", "refusal lost, points")  # fmt: skip
    yield from _table(head, rows)
    yield ""
    yield f"{section.verdict.sentence} {section.overlap_sentence}"


def _drift(plan: Plan) -> Iterator[str]:
    section = _read(plan.out / "inside" / "drift.json", DriftSection)
    yield "**Drift** at the last token of the plain prompt."
    yield ""
    for run in section.runs if section else ():
        yield from (f"- {sentence}" for sentence in run.sentences)


def _about(plan: Plan) -> Iterator[str]:
    log = plan.out / "times.tsv"
    times: dict[str, float] = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.is_file() else ():
        stage, seconds = line.split("\t")
        times[stage] = times.get(stage, 0) + float(seconds)
    spent = ", ".join(f"{stage} {seconds / 60:.1f}" for stage, seconds in times.items())
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    yield f"Minutes: {spent}; {sum(times.values()) / 60:.1f} in all. Versions: {versions}."
