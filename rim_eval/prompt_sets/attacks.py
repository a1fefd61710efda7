"""Attacks: wrapped forms of prompts, loaded at run time from a publisher or from a file of the user's own.

    attack = load_attack("jailbreakbench/PAIR/vicuna-13b-v1.5")
    attack.wrap(prompt)

A published attack is one declarative file, `attacks/<name>.toml`; no wrapped prompt is part of this project. A file
of one's own holds templates with the place `{prompt}`, or wrapped prompts by prompt.
"""

import difflib
import hashlib
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from rim_eval.errors import RimError
from rim_eval.paths import attacks_dir
from rim_eval.prompt_sets.formats import GET_AGAIN, DataFile, Row, read_rows
from rim_eval.prompt_sets.loading import Provenance
from rim_eval.prompt_sets.prompts import Prompt, prompt_id
from rim_eval.prompt_sets.records import FileRecord, record_file
from rim_eval.prompt_sets.registry import Columns, Format, PublishedFiles, SourceFile
from rim_eval.prompt_sets.sources import MissingError, SetFiles, from_publisher, obtain

PLACE: Final = "{prompt}"
"""Where a template takes the prompt, which is put there as it is."""

_FORMATS: Final[dict[str, Format]] = {
    ".txt": "text",
    ".md": "text",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
}
_FORMS: Final = f"a column `template` of texts with the place {PLACE}, or the columns `prompt` (or `id`) and `wrapped`"


class AttackColumns(Columns):
    """Which column of a publisher's file means what."""

    wrapped: str
    """Column of the wrapped prompt; a row without one has none."""

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that every row must have."""
        return (*super().required, self.wrapped)


class AttackFile(SourceFile):
    """One file of wrapped prompts as its publisher has it."""

    variant: str = ""
    """What comes behind the entry's name where it has several files: `PAIR/vicuna-13b-v1.5`."""


class AttackEntry(PublishedFiles):
    """A published attack: where its wrapped prompts come from, and how they are found by prompt."""

    title: str
    licence: str
    citation: str
    note: str = ""
    columns: AttackColumns
    files: tuple[AttackFile, ...] = Field(min_length=1)

    @property
    def folder(self) -> str:
        """Where the first file lies below a data folder."""
        *above, _ = self.files[0].variant.split("/")
        return "/".join(("attacks", self.name, *above))

    @property
    def names(self) -> dict[str, AttackFile]:
        """The files by the names under which `load_attack` loads them."""
        return {"/".join(filter(None, (self.name, file.variant))): file for file in self.files}


