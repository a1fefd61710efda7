"""Rows to drafts of prompts: columns get their meaning, and every row is checked."""

import re
from dataclasses import dataclass, field
from typing import Any

from rim_eval.prompt_sets._formats import ReadFile, Row
from rim_eval.prompt_sets._problem import problem
from rim_eval.prompt_sets._schema import Columns, PromptSet, SourceFile
from rim_eval.types import PromptKind

__all__ = ["Draft", "drafts"]


@dataclass(frozen=True)
class Draft:
    """A prompt before it has an id and a partner."""

    kind: PromptKind
    text: str
    category: str | None
    subset: str | None
    context: str | None
    target: str | None
    pair_key: str | None
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def order(self) -> tuple[str, ...]:
        """What tells equal texts apart."""
        return (self.subset or "", self.target or "", self.category or "", self.pair_key or "")


def drafts(
    entry: PromptSet, source: SourceFile, file: ReadFile, columns: Columns, rows: list[Row]
) -> list[Draft]:
    """Checks all rows of a file and gives them their meaning.

    Raises:
        RimError: for a missing column, an empty prompt, a value that cannot be read.
    """
    return [_Reader(entry, source, file, columns, row).draft() for row in rows]


@dataclass(frozen=True)
class _Reader:
    entry: PromptSet
    source: SourceFile
    file: ReadFile
    columns: Columns
    row: Row

    def draft(self) -> Draft:
        self._require_columns()
        columns, subset = self.columns, self._subset()
        return Draft(
            kind=(subset and self.entry.subsets[subset].kind) or self.entry.kind,
            text=self._prompt(),
            category=self._text(columns.category) or self.source.category,
            subset=subset,
            context=self._text(columns.context),
            target=self._target(),
            pair_key=self._text(columns.pair),
            labels=self._labels(),
        )

    def _require_columns(self) -> None:
        for column in self.columns.required:
            if column not in self.row.values:
                raise self._problem(
                    f"no column {column!r} among {', '.join(map(repr, self.row.values))}",
                    expected=f"the columns {', '.join(self.columns.required)}",
                    step="check that this is the right file and that its first line is the header.",
                )

    def _prompt(self) -> str:
        value = self.row.values[self.columns.prompt]
        # SORRY-Bench holds its one user turn in a list.
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str):
            raise self._problem(
                "the prompt is null"
                if value is None
                else f"the prompt is a {type(value).__name__}",
                expected="text, or a list of one text",
                step=f"check the column {self.columns.prompt!r}.",
            )
        text = self._unicode(self.columns.prompt, value).replace("\r\n", "\n").strip()
        if not text:
            raise self._problem(
                "the prompt is empty",
                expected="a prompt in every row",
                step="get the file again from its publisher, or remove that row.",
            )
        return text

    def _subset(self) -> str | None:
        if not self.columns.subset:
            return self.source.subset
        value = self._text(self.columns.subset)
        by_value = {subset.value or name: name for name, subset in self.entry.subsets.items()}
        if value not in by_value:
            raise self._problem(
                f"column {self.columns.subset!r} is {value!r}",
                expected=f"one of {', '.join(by_value)}",
                step="get the file again from its publisher.",
            )
        return by_value[value]

    def _target(self) -> str | None:
        value = self._text(self.columns.target)
        if self.columns.target and value is None:
            raise self._problem(
                "the gold answer is empty",
                expected=f"an answer in the column {self.columns.target!r}",
                step="get the file again from its publisher.",
            )
        if value is None or not self.columns.target_pattern:
            return value
        if not (found := re.search(self.columns.target_pattern, value)):
            raise self._problem(
                f"no gold answer in the column {self.columns.target!r}",
                expected=f"a text that matches {self.columns.target_pattern}",
                step="get the file again from its publisher.",
            )
        return found.group(1).strip()

    def _labels(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for column in self.columns.labels:
            value = self.row.values.get(column)
            pairs = value.items() if isinstance(value, dict) else [(column, value)]
            found |= {str(key): str(one) for key, one in pairs if one is not None}
        return found

    def _text(self, column: str | None) -> str | None:
        value: Any = self.row.values.get(column) if column else None
        return None if value is None else self._unicode(column, str(value)).strip() or None

    def _unicode(self, column: str | None, text: str) -> str:
        """The text, unless it holds what JSON can spell but no file and no request can carry."""
        if re.search("[\ud800-\udfff]", text):
            raise self._problem(
                f"column {column!r} holds half of a surrogate pair",
                expected="Unicode text",
                step="mend that row.",
            )
        return text

    def _problem(self, found: str, *, expected: str, step: str) -> Exception:
        return problem(
            self.file.set, self.file.name, found, row=self.row.number, expected=expected, step=step
        )
