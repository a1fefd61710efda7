"""Check submissions: one card, one model's folder, the whole of `leaderboard/results`.

A submission is a stranger's file. It is read with limits, its texts have forms without room for a sentence
(`rim_eval.leaderboard.schema`), it must be of whole sets of the catalogue by an allowed judge, and every figure is
derived again from its counts (`rim_eval.card.check_card`). Reasons repeat at most 40 characters of what was given.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from rim_eval.card import Card, CardRun, Cell, JudgeCard, SetCard, check_card
from rim_eval.card.check import histogram_events, prompts_by_outcome
from rim_eval.errors import RimError
from rim_eval.generation import TraceVisibility
from rim_eval.judging import load_judge
from rim_eval.leaderboard.schema import (
    SLUG,
    AllowedJudge,
    Entry,
    ModelFile,
    Submission,
    allowed_judges,
)
from rim_eval.paths import tasks_dir
from rim_eval.patterns import PATTERNS
from rim_eval.prompt_sets import PromptSet, entries
from rim_eval.results.endpoints import primary_set
from rim_eval.types import MODES, PromptKind

__all__ = ["Checked", "card_problems", "check_file", "check_paths", "expected_prompts", "source_problems"]  # fmt: skip

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

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/@:+,()%#=*&-]*")
_OWN_FORM: Final = re.compile(
    r"\.flag\.sentence|\.sets\[\d+\]\.gate\.(rule|reasons\[\d+\])|\.problems\[\d+\]\.says"
    r"|\.runs\[\d+\]\.(command|provenance\.location)"
)
"""Texts that are no names: derived again, required to be empty, or of a form of their own."""

_File = TypeVar("_File", bound=BaseModel)


class Checked(NamedTuple):
    """What a check found."""

    entries: tuple[Entry, ...]
    """Sound ones, by id."""
    problems: tuple[str, ...]
    """`path: reason`; empty when all may be published."""
    cards: int
    """Cards looked at."""


class UnreadableError(ValueError):
    """Why a file is not read."""


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
    card, problems = _read(path, Submission)
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


def expected_prompts(prompt_set: PromptSet, kind: PromptKind) -> int:
    """Count the prompts of one kind that a full run of a set asks.

    Args:
        prompt_set: The set in the catalogue.
        kind: Kind of the prompts.
    """
    if not prompt_set.subsets:
        return prompt_set.count if prompt_set.kind == kind else 0
    names = prompt_set.default_subsets or tuple(prompt_set.subsets)
    parts = [prompt_set.subsets[name] for name in names]
    return sum(part.count for part in parts if (part.kind or prompt_set.kind) == kind)


def source_problems(run: CardRun, prompt_set: PromptSet) -> Iterator[str]:
    """Say why the prompts of a run are not those of its set.

    Args:
        run: A run on a card.
        prompt_set: Its set in the catalogue.
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
    declared = {file.name: file.name for file in prompt_set.files}
    declared |= {local.name: local.replaces for local in prompt_set.local}
    if foreign := {file.name for file in source.files} - set(declared):
        yield f"run {run.id} read {min(foreign)}, which is no file of the set"
    for wanted in prompt_set.files:
        read = [file for file in source.files if declared.get(file.name) == wanted.name]
        if len(read) != 1:
            yield f"run {run.id} does not list {wanted.name}, a file of the set"
            continue
        [file] = read
        if _pinned_sha256(prompt_set, wanted.name, file.name) not in (None, file.sha256):
            yield f"run {run.id} read another {file.name} than the pinned one (sha256 differs)"
        rows = prompt_set.expected_rows(wanted)
        if file.rows != rows:
            yield f"run {run.id} read {file.rows} rows of {file.name}, it has {rows}"


# Folders


def _parts(path: Path) -> Iterator[Checked]:
    if path.is_symlink() or not path.is_dir():
        yield _lone(path)
    elif (path / "model.json").exists():
        yield _folder(path)
    else:
        for inner in sorted(path.iterdir()):
            if inner.is_symlink() or not inner.is_dir():
                yield Checked((), (f"{inner}: only folders of models stand here",), 0)
            else:
                yield _folder(inner)


def _lone(path: Path) -> Checked:
    if not path.exists() and not path.is_symlink():
        return Checked((), (f"{path}: does not exist",), 0)
    is_card = path.name != "model.json"
    problems = check_file(path)[1] if is_card else _read(path, ModelFile)[1]
    return Checked((), tuple(f"{path}: {problem}" for problem in problems), int(is_card))


