"""Prompts in their publishers' own words: what stands in the places of a text that is pinned by its checksum.

No text is shipped. A file comes from `<folder>/judges/<judge>/<file>` of the data folder, else from the cache or the
publisher (`prompt_sets.texts`).
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from rim_eval.errors import AccessError, RimError
from rim_eval.paths import judges_dir
from rim_eval.prompt_sets.registry import GithubSource, HubSource, Sha256
from rim_eval.prompt_sets.sources import DATA_VARIABLE
from rim_eval.prompt_sets.texts import publishers_file, text_at
from rim_eval.yaml_file import YamlSection

_TEXTS: Final[dict[str, str]] = {}
"""Texts of this process, by their SHA-256."""

Part = Literal["request", "context", "category", "answer", "reasoning", "response"]


class PublishedText(YamlSection):
    """One text in a publisher's file, and what stands in its places."""

    at: tuple[str, ...] = ()
    """Where in the file: keys of JSON or YAML, in a list the `id` of an item; in Python names of classes, functions and a constant, then keys of a
    dictionary. Left out for a whole text file."""
    sha256: Sha256
    """Of the text in UTF-8."""
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
        pieces = re.split(f"({self._places})", _TEXTS[self.sha256])
        pieces[1::2] = [values[part] or "" for _, part in self.fill]
        return "".join(pieces)

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
    """Path in the repository; its ending (.py, .json, .yaml, another) says how it is read."""
    texts: tuple[PublishedText, ...] = Field(min_length=1, max_length=2)
    """The first one counts; a second one for prompts that have a context."""

    def placed_values(self, values: Mapping[str, str | None]) -> str:
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
            local = Path("judges", judge, Path(self.file).name)
            whole = None if self.texts[0].at else self.texts[0].sha256
            try:
                content = publishers_file(self.source, self.file, local, data, whole)
                for text in self.texts:
                    _TEXTS[text.sha256] = text.check(text_at(local.name, content, text.at))
            except (RimError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
                kind = type(error) if isinstance(error, AccessError) else RimError
                own = f"{judge}_own" if (judges_dir() / f"{judge}_own.yaml").is_file() else "policy"
                raise kind(
                    f"Judge `{judge}` asks with its publisher's prompt. {self.file}: {error}.\n"
                    f"Next: connect this machine and run once; or copy {self.file} of {self.source.repo} at "
                    f"{self.source.revision or 'main'} to <folder>/{local.as_posix()} and set {DATA_VARIABLE}="
                    f"<folder>; or name the judge in our own wording, `{own}`"
                ) from error
        return "\n".join(_TEXTS[text.sha256] for text in self.texts)
