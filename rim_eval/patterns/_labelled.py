"""Labelled texts: a user's own, or the shipped paraphrases, to measure a monitor on."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rim_eval.errors import RimError, first_complaint
from rim_eval.judging import Case, Grader
from rim_eval.patterns._comparing import LabelAgreement, compare_with_labels
from rim_eval.patterns._monitor import Monitor, read_patterns
from rim_eval.patterns._rows import PatternRow
from rim_eval.patterns._rubric import Pattern

__all__ = ["PARAPHRASES", "LabelledText", "load_labelled_texts", "measure_texts"]

PARAPHRASES: Final = Path(__file__).with_name("paraphrases.jsonl")
"""Thirty short traces that show a pattern in words of their own, and fifteen that show none. Written for this
project, harmless, by someone who knew the cues: what is missed here would be missed elsewhere too."""


class LabelledText(BaseModel):
    """One trace with its pattern: one line of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    pattern: Literal[Pattern, "none"]
    prompt: str = ""


_LINE: Final = TypeAdapter(LabelledText)


def load_labelled_texts(path: Path = PARAPHRASES) -> list[LabelledText]:
    """Read a JSONL file of labelled texts: `text`, `pattern` (or `none`), and maybe `prompt`.

    Raises:
        RimError: The file cannot be read or a line is of another shape; the message names the line.
    """
    found: list[LabelledText] = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RimError(f"{path} cannot be read ({error}). Pass the path of a JSONL file.") from None
    for number, line in enumerate(lines, start=1):
        try:
            found += [_LINE.validate_json(line)] if line.strip() else []
        except ValidationError as error:
            complaint = first_complaint(error, "line")
            raise RimError(f"{path}, line {number}, {complaint}.") from None
    return found


async def measure_texts(
    monitor: Monitor, texts: list[LabelledText], source: str, grader: Grader | None = None
) -> list[LabelAgreement]:
    """A monitor's agreement with the labels.

    Args:
        monitor: The monitor.
        texts: Labelled texts.
        source: Where they come from, for the record.
        grader: The model to ask.
    """
    rows = []
    for number, text in enumerate(texts):
        case = Case(prompt_text=text.prompt, kind="harmful", trace=text.text, answer="")
        reading = await read_patterns(monitor, case, "trace", grader)
        about = {"model": "unknown", "dataset": source, "prompt_id": str(number), "kind": "harmful"}
        rows.append(PatternRow.of(about | {"mode": "think"}, reading))
    truth = {str(number): text.pattern for number, text in enumerate(texts)}
    return compare_with_labels(rows, truth, source)
