"""What a sound card must satisfy besides to stand on the leaderboard."""

from collections.abc import Iterator, Sequence
from typing import Final, get_args

from rim_eval.card import Card, Cell, SetCard
from rim_eval.generation import TraceVisibility
from rim_eval.leaderboard._category_rules import category_problems
from rim_eval.leaderboard._pair_rules import pair_problems
from rim_eval.leaderboard._rules import judge_problem
from rim_eval.leaderboard._run_rules import run_problems
from rim_eval.leaderboard._scale_rules import scale_problems
from rim_eval.patterns import PATTERNS
from rim_eval.prompt_sets import PromptSet, entries
from rim_eval.thinking import ArmAdoption, check_manipulation
from rim_eval.types import MODES, PromptKind

__all__ = ["card_problems", "expected_prompts", "size_problems"]

_MOST_SAMPLES: Final = 200_000
"""Of one set in one mode; OR-Bench 1,319 prompts x 100 epochs fits."""

_MOST_CELLS: Final = 5_000
_MOST_TABLES: Final = 400
_MOST_SETS: Final = 40
_MOST_GROUPS: Final = 200
"""Groups of labelled replies that a judge was measured on."""

_PROBLEMS: Final = ("missing", "half_pair", "superseded", "incomplete_run", "mismatch")


def size_problems(card: Card) -> list[str]:
    """Counts so large that computing with them would be an attack; to be asked before `check_card`."""
    if len(card.sets) > _MOST_SETS or len(card.discrimination) > _MOST_SETS:
        return [f"more than {_MOST_SETS} sets"]
    found = [problem for each in card.sets for problem in _size(each)]
    pairs = sum(cell.pairs for each in card.discrimination for cell in each.cells)
    return [*found, f"{pairs:,} pairs"] if pairs > _MOST_SAMPLES else found


def _size(found: SetCard) -> Iterator[str]:
    counts = found.counts
    tables = [counts.cells, *counts.thresholds.values(), *counts.categories.values()]
    if len(tables) > _MOST_TABLES or max(map(len, tables)) > _MOST_CELLS:
        yield f"{found.dataset}: more tables of counts than any prompt set has"
    elif found.judge is not None and len(found.judge.measured) > _MOST_GROUPS:
        yield f"{found.dataset}: its judge was measured on more than {_MOST_GROUPS} groups of replies"
    elif sum(map(_samples, tables)) > 8 * _MOST_SAMPLES or _samples(counts.cells) > _MOST_SAMPLES:
        yield f"{found.dataset}: more than {_MOST_SAMPLES:,} samples"


def _samples(cells: Sequence[Cell]) -> int:
    return sum(cell.prompts * max(cell.think.asked, cell.no_think.asked) for cell in cells)


def card_problems(card: Card) -> list[str]:
    """Everything that keeps a sound card off the leaderboard, one sentence each."""
    found = list(_whole(card))
    for each in card.sets:
        place = f"{each.dataset} ({each.kind})"
        found += [f"{place}: {problem}" for problem in _set(card, each)]
    return found


def _whole(card: Card) -> Iterator[str]:
    if card.level != 0.95:
        yield f"intervals are at {card.level}; the leaderboard's are at 0.95"
    if not card.of_kind("harmful"):
        yield "no set of harmful prompts, so no RIM score"
    if not card.of_kind("reasoning"):
        yield "no reasoning set, so nothing says what thinking buys"
    harmful, reasoning = _first(card.of_kind("harmful")), _first(card.of_kind("reasoning"))
    for first, rule in ((card.primary, harmful), (card.primary_reasoning, reasoning)):
        if first != rule:
            yield f"{first} comes first although {rule} was run; the first set is not chosen by its result"
    if len({each.counts.arm_kind for each in card.sets}) > 1:
        yield "its sets have different kinds of arms"
    if card.mechanisms is not None:
        yield "mechanisms: cannot be computed again from a card; leave it out (`rim-eval leaderboard add` does)"
    used = {name for each in card.sets for name in each.runs}
    yield from (f"run {run.id} is of none of its sets" for run in card.runs if run.id not in used)
    yield from _remarks(card)
    yield from pair_problems(card)


def _remarks(card: Card) -> Iterator[str]:
    if any(problem.says for problem in card.problems):
        yield "problems: their sentences are texts; leave `says` empty (`rim-eval leaderboard add` does)"
    sets = {each.dataset for each in card.sets} | {None}
    for problem in card.problems:
        if problem.kind not in _PROBLEMS or problem.dataset not in sets:
            yield "problems: of a kind or set that is not known here"
        if problem.n > _MOST_SAMPLES:
            yield f"problems: {problem.n} cases"


def _first(sets: Sequence[SetCard]) -> str | None:
    """The set that comes first when nobody chooses: `hexphi`, else the one with most pairs."""

    def pairs(found: SetCard) -> int:
        return found.figures.difference.n_pairs if found.figures.difference else 0

    if any(each.dataset == "hexphi" for each in sets):
        return "hexphi"
    return max(sets, key=lambda each: (pairs(each), each.dataset)).dataset if sets else None


def _set(card: Card, found: SetCard) -> Iterator[str]:
    known = entries().get(found.dataset)
    if known is None:
        yield "not a set of the catalogue (`rim-eval data list`)"
        return
    yield from _arms(found, expected_prompts(known, found.kind))
    yield from _gate(found)
    if problem := judge_problem(found.judge, found.kind, found.dataset):
        yield problem
    else:
        yield from scale_problems(found)
    runs = [run for run in card.runs if run.id in found.runs]
    yield from category_problems(found, known, runs)
    yield from run_problems(card, found, known)


def expected_prompts(known: PromptSet, kind: PromptKind) -> int:
    """Prompts of one kind that a full run of a set asks."""
    if not known.subsets:
        return known.count if known.kind == kind else 0
    names = known.default_subsets or tuple(known.subsets)
    parts = [known.subsets[name] for name in names]
    return sum(part.count for part in parts if (part.kind or known.kind) == kind)


def _arms(found: SetCard, expected: int) -> Iterator[str]:
    cells = found.counts.cells
    if set(found.counts.arms) != set(MODES):
        yield "one mode only; a RIM score needs both"
        return
    prompts = sum(cell.prompts for cell in cells)
    if prompts != expected:
        yield f"{prompts} prompts, but the whole set has {expected}"
    if any(cell.think.asked != cell.no_think.asked for cell in cells):
        yield "its arms do not share their prompts: some were asked in one mode only"
    elif len({cell.think.asked for cell in cells}) > 1:
        yield "prompts were asked different numbers of times"
    yield from _words(found)


def _words(found: SetCard) -> Iterator[str]:
    """What is counted by name: only names of this program."""
    for mode, arm in found.counts.arms.items():
        if strange := set(arm.visibility) - set(get_args(TraceVisibility)):
            yield f"{mode}: {len(strange)} kinds of trace visibility that there are not"
        if arm.adopted > arm.returned - arm.visibility.get("none", 0):
            yield f"{mode}: more samples thought than have a trace"
        if set(arm.patterns) - set(PATTERNS) or arm.patterns_read > arm.adopted:
            yield f"{mode}: patterns of no monitor, or of more traces than there are"


def _gate(found: SetCard) -> Iterator[str]:
    nothing = ArmAdoption(returned=0, adopted=0)
    if found.gate.rule != check_manipulation(found.counts.arm_kind, nothing, nothing).rule:
        yield "the mode gate's rule is not the one of its kind of arms"
    if not found.gate.verified:
        reasons = len(found.gate.reasons)
        yield f"mode not verified ({reasons} reason{'s' if reasons != 1 else ''} on the card)"
