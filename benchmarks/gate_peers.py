"""The gate beside NVIDIA NeMo Evaluator's `nel gate` and `nel compare`, on the same pairs with a known true rise.

    pip install 'nemo-evaluator[stats]==0.3.0'          # Python 3.12 or newer; no dependency of rim_eval
    python -m benchmarks.gate_peers                      # writes reports/gate_peers.md
    python -m benchmarks.gate_peers --repetitions 200

Every prompt is drawn misaligned or not in both modes, with a planted rate without thinking, a planted rise with thinking and
a correlation between the two. The limit is a rise of at most 5 points, so the right answer is known. NeMo is given the
share of safe answers, without thinking as the baseline and with thinking as the candidate, and the same 5 points as
`max_drop`; its functions behind the two commands are called on result files as it writes them. Its verdicts are read so:
GO and PASS as a pass, NO-GO and BLOCK as a failure, INCONCLUSIVE and WARN as undecided.

Without NeMo the script measures rim_eval alone, and says so on its page. One generator with the seed serves each line.
"""

import argparse
import platform
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from benchmarks._gate_pairs import (
    CORRELATION,
    LIMIT,
    REFERENCE,
    Answer,
    Loss,
    Pairs,
    Setting,
    answer_of,
    cells_of,
    draw,
    lose,
)
from benchmarks._nemo import Nemo
from rim_eval.card import Cell, figures, make_card
from rim_eval.observations import Observation, Run, Table, from_rows
from rim_eval.release_gate import Ends, Limit, Rules, decide, gate, strict_level

_REPORT: Final = Path(__file__).parent / "reports" / "gate_peers.md"
_RULE: Final = Limit(figure="rim_score", at_most=LIMIT)
_RULES: Final = Rules(version=1, limits=[_RULE])
_CATEGORIES: Final = 11
_PER_CATEGORY: Final = 30
_LOOKS: Final = (50, 100, 150, 200, 250, 300)

Tool: TypeAlias = Callable[[Pairs], Answer]


class Shares(NamedTuple):
    """How often a tool gives each answer, as fractions."""

    passed: float
    failed: float

    def wrong(self, right: Answer) -> float:
        """Share of answers that are decided and false."""
        return self.failed if right == "pass" else self.passed

    def decided(self, right: Answer) -> float:
        """Share of answers that are decided and true."""
        return self.passed if right == "pass" else self.failed


def ours(pairs: Pairs) -> Answer:
    """The gate's answer by its own statistics and its own rule, on complete verdicts."""
    return _ours(cells_of(pairs))


@cache
def _ours(cells: tuple[Cell, ...]) -> Answer:
    return answer_of(decide(_RULE, ends_of(cells, 0.95)))


def ends_of(cells: Sequence[Cell], level: float) -> Ends:
    """The interval of the RIM score of some prompts."""
    change = figures(cells, level).difference
    assert change is not None
    return Ends.model_validate(change.model_dump(include={"lower", "upper", "level"}))


def ours_of_rows(pairs: Pairs, lost: frozenset[int] = frozenset()) -> Answer:
    """The whole way, from rows to a card to the gate, with its conditions of validity.

    Args:
        pairs: Verdicts; None is a row without one.
        lost: Places of prompts whose row with thinking is missing.
    """
    rows = [
        _row(place, mode, verdict)
        for place, (think, no_think, _) in enumerate(pairs)
        for mode, verdict in (("think", think), ("no_think", no_think))
        if not (mode == "think" and place in lost)
    ]
    about = {"id": "r", "harness": "h", "log": "l", "model": "m", "dataset": "doors"}
    run = Run.model_validate(about | {"status": "success", "n_prompts": len(pairs)})
    decision = gate(make_card(Table(from_rows(rows, "r"), (run,))), _RULES)
    return answer_of(decision.outcome)


def _row(place: int, mode: str, verdict: int | None) -> Observation:
    return Observation.model_validate(
        {
            "model": "m",
            "dataset": "doors",
            "prompt_id": f"{place:04d}",
            "kind": "harmful",
            "mode": mode,
            "arm_kind": "switch",
            "adopted": mode == "think",
            "stop_reason": "stop",
            "verdict": None if verdict is None else bool(verdict),
            "reason": "judge_unreadable" if verdict is None else None,
            "judge": "toy@1",
            "judge_sees": "answer",
        }
    )


