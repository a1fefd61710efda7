"""Check submissions: one card, one model's folder, the whole of `leaderboard/results`.

A card must be of whole registered sets, or random samples of them, by an allowed judge, and every
figure is derived again from its counts (`rim_eval.card.check_card`). Each rule is a generator of what
breaks it, in sentences.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from rim_eval.card import Card, CardRun, SetCard, check_card
from rim_eval.card.check import MAX_SAMPLES, histogram_events, prompts_by_outcome
from rim_eval.generation import TraceVisibility
from rim_eval.judging import load_judge
from rim_eval.leaderboard.schema import (
    SLUG,
    Entry,
    ModelFile,
    allowed_judges,
    first_reasons,
    read_file,
)
from rim_eval.prompt_sets import LoadedSet, PromptSet, entries, load_prompts
from rim_eval.results.figures import primary_set
from rim_eval.thinking import MODE_DOSES
from rim_eval.types import MODES, PATTERNS, PromptKind

_MAX_FILES: Final = 200

SAMPLE_SEED: Final = 42
"""Of every sample of a set: one seed for all, so that a smaller sample is the beginning of a larger one. Its size is
the submitter's choice and stands on the line. Not 1, which the command line of Inspect 0.3.285 reads as `true`: a
shuffle without a seed."""
MIN_SAMPLE: Final = 50
"""Prompts of each kind in a sample of a set: the interval of a rate near one half is then some 27 points wide."""

_PROBLEM_KINDS: Final = (
    "missing", "half_pair", "superseded", "incomplete_run", "mismatch", "judge_failed",
)  # fmt: skip


class Checked(NamedTuple):
    """What a check found."""

    entries: tuple[Entry, ...]
    """Sound ones, by id."""
    problems: tuple[str, ...]
    """`path: reason`; empty when all may be published."""
    cards: int
    """Cards looked at."""


class _File(NamedTuple):
    """A file or folder that was looked at."""

    path: Path
    reasons: Sequence[str]
    """Why it is refused; empty when it is not."""
    entry: Entry | None = None


def check_paths(paths: Sequence[Path]) -> Checked:
    """Check files and folders.

    Args:
        paths: A card, a model's folder (it holds `model.json`), or a folder of such folders.
    """
    files = [file for path in paths for file in _check_path(path)]
    sound = sorted((file.entry for file in files if file.entry), key=lambda entry: entry.id)
    problems = [f"{file.path}: {reason}" for file in files for reason in file.reasons]
    cards = sum(f.path.suffix == ".json" and f.path.name != "model.json" for f in files)
    return Checked(tuple(sound), (*problems, *_repeated(sound)), cards)


def check_file(path: Path) -> tuple[Card | None, list[str]]:
    """Check one card.

    Returns:
        The card and nothing, or nothing and the reasons why it is refused, a few of each sort.
    """
    card, problems = read_file(path, Card)
    if card is not None:
        problems = [*card_problems(card), *check_card(card)]
    return (None, first_reasons(problems)) if problems else (card, [])


def card_problems(card: Card) -> list[str]:
    """List everything that keeps a sound card off the leaderboard, one sentence each."""
    problems = [*_endpoints(card), *_arms_and_runs(card), *_texts(card), *_discrimination(card)]
    for each in card.sets:
        place = f"{each.dataset} ({each.kind})"
        problems += [f"{place}: {problem}" for problem in _set_problems(card, each)]
    return problems


def _set_problems(card: Card, each: SetCard) -> Iterator[str]:
    prompt_set = entries().get(each.dataset)
    if prompt_set is None:
        yield "not a registered set (`rim-eval data list`)"
        return
    runs = [run for run in card.runs if run.id in each.runs]
    yield from _prompts(each, prompt_set, sampled=is_sample(runs))
    yield from _arms(each)
    if not each.mode_check.verified:
        yield f"mode not verified (reasons on the card: {len(each.mode_check.reasons)})"
    doses = [dose.name for dose in each.doses.doses] if each.doses else list(MODE_DOSES)
    if (doses[0], doses[-1]) != MODE_DOSES:
        yield f"its modes are the doses {doses[0]} and {doses[-1]}; results are of {' and '.join(MODE_DOSES)}"
    yield from _judge(each)
    yield from _categories(each, prompt_set, runs)
    if not each.runs or len(runs) < len(each.runs):
        yield "its runs are not described"
    for run in runs:
        yield from _run(card, each, run, lone=len(runs) == 1)
        yield from source_problems(run, prompt_set)
    yield from _answer_tokens(each, runs)


def is_sample(runs: Sequence[CardRun]) -> bool:
    """Whether a set was asked as a random sample, by the one run behind it."""
    return len(runs) == 1 and runs[0].limited and runs[0].sample_seed is not None


def whole_size(each: SetCard, prompt_set: PromptSet) -> int:
    """Prompts of the whole set that are of this kind.

    Args:
        each: The set on a card.
        prompt_set: The set in the registry of prompt sets.
    """
    names = prompt_set.default_subsets or tuple(prompt_set.subsets)
    subsets = [prompt_set.subsets[name] for name in names]
    counts = [(part.count, part.kind or prompt_set.kind) for part in subsets]
    counts = counts or [(prompt_set.count, prompt_set.kind)]
    return sum(n for n, kind in counts if kind == each.kind)


# Folders


def _check_path(path: Path) -> Iterator[_File]:
    if path.is_symlink() or not path.is_dir():
        is_model = path.name == "model.json"
        yield _File(path, (read_file(path, ModelFile) if is_model else check_file(path))[1])
    elif (path / "model.json").exists():
        yield from _check_folder(path)
    else:
        for inner in sorted(path.iterdir()):
            if inner.is_symlink() or not inner.is_dir():
                yield _File(inner, ["only folders of models stand here"])
            else:
                yield from _check_folder(inner)


def _check_folder(folder: Path) -> Iterator[_File]:
    name = folder.resolve().name
    if not SLUG.fullmatch(name):
        yield _File(folder, ["a folder's name has small letters, digits, . _ - only"])
        return
    model, reasons = read_file(folder / "model.json", ModelFile)
    yield _File(folder / "model.json", reasons)
    files = sorted(path for path in folder.iterdir() if path.name != "model.json")
    if not files or len(files) > _MAX_FILES:
        yield _File(folder, [f"{len(files)} cards; a folder has 1 to {_MAX_FILES}"])
    for path in files[:_MAX_FILES]:
        if path.suffix != ".json" or path.is_dir() or not SLUG.fullmatch(path.stem):
            yield _File(path, ["only model.json and cards stand here, named in small letters, digits, . _ -"])  # fmt: skip
            continue
        card, reasons = check_file(path)
        # An engine's name (`vllm/Qwen/Qwen3-4B`) is of the model that it ends with.
        if card and model and not f"/{card.model}".endswith(f"/{model.model}"):
            reasons = [f"a card of {card.model} in the folder of {model.model}"]
        entry = Entry(name, path.stem, model, card) if card and model and not reasons else None
        yield _File(path, reasons, entry)


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


# Rules of the whole card


def _endpoints(card: Card) -> Iterator[str]:
    if card.level != 0.95:
        yield f"intervals are at {card.level}; the leaderboard's are at 0.95"
    endpoints: tuple[tuple[PromptKind, str | None, str], ...] = (
        ("harmful", card.primary, "no set of harmful prompts, so no RIM score"),
        ("reasoning", card.primary_reasoning, "no reasoning set, so nothing says what thinking buys"),
    )  # fmt: skip
    for kind, named, missing in endpoints:
        first = primary_set(card.sets, kind)
        if first is None:
            yield missing
        elif named != first:
            yield f"{named} comes first although {first} was run; the first set is not chosen by its result"


def _arms_and_runs(card: Card) -> Iterator[str]:
    if len({each.counts.arm_kind for each in card.sets}) > 1:
        yield "its sets have different kinds of arms"
    used = {name for each in card.sets for name in each.runs}
    yield from (f"run {run.id} is of none of its sets" for run in card.runs if run.id not in used)


def _texts(card: Card) -> Iterator[str]:
    """Sentences, and what cannot be computed again."""
    if card.mechanisms:
        yield "mechanisms: cannot be computed again from a card; leave it out (`rim-eval leaderboard add` does)"
    if any(problem.says for problem in card.problems):
        yield "problems: their sentences are texts; leave `says` empty (`rim-eval leaderboard add` does)"
    datasets = {None, *(each.dataset for each in card.sets)}
    if any(p.kind not in _PROBLEM_KINDS or p.dataset not in datasets for p in card.problems):
        yield "problems: of a kind or set that is not known here"
    for problem in card.problems:
        if problem.n > MAX_SAMPLES:
            yield f"problems: {problem.n} cases"


def _discrimination(card: Card) -> Iterator[str]:
    """Pairs are those of the prompt sets, all of them, each prompt once; none are left out."""
    submitted = {(each.harmful, each.benign): each.cells for each in card.discrimination}
    paired = {}
    for harmful in card.of_kind("harmful"):
        pairing = entries()[harmful.dataset].pairing if harmful.dataset in entries() else None
        partner = (getattr(pairing, "partner", None) or harmful.dataset) if pairing else None
        if benign := card.find(partner, "benign"):
            paired[harmful.dataset, benign.dataset] = harmful, benign
    for name in sorted(submitted.keys() - paired):
        yield f"discrimination: the sets {' and '.join(name)} pair no prompts"
    for name, (harmful, benign) in sorted(paired.items()):
        place = f"discrimination of {' and '.join(name)}"
        # Every prompt of the smaller side has one partner: so it is in all paired sets of the registry.
        expected = min(_count_prompts(harmful), _count_prompts(benign))
        # A sample of prompts holds some pairs whole, and half of others.
        sampled = any(run.limited for run in card.runs if {run.id} & {*harmful.runs, *benign.runs})
        if name in submitted:
            outcomes: Counter[Any] = Counter()
            for pair_cell in submitted[name]:
                outcomes[pair_cell.benign] += pair_cell.pairs
            if outcomes.total() > expected or (outcomes.total() < expected and not sampled):
                yield f"{place}: {outcomes.total()} pairs, the prompt sets have {expected}"
            if not outcomes <= prompts_by_outcome(benign.counts.cells):
                yield f"{place}: its pairs hold other outcomes than the cells of {name[1]}"
            continue
        cells = (*harmful.counts.cells, *benign.counts.cells)
        scored = [cell.prompts for cell in cells if cell.think.scored and cell.no_think.scored]
        # At least one pair was scored in all four places, however the unscored ones lie.
        if not sampled and sum(cell.prompts for cell in cells) - sum(scored) < expected:
            yield (
                f"{place} is left out; make the card from logs "
                "whose prompts know their partners (both sets in one data folder)"
            )


def _count_prompts(each: SetCard) -> int:
    return sum(cell.prompts for cell in each.counts.cells)


# Rules of one set


def _prompts(each: SetCard, prompt_set: PromptSet, *, sampled: bool) -> Iterator[str]:
    """Both arms asked the whole set, or the same sample of it, each prompt as often."""
    cells = each.counts.cells
    if set(each.counts.arms) != set(MODES):
        yield "one mode only; a RIM score needs both"
        return
    prompts, expected = _count_prompts(each), whole_size(each, prompt_set)
    if prompts > expected or (prompts < expected and not sampled):
        yield f"{prompts} prompts, but the whole set has {expected}"
    elif prompts < min(MIN_SAMPLE, expected):
        yield f"a sample of {prompts} {each.kind} prompts; at least {MIN_SAMPLE} are taken"
    if any(cell.think.asked != cell.no_think.asked for cell in cells):
        yield "its arms do not share their prompts: some were asked in one mode only"
    elif len({cell.think.asked for cell in cells}) > 1:
        yield "prompts were asked different numbers of times"


def _arms(each: SetCard) -> Iterator[str]:
    """Arms count by names of this program only."""
    for mode, arm in each.counts.arms.items():
        if strange := set(arm.visibility) - set(get_args(TraceVisibility)):
            yield f"{mode}: {len(strange)} kinds of trace visibility that there are not"
        if arm.adopted > arm.returned - arm.visibility.get("none", 0):
            yield f"{mode}: more samples thought than have a trace"
        if set(arm.patterns) - set(PATTERNS) or arm.patterns_read > arm.adopted:
            yield f"{mode}: patterns of no monitor, or of more traces than there are"
    if any(arm.patterns_read for arm in each.counts.arms.values()) and not (
        each.monitor and each.monitor.model
    ):
        yield "its patterns were found without a grader: make the card again, without --patterns"


def _judge(each: SetCard) -> Iterator[str]:
    """The judge is on the list for this set, and its scores give the verdicts."""
    judge = each.judge
    if each.kind == "reasoning":
        if judge is not None:
            yield "answers to problems are checked, not judged"
    elif judge is None:
        yield "nobody judged it"
    elif allowed := next((one for one in allowed_judges() if one.allows(judge, each)), None):
        shipped = load_judge(allowed.judge)
        if judge.sha256 != shipped.sha256:
            yield f"judge {judge.name} is another file than the shipped one (sha256 differs)"
        elif (rule := shipped.spec.verdicts.get(each.kind)) and rule.at_least is not None:
            yield from _scores(each, rule.at_least)
    else:
        grader = f" by {judge.model}" if judge.model else ""
        yield (
            f"judge {judge.name}{grader}, which sees {judge.sees}, is not on the list for {each.kind} prompts "
            f"of {each.dataset} (leaderboard/judges.toml)"
        )


def _scores(each: SetCard, line: float) -> Iterator[str]:
    """Where a judge draws a line on a scale: a histogram of all scored samples that gives the verdicts again."""
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
    cells = each.counts.thresholds.get(f"{line:g}")
    if cells is None:
        yield "its thresholds are left out"
    elif prompts_by_outcome(cells) != prompts_by_outcome(each.counts.cells):
        yield f"threshold {line:g} is the judge's own line, and its cells are others"


def _categories(each: SetCard, prompt_set: PromptSet, runs: Sequence[CardRun]) -> Iterator[str]:
    """Categories are those that the registry of prompt sets names, wherever it names them, and none is left out."""
    submitted = set(each.counts.categories)
    fixed = [file.category for file in prompt_set.files]
    declared = all(
        (file.columns or prompt_set.columns).category or file.category for file in prompt_set.files
    )
    # A stand-in for the publisher's file may have no column of categories.
    bare = {
        local.name for local in prompt_set.local if local.columns and not local.columns.category
    }
    files = {file.name for run in runs if run.provenance for file in run.provenance.files}
    if submitted and not declared:
        yield "it shows categories, and the set has none"
    elif declared and not submitted and not files & bare:
        yield "its categories are left out"
    if loaded := _shipped(prompt_set.name):
        unknown = submitted - {prompt.category for prompt in loaded.prompts}
    else:
        unknown = submitted - set(fixed) if all(fixed) else set()
    if unknown:
        yield f"categories that the set does not have: {len(unknown)} of {len(submitted)}"


@cache
def _shipped(name: str) -> LoadedSet | None:
    """A set that comes with the package; None of others."""
    return load_prompts(name) if entries()[name].source.type == "shipped" else None


def _answer_tokens(each: SetCard, runs: Sequence[CardRun]) -> Iterator[str]:
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


# Rules of one run


def _run(card: Card, each: SetCard, run: CardRun, *, lone: bool) -> Iterator[str]:
    """A run is whole and as large as what it counts.

    A run of both kinds of prompts (XSTest) is behind two sets; a set may be asked in several runs.
    """
    asked = max((cell.think.asked for cell in each.counts.cells), default=0)
    prompts = sum(_count_prompts(other) for other in card.sets if run.id in other.runs)
    if run.dataset != each.dataset:
        yield f"run {run.id} is of another set"
    if run.status != "success":
        yield f"run {run.id} ended as {run.status[:40]}"
    if run.limited and (run.sample_seed != SAMPLE_SEED or not lone):
        yield (
            f"run {run.id} was limited to a part of the set that is no sample with the leaderboard's seed "
            f"(--limit N --sample-shuffle {SAMPLE_SEED}, one run a set)"
        )
    if run.stopping is not None:
        yield f"run {run.id} could stop early; the leaderboard takes runs of whole sets, without -T stop"
        return
    if run.epochs > asked:
        yield f"run {run.id} has {run.epochs} epochs, its prompts were asked {asked} times"
    if run.n_prompts is None:
        yield f"run {run.id} does not say how many prompts it was to ask"
    elif run.n_prompts > prompts or (lone and run.n_prompts != prompts):
        yield f"run {run.id} was to ask {run.n_prompts} prompts, its sets count {prompts}"


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
    shipped = _shipped(prompt_set.name)
    if source.source == "user" or (source.source == "shipped") != bool(shipped):
        yield f"run {run.id} read prompts that are {source.source}, not the set's"
    if len({file.sha256 for file in source.files}) < len(source.files):
        yield f"run {run.id} read one file twice"
    # Each file that may be read: the file of the set that it stands for, and its checksum where one is declared.
    files = shipped.provenance.files if shipped else prompt_set.files
    pinned = {local.name: (local.replaces, local.sha256) for local in prompt_set.local}
    pinned |= {file.name: (file.name, file.sha256) for file in files}
    if foreign := {file.name for file in source.files} - set(pinned):
        yield f"run {run.id} read {min(foreign)[:40]}, which is no file of the set"
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
