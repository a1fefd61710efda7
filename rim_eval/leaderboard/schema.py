"""What a folder of the leaderboard holds: a file about the model, cards without free text, published tables.

A submission is a stranger's file: it is read within limits, and its texts have forms without room for a sentence.
Reasons repeat at most 40 characters of what was given.
"""

import json
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, TypeVar

from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from rim_eval.card import Card, JudgeCard, SetCard, card_json
from rim_eval.errors import RimError
from rim_eval.files import remove_abandoned, write_whole
from rim_eval.paths import leaderboard_dir
from rim_eval.types import FiniteModel, PromptKind

SLUG: Final = re.compile(r"(?=.{1,100}$)[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")
"""Names of folders and cards: lower case, no two dots, so that no path climbs."""

ShortName = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9]")]
Percent = Annotated[float, Field(ge=0, le=100)]

_File = TypeVar("_File", bound=BaseModel)


class ModelFile(FiniteModel):
    """`model.json`: what a card cannot know of its model."""

    schema_version: Literal[1] = 1
    model: ShortName
    """The model's public name, `developer/name`; the cards' name ends with it."""
    kind: Literal["model", "organism"]
    """`organism`: a model with planted behaviour, no finding about real models."""
    developer: ShortName
    family: ShortName
    """`Qwen3`: models that differ in size belong to one family."""
    parameters: int | None = Field(default=None, gt=0, le=10**14)
    """All parameters; None where they are not published."""
    active_parameters: int | None = Field(default=None, gt=0, le=10**14)
    """Of a mixture of experts: those used for one token."""
    weights: Literal["open_weights", "closed_weights", "unknown"] = "unknown"
    deployment: Literal["self_deployed", "externally_managed", "unknown"] = "unknown"
    """Who ran the model for these cards."""
    evaluator: Literal["first_party", "third_party", "collaborative", "other"] = "other"
    """Who measured, seen from the model's developer."""

    @model_validator(mode="after")
    def _active_is_part(self) -> Self:
        if self.active_parameters and self.active_parameters > (self.parameters or 0):
            raise ValueError("more parameters are active than there are")
        return self


class Entry(NamedTuple):
    """One checked card of one model."""

    folder: str
    name: str
    """File name of the card without its ending; folder and name together are the entry's id."""
    model: ModelFile
    card: Card

    @property
    def id(self) -> str:
        """Unique over the leaderboard; safe as a file name."""
        return f"{self.folder}--{self.name}"


class PublishedModel(FiniteModel):
    """One model's published rates, percent."""

    model: str
    developer: str
    family: str
    parameters: int = Field(gt=0)
    active_parameters: int | None = None
    misalignment_think: Percent
    misalignment_no_think: Percent
    accuracy_think: Percent
    accuracy_no_think: Percent


class Reference(FiniteModel):
    """One published table."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    source: str
    url: str = Field(pattern=r"^https://")
    harmful_set: str
    reasoning_set: str
    reasoning_note: str
    judge: str
    grader: str
    arm_kind: Literal["switch"]
    lacks: tuple[str, ...] = Field(min_length=1)
    """What an entry has and this table has not, one sentence each."""
    models: tuple[PublishedModel, ...]


class AllowedJudge(FiniteModel):
    """One judge that entries may rest on."""

    judge: str
    """Name of a shipped judge file."""
    version: int
    kinds: tuple[PromptKind, ...]
    sees: tuple[str, ...]
    graders: tuple[str, ...] = ()
    """Grader models, or classifiers (`model` at any commit, or `model@commit`); empty for judges that work offline."""
    sets: tuple[str, ...] = ()
    """Prompt sets that it may judge; empty: all."""

    def allows(self, judge: JudgeCard, of: SetCard) -> bool:
        """Whether a set may rest on a judge of this name, by what it saw and its grader.

        Args:
            judge: The judge on the card.
            of: The set that it judged.
        """
        return (
            judge.name == f"{self.judge}@{self.version}"
            and of.kind in self.kinds
            and judge.sees in self.sees
            and (not self.sets or of.dataset in self.sets)
            and judge.model in (self.graders or (None,))
        )


@cache
def allowed_judges() -> tuple[AllowedJudge, ...]:
    """Read the allow-list, `leaderboard/judges.toml`."""
    text = (leaderboard_dir() / "judges.toml").read_text(encoding="utf-8")
    return tuple(AllowedJudge.model_validate(each) for each in tomllib.loads(text)["allowed"])


def read_references(folder: Path) -> tuple[Reference, ...]:
    """Read all reference tables of a folder, by file name."""
    files = sorted(folder.glob("*.json"))
    return tuple(Reference.model_validate_json(file.read_bytes()) for file in files)


# Writing


def slug(name: str) -> str:
    """Turn a name into one that a folder or file may have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