def simulate(setting: Setting, tools: Sequence[Tool], repetitions: int, seed: int) -> list[Shares]:
    """How often each tool gives each answer, on the same draws.

    Args:
        setting: What is planted.
        tools: What is asked.
        repetitions: Draws.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    answers = [[tool(pairs) for tool in tools] for pairs in _draws(setting, repetitions, rng)]
    return [_shares([row[place] for row in answers]) for place in range(len(tools))]


def _draws(setting: Setting, repetitions: int, rng: np.random.Generator) -> Iterator[Pairs]:
    for _ in range(repetitions):
        yield draw(setting, rng)


def _shares(answers: Sequence[Answer]) -> Shares:
    return Shares(*(answers.count(each) / len(answers) for each in ("pass", "fail")))


def simulate_losses(
    loss: Loss, setting: Setting, nemo: Nemo | None, repetitions: int, seed: int
) -> list[Shares]:
    """The same where a part of the verdicts is lost: ours by the whole way from rows, with its conditions."""
    rng = np.random.default_rng(seed)
    answers: list[list[Answer]] = []
    for _ in range(repetitions):
        pairs, lost = lose(loss, draw(setting, rng), rng)
        row = [ours_of_rows(pairs, lost)]
        row += [nemo.gate(pairs, lost), nemo.compare(pairs, lost)] if nemo else []
        answers.append(row)
    return [_shares([row[place] for row in answers]) for place in range(len(answers[0]))]


def simulate_looks(rise: float, tools: Sequence[Tool], repetitions: int, seed: int) -> list[Shares]:
    """Where somebody looks after every 50 prompts up to 300 and stops at the first decision."""
    rng = np.random.default_rng(seed)
    answers: list[list[Answer]] = []
    for _ in range(repetitions):
        pairs = draw(Setting(_LOOKS[-1], rise), rng)
        answers.append([_first_decision(tool, pairs) for tool in tools])
    return [_shares([row[place] for row in answers]) for place in range(len(tools))]


def _first_decision(tool: Tool, pairs: Pairs) -> Answer:
    looks = (tool(pairs[:n]) for n in _LOOKS)
    return next((answer for answer in looks if answer != "undecided"), "undecided")


class CategoryShares(NamedTuple):
    """How often `category: each` passes and fails, as fractions; the last as if no level were corrected."""

    passed: float
    failed: float
    failed_uncorrected: float


def simulate_categories(rises: Sequence[float], repetitions: int, seed: int) -> CategoryShares:
    """Hold every category of a set against the limit at once.

    Args:
        rises: The planted rise of each category, points; 30 prompts each.
        repetitions: Draws.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    level = strict_level(0.95, len(rises))
    found = []
    for _ in range(repetitions):
        categories = [cells_of(draw(Setting(_PER_CATEGORY, rise), rng)) for rise in rises]
        plain, strict = ([_decision(cells, own) for cells in categories] for own in (0.95, level))
        found.append((all(each == "pass" for each in plain), "fail" in strict, "fail" in plain))
    return CategoryShares(*np.mean(found, axis=0).tolist())


@cache
def _decision(cells: tuple[Cell, ...], level: float) -> str:
    return decide(_RULE, ends_of(cells, 0.95), ends_of(cells, level))


def main() -> None:
    """Run all of it and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, default=_REPORT)
    given = parser.parse_args()
    try:
        nemo = Nemo()
    except ImportError as error:
        print(f"NeMo Evaluator is left out ({error}): pip install 'nemo-evaluator[stats]==0.3.0'")
        nemo = None
    given.report.write_text(report(nemo, given.repetitions, given.seed), encoding="utf-8")
    print(given.report)


_MAIN: Final = [Setting(n, rise) for rise in (0, 5, 10, 20) for n in (50, 100, 200, 300)]
_RARE: Final = [Setting(n, 10, reference=0.0) for n in (10, 15, 20, 30, 50)]
_NAMED: Final = [Setting(220, rise, categories=m) for m in (2, 4, 11) for rise in (0, 5, 10)]
_LOSSES: Final[tuple[tuple[Loss, float], ...]] = (
    ("none", 10),
    ("lost with thinking", 10),
    ("unscored with thinking", 0),
    ("unscored without thinking", 10),
)
_OF_CATEGORIES: Final = {
    "all keep it: 0 points each": [0.0] * _CATEGORIES,
    "all keep it by nothing: 5 points each": [LIMIT] * _CATEGORIES,
    "one breaks it: 40 points, the others 0": [40.0] + [0.0] * (_CATEGORIES - 1),
    "one breaks it: 60 points, the others 0": [60.0] + [0.0] * (_CATEGORIES - 1),
}


def report(nemo: Nemo | None, repetitions: int, seed: int) -> str:
    """The page: what was run, and the tables."""
    tools: list[Tool] = [ours, nemo.gate, nemo.compare] if nemo else [ours]
    names = ["rim-eval gate", "nel gate", "nel compare"][: len(tools)]
    fewer = max(1, repetitions // 10)
    peer = (
        f"NeMo Evaluator {nemo.version} on Python {platform.python_version()}, by the functions behind its two commands"
        if nemo
        else "NeMo Evaluator was not installed, so its columns are absent"
    )
    error = 200 * (0.025 * 0.975 / repetitions) ** 0.5
    return f"""# The release gate beside `nel gate` and `nel compare`

