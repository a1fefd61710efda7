"""The rubric monitor: a grader model reads by a rubric, and only labels with a true quotation count."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Annotated, ClassVar, Final, NamedTuple, Self

from pydantic import Field, model_validator

from rim_eval import judging
from rim_eval.errors import RimError
from rim_eval.patterns.monitor import Finding, MonitorId, MonitorResult, Part, part_text
from rim_eval.types import PATTERNS, Pattern
from rim_eval.yaml_file import YamlFile, YamlSection

MIN_QUOTE: Final = 8
"""Fewest letters and digits of a quotation: a shorter one occurs in nearly every text."""

MAX_SEVERITY: Final = 3

_SHIPPED: Final = Path(__file__).with_name("rubric.yaml")

_QUOTE: Final = re.compile(
    r"<\s*quote\s+of\s*=\s*[\"'“”]?\s*(?P<label>[A-Za-z0-9_]{1,60})\s*[\"'“”]?\s*>"
    r"(?P<words>(?:(?!<\s*quote\b).){1,2000}?)<\s*/\s*quote\s*>",
    re.IGNORECASE | re.DOTALL,
)
_TYPOGRAPHY: Final = str.maketrans("‘’‚‛“”„«»‹›⟦⟧◁▷‐‑‒–—−\u00a0", '\'\'\'\'"""""<>[]<>------ ')
"""Typographic characters, and the look-alikes of neutralised markers, to plain ones; one for one."""

_QUOTE_MARGIN: Final = " \t\r\n\"'`*_"
_ELLIPSIS: Final = re.compile(r"^(?:\.{3}|…)\s*|\s*(?:\.{3}|…)$")


class RubricItem(YamlSection):
    """One category or behaviour to look for."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str
    definition: str
    pattern: Pattern | None = None
    """The pattern that the category belongs to, if any."""


class Rubric(judging.Dialogue):
    """Content of a rubric file, and the monitor that asks a grader model by it."""

    needs_grader: ClassVar = True

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: int = Field(ge=1)
    """Raise it whenever a finding could change."""
    title: str
    source: judging.Source
    categories: tuple[RubricItem, ...] = Field(min_length=1)
    """Raw categories of misbehaviour."""
    behaviours: tuple[RubricItem, ...] = ()
    """Further labels, which belong to no pattern."""
    messages: tuple[judging.Message, ...] = Field(min_length=1)
    """The conversation with the grader: Jinja templates over `request`, `context`, `text`, `part`
    (`reasoning` or `answer`) and `items`."""

    _sha256: str = ""
    """Of the file, in hexadecimal."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        repeated = [name for name, n in Counter((*self.labels, *PATTERNS)).items() if n > 1]
        if repeated:
            raise ValueError(
                f"categories: {', '.join(sorted(repeated))} named twice, or named as a pattern is"
            )
        if any(item.pattern for item in self.behaviours):
            raise ValueError("behaviours: a behaviour is in no pattern; make it a category")
        return self

    @property
    def items(self) -> tuple[RubricItem, ...]:
        """Categories, then behaviours, in the order in which the grader is asked."""
        return (*self.categories, *self.behaviours)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the items."""
        return tuple(item.name for item in self.items)

    @property
    def grouping(self) -> dict[str, Pattern]:
        """The pattern of each category that belongs to one."""
        return {item.name: item.pattern for item in self.categories if item.pattern}

    def identity(self, grader: judging.Grader | None) -> MonitorId:
        """Identify the rubric and the grader."""
        return MonitorId(
            name=self.name,
            version=str(self.version),
            sha256=self._sha256,
            grader=str(grader) if grader is not None else None,
        )

    async def find(
        self, case: judging.Case, part: Part, grader: judging.Grader | None
    ) -> MonitorResult:
        """Ask the grader for a severity of 0 to 3 of each item, and check its quotations.

        Raises:
            RimError: There is no grader.
        """
        if grader is None:
            raise RimError(
                "The rubric monitor asks a grader model, and none was given; the evaluated model never "
                "reads itself. Pass --model-role grader=MODEL (inspect) or --grader MODEL (rim-eval), "
                "or use the offline baseline: monitor=cues."
            )
        scale = judging.ReplyField(integers=(0, MAX_SEVERITY))
        reader = judging.FieldsReader(kind="tags", fields=dict.fromkeys(self.labels, scale))
        read = partial(judging.parse_verdict, reader)
        reply = await judging.ask_grader(self, read, self._messages(case, part), grader)
        if reply.parsed is None:
            return MonitorResult(
                reason=reply.reason, explanation=reply.problem, replies=reply.replies
            )
        severities = {name: int(str(value)) for name, value in reply.parsed.values.items()}
        findings = _quoted(reply.parsed.explanation, severities, part_text(case, part))
        supported = {finding.label for finding in findings}
        unsupported = [name for name, n in severities.items() if n and name not in supported]
        return MonitorResult(findings, unsupported, replies=reply.replies)

    def _messages(self, case: judging.Case, part: Part) -> list[tuple[str, str]]:
        tags = ("quote", "request", "context", "material", *self.labels)
        values = {
            "request": judging.escape_markers(case.prompt_text, tags),
            "context": judging.escape_markers(case.context, tags) if case.context else None,
            "text": judging.escape_markers(part_text(case, part), tags),
            "part": "reasoning" if part == "trace" else "answer",
            "items": [item.model_dump(mode="json") for item in self.items],
        }
        return self.rendered(values)


@cache
def load_rubric(path: Path = _SHIPPED) -> Rubric:
    """Load a rubric file, by default the shipped one.

    Raises:
        RimError: The file cannot be read or is invalid; the message names file, line and field.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RimError(f"Rubric {path}: {error.strerror}. Pass the path of a YAML file.") from None
    rubric = YamlFile.parse(raw, str(path)).validate(Rubric)
    rubric._sha256 = hashlib.sha256(raw).hexdigest()
    return rubric


def _quoted(reply: str, severities: Mapping[str, int], text: str) -> list[Finding]:
    """Findings whose quotation occurs in the text, each place once, in the order of the text."""
    findings: dict[tuple[str, int], Finding] = {}
    for match in _QUOTE.finditer(reply):
        label = match["label"].lower()
        place = locate(match["words"], text) if severities.get(label) else None
        if place is not None:
            finding = Finding.at(label, severities[label], text, *place)
            findings.setdefault((label, place.start), finding)
    return sorted(findings.values(), key=lambda finding: (finding.start, finding.label))


class Place(NamedTuple):
    """A span of a text: characters from `start` up to, not including, `end`."""

    start: int
    end: int


def locate(quote: str, text: str) -> Place | None:
    """Find the first occurrence of a quotation in a text, word for word.

    White space, typographic characters, surrounding quotation marks and an ellipsis at either end
    are ignored. Any other change, such as words left out, is no match.

    Args:
        quote: The quoted words.
        text: The text.

    Returns:
        None when the words do not occur, or have fewer than `MIN_QUOTE` letters and digits.
    """
    plain = quote.translate(_TYPOGRAPHY).strip(_QUOTE_MARGIN)
    words = _ELLIPSIS.sub("", plain).strip(_QUOTE_MARGIN).split()
    if sum(character.isalnum() for word in words for character in word) < MIN_QUOTE:
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), text.translate(_TYPOGRAPHY))
    return Place(*match.span()) if match else None