@dataclass(frozen=True)
class Attack:
    """Wrapped forms of prompts, and where they came from."""

    name: str
    """`jailbreakbench/PAIR/vicuna-13b-v1.5`, or the name of a file of one's own without its ending."""
    provenance: Provenance
    templates: tuple[str, ...] = ()
    """Texts with the place of a prompt; they wrap every prompt."""
    wrapped: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Wrapped prompts by the key of their prompt: its id, or the checksum of its text."""

    def wrap(self, prompt: Prompt) -> str | None:
        """Return the wrapped text of a prompt, None where the attack has none for it.

        Of several templates or wrapped forms one is drawn by the checksum of the attack's name, the prompt's id and
        the form: the same in every run, whatever stands beside it in the file. A prompt's context is not part of the
        text and stays where it is.
        """
        forms = self.templates or self.wrapped.get(prompt.id) or self.wrapped.get(_key(prompt.text))
        if not forms:
            return None
        form = min(forms, key=lambda form: _checksum(self.name, prompt.id, form))
        return prompt.text.join(form.split(PLACE)) if self.templates else form

    def count_wrapped(self, prompts: Sequence[Prompt]) -> int:
        """Return for how many prompts there is a wrapped form.

        Raises:
            RimError: There is none for any of them.
        """
        count = sum(self.wrap(prompt) is not None for prompt in prompts)
        if not count:
            names = ", ".join(sorted({prompt.set for prompt in prompts}))
            raise RimError(
                f"attack {self.name}: none of its {len(self.wrapped)} wrapped prompts belongs to one of the "
                f"{len(prompts)} prompts of {names}; they are found by the prompt's id or text. Next: choose the set "
                f"that the attack was made for, or a file of templates with the place {PLACE}."
            )
        return count


def attack_entries() -> dict[str, AttackEntry]:
    """Return the published attacks by name, sorted."""
    return dict(_read_all(attacks_dir()))


def load_attack(source: str, data: str | Path | None = None) -> Attack:
    """Load an attack: a published one by its name, or a file of the user's own by its path.

    A published file comes from `data` or the folder in `RIM_EVAL_DATA` when that holds it
    (`<folder>/attacks/<name>/<file>`), else from the publisher or the cache.

    Args:
        source: A name, as in `attack_entries`, or the path of a `.txt` or `.md` file (one template), or of a `.csv`,
            `.jsonl`, `.json` or `.yaml` file with a column `template`, or with `wrapped` and `prompt` or `id`.
        data: A local folder of publishers' files.

    Raises:
        AccessError: The publisher has not granted access, or cannot be reached and no copy is there.
        RimError: There is no such attack, or a file is not as it should be.
    """
    path = Path(source).expanduser()
    if path.suffix.lower() in _FORMATS:
        return _from_file(path)
    entry = _entry_of(source)
    [file] = entry.files
    name = next(iter(entry.names))
    files = _obtain(entry, Path(data).expanduser() if data is not None else None)
    declared, content, _ = files.files[0]
    found = DataFile(f"attack {name}", declared.name, content)
    rows = read_rows(found, entry.columns)
    record = record_file(found, declared, len(rows), file.rows, {})
    return Attack(
        name,
        _provenance(files, record, getattr(entry.source, "revision", None)),
        wrapped=_published(found, rows, entry.columns),
    )


def _entry_of(name: str) -> AttackEntry:
    """The entry of a name, with the one file that the name means."""
    entries = attack_entries()
    by_name = {one.casefold(): (entry, file) for entry in entries.values() for one, file in entry.names.items()}  # fmt: skip
    if name.casefold() in by_name:
        entry, file = by_name[name.casefold()]
        return entry.model_copy(update={"files": (file,)})
    names = [one for entry in entries.values() for one in entry.names]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise RimError(
        f"no attack is called {name!r}.{hint} There are: {', '.join(names)}. A file of your own is loaded by its path, "
        f"which ends in {', '.join(_FORMATS)}: {_FORMS}."
    )


def _published(
    file: DataFile, rows: Sequence[Row], columns: AttackColumns
) -> dict[str, tuple[str, ...]]:
    """Wrapped prompts of a publisher's rows, of those that the entry takes in."""
    if absent := [name for name in columns.required if rows and name not in rows[0]]:
        names = ", ".join(map(repr, rows[0]))
        raise file.problem(f"no column {absent[0]!r} among {names}", "it", GET_AGAIN, row=1)
    taken = [row for row in rows if all(row[one] in values for one, values in columns.only.items())]
    return _by_prompt(file, taken, (columns.prompt,), columns.wrapped)


def _obtain(entry: AttackEntry, data: Path | None) -> SetFiles:
    """The entry's one file, from a folder that holds it or from the publisher: a folder may be meant for prompts."""
    try:
        return obtain(entry, data)
    except MissingError:
        return from_publisher(entry)


def _provenance(files: SetFiles, record: FileRecord, revision: str | None = None) -> Provenance:
    return Provenance(
        source=files.source,
        location=files.location,
        revision_declared=revision,
        revision_used=files.revision,
        files=(record,),
    )


@cache
def _read_all(folder: Path) -> dict[str, AttackEntry]:
    return {path.stem: _read_entry(path) for path in sorted(folder.glob("*.toml"))}