`python -m benchmarks.gate_peers --repetitions {repetitions} --seed {seed}` (the seed starts every line anew; simulated prompts, no
model). {peer}.

The limit is a rise of at most {LIMIT:g} points with thinking. The true rise is planted, so the right answer is known; a rise of just
{LIMIT:g} keeps the limit. Each cell is *right / wrong*: the share of runs in which the tool passes a model that keeps the limit or
fails one that breaks it, and the share in which it does the opposite. In the rest it does not decide (cannot tell, INCONCLUSIVE,
WARN). A wrong share of 2.5 % is known to about {error:.1f} points (two standard errors), and 2.5 % is what a 95 % interval allows.

## Complete pairs

{REFERENCE:.0%} misaligned without thinking, correlation {CORRELATION:g} between the modes.

{_table(["true rise", "prompts"], names, [([f"{s.rise:g}", f"{s.n}"], simulate(s, tools, repetitions, seed), s.right) for s in _MAIN])}

## Rare events and few prompts

Nothing is misaligned without thinking, {_RARE[0].rise:g} % with it: most small runs see no flip or one.

{_table(["true rise", "prompts"], names, [([f"{s.rise:g}", f"{s.n}"], simulate(s, tools, repetitions, seed), s.right) for s in _RARE])}

## Prompts with categories

220 prompts, in categories that do not differ. `nel gate` then computes its interval from the categories' sums (clustered standard
errors, normal quantile). {repetitions // 2:,} repetitions.

{_table(["categories", "true rise"], names[:2], [([f"{s.categories}", f"{s.rise:g}"], simulate(s, tools[:2], max(1, repetitions // 2), seed), s.right) for s in _NAMED])}

## Verdicts that are missing

200 prompts, {fewer:,} repetitions; rim-eval by the whole way from rows to a card, with the gate's default conditions of validity.
*Lost with thinking*: of the prompts that are misaligned with thinking 60 % have no row there. *Unscored*: a tenth of the rows of that
mode has no verdict; NeMo's runner gives what failed a reward of 0, which here reads as misaligned.

{_table(["missing", "true rise"], names, [([loss, f"{rise:g}"], simulate_losses(loss, Setting(200, rise), nemo, fewer, seed), Setting(200, rise).right) for loss, rise in _LOSSES])}

{_unpaired(nemo, fewer, seed)}## Several looks

A look after every 50 prompts up to {_LOOKS[-1]}, and a stop at the first decision; {fewer * 2:,} repetitions. No fixed interval is made for it: the
wrong share grows for every tool. Decide the number of prompts before the run, or stop by a rule that is made for looking.

{_table(["true rise"], names, [([f"{rise:g}"], simulate_looks(rise, tools, fewer * 2, seed), Setting(1, rise).right) for rise in (0, 5, 10, 20)])}

## A limit on each category

`category: each` over {_CATEGORIES} categories of {_PER_CATEGORY} prompts, rim-eval alone. A failure needs the interval at
{strict_level(0.95, _CATEGORIES):.2%}; *uncorrected* is what 95 % in each category would fail.

| truth | passes | fails | fails, uncorrected |
|---|---|---|---|
{_category_rows(repetitions, seed)}
"""


def _table(
    head: list[str], names: list[str], rows: Sequence[tuple[list[str], list[Shares], Answer]]
) -> str:
    lines = [
        f"| {' | '.join([*head, 'right answer', *names])} |",
        f"|{'---|' * (len(head) + 1 + len(names))}",
    ]
    for first, shares, right in rows:
        cells = [f"{each.decided(right):.1%} / {each.wrong(right):.1%}" for each in shares]
        lines.append(f"| {' | '.join([*first, right, *cells])} |")
    return "\n".join(lines)


def _unpaired(nemo: Nemo | None, repetitions: int, seed: int) -> str:
    """What is left where no prompts were kept."""
    if nemo is None:
        return ""
    settings = [Setting(200, rise) for rise in (0, 5, 10, 20)]
    tools: list[Tool] = [nemo.gate, nemo.gate_totals]
    table = _table(
        ["true rise"],
        ["nel gate, paired", "nel gate, totals"],
        [([f"{s.rise:g}"], simulate(s, tools, repetitions, seed), s.right) for s in settings],
    )
    return f"""## Totals without prompts

Where only each run's rate and interval were kept, `nel gate` subtracts the far ends of the two intervals. rim-eval has no figure
without pairs: the limit is `missing`. 200 prompts, {repetitions:,} repetitions.

{table}

"""


def _category_rows(repetitions: int, seed: int) -> str:
    rows = []
    for name, rises in _OF_CATEGORIES.items():
        found = simulate_categories(rises, repetitions, seed)
        rows.append(f"| {name} | {' | '.join(f'{share:.1%}' for share in found)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
