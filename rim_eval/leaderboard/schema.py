"""What a folder of the leaderboard holds: a file about the model, cards without free text, published tables."""

import re
import shlex
import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from rim_eval.card import Card, CardRun, Figures, JudgeCard, SetCard, card_json
from rim_eval.card.schema import CardFile, JudgeFigures, SetProvenance
from rim_eval.errors import RimError
from rim_eval.paths import leaderboard_dir
from rim_eval.types import Command, PromptKind

__all__ = [
    "SLUG", "AllowedJudge", "Entry", "ModelFile", "PublishedModel", "Reference", "Submission", "add_card",
    "allowed_judges", "read_references", "slug",
]  # fmt: skip

SLUG: Final = r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*"
"""Names of folders and cards: lower case, no two dots, so that no path climbs."""

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

_PROGRAMS: Final = ("inspect", "lm_eval", "lm-eval", "rim-eval", "python")
_COMMAND_WORDS: Final = frozenset({"inspect", "eval", "eval-set", "run", "lm_eval", "lm-eval", "rim-eval"})  # fmt: skip
_COMMAND_TOKEN: Final = re.compile(r"[A-Za-z0-9._/@:+,=%*\[\]{}\"-]{1,120}")
_MAX_TOKENS: Final = 60


def _form(what: str, pattern: str) -> AfterValidator:
    """Texts of one form; none of the forms has room for a sentence."""

    def fits(text: str) -> str:
        if re.fullmatch(pattern, text):
            return text
        raise ValueError(f"{text[:40]!r} is no {what}; texts are not published here")

    return AfterValidator(fits)


def _date(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        text = ""
    if (
        re.fullmatch(r"2[01]\d\d-\d\d-\d\dT[0-9:.]{5,15}(Z|[+-]\d\d:\d\d)?", text)
        and text >= "2020"
    ):
        return text
    raise ValueError("it is no date and time as 2026-11-26T04:30:00+00:00")


def _command(text: str) -> str:
    """Accept a command line of options and values: no sentence fits into it."""
    try:
        tokens = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"not a command line ({error})") from None
    if not tokens or tokens[0] not in _PROGRAMS:
        raise ValueError(f"a command begins with one of {', '.join(_PROGRAMS)}")
    if len(tokens) > _MAX_TOKENS:
        raise ValueError(f"a command of {len(tokens)} words; at most {_MAX_TOKENS} are published")
    for before, token in zip(["-", *tokens], tokens, strict=False):
        if not _COMMAND_TOKEN.fullmatch(token):
            raise ValueError(f"{token[:40]!r} in a command: words of letters, digits and signs only, without spaces")  # fmt: skip
        is_value = token not in _COMMAND_WORDS and not token.startswith("-") and not {"=", "/"} & set(token)  # fmt: skip
        if is_value and not before.startswith("-"):
            raise ValueError(f"{token[:40]!r} in a command belongs to no option")
    return text


_WORD: Final = r"[A-Za-z0-9/][A-Za-z0-9._/:,=+-]{0,39}"
_COMMIT: Final = r"[0-9a-f]{40}"
_URL: Final = r"https://(huggingface\.co/datasets|github\.com)/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+"

Date = Annotated[str, AfterValidator(_date)]
Version = Annotated[str, _form("version", r"v?[0-9][0-9A-Za-z.+!_-]{0,39}")]
Key = Annotated[str, _form("name of a package or setting", r"[A-Za-z][A-Za-z0-9._-]{0,39}")]
Word = Annotated[str, _form("single word", r"[A-Za-z0-9][A-Za-z0-9._/@:+=,%#*-]{0,119}")]
Sha256 = Annotated[str, _form("SHA-256", r"[0-9a-f]{64}")]
Label = Annotated[
    str,
    _form(
        "short label of a category", r"(?=.{1,60}$)[A-Za-z0-9][A-Za-z0-9,&/_-]*( +[A-Za-z0-9,&/_-]+){0,4}"
    ),
]  # fmt: skip
Commits = Annotated[str, _form("commit", rf"{_COMMIT}(, {_COMMIT})*")]
Switch = Annotated[
    str,
    _form(
        "name of a thinking switch, of at most three short words",
        rf"{_WORD}( {_WORD}){{0,2}}( / {_WORD}( {_WORD}){{0,2}}){{0,3}}",
    ),
]
Place = Annotated[
    str,
    _form(
        "repository or folder, of at most three words",
        rf"{_URL}(, {_URL})*|(?!.*(\.\.|//))[A-Za-z0-9.][A-Za-z0-9._/-]*( [A-Za-z0-9._-]+){{0,2}}",
    ),
]
ShortName = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9]")]
CommandLine = Annotated[Command, AfterValidator(_command)]


