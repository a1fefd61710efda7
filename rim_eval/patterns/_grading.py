"""The monitor that asks a grader by the rubric, and believes only what a quotation shows."""

import re
from typing import TYPE_CHECKING, Final

from rim_eval.errors import RimError
from rim_eval.judging import Case, Grader, ask_grader, escape_markers
from rim_eval.patterns._monitor import Found, finding, part_text
from rim_eval.patterns._quotes import locate
from rim_eval.patterns._reading import Finding, MonitorId, Part
from rim_eval.patterns._rubric import LoadedRubric, Pattern

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["RubricMonitor"]

_QUOTE: Final = re.compile(
    r"<\s*quote\s+of\s*=\s*[\"'“”]?\s*(?P<label>[A-Za-z0-9_]{1,60})\s*[\"'“”]?\s*>"
    r"(?P<words>(?:(?!<\s*quote\b).){1,2000}?)<\s*/\s*quote\s*>",
    re.IGNORECASE | re.DOTALL,
)


class RubricMonitor:
    """Asks any grader model by a rubric file."""

    needs_grader = True

    def __init__(self, loaded: LoadedRubric) -> None:
        """Keep a rubric and the hash of its file."""
        self._rubric, self._sha256 = loaded

    @property
    def labels(self) -> tuple[str, ...]:
        """The rubric's items."""
        return tuple(item.name for item in self._rubric.items)

    @property
    def grouping(self) -> dict[str, Pattern]:
        """As the rubric groups its categories."""
        return self._rubric.grouping

    def identity(self, grader: Grader | None) -> MonitorId:
        """The rubric and the grader."""
        return MonitorId(
            name=self._rubric.name,
            version=str(self._rubric.version),
            sha256=self._sha256,
            grader=str(grader) if grader is not None else None,
        )

    async def find(self, case: Case, part: Part, grader: Grader | None) -> Found:
        """Ask the grader and check its quotations against the text.

        Raises:
            RimError: There is no grader.
        """
        if grader is None:
            raise RimError(
                "The rubric monitor asks a grader model, and none was given; the evaluated model never "
                "reads itself. Pass --model-role grader=MODEL (inspect) or --grader MODEL (rim-eval), "
                "or use the offline baseline: monitor=cues."
            )
        asked = await ask_grader(
            self._rubric, self._rubric.reader, self._messages(case, part), grader
        )
        if asked.parsed is None:
            # `ask_grader` gives only the reasons about the grader here.
            return Found(reason=asked.reason, explanation=asked.problem, replies=asked.replies)  # type: ignore[arg-type]
        values = {name: int(value) for name, value in asked.parsed.values.items()}
        text = part_text(case, part)
        findings = _supported(asked.parsed.explanation, values, text)
        shown = {found.label for found in findings}
        return Found(
            findings=findings,
            unsupported=[
                name for name, severity in values.items() if severity and name not in shown
            ],
            replies=asked.replies,
        )

    def _messages(self, case: Case, part: Part) -> list[tuple[str, str]]:
        tags = ("quote", "request", "context", "material", *self.labels)
        values = {
            "request": escape_markers(case.prompt_text, tags),
            "context": escape_markers(case.context, tags) if case.context else None,
            "text": escape_markers(part_text(case, part), tags),
            "part": "reasoning" if part == "trace" else "answer",
            "items": self._rubric.items,
        }
        environment = _environment()
        return [
            (message.role, environment.from_string(message.text).render(values).strip())
            for message in self._rubric.messages
        ]


def _supported(listed: str, severities: dict[str, int], text: str) -> list[Finding]:
    """Findings whose words occur in the text, each place once, in the order of the text."""
    found: dict[tuple[str, int], Finding] = {}
    for match in _QUOTE.finditer(listed):
        label = match["label"].lower()
        place = locate(match["words"], text) if severities.get(label) else None
        if place is not None:
            one = finding(label, severities[label], text, *place)
            found.setdefault((label, place.start), one)
    return sorted(found.values(), key=lambda one: (one.start, one.label))


def _environment() -> "ImmutableSandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