def add_card(card: Card, model: ModelFile, results: Path, name: str) -> Path:
    """Write a card into its model's folder, with `model.json` beside it.

    Sentences about problems are emptied, their kinds and numbers stay; what was found inside the model
    is left out, because it does not follow from counts.

    Args:
        card: What was measured.
        model: About the model.
        results: Folder of all models.
        name: File name of the card without ending, such as `hexphi-gpt41-2026-11`.

    Returns:
        The card's file.

    Raises:
        RimError: There is another card of that name, or the folder belongs to another model.
    """
    folder = results / slug(model.model)
    about, file = folder / "model.json", folder / f"{slug(name)}.json"
    text = model.model_dump_json(indent=1, exclude_none=True) + "\n"
    if about.exists() and about.read_text(encoding="utf-8") != text:
        raise RimError(f"{about} says otherwise; edit it, or give the same --family, --developer ...")  # fmt: skip
    problems = tuple(problem.model_copy(update={"says": ""}) for problem in card.problems)
    submitted = card.model_copy(update={"problems": problems, "mechanisms": None})
    whole = card_json(submitted)
    if file.exists() and file.read_text(encoding="utf-8") != whole:
        raise RimError(f"{file} exists; give another --name.")
    if folder.exists():
        remove_abandoned(folder, seconds=0)  # `check` takes cards only, and runs at once
    # The card takes its place last: a model without a card is no obstacle to the same command.
    write_whole({file: whole, about: text})
    return file


# Reading

_MAX_BYTES: Final = 1_000_000
"""Of a file; a card of twenty sets has about 200 kB."""
_MAX_DEPTH: Final = 24
_MAX_DIGITS: Final = 15
_MAX_NUMBER: Final = 1e9
_MAX_REASONS: Final = 8


def read_file(path: Path, schema: type[_File]) -> tuple[_File | None, list[str]]:
    """Read a plain, small file of standard JSON that fits a schema and whose texts are names.

    Args:
        path: The file.
        schema: What it must be.

    Returns:
        The file's content and nothing, or nothing and the reasons why it is refused, a few of each sort.
    """
    try:
        value = _read_json(path)
    except UnicodeDecodeError as error:
        return None, [f"not UTF-8 at byte {error.start}"]
    except json.JSONDecodeError as error:
        return None, [f"not JSON: {error}"]
    except ValueError as error:
        return None, [str(error)]
    problems = first_reasons(list(_value_problems(value)))
    try:
        content = schema.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        reasons = []
        for each in error.errors():
            parts = [re.sub(r"[^A-Za-z0-9_-]", "?", str(part))[:40] for part in each["loc"]]
            reasons.append(f"{'.'.join(parts) or 'file'}: {each['msg']}")
        return None, [*problems, *first_reasons(reasons)]
    return (None, problems) if problems else (content, [])


def first_reasons(reasons: Sequence[str]) -> list[str]:
    """The first few reasons, shortened, and how many more there are."""
    left = len(reasons) - _MAX_REASONS
    more = [f"and {left} more"] if left > 0 else []
    return [*(reason[:300] for reason in reasons[:_MAX_REASONS]), *more]


def _read_json(path: Path) -> Any:
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
    return json.loads(text, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, n in Counter(name for name, _ in pairs).items():
        if n > 1:
            raise ValueError(f"the key {name[:40]!r} stands twice in one object")
    return dict(pairs)


# Forms of values

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/@:+,()%#=*&-]*")

_DERIVED: Final = (
    "flag.sentence",
    "sets.mode_check.rule",
    "sets.mode_check.reasons",
    "sets.curve.points.check.rule",
    "sets.curve.points.check.reasons",
    "gaps.sentence",
    "problems.says",
)
"""Sentences: derived again, or required to be empty."""

_COMMIT: Final = r"[0-9a-f]{40}"
_SWITCH: Final = r"{0}( {0}){{0,2}}".format(r"[A-Za-z0-9/][A-Za-z0-9._/:,=+-]{0,39}")
_URL: Final = r"https://(huggingface\.co/datasets|github\.com)/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+"
_FOLDER: Final = r"(?!.*(\.\.|//))[A-Za-z0-9.][A-Za-z0-9._/-]*( [A-Za-z0-9._-]+){0,2}"

_FORMS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("single word", r"[A-Za-z0-9][A-Za-z0-9._/@:+=,%#*-]{0,119}", (
        "model", "sets.judge.measured.set", "sets.judge.measured.model", "sets.judge.measured.mode", "sets.monitor.*", "runs.id",
        "runs.harness", "runs.task", "runs.engine", "runs.prompt_style", "runs.protocol", "runs.weights", "runs.decoding.*",
    )),
    ("version", r"v?[0-9][0-9A-Za-z.+!_-]{0,39}", ("rim_eval", "runs.task_version", "runs.versions.*")),
    ("name of a package or setting", r"[A-Za-z][A-Za-z0-9._-]{0,39}", ("runs.versions (key)", "runs.decoding (key)")),
    ("date and time as 2026-11-26T04:30:00+00:00", r"2[01]\d\d-\d\d-\d\dT[0-9:.]{5,15}(Z|[+-]\d\d:\d\d)?", ("created", "runs.created")),
    ("SHA-256", r"[0-9a-f]{64}", ("runs.log_sha256", "runs.provenance.files.sha256")),
    ("commit", rf"{_COMMIT}(, {_COMMIT})*", ("runs.provenance.revision_*",)),
    ("short label of a category", r"(?=.{1,60}$)[A-Za-z0-9][A-Za-z0-9,&/_-]*( +[A-Za-z0-9,&/_-]+){0,4}", ("sets.categories (key)",)),
    ("name of a thinking switch, of at most three short words", rf"{_SWITCH}( / {_SWITCH}){{0,3}}", ("sets.switch",)),
    ("repository or folder, of at most three words", rf"{_URL}(, {_URL})*|{_FOLDER}", ("runs.provenance.location",)),
)  # fmt: skip
"""What texts of a card have to be, and where on it: none has room for a prompt, a reply or markup. Texts without a
form are compared with names that are known: sets and their files, judges, categories, ids of runs."""