def _read_entry(path: Path) -> AttackEntry:
    try:
        entry = AttackEntry.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise RimError(f"{path} is not a valid entry of an attack: {error}") from error
    if entry.name != path.stem:
        raise RimError(f"{path} names the attack {entry.name!r}, but its file {path.stem!r}")
    return entry


# ---- a user's own file ----


def _from_file(path: Path) -> Attack:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RimError(
            f"cannot read the attack {path}: {error.strerror}. Give the path of a file with {_FORMS}; a `.txt` or "
            f"`.md` file is one template. Published attacks: {', '.join(attack_entries())}."
        ) from error
    file = DataFile("attack", path.name, content)
    rows = _own_rows(file, _FORMATS[path.suffix.lower()])
    record = FileRecord(name=path.name, sha256=hashlib.sha256(content).hexdigest(), rows=len(rows))
    provenance = _provenance(SetFiles((), "user", str(path)), record)
    if "template" in rows[0]:
        return Attack(path.stem, provenance, templates=_templates(file, rows))
    return Attack(
        path.stem, provenance, wrapped=_by_prompt(file, rows, ("id", "prompt"), "wrapped")
    )


def _own_rows(file: DataFile, form: Format) -> list[Row]:
    """The rows of a file in one of the forms; the first row tells which."""
    rows: list[Row] = []
    for column in ("template", "wrapped"):
        labels = ("template", "wrapped", "id", "prompt")
        rows = read_rows(file, Columns(format=form, prompt=column, labels=labels))
        if rows and column in rows[0]:
            break
    if not rows or (form == "text" and not rows[0]["template"].strip()):
        raise file.problem("nothing in it", _FORMS, "give a file that holds the attack")
    is_template, is_wrapped = ("template" in rows[0]), ("wrapped" in rows[0])
    if is_template == is_wrapped or (is_wrapped and not rows[0].keys() & {"id", "prompt"}):
        names = ", ".join(map(repr, rows[0]))
        raise file.problem(f"the columns {names}", _FORMS, "name the columns so", row=1)
    return rows


def _templates(file: DataFile, rows: Sequence[Row]) -> tuple[str, ...]:
    templates: list[str] = []
    for number, row in enumerate(rows, 1):
        text = _text(file, row, "template", number)
        if PLACE not in text:
            raise file.problem(
                f"the template has no place {PLACE}",
                "it once or more, where the prompt is put as it is",
                f"write {PLACE} into it",
                row=number if len(rows) > 1 else None,
            )
        templates.append(text)
    return tuple(templates)


def _by_prompt(
    file: DataFile, rows: Sequence[Row], keys: Sequence[str], wrapped: str
) -> dict[str, tuple[str, ...]]:
    """Wrapped prompts by the id and the text of their prompt; rows without a wrapped prompt are left out."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        if not (text := _text(file, row, wrapped, number)):
            continue
        names = {key: _text(file, row, key, number) for key in keys}
        if not any(names.values()):
            problem = "a wrapped prompt without its prompt"
            raise file.problem(problem, f"a text in {' or '.join(keys)}", "add it", row=number)
        for key, name in names.items():
            if name:
                found[name if key == "id" else _key(name)].append(text)
    if not found:
        raise file.problem("no wrapped prompt in it", f"a text in {wrapped!r}", "add one")
    return {key: tuple(texts) for key, texts in found.items()}


def _text(file: DataFile, row: Row, column: str, number: int) -> str:
    """A row's text in a column, without line breaks around it; empty where there is none."""
    value: Any = row.get(column)
    if value is None or isinstance(value, str):
        text = (value or "").replace("\r\n", "\n").strip("\n")
        return text if text.strip() else ""
    problem = f"column {column!r} holds a {type(value).__name__}"
    raise file.problem(problem, "text", "mend that row", row=number)


def _key(text: str) -> str:
    """What a prompt's text is found by; no prompt's id begins so."""
    return prompt_id("", text)


def _checksum(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
