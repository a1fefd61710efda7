"""Check submissions: one card, one model's folder, the whole of `leaderboard/results`.

A submission is a stranger's file. It is read with limits, its texts have forms without room for a sentence
(`rim_eval.leaderboard.schema`), it must be of whole registered sets by an allowed judge, and every figure is
derived again from its counts (`rim_eval.card.check_card`). Reasons repeat at most 40 characters of what was given.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from rim_eval.card import Card, CardRun, JudgeCard, SetCard, check_card
from rim_eval.card.check import histogram_events, prompts_by_outcome
from rim_eval.generation import TraceVisibility
from rim_eval.judging import load_judge
from rim_eval.leaderboard.schema import SLUG, Entry, ModelFile, allowed_judges, text_problems
from rim_eval.paths import tasks_dir
from rim_eval.patterns import PATTERNS
from rim_eval.prompt_sets import PromptSet, entries
from rim_eval.results.figures import primary_set
from rim_eval.types import MODES, PromptKind

_MAX_BYTES: Final = 1_000_000
"""Of a file; a card of twenty sets has about 200 kB."""
_MAX_DEPTH: Final = 24
_MAX_DIGITS: Final = 15
_MAX_NUMBER: Final = 1e9
_MAX_FILES: Final = 200
_MAX_REASONS: Final = 8

_MAX_SAMPLES: Final = 200_000
"""Of one set in one mode; OR-Bench 1,319 prompts x 100 epochs fits."""
_MAX_TABLES: Final = 400
"""Tables of counts on a card, and groups of labelled replies."""

_PROBLEM_KINDS: Final = ("missing", "half_pair", "superseded", "incomplete_run", "mismatch")

_File = TypeVar("_File", bound=BaseModel)

_Rules = Iterable[tuple[object, str]]
"""Whether something is wrong (truthy), and what to say then."""


class Checked(NamedTuple):
    """What a check found."""

    entries: tuple[Entry, ...]
    """Sound ones, by id."""
    problems: tuple[str, ...]
    """`path: reason`; empty when all may be published."""
    cards: int
    """Cards looked at."""


def check_paths(paths: Sequence[Path]) -> Checked:
    """Check files and folders.

    Args:
        paths: A card, a model's folder (it holds `model.json`), or a folder of such folders.
    """
    parts = [part for path in paths for part in _parts(path)]
    sound = [entry for part in parts for entry in part.entries]
    problems = [problem for part in parts for problem in part.problems]
    problems += _repeated(sound)
    in_order = tuple(sorted(sound, key=lambda entry: entry.id))
    return Checked(in_order, tuple(problems), sum(part.cards for part in parts))


def check_file(path: Path) -> tuple[Card | None, list[str]]:
    """Check one card.

    Returns:
        The card and nothing, or nothing and the reasons why it is refused, a few of each sort.
    """
    card, problems = _read(path, Card)
    if card is not None:
        # In this order: sizes before arithmetic, so that no count can keep the machine busy.
        problems = list(_sizes(card)) or [*card_problems(card), *check_card(card)]
    return (None, _first(problems)) if problems else (card, [])


def card_problems(card: Card) -> list[str]:
    """List everything that keeps a sound card off the leaderboard, one sentence each."""
    problems = [*_whole(card), *_discrimination(card)]
    for each in card.sets:
        place = f"{each.dataset} ({each.kind})"
        problems += [f"{place}: {problem}" for problem in _set(card, each)]
    return problems


# Folders


def _parts(path: Path) -> Iterator[Checked]:
    if path.is_symlink() or not path.is_dir():
        is_card = path.name != "model.json"
        problems = check_file(path)[1] if is_card else _read(path, ModelFile)[1]
        yield Checked((), tuple(f"{path}: {problem}" for problem in problems), int(is_card))
    elif (path / "model.json").exists():
        yield _folder(path)
    else:
        for inner in sorted(path.iterdir()):
            if inner.is_symlink() or not inner.is_dir():
                yield Checked((), (f"{inner}: only folders of models stand here",), 0)
            else:
                yield _folder(inner)


def _folder(folder: Path) -> Checked:
    name = folder.resolve().name
    if not _is_slug(name):
        return Checked((), (f"{folder}: a folder's name has small letters, digits, . _ - only",), 0)
    model, reasons = _read(folder / "model.json", ModelFile)
    problems = [f"{folder / 'model.json'}: {reason}" for reason in reasons]
    files = sorted(path for path in folder.iterdir() if path.name != "model.json")
    if not files or len(files) > _MAX_FILES:
        problems.append(f"{folder}: {len(files)} cards; a folder has 1 to {_MAX_FILES}")
    sound = []
    for path in files[:_MAX_FILES]:
        if path.suffix != ".json" or path.is_dir() or not _is_slug(path.stem):
            problems.append(f"{path}: only model.json and cards stand here, named in small letters, digits, . _ -")  # fmt: skip
            continue
        card, reasons = check_file(path)
        # An engine's name (`vllm/Qwen/Qwen3-4B`) is of the model that it ends with.
        if card and model and not f"/{card.model}".endswith(f"/{model.model}"):
            reasons = [f"a card of {card.model} in the folder of {model.model}"]
        problems += [f"{path}: {reason}" for reason in reasons]
        if card and model and not reasons:
            sound.append(Entry(name, path.stem, model, card))
    return Checked(tuple(sound), tuple(problems), len(files))


def _is_slug(name: str) -> bool:
    return re.fullmatch(SLUG, name) is not None and len(name) <= 100


def _repeated(sound: Sequence[Entry]) -> Iterator[str]:
    """Entries that are one result under two names; each names the other."""
    seen: dict[tuple[str, str], Entry] = {}
    for entry in sound:
        marks = {("model", entry.model.model.lower())}
        marks |= {("run", run.id) for run in entry.card.runs}
        marks |= {("log", run.log_sha256) for run in entry.card.runs if run.log_sha256}
        for kind, value in sorted(marks):
            other = seen.setdefault((kind, value), entry)
            shared = kind == "model" and other.folder == entry.folder
            if other is not entry and not shared:
                yield f"{entry.folder}/{entry.name}: the {kind} {value[:60]} is in {other.folder}/{other.name} already"
                break


# Reading


def _read(path: Path, schema: type[_File]) -> tuple[_File | None, list[str]]:
    """A file as a model, or the reasons why it is none."""
    try:
        value = _read_json(path)
    except UnicodeDecodeError as error:
        return None, [f"not UTF-8 at byte {error.start}"]
    except json.JSONDecodeError as error:
        return None, [f"not JSON: {error}"]
    except ValueError as error:
        return None, [str(error)]
    problems = _first(list(text_problems(value)))
    try:
        read = schema.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        reasons = [f"{_place(each['loc'])}: {each['msg']}" for each in error.errors()]
        return None, [*problems, *_first(reasons)]
    return (None, problems) if problems else (read, [])


def _place(parts: Iterable[int | str]) -> str:
    return ".".join(re.sub(r"[^A-Za-z0-9_-]", "?", str(part))[:40] for part in parts) or "file"


def _first(reasons: Sequence[str]) -> list[str]:
    shown = [reason[:300] for reason in reasons[:_MAX_REASONS]]
    left = len(reasons) - len(shown)
    return [*shown, f"and {left} more"] if left > 0 else shown


def _read_json(path: Path) -> Any:
    """The value in a plain file of standard JSON, within limits.

    Raises:
        ValueError: The file is a link, no plain file, too large, not UTF-8, not JSON as the standard has it,
            nested too deeply, names a key twice, or holds a number beyond any count of prompts.
    """
    if path.is_symlink():
        raise ValueError("a link, not a file")
    if not path.is_file():
        raise ValueError("not a plain file")
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise ValueError(f"{size:,} bytes; at most {_MAX_BYTES:,} are read")
    text = path.read_bytes().decode("utf-8")
    # Brackets in strings count too: it finds more than the depth, never less.
    steps = ((character in "[{") - (character in "]}") for character in text)
    if max(accumulate(steps), default=0) > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)  # fmt: skip


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, n in Counter(name for name, _ in pairs).items():
        if n > 1:
            raise ValueError(f"the key {name[:40]!r} stands twice in one object")
    return dict(pairs)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    if abs(value := float(digits)) > _MAX_NUMBER:
        raise ValueError(f"the number {digits[:20]} is larger than any count or length here")
    return value


# Rules of the whole card


def _broken(rules: _Rules) -> Iterator[str]:
    return (says for wrong, says in rules if wrong)


def _sizes(card: Card) -> Iterator[str]:
    """Counts so large that computing with them would be an attack."""
    tables = len(card.discrimination)
    for each in card.sets:
        counts = each.counts
        cells = [counts.cells, *counts.thresholds.values(), *counts.categories.values()]
        samples = [
            sum(c.prompts * max(c.think.asked, c.no_think.asked) for c in table) for table in cells
        ]
        tables += len(cells) + (len(each.judge.measured) if each.judge else 0)
        if samples[0] > _MAX_SAMPLES or sum(samples) > 8 * _MAX_SAMPLES:
            yield f"{each.dataset}: more than {_MAX_SAMPLES:,} samples"
    if tables > _MAX_TABLES:
        yield f"more than {_MAX_TABLES} tables of counts"
    pairs = sum(cell.pairs for each in card.discrimination for cell in each.cells)
    if pairs > _MAX_SAMPLES:
        yield f"{pairs:,} pairs"


def _whole(card: Card) -> Iterator[str]:
    first, first_reasoning = (primary_set(card.sets, kind) for kind in ("harmful", "reasoning"))
    chosen = "comes first although {} was run; the first set is not chosen by its result"
    used = {name for each in card.sets for name in each.runs}
    names = {None, *(each.dataset for each in card.sets)}
    yield from _broken(
        [
            (card.level != 0.95, f"intervals are at {card.level}; the leaderboard's are at 0.95"),
            (not first, "no set of harmful prompts, so no RIM score"),
            (not first_reasoning, "no reasoning set, so nothing says what thinking buys"),
            (card.primary != first, f"{card.primary} {chosen.format(first)}"),
            (
                card.primary_reasoning != first_reasoning,
                f"{card.primary_reasoning} {chosen.format(first_reasoning)}",
            ),
            (
                len({each.counts.arm_kind for each in card.sets}) > 1,
                "its sets have different kinds of arms",
            ),
            (
                card.mechanisms,
                "mechanisms: cannot be computed again from a card; leave it out (`rim-eval leaderboard add` does)",
            ),
            *((run.id not in used, f"run {run.id} is of none of its sets") for run in card.runs),
            (
                any(problem.says for problem in card.problems),
                "problems: their sentences are texts; leave `says` empty (`rim-eval leaderboard add` does)",
            ),
            (
                any(p.kind not in _PROBLEM_KINDS or p.dataset not in names for p in card.problems),
                "problems: of a kind or set that is not known here",
            ),
            *((p.n > _MAX_SAMPLES, f"problems: {p.n} cases") for p in card.problems),
        ]
    )


def _discrimination(card: Card) -> Iterator[str]:
    """Pairs are those of the prompt sets, all of them, each prompt once; none are left out."""
    paired = {
        (harmful.dataset, benign.dataset): (harmful, benign)
        for harmful in card.of_kind("harmful")
        for benign in card.of_kind("benign")
        if _partner(harmful.dataset) == benign.dataset
    }
    shown = {(each.harmful, each.benign): each for each in card.discrimination}
    for harmful_name, benign_name in sorted(set(shown) - set(paired)):
        yield f"discrimination: the sets {harmful_name} and {benign_name} pair no prompts"
    for name, (harmful, benign) in sorted(paired.items()):
        place = f"discrimination of {name[0]} and {name[1]}"
        # Every prompt of the smaller side has one partner: so it is in all paired sets of the registry.
        expected = min(_prompts(harmful), _prompts(benign))
        if name not in shown:
            unscored = sum(
                cell.prompts
                for cell in (*harmful.counts.cells, *benign.counts.cells)
                if not (cell.think.scored and cell.no_think.scored)
            )
            # At least one pair was scored in all four places, however the unscored ones lie.
            if unscored < expected:
                yield (
                    f"{place} is left out; make the card from logs "
                    "whose prompts know their partners (both sets in one data folder)"
                )
            continue
        outcomes: Counter[Any] = Counter()
        for cell in shown[name].cells:
            outcomes[cell.benign] += cell.pairs
        if outcomes.total() != expected:
            yield f"{place}: {outcomes.total()} pairs, the prompt sets have {expected}"
        if not outcomes <= prompts_by_outcome(benign.counts.cells):
            yield f"{place}: its pairs hold other outcomes than the cells of {name[1]}"


def _partner(harmful: str) -> str | None:
    """The set that holds the look-alikes of a harmful set; None where there are none."""
    prompt_set = entries().get(harmful)
    if prompt_set is None or prompt_set.pairing is None:
        return None
    pairing = prompt_set.pairing
    return (pairing.partner if pairing.rule == "same_key" else None) or harmful


def _prompts(each: SetCard) -> int:
    return sum(cell.prompts for cell in each.counts.cells)


# Rules of one set


def _set(card: Card, each: SetCard) -> Iterator[str]:
    prompt_set = entries().get(each.dataset)
    if prompt_set is None:
        yield "not a registered set (`rim-eval data list`)"
        return
    runs = [run for run in card.runs if run.id in each.runs]
    yield from _arms(each, prompt_set)
    if not each.mode_check.verified:
        yield f"mode not verified (reasons on the card: {len(each.mode_check.reasons)})"
    if problem := _judge(each.judge, each.kind, each.dataset):
        yield problem
    else:
        yield from _scale(each)
    yield from _categories(each, prompt_set, runs)
    if not each.runs or len(runs) < len(each.runs):
        yield "its runs are not described"
    for run in runs:
        yield from _run(card, each, run, lone=len(runs) == 1)
        yield from source_problems(run, prompt_set)
    yield from _budget(each, runs)


def _arms(each: SetCard, prompt_set: PromptSet) -> Iterator[str]:
    """Both arms asked the whole set, each prompt as often, and count by names of this program only."""
    cells = each.counts.cells
    if set(each.counts.arms) != set(MODES):
        yield "one mode only; a RIM score needs both"
        return
    if prompt_set.subsets:
        names = prompt_set.default_subsets or tuple(prompt_set.subsets)
        parts = [prompt_set.subsets[name] for name in names]
        expected = sum(p.count for p in parts if (p.kind or prompt_set.kind) == each.kind)
    else:
        expected = prompt_set.count if prompt_set.kind == each.kind else 0
    if _prompts(each) != expected:
        yield f"{_prompts(each)} prompts, but the whole set has {expected}"
    if any(cell.think.asked != cell.no_think.asked for cell in cells):
        yield "its arms do not share their prompts: some were asked in one mode only"
    elif len({cell.think.asked for cell in cells}) > 1:
        yield "prompts were asked different numbers of times"
    for mode, arm in each.counts.arms.items():
        if strange := set(arm.visibility) - set(get_args(TraceVisibility)):
            yield f"{mode}: {len(strange)} kinds of trace visibility that there are not"
        if arm.adopted > arm.returned - arm.visibility.get("none", 0):
            yield f"{mode}: more samples thought than have a trace"
        if set(arm.patterns) - set(PATTERNS) or arm.patterns_read > arm.adopted:
            yield f"{mode}: patterns of no monitor, or of more traces than there are"


def _judge(judge: JudgeCard | None, kind: PromptKind, dataset: str) -> str | None:
    """Why this judge is not taken for this set; None when it is."""
    if kind == "reasoning":
        return None if judge is None else "answers to problems are checked, not judged"
    if judge is None:
        return "nobody judged it"
    for allowed in allowed_judges():
        if (
            judge.name == f"{allowed.judge}@{allowed.version}"
            and kind in allowed.kinds
            and judge.sees in allowed.sees
            and (not allowed.sets or dataset in allowed.sets)
            and judge.model in (allowed.graders or (None,))
        ):
            same_file = judge.sha256 == load_judge(allowed.judge).sha256
            return None if same_file else f"judge {judge.name} is another file than the shipped one (sha256 differs)"  # fmt: skip
    grader = f" by {judge.model}" if judge.model else ""
    return (
        f"judge {judge.name}{grader}, which sees {judge.sees}, is not on the list for {kind} prompts "
        f"of {dataset} (leaderboard/judges.toml)"
    )


def _scale(each: SetCard) -> Iterator[str]:
    """Where a judge draws a line on a scale: a histogram of all scored samples that gives the verdicts again."""
    if each.judge is None or each.kind == "reasoning":
        return
    rule = load_judge(each.judge.name.split("@")[0]).spec.verdicts.get(each.kind)
    line = rule.at_least if rule else None
    if line is None:
        return
    arms = each.counts.arms
    for mode, arm in arms.items():
        if arm.scored and sum(arm.scores.values()) < arm.scored:
            yield f"{mode}: the judge has a scale, and its scores are left out"
            return
        least, most = histogram_events(arm, line)
        if not least <= arm.events <= most:
            yield f"{mode}: {arm.events} events, the histogram has {most} scores of {line:g} and above"
    scores = {score for arm in arms.values() for score in arm.scores}
    if each.kind != "harmful" or not scores or not scores <= set("12345") or line < 2:
        return
    same = each.counts.thresholds.get(f"{line:g}")
    if same is None:
        yield "its thresholds are left out"
    elif prompts_by_outcome(same) != prompts_by_outcome(each.counts.cells):
        yield f"threshold {line:g} is the judge's own line, and its cells are others"


def _categories(each: SetCard, prompt_set: PromptSet, runs: Sequence[CardRun]) -> Iterator[str]:
    """Categories are those that the registry of prompt sets names, wherever it names them, and none is left out."""
    shown = set(each.counts.categories)
    fixed = [file.category for file in prompt_set.files]
    columns = [(file.columns or prompt_set.columns).category for file in prompt_set.files]
    declared = all(column or name for column, name in zip(columns, fixed, strict=True))
    # A stand-in for the publisher's file may have no column of categories.
    bare = {
        local.name for local in prompt_set.local if local.columns and not local.columns.category
    }
    without = any(f.name in bare for run in runs if run.provenance for f in run.provenance.files)
    if shown and not declared:
        yield "it shows categories, and the set has none"
    elif declared and not shown and not without:
        yield "its categories are left out"
    if all(fixed):
        unknown = shown - set(fixed)
    elif prompt_set.source.type == "shipped" and (column := prompt_set.columns.category):
        lines = _shipped(prompt_set.name, prompt_set.files[0].path).splitlines()
        unknown = shown - {str(json.loads(line)[column]) for line in lines if line}
    else:
        return
    if unknown:
        yield f"categories that the set does not have: {len(unknown)} of {len(shown)}"


@cache
def _shipped(name: str, path: str) -> bytes:
    return (tasks_dir() / name / path).read_bytes()


# Rules of one run


def _run(card: Card, each: SetCard, run: CardRun, *, lone: bool) -> Iterator[str]:
    """A run is whole and as large as what it counts.

    A run of both kinds of prompts (XSTest) is behind two sets; a set may be asked in several runs.
    """
    asked = max((cell.think.asked for cell in each.counts.cells), default=0)
    prompts = sum(_prompts(other) for other in card.sets if run.id in other.runs)
    n = run.n_prompts
    yield from _broken(
        [
            (run.dataset != each.dataset, f"run {run.id} is of another set"),
            (run.status != "success", f"run {run.id} ended as {run.status[:40]}"),
            (run.limited, f"run {run.id} was limited to a part of the set"),
            (
                run.epochs > asked or (lone and run.epochs != asked),
                f"run {run.id} has {run.epochs} epochs, its prompts were asked {asked} times",
            ),
            (n is None, f"run {run.id} does not say how many prompts it was to ask"),
            (
                n is not None and (n > prompts or (lone and n != prompts)),
                f"run {run.id} was to ask {n} prompts, its sets count {prompts}",
            ),
        ]
    )


def source_problems(run: CardRun, prompt_set: PromptSet) -> Iterator[str]:
    """Say why the prompts of a run are not those of its set.

    Args:
        run: A run on a card.
        prompt_set: Its set in the registry of prompt sets.
    """
    source = run.provenance
    if source is None:
        yield f"run {run.id} does not say where its prompts came from"
        return
    shipped = prompt_set.source.type == "shipped"
    if source.source == "user" or (source.source == "shipped") != shipped:
        yield f"run {run.id} read prompts that are {source.source}, not the set's"
    if len({file.sha256 for file in source.files}) < len(source.files):
        yield f"run {run.id} read one file twice"
    # Each file that may be read: the file of the set that it stands for, and its checksum where one is declared.
    pinned = {local.name: (local.replaces, local.sha256) for local in prompt_set.local}
    for own in prompt_set.files:
        content = _shipped(prompt_set.name, own.path) if shipped else None
        sha256 = own.sha256 if content is None else hashlib.sha256(content).hexdigest()
        pinned[own.name] = (own.name, sha256)
    if foreign := {file.name for file in source.files} - set(pinned):
        yield f"run {run.id} read {min(foreign)}, which is no file of the set"
    for wanted in prompt_set.files:
        read = [f for f in source.files if pinned.get(f.name, ("", None))[0] == wanted.name]
        if len(read) != 1:
            yield f"run {run.id} does not list {wanted.name}, a file of the set"
            continue
        [file] = read
        if pinned[file.name][1] not in (None, file.sha256):
            yield f"run {run.id} read another {file.name} than the pinned one (sha256 differs)"
        rows = prompt_set.expected_rows(wanted)
        if file.rows != rows:
            yield f"run {run.id} read {file.rows} rows of {file.name}, it has {rows}"


def _budget(each: SetCard, runs: Sequence[CardRun]) -> Iterator[str]:
    """Answers over the shared budget are counted; the quantiles of their lengths have to agree with that number."""
    budget = runs[0].answer_tokens if len({run.answer_tokens for run in runs}) == 1 else None
    for mode, arm in each.counts.arms.items():
        lengths = arm.answer_tokens
        if budget is None or lengths is None:
            continue
        for tenth, length in ((1, lengths.p10), (5, lengths.median), (9, lengths.p90)):
            # The quantile is between two of n sorted lengths; those above it are over the budget if it is.
            position = tenth * (lengths.n - 1) / 10
            least, most = 0, lengths.n - 1 - math.floor(position)
            if length > budget:
                least, most = lengths.n - math.ceil(position), lengths.n
            if not least <= arm.over_budget <= most:
                yield (
                    f"{mode}: {arm.over_budget} answers are longer than {budget} tokens, and the "
                    f"lengths ({length:g} at {tenth}0 %) say otherwise"
                )