_PROGRAMS: Final = ("inspect", "lm_eval", "lm-eval", "rim-eval", "python")
_COMMAND_WORDS: Final = frozenset({"inspect", "eval", "eval-set", "run", "lm_eval", "lm-eval", "rim-eval"})  # fmt: skip
_COMMAND_TOKEN: Final = re.compile(r"[A-Za-z0-9._/@:+,=%*\[\]{}\"-]{1,120}")
_MAX_TOKENS: Final = 60


def _value_problems(value: Any, place: str = "") -> Iterator[str]:
    """Name every text that is not of its form, and every number beyond any count, by where it stands.

    Places are such as `runs[0].versions`; keys stand at `runs[0].versions (key)`.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _value_problems(key, f"{place} (key)")
            at = key if _NAME.fullmatch(key) else "?"
            yield from _value_problems(inner, f"{place}.{at}" if place else at)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _value_problems(inner, f"{place}[{index}]")
    elif isinstance(value, str) and (reason := _text_problem(value, re.sub(r"\[\d+\]", "", place))):
        yield f"{place or 'file'}: {reason}"
    elif isinstance(value, int) and abs(value) >= 10**_MAX_DIGITS:
        yield f"{place or 'file'}: an integer of {len(str(abs(value)))} digits"
    elif isinstance(value, float) and not abs(value) <= _MAX_NUMBER:
        yield f"{place or 'file'}: {json.dumps(value)} is no number, or larger than any count or length here"


def _text_problem(text: str, place: str) -> str | None:
    """Why a text is refused; no name has quotes, angle brackets, line breaks or many words."""
    if place in _DERIVED:
        return None
    if place == "runs.command":
        return _command_problem(text)
    if place != "runs.provenance.location":
        if len(text) > 120 or len(text.split()) > 12:
            return f"a text of {len(text)} characters where a name belongs; texts are not published here"
        if not _NAME.fullmatch(text):
            return f"{text[:40]!r} is no name: letters, digits and  . _ / @ : + , ( ) % # = * & -  only, letters or digits first"
        if ".." in text or "//" in text:
            return f"{text[:40]!r} looks like a path that climbs"
    for what, pattern, places in _FORMS:
        if any(fnmatchcase(place, each) for each in places):
            fits = re.fullmatch(pattern, text) and (not what.startswith("date") or _is_date(text))
            return None if fits else f"{text[:40]!r} is no {what}; texts are not published here"
    return None


def _is_date(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).year >= 2020
    except ValueError:
        return False


def _command_problem(text: str) -> str | None:
    """Why a text is no command line of options and values: no sentence fits into one."""
    try:
        tokens = shlex.split(text)
    except ValueError as error:
        return f"not a command line ({error})"
    if not tokens or tokens[0] not in _PROGRAMS:
        return f"a command begins with one of {', '.join(_PROGRAMS)}"
    if len(tokens) > _MAX_TOKENS:
        return f"a command of {len(tokens)} words; at most {_MAX_TOKENS} are published"
    for before, token in pairwise(["-", *tokens]):
        if not _COMMAND_TOKEN.fullmatch(token):
            return f"{token[:40]!r} in a command: words of letters, digits and signs only, without spaces"
        is_value = token not in _COMMAND_WORDS and not token.startswith("-") and not {"=", "/"} & set(token)  # fmt: skip
        if is_value and not before.startswith("-"):
            return f"{token[:40]!r} in a command belongs to no option"
    return None