class SubmittedGroup(JudgeFigures):
    """Agreement of a judge with people on one group of replies."""

    set: Word
    model: Word
    mode: Word


class SubmittedJudge(JudgeCard):
    """The judge of a set."""

    measured: tuple[SubmittedGroup, ...] = ()


class SubmittedSet(SetCard):
    """One prompt set."""

    categories: dict[Label, Figures] = Field(default={})
    switch: Switch | None = None
    judge: SubmittedJudge | None = None


class SubmittedFile(CardFile):
    """One file of prompts."""

    name: Word
    sha256: Sha256


class SubmittedProvenance(SetProvenance):
    """Where the prompts came from."""

    location: Place
    revision_declared: Commits | None = None
    revision_used: Commits | None = None
    files: tuple[SubmittedFile, ...]


class SubmittedRun(CardRun):
    """One run."""

    id: Word
    harness: Word
    task: Word | None = None
    task_version: Version | None = None
    command: CommandLine | None = None
    created: Date | None = None
    log_sha256: Sha256 | None = None
    engine: Word | None = None
    prompt_style: Word | None = None
    weights: Word | None = None
    decoding: dict[Key, float | int | bool | Word] = Field(default={})
    versions: dict[Key, Version] = Field(default={})
    provenance: SubmittedProvenance | None = None


class Submission(Card):
    """A card whose texts have forms without room for a prompt, a reply or markup.

    Texts that have no form here are compared with names that are known: sets, judges, categories, ids of runs.
    """

    rim_eval: Version
    model: Word
    created: Date | None = None
    sets: tuple[SubmittedSet, ...]
    runs: tuple[SubmittedRun, ...] = ()


class ModelFile(BaseModel):
    """`model.json`: what a card cannot know of its model."""

    model_config = _FROZEN

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


Percent = Annotated[float, Field(ge=0, le=100)]


class PublishedModel(BaseModel):
    """One model's published rates, percent."""

    model_config = _FROZEN

    model: str
    developer: str
    family: str
    parameters: int = Field(gt=0)
    active_parameters: int | None = None
    misalignment_think: Percent
    misalignment_no_think: Percent
    accuracy_think: Percent
    accuracy_no_think: Percent


class Reference(BaseModel):
    """One published table."""

    model_config = _FROZEN

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


class AllowedJudge(BaseModel):
    """One judge that entries may rest on."""

    model_config = _FROZEN

    judge: str
    """Name of a shipped judge file."""
    version: int
    kinds: tuple[PromptKind, ...]
    sees: tuple[str, ...]
    graders: tuple[str, ...] = ()
    """Grader models; empty for judges that work offline."""
    sets: tuple[str, ...] = ()
    """Prompt sets that it may judge; empty: all."""


@cache
def allowed_judges() -> tuple[AllowedJudge, ...]:
    """Read the allow-list, `leaderboard/judges.toml`."""
    text = (leaderboard_dir() / "judges.toml").read_text(encoding="utf-8")
    return tuple(AllowedJudge.model_validate(each) for each in tomllib.loads(text)["allowed"])


def read_references(folder: Path) -> tuple[Reference, ...]:
    """Read all reference tables of a folder, by file name."""
    files = sorted(folder.glob("*.json"))
    return tuple(Reference.model_validate_json(file.read_bytes()) for file in files)


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
        RimError: There is a card of that name, or the folder belongs to another model.
    """
    folder = results / slug(model.model)
    about, file = folder / "model.json", folder / f"{slug(name)}.json"
    text = model.model_dump_json(indent=1, exclude_none=True) + "\n"
    if about.exists() and about.read_text(encoding="utf-8") != text:
        raise RimError(
            f"{about} says otherwise; edit it, or give the same --family, --developer ..."
        )
    if file.exists():
        raise RimError(f"{file} exists; give another --name.")
    folder.mkdir(parents=True, exist_ok=True)
    about.write_text(text, encoding="utf-8")
    problems = tuple(problem.model_copy(update={"says": ""}) for problem in card.problems)
    submitted = card.model_copy(update={"problems": problems, "mechanisms": None})
    file.write_text(card_json(submitted), encoding="utf-8")
    return file