def _folder(folder: Path) -> Checked:
    name = folder.resolve().name
    if not _is_slug(name):
        return Checked((), (f"{folder}: a folder's name has small letters, digits, . _ - only",), 0)
    model, reasons = _read(folder / "model.json", ModelFile)
    problems = [f"{folder / 'model.json'}: {reason}" for reason in reasons]
    problems += _foreign(folder)
    cards = [path for path in sorted(folder.glob("*.json")) if path.name != "model.json"]
    if not cards:
        problems.append(f"{folder}: no card")
    sound = []
    for path in cards[:_MAX_FILES]:
        card, reasons = check_file(path)
        # An engine's name (`vllm/Qwen/Qwen3-4B`) is of the model that it ends with.
        if card and model and not f"/{card.model}".endswith(f"/{model.model}"):
            reasons = [f"a card of {card.model} in the folder of {model.model}"]
        problems += [f"{path}: {reason}" for reason in reasons]
        if card and model and not reasons:
            sound.append(Entry(name, path.stem, model, card))
    return Checked(tuple(sound), tuple(problems), len(cards))


def _is_slug(name: str) -> bool:
    return re.fullmatch(SLUG, name) is not None and len(name) <= 100


def _foreign(folder: Path) -> Iterator[str]:
    for number, path in enumerate(sorted(folder.iterdir())):
        if number > _MAX_FILES:
            yield f"{folder}: more than {_MAX_FILES} files"
            return
        if path.suffix != ".json" or path.is_dir():
            yield f"{path}: only model.json and cards (.json) stand here"
        elif not _is_slug(path.stem):
            yield f"{path}: a card's name has small letters, digits, . _ - only"


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
    except UnreadableError as error:
        return None, [str(error)]
    problems = _first(list(_texts(value)))
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
        UnreadableError: The file is a link, no plain file, too large, not UTF-8, not JSON as the standard has it,
            nested too deeply, names a key twice, or holds a number beyond any count of prompts.
    """
    if path.is_symlink():
        raise UnreadableError("a link, not a file")
    if not path.is_file():
        raise UnreadableError("not a plain file")
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise UnreadableError(f"{size:,} bytes; at most {_MAX_BYTES:,} are read")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from None
    if _depth(text) > _MAX_DEPTH:
        raise UnreadableError(f"nested more than {_MAX_DEPTH} deep")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)  # fmt: skip
    except UnreadableError:
        raise
    except ValueError as error:
        raise UnreadableError(f"not JSON: {error}") from None


def _depth(text: str) -> int:
    """Deepest nesting, brackets in strings included: more than it is, never less."""
    deepest = depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    counted = Counter(name for name, _ in pairs)
    for name, n in counted.items():
        if n > 1:
            raise UnreadableError(f"the key {name[:40]!r} stands twice in one object")
    return dict(pairs)


def _constant(name: str) -> NoReturn:
    raise UnreadableError(f"{name} is no number")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise UnreadableError(f"an integer of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value) or abs(value) > _MAX_NUMBER:
        raise UnreadableError(f"the number {digits[:20]} is larger than any count or length here")
    return value


def _texts(value: Any, place: str = "") -> Iterator[str]:
    """Every text anywhere in a file that is no name: no quotes, no angle brackets, no line breaks, few words."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key, f"{place} (key)")
            yield from _texts(inner, f"{place}.{key if _NAME.fullmatch(key) else '?'}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")
    elif isinstance(value, str) and not _OWN_FORM.fullmatch(place):
        if len(value) > 120 or len(value.split()) > 12:
            yield f"{place[1:]}: a text of {len(value)} characters where a name belongs; texts are not published here"
        elif not _NAME.fullmatch(value):
            yield f"{place[1:] or 'file'}: {value[:40]!r} is no name: letters, digits and  . _ / @ : + , ( ) % # = * & -  only, letters or digits first"
        elif ".." in value or "//" in value:
            yield f"{place[1:]}: {value[:40]!r} looks like a path that climbs"


# Rules of the whole card


