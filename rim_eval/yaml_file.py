"""Read a judge or rubric file: YAML 1.2, checked by a pydantic model, with a line for every problem."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from pydantic import BaseModel, ValidationError, model_validator

from rim_eval.errors import RimError
from rim_eval.types import FrozenModel

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from ruamel.yaml.comments import CommentedMap

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 20
_MOST_PROBLEMS: Final = 5

FieldPath = tuple[int | str, ...]
"""The steps from the top of a file to a value: keys, and places in lists from 0."""

_Model = TypeVar("_Model", bound=BaseModel)


class YamlSection(FrozenModel):
    """A section of a YAML file; an unknown field is refused with the names of those that exist."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, data: Any) -> Any:
        for name in data if isinstance(data, Mapping) else ():
            if name not in cls.model_fields:
                allowed = ", ".join(sorted(cls.model_fields))
                raise ValueError(f"{name}: there is no such field here; allowed: {allowed}")
        return data


class YamlFile:
    """A parsed YAML mapping that knows the line of every value."""

    def __init__(self, name: str, data: "CommentedMap") -> None:
        """Keep the file's `name` for messages, and its `data`."""
        self.name = name
        self._data = data

    @classmethod
    def parse(cls, raw: bytes, name: str) -> Self:
        """Parse the bytes of a YAML file that holds one mapping.

        Anchors, aliases, tags, repeated keys, deep nesting and large files are refused, so that a
        file from anywhere is safe to read.

        Args:
            raw: The file's bytes, UTF-8.
            name: The file's name, for messages.

        Raises:
            RimError: The file is too large, not YAML, or not such a mapping; it names the line.
        """
        from ruamel.yaml.comments import CommentedMap

        if len(raw) > MAX_BYTES:
            raise RimError(f"{name}: larger than {MAX_BYTES} bytes; no judge or rubric file is.")
        try:
            data = _load(raw.decode("utf-8"), name)
        except UnicodeDecodeError as error:
            raise RimError(f"{name}: not UTF-8 (byte {error.start}). Save it as UTF-8.") from None
        except RimError:
            raise
        except Exception as error:  # on malformed input ruamel.yaml raises more than its own errors
            mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
            place = f"{name}, line {mark.line + 1}" if mark else name
            reason = str(problem or error).splitlines()[0]
            raise RimError(f"{place}: not valid YAML: {reason}.") from None
        if not isinstance(data, CommentedMap):
            raise RimError(f"{name}, line 1: the file must be a mapping of fields.")
        return cls(name, data)

    def validate(self, model: type[_Model]) -> _Model:
        """The file's content as a pydantic model.

        Raises:
            RimError: It does not fit; one line for each of the first problems, in the file's order.
        """
        try:
            return model.model_validate(self._data)
        except ValidationError as error:
            problems = [_path_and_problem(item) for item in _own_faults(error.errors())]
        lines = sorted((self._line(path), self._complaint(path, what)) for path, what in problems)
        raise RimError("\n".join(text for _, text in lines[:_MOST_PROBLEMS])) from None

    def error(self, path: FieldPath, problem: str) -> RimError:
        """The error that says what is wrong at `path`, with its line."""
        return RimError(self._complaint(path, problem))

    def _complaint(self, path: FieldPath, problem: str) -> str:
        dotted = ".".join(map(str, path)) or "whole file"
        return f"{self.name}, line {self._line(path)}, {dotted}: {problem}."

    def _line(self, path: FieldPath) -> int:
        """The 1-based line of the deepest value on `path`; steps that lead nowhere are skipped."""
        node, line = self._data, self._data.lc.line
        for step in path:
            positions = getattr(getattr(node, "lc", None), "data", None) or {}
            if step in positions:
                node, line = node[step], positions[step][0]
        return int(line) + 1


@lru_cache(maxsize=64)
def _load(text: str, name: str) -> Any:
    """What a safe text holds. It is read only, and kept: a run reads its judge again and again."""
    from ruamel.yaml import YAML

    _refuse_unsafe(text, name)
    return YAML(typ="rt").load(text)


def _refuse_unsafe(text: str, name: str) -> None:
    """Look at the parser's events before anything is built from them."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise RimError(
                f"{name}, line {line}: anchors and aliases (&, *) and tags (!) are not allowed: write it out."
            )
        if depth > MAX_DEPTH:
            raise RimError(f"{name}, line {line}: nested more than {MAX_DEPTH} deep.")


def _own_faults(items: "Sequence[ErrorDetails]") -> "Iterator[ErrorDetails]":
    """The errors without those that follow from others: pydantic calls a list too short for what is wrong inside it."""
    for item in items:
        path = item["loc"]
        inside = any(path == each["loc"][: len(path)] != each["loc"] for each in items)
        if item["type"] != "too_short" or not inside:
            yield item


def _path_and_problem(item: Mapping[str, Any]) -> tuple[FieldPath, str]:
    path, message = tuple(item["loc"]), str(item["msg"]).removeprefix("Value error, ")
    match item["type"]:
        case "missing":
            return path, "this field is needed"
        case "value_error":
            # The checks of a whole section begin with the path inside it.
            inside, colon, words = message.partition(": ")
            steps = (int(step) if step.isdigit() else step for step in inside.split("."))
            return ((*path, *steps), words) if colon else (path, message)
        case "union_tag_invalid":
            path = (*path, "kind")
    return path, f"{message} (given: {item['input']!r:.60})"
