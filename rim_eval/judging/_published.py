"""Prompts in their publishers' own words: fetched at a pinned commit, read as data, held against a checksum.

No text is shipped. A file comes from `<folder>/judges/<judge>/<file>` of the data folder, else from the cache or the
publisher. It is never executed: a whole text file, a string of a JSON file, or a string constant of a Python file.
"""

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from rim_eval.errors import AccessError, RimError
from rim_eval.paths import judges_dir
from rim_eval.prompt_sets import GithubSource, HubSource, download_file
from rim_eval.prompt_sets.sources import DATA_VARIABLE
from rim_eval.yaml_file import YamlSection

_MAX_BYTES: Final = 2**20
_TEXTS: Final[dict[str, str]] = {}
"""Texts of this process, by their SHA-256."""

Part = Literal["request", "context", "category", "answer", "reasoning", "response"]


class PublishedText(YamlSection):
    """One text in a publisher's file, and what stands in its places."""

    at: tuple[str, ...] = ()
    """Where in the file: keys of JSON; in Python names of classes, functions and a constant, then keys of a
    dictionary. Left out for a whole text file."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the text in UTF-8, in hexadecimal."""
    fill: tuple[tuple[str, Part], ...] = Field(min_length=1)
    """The publisher's places and what is put there, in the order in which they stand in the text. A `request`
    begins with its context where no place is for the context."""

    @property
    def parts(self) -> set[str]:
        """What is shown."""
        return {part for _, part in self.fill}

    def filled(self, values: Mapping[str, str | None]) -> str:
        """The text with the values in its places; a value that looks like a place stays as it is."""
        if values["context"] and "context" not in self.parts:
            values = {**values, "request": f"{values['context']}\n\n{values['request'] or ''}"}
        first, *others = re.split(self._places, _TEXTS[self.sha256])
        filled = (values[part] or "" for _, part in self.fill)
        return first + "".join(map("".join, zip(filled, others, strict=True)))

    def check(self, text: str) -> str:
        """The text itself.

        Raises:
            ValueError: It is another one than the pinned one, or has other places.
        """
        if (sha256 := hashlib.sha256(text.encode()).hexdigest()) != self.sha256:
            raise ValueError(f"its SHA-256 is {sha256[:12]}, expected {self.sha256[:12]}")
        if (places := re.findall(self._places, text)) != [place for place, _ in self.fill]:
            raise ValueError(f"its places are {places}, not those of `fill`")
        return text

    @property
    def _places(self) -> str:
        return "|".join(re.escape(place) for place, _ in self.fill)


class PublishedPrompt(YamlSection):
    """A message that is taken from a file of the publisher's repository."""

    source: Annotated[GithubSource | HubSource, Field(discriminator="type")]
    file: str
    """Path in the repository; its ending (.py, .json, another) says how it is read."""
    texts: tuple[PublishedText, ...] = Field(min_length=1, max_length=2)
    """The first one counts; a second one for prompts that have a context."""

    def shown(self, values: Mapping[str, str | None]) -> str:
        """The values that each text shows; the context always is, before the request where it has no place."""
        parts = set.intersection(*(text.parts for text in self.texts)) | {"context"}
        return "\n".join(values[part] or "" for part in sorted(parts))

    def filled(self, values: Mapping[str, str | None]) -> str:
        """The text for a prompt with or without context, with the values in its places."""
        return self.texts[-1 if values["context"] else 0].filled(values)

    def fetch(self, judge: str, data: Path | None = None) -> str:
        """All texts, loaded once a process.

        Args:
            judge: The judge's name.
            data: The data folder; else that of `RIM_EVAL_DATA`.

        Raises:
            AccessError: There is no network and no copy, or the publisher has not granted access.
            RimError: The file or a text in it is not the pinned one.
        """
        if any(text.sha256 not in _TEXTS for text in self.texts):
            name = Path(self.file).name
            try:
                content = self._content(Path("judges", judge, name), data)
                for text in self.texts:
                    _TEXTS[text.sha256] = text.check(_string(name, content, text.at))
            except (RimError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
                kind = type(error) if isinstance(error, AccessError) else RimError
                own = (
                    f"{judge}_own"
                    if (judges_dir() / f"{judge}_own.yaml").is_file()
                    else "hexphi_own"
                )
                raise kind(
                    f"Judge `{judge}` asks with its publisher's prompt. {self.file}: {error}.\n"
                    f"Next: connect this machine and run once; or copy {self.file} of {self.source.repo} at "
                    f"{self.source.revision or 'main'} to <folder>/judges/{judge}/{name} and set {DATA_VARIABLE}="
                    f"<folder>; or judge in our own wording: -T judge={own}"
                ) from error
        return "\n".join(_TEXTS[text.sha256] for text in self.texts)

    def _content(self, path: Path, data: Path | None) -> bytes:
        for folder in (data, os.environ.get(DATA_VARIABLE)):
            if folder and (local := Path(folder).expanduser() / path).is_file():
                return local.read_bytes()
        whole = None if self.texts[0].at else self.texts[0].sha256
        return download_file(self.source, self.file, sha256=whole).content


def _string(name: str, content: bytes, steps: tuple[str, ...]) -> str:
    """The string at `steps` of a file, read without executing anything."""
    if len(content) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES} bytes")
    value: Any = content.decode("utf-8")
    if name.endswith((".json", ".py")):
        value = json.loads(value) if name.endswith(".json") else ast.parse(value)
    for step in steps:
        found = list(_inside(value, step))
        if len(found) != 1:
            raise ValueError(f"`{step}` is there {len(found)} times, not once")
        value = found[0]
    value = _literal(value) if isinstance(value, ast.AST) else value
    if not isinstance(value, str):
        raise ValueError(f"{'.'.join(steps) or 'the whole file'} is no string constant")
    return value


def _inside(value: Any, name: str) -> Iterator[Any]:
    """What a JSON object, a dictionary, or the body of a module, class or function has under a name."""
    if isinstance(value, dict) and name in value:
        yield value[name]
    if isinstance(value, ast.Dict):
        pairs = zip(value.keys, value.values, strict=True)
        yield from (
            item for key, item in pairs if isinstance(key, ast.Constant) and key.value == name
        )
    body = value.body if isinstance(value, ast.Module | ast.ClassDef | ast.FunctionDef) else ()
    for node in body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if getattr(node, "name", None) == name:
            yield node
        elif any(isinstance(target, ast.Name) and target.id == name for target in targets):
            yield getattr(node, "value", None)


def _literal(node: ast.AST) -> str | None:
    """A string constant, or strings joined by plus."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left), _literal(node.right)
        return None if left is None or right is None else left + right
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