def _sizes(card: Card) -> Iterator[str]:
    """Counts so large that computing with them would be an attack."""
    tables = 0
    for each in card.sets:
        cells = [
            each.counts.cells,
            *each.counts.thresholds.values(),
            *each.counts.categories.values(),
        ]
        tables += len(cells) + (len(each.judge.measured) if each.judge else 0)
        if (
            _samples(each.counts.cells) > _MAX_SAMPLES
            or sum(map(_samples, cells)) > 8 * _MAX_SAMPLES
        ):
            yield f"{each.dataset}: more than {_MAX_SAMPLES:,} samples"
    if tables + len(card.discrimination) > _MAX_TABLES:
        yield f"more than {_MAX_TABLES} tables of counts"
    pairs = sum(cell.pairs for each in card.discrimination for cell in each.cells)
    if pairs > _MAX_SAMPLES:
        yield f"{pairs:,} pairs"


def _samples(cells: Sequence[Cell]) -> int:
    return sum(cell.prompts * max(cell.think.asked, cell.no_think.asked) for cell in cells)


def _whole(card: Card) -> Iterator[str]:
    if card.level != 0.95:
        yield f"intervals are at {card.level}; the leaderboard's are at 0.95"
    if not card.of_kind("harmful"):
        yield "no set of harmful prompts, so no RIM score"
    if not card.of_kind("reasoning"):
        yield "no reasoning set, so nothing says what thinking buys"
    primary: dict[PromptKind, str | None] = {
        "harmful": card.primary,
        "reasoning": card.primary_reasoning,
    }
    for kind, given in primary.items():
        if given != (first := primary_set(card.sets, kind)):
            yield f"{given} comes first although {first} was run; the first set is not chosen by its result"
    if len({each.counts.arm_kind for each in card.sets}) > 1:
        yield "its sets have different kinds of arms"
    if card.mechanisms is not None:
        yield "mechanisms: cannot be computed again from a card; leave it out (`rim-eval leaderboard add` does)"
    used = {name for each in card.sets for name in each.runs}
    yield from (f"run {run.id} is of none of its sets" for run in card.runs if run.id not in used)
    if any(problem.says for problem in card.problems):
        yield "problems: their sentences are texts; leave `says` empty (`rim-eval leaderboard add` does)"
    names = {each.dataset for each in card.sets} | {None}
    for problem in card.problems:
        if problem.kind not in _PROBLEM_KINDS or problem.dataset not in names:
            yield "problems: of a kind or set that is not known here"
        if problem.n > _MAX_SAMPLES:
            yield f"problems: {problem.n} cases"


def _discrimination(card: Card) -> Iterator[str]:
    """Pairs are those of the catalogue, all of them, each prompt once; none are left out."""
    paired = {
        (harmful.dataset, benign.dataset): (harmful, benign)
        for harmful in card.of_kind("harmful")
        for benign in card.of_kind("benign")
        if _partner(harmful.dataset) == benign.dataset
    }
    shown = {(each.harmful, each.benign): each for each in card.discrimination}
    for harmful_name, benign_name in sorted(set(shown) - set(paired)):
        yield f"discrimination: the catalogue pairs no prompts of {harmful_name} and {benign_name}"
    for name, (harmful, benign) in sorted(paired.items()):
        place = f"discrimination of {name[0]} and {name[1]}"
        # Every prompt of the smaller side has one partner: so it is in all paired sets of the catalogue.
        expected = min(_prompts(harmful), _prompts(benign))
        if name not in shown:
            # At least one pair was scored in all four places, however the unscored ones lie.
            if _unpaired(harmful) + _unpaired(benign) < expected:
                yield (
                    f"{place} is left out; make the card from logs "
                    "whose prompts know their partners (both sets in one data folder)"
                )
            continue
        pairs = sum(cell.pairs for cell in shown[name].cells)
        if pairs != expected:
            yield f"{place}: {pairs} pairs, the catalogue has {expected}"
        held: Counter[Any] = Counter()
        for cell in shown[name].cells:
            held[cell.benign] += cell.pairs
        if not held <= prompts_by_outcome(benign.counts.cells):
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


def _unpaired(each: SetCard) -> int:
    """Prompts that were not scored in both modes."""
    cells = each.counts.cells
    return sum(c.prompts for c in cells if not (c.think.scored and c.no_think.scored))


# Rules of one set


def _set(card: Card, each: SetCard) -> Iterator[str]:
    prompt_set = entries().get(each.dataset)
    if prompt_set is None:
        yield "not a set of the catalogue (`rim-eval data list`)"
        return
    runs = [run for run in card.runs if run.id in each.runs]
    yield from _arms(each, expected_prompts(prompt_set, each.kind))
    if not each.gate.verified:
        n = len(each.gate.reasons)
        yield f"mode not verified ({n} reason{'s' if n != 1 else ''} on the card)"
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


