"""Checks submissions: one card, one model's folder, the whole of `leaderboard/results`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from rim_eval.card import Card, check_card
from rim_eval.leaderboard._card_rules import card_problems, size_problems
from rim_eval.leaderboard._entry import SLUG, Entry, ModelFile
from rim_eval.leaderboard._reading import UnreadableError, read_json
from rim_eval.leaderboard._texts import text_problems

__all__ = ["Checked", "check_file", "check_paths"]

_MODEL: Final = "model.json"
_MOST_FILES: Final = 200
_SHOWN: Final = 8

_File = TypeVar("_File", bound=BaseModel)


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
    entries: list[Entry] = []
    problems: list[str] = []
    cards = 0
    for path in paths:
        one = _folders(path) if path.is_dir() and not path.is_symlink() else _lone(path)
        entries += one.entries
        problems += one.problems
        cards += one.cards
    problems += _repeated(entries)
    return Checked(tuple(sorted(entries, key=lambda e: e.id)), tuple(problems), cards)


def check_file(path: Path) -> tuple[Card | None, list[str]]:
    """Check one card.

    Returns:
        The card and nothing, or nothing and the reasons why it is refused, a few of each sort.
    """
    card, problems = _read(path, Card)
    if card is not None:
        # In this order: sizes before arithmetic, so that no count can keep the machine busy.
        problems = size_problems(card) or [*card_problems(card), *check_card(card)]
    return (None, _few(problems)) if problems else (card, [])


def _read(path: Path, schema: type[_File]) -> tuple[_File | None, list[str]]:
    try:
        value = read_json(path)
    except UnreadableError as error:
        return None, [str(error)]
    problems = _few(text_problems(value))
    found, more = _parse(value, schema)
    return (None, [*problems, *more]) if problems or more else (found, [])


def _parse(value: Any, schema: type[_File]) -> tuple[_File | None, list[str]]:
    """A value as a model; the reasons never repeat what was given, which may be anything."""
    import json

    try:
        return schema.model_validate_json(json.dumps(value), strict=True), []
    except ValidationError as error:
        reasons = [f"{_place(each['loc'])}: {each['msg']}" for each in error.errors()]
        return None, _few(reasons)


def _place(parts: Iterable[int | str]) -> str:
    return ".".join(re.sub(r"[^A-Za-z0-9_-]", "?", str(part))[:40] for part in parts) or "file"


def _few(reasons: Sequence[str]) -> list[str]:
    shown = [reason[:300] for reason in reasons[:_SHOWN]]
    left = len(reasons) - len(shown)
    return [*shown, f"and {left} more"] if left > 0 else shown


def _lone(path: Path) -> Checked:
    if not path.exists() and not path.is_symlink():
        return Checked((), (f"{path}: does not exist",), 0)
    if path.name == _MODEL:
        return Checked((), tuple(f"{path}: {p}" for p in _read(path, ModelFile)[1]), 0)
    _, problems = check_file(path)
    return Checked((), tuple(f"{path}: {problem}" for problem in problems), 1)


def _folders(root: Path) -> Checked:
    if (root / _MODEL).exists():
        return _folder(root)
    entries: list[Entry] = []
    problems: list[str] = []
    cards = 0
    for path in sorted(root.iterdir()):
        if path.is_symlink() or not path.is_dir():
            problems.append(f"{path}: only folders of models stand here")
            continue
        one = _folder(path)
        entries += one.entries
        problems += one.problems
        cards += one.cards
    return Checked(tuple(entries), tuple(problems), cards)


def _folder(folder: Path) -> Checked:
    name = folder.resolve().name
    if not re.fullmatch(SLUG, name) or len(name) > 100:
        return Checked((), (f"{folder}: a folder's name has small letters, digits, . _ - only",), 0)
    model, problems = _read(folder / _MODEL, ModelFile)
    found = [f"{folder / _MODEL}: {problem}" for problem in problems]
    found += [f"{path}: {problem}" for path, problem in _foreign(folder)]
    cards = [path for path in sorted(folder.glob("*.json")) if path.name != _MODEL]
    if not cards:
        found.append(f"{folder}: no card")
    entries = []
    for path in cards[:_MOST_FILES]:
        card, reasons = check_file(path)
        if card and model and not _same_model(card.model, model.model):
            reasons = [f"a card of {card.model} in the folder of {model.model}"]
        found += [f"{path}: {reason}" for reason in reasons]
        if card and model and not reasons:
            entries.append(Entry(name, path.stem, model, card))
    return Checked(tuple(entries), tuple(found), len(cards))


def _foreign(folder: Path) -> Iterator[tuple[Path, str]]:
    for number, path in enumerate(sorted(folder.iterdir())):
        if number > _MOST_FILES:
            yield folder, f"more than {_MOST_FILES} files"
            return
        if path.suffix != ".json" or path.is_dir():
            yield path, "only model.json and cards (.json) stand here"
        elif not re.fullmatch(SLUG, path.stem) or len(path.stem) > 100:
            yield path, "a card's name has small letters, digits, . _ - only"


def _same_model(card: str, model: str) -> bool:
    """Whether an engine's name for a model (`vllm/Qwen/Qwen3-4B`) is of this model (`Qwen/Qwen3-4B`)."""
    return card == model or card.endswith(f"/{model}")


def _repeated(entries: Sequence[Entry]) -> Iterator[str]:
    """Entries that are one result under two names; each names the other."""
    seen: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        marks = {("model", entry.model.model.lower())}
        marks |= {("run", run.id) for run in entry.card.runs}
        marks |= {("log", run.log_sha256) for run in entry.card.runs if run.log_sha256}
        for mark in sorted(marks):
            other = seen.setdefault(mark, entry)
            shared = mark[0] == "model" and other.folder == entry.folder
            if other is not entry and not shared:
                yield f"{entry.folder}/{entry.name}: the {mark[0]} {mark[1][:60]} is in {other.folder}/{other.name} already"
                break