def _arms(each: SetCard, expected: int) -> Iterator[str]:
    """Both arms asked the whole set, each prompt as often, and count by names of this program only."""
    cells = each.counts.cells
    if set(each.counts.arms) != set(MODES):
        yield "one mode only; a RIM score needs both"
        return
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
    allowed = next((a for a in allowed_judges() if _allows(a, judge, kind, dataset)), None)
    if allowed is None:
        grader = f" by {judge.model}" if judge.model else ""
        return (
            f"judge {judge.name}{grader}, which sees {judge.sees}, is not on the list for {kind} prompts "
            f"of {dataset} (leaderboard/judges.toml)"
        )
    try:
        same_file = judge.sha256 == load_judge(allowed.judge).sha256
    except RimError as error:
        return str(error)
    return None if same_file else f"judge {judge.name} is another file than the shipped one (sha256 differs)"  # fmt: skip


def _allows(allowed: AllowedJudge, judge: JudgeCard, kind: PromptKind, dataset: str) -> bool:
    grader = judge.model in allowed.graders if allowed.graders else judge.model is None
    return (
        judge.name == f"{allowed.judge}@{allowed.version}"
        and kind in allowed.kinds
        and judge.sees in allowed.sees
        and (not allowed.sets or dataset in allowed.sets)
        and grader
    )


def _scale(each: SetCard) -> Iterator[str]:
    """Where a judge draws a line on a scale: a histogram of all scored samples that gives the verdicts again."""
    line = _line(each)
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


def _line(each: SetCard) -> float | None:
    """The score from which on the judge sees the event; None for judges that give labels."""
    if each.judge is None or each.kind == "reasoning":
        return None
    rule = load_judge(each.judge.name.split("@")[0]).spec.verdicts.get(each.kind)
    return rule.at_least if rule else None


def _categories(each: SetCard, prompt_set: PromptSet, runs: Sequence[CardRun]) -> Iterator[str]:
    """Categories are those that the catalogue knows, wherever it knows them, and none is left out."""
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
    names: frozenset[str] | None = None
    if all(fixed):
        names = frozenset(name for name in fixed if name)
    elif prompt_set.source.type == "shipped" and (column := prompt_set.columns.category):
        names = _shipped_values(prompt_set.name, prompt_set.files[0].path, column)
    if names is not None and shown - names:
        yield f"categories that the set does not have: {len(shown - names)} of {len(shown)}"


@cache
def _shipped_values(name: str, path: str, column: str) -> frozenset[str]:
    text = (tasks_dir() / name / path).read_text(encoding="utf-8")
    return frozenset(str(json.loads(line)[column]) for line in text.splitlines() if line)


def _pinned_sha256(prompt_set: PromptSet, declared: str, read: str) -> str | None:
    """The checksum that a file must have; None where none is declared."""
    own = {file.name: file for file in prompt_set.files}
    if prompt_set.source.type == "shipped":
        return _shipped_sha256(prompt_set.name, own[declared].path)
    if read == declared:
        return own[read].sha256
    stand_ins: Mapping[str, str | None] = {
        local.name: local.sha256 for local in prompt_set.local if local.replaces == declared
    }
    return stand_ins.get(read)


@cache
def _shipped_sha256(name: str, path: str) -> str:
    return hashlib.sha256((tasks_dir() / name / path).read_bytes()).hexdigest()


def _run(card: Card, each: SetCard, run: CardRun, *, lone: bool) -> Iterator[str]:
    """A run is whole and as large as what it counts.

    A run of both kinds of prompts (XSTest) is behind two sets; a set may be asked in several runs.
    """
    if run.dataset != each.dataset:
        yield f"run {run.id} is of another set"
    if run.status != "success":
        yield f"run {run.id} ended as {run.status[:40]}"
    if run.limited:
        yield f"run {run.id} was limited to a part of the set"
    asked = max((cell.think.asked for cell in each.counts.cells), default=0)
    if run.epochs > asked or (lone and run.epochs != asked):
        yield f"run {run.id} has {run.epochs} epochs, its prompts were asked {asked} times"
    prompts = sum(_prompts(other) for other in card.sets if run.id in other.runs)
    if run.n_prompts is None:
        yield f"run {run.id} does not say how many prompts it was to ask"
    elif run.n_prompts > prompts or (lone and run.n_prompts != prompts):
        yield f"run {run.id} was to ask {run.n_prompts} prompts, its sets count {prompts}"


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
