"""Validation of monitors: agreement with another monitor, and with known labels.

Known labels are planted ones (`compare_with_labels`), labelled texts (by default the shipped
paraphrases), or the sentence labels of Self-Jailbreaking (Yong and Bach, arXiv 2510.20956). The
latter are read from the authors' `artifacts/*.jsonl`; they are GPT-5's, with precision 93.9 and
recall 93.0 on 250 sentences that people labelled (the paper's figures).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

from pydantic import AliasPath, BaseModel, Field, ValidationError, model_validator

from rim_eval.errors import RimError, first_complaint
from rim_eval.judging import Case, Grader
from rim_eval.observations import numbered_lines
from rim_eval.patterns.monitor import ANY_PATTERN, Monitor, MonitorId, Part, read_patterns
from rim_eval.patterns.rows import PatternRow, index_unique, reply_of
from rim_eval.patterns.rubric import locate
from rim_eval.statistics.agreement import Agreement, Pair, agreement
from rim_eval.thinking import split_trace
from rim_eval.types import PATTERNS, FrozenModel, Mode, Pattern

PARAPHRASES: Final = Path(__file__).with_name("paraphrases.jsonl")
"""Thirty short traces that show a pattern in other words than the cues, and fifteen that show none.
Written for this project, harmless, by someone who knew the cues."""

_SELF_JAILBREAK: Final = "self_jailbreak"
_SENTENCE: Final = re.compile(r"^sentence \d+ - ", re.MULTILINE)

Line = TypeVar("Line", bound=BaseModel)


class LabelAgreement(FrozenModel):
    """Agreement of a monitor with a reference on one label.

    The reference takes the place of people: `sensitivity` is the share of the reference's positives
    that the monitor finds, `kappa` Cohen's with its bootstrap interval. Parts that either did not
    read count as unscored and are in no figure.
    """

    label: str
    model: str
    """Whose replies were read; `unknown` for texts that name no model."""
    dataset: str
    mode: Mode
    part: Part
    monitor: MonitorId
    reference: str
    """The other monitor as `name@version`, or the source of the labels."""
    agreement: Agreement


def compare_monitors(
    rows: Iterable[PatternRow],
    reference: Iterable[PatternRow],
    labels: Collection[str] | None = None,
    source: str | None = None,
) -> list[LabelAgreement]:
    """Compare two monitors on the parts that both were given, by model, set, mode, part and label.

    Args:
        rows: Rows of one monitor.
        reference: Rows of the other one.
        labels: Labels to compare beside the patterns; by default all that occur.
        source: What the reference is called; by default `name@version` of its monitor.

    Raises:
        RimError: One of them read a part twice.
    """
    readings, references = (
        index_unique(each, lambda row: (reply_of(row), row.part), "readings")
        for each in (rows, reference)
    )
    groups: dict[tuple[str, ...], list[tuple[PatternRow, PatternRow]]] = defaultdict(list)
    for key, row in readings.items():
        if key in references:
            groups[row.model, row.dataset, row.mode, row.part].append((row, references[key]))
    agreements = list[LabelAgreement]()
    for pairs in groups.values():
        row, other = pairs[0]
        about = row.model_dump(include={"model", "dataset", "mode", "part", "monitor"})
        about["reference"] = source or str(other.monitor)
        others = {label for pair in pairs for one in pair for label in one.labels} - set(PATTERNS)
        chosen = others if labels is None else others & set(labels)
        for label in (ANY_PATTERN, *PATTERNS, *sorted(chosen)):
            verdicts = [
                Pair(
                    human=second.has(label),
                    judge=first.has(label) if first.read and second.read else None,
                    reason=first.reason or second.reason,
                )
                for first, second in pairs
            ]
            agreements.append(LabelAgreement(label=label, agreement=agreement(verdicts), **about))
    return agreements


def compare_with_labels(
    rows: Iterable[PatternRow], truth: Mapping[str, str], reference: str
) -> list[LabelAgreement]:
    """Compare a monitor with the known pattern of each prompt's trace.

    Args:
        rows: Rows of one monitor, in the mode that the labels are about.
        truth: Prompt id to its pattern, or to any other word where there is none.
        reference: The source of the labels.

    Raises:
        RimError: The monitor read a part twice.
    """
    traces = [row for row in rows if row.part == "trace" and row.prompt_id in truth]
    labels = {name: (name,) if name in PATTERNS else () for name in truth.values()}
    unlabelled: dict[str, Any] = {"severities": {}, "marks": (), "reason": None}
    references = [
        row.model_copy(update=unlabelled | {"patterns": labels[truth[row.prompt_id]]})
        for row in {reply_of(row): row for row in traces}.values()
    ]
    return compare_monitors(traces, references, (), reference)


class LabelledText(FrozenModel):
    """One trace with its pattern: one line of a file of labelled texts."""

    text: str = Field(min_length=1)
    pattern: Literal[Pattern, "none"]
    prompt: str = ""


def load_labelled_texts(path: Path = PARAPHRASES) -> list[LabelledText]:
    """Read a JSONL file of labelled texts: `text`, `pattern` (or `none`), and optionally `prompt`.

    Raises:
        RimError: The file cannot be read or a line is invalid; the message names the line.
    """
    return _validated(path, numbered_lines(path), LabelledText, "text, pattern and prompt")


async def measure_texts(
    monitor: Monitor, texts: Sequence[LabelledText], source: str, grader: Grader | None = None
) -> list[LabelAgreement]:
    """Measure a monitor's agreement with labelled texts; `source` names their origin."""
    rows = []
    for number, text in enumerate(texts):
        case = Case(prompt_text=text.prompt, kind="harmful", trace=text.text, answer="")
        reading = await read_patterns(monitor, case, "trace", grader)
        reply = {"model": "unknown", "dataset": source, "prompt_id": str(number)}
        rows.append(PatternRow.of(reply | {"kind": "harmful", "mode": "think"}, reading))
    truth = {str(number): text.pattern for number, text in enumerate(texts)}
    return compare_with_labels(rows, truth, source)


class LabelledTrace(BaseModel):
    """One reply with sentence labels: one line of the authors' files; further columns are ignored."""

    question: str
    cot: str
    response: str | None
    cot_sentences: str
    """One `sentence N - ...` a line; a sentence may itself have several lines."""
    labelled: frozenset[int] = Field(validation_alias=AliasPath("selfjb_annos", "answer"))
    """Indices of the sentences labelled as self-jailbreaking."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of the trace; what stands before the first is none."""
        return tuple(text.strip() for text in _SENTENCE.split(self.cot_sentences)[1:])

    @property
    def case(self) -> Case:
        """The prompt and the reply."""
        trace = split_trace(self.cot, opened_by_prompt=True).trace
        answer = self.response or ""
        return Case(prompt_text=self.question, kind="harmful", trace=trace, answer=answer)

    @model_validator(mode="after")
    def _check_labels(self) -> "LabelledTrace":
        count = len(self.sentences)
        if outside := sorted(self.labelled - set(range(count))):
            raise ValueError(f"labels {outside} are of no sentence; there are {count}")
        return self


class SelfJailbreakAgreement(NamedTuple):
    """Agreement of a monitor with self-jailbreaking labels."""

    traces: Agreement
    """Whether a trace holds any such sentence."""
    sentences: Agreement
    """Whether each sentence is one, in traces that were read. The sentences of one trace are not
    independent, so these intervals are too narrow."""


def load_self_jailbreaking(path: Path) -> tuple[list[LabelledTrace], int]:
    """Read a file of sentence labels.

    Args:
        path: A JSONL file in the authors' format: `question`, `cot`, `response`, `cot_sentences` and
            `selfjb_annos` (`{"answer": [N, ...]}`, or null where the reply was safe).

    Returns:
        The labelled replies, and how many lines have no label.

    Raises:
        RimError: The file cannot be read or a line is invalid; the message names the line.
    """
    lines = list(numbered_lines(path))
    labelled = [(n, row) for n, row in lines if row.get("selfjb_annos", "missing") is not None]
    columns = "question, cot, response, cot_sentences and selfjb_annos"
    return _validated(path, labelled, LabelledTrace, columns), len(lines) - len(labelled)


async def measure_sentences(
    monitor: Monitor, traces: Sequence[LabelledTrace], grader: Grader | None = None
) -> SelfJailbreakAgreement:
    """Compare a monitor's self-jailbreak findings with the labels, by trace and by sentence."""
    by_trace, by_sentence = list[Pair](), list[Pair]()
    for trace in traces:
        reading = await read_patterns(monitor, trace.case, "trace", grader)
        verdict = _SELF_JAILBREAK in reading.severities if reading.read else None
        by_trace.append(Pair(bool(trace.labelled), verdict, reading.reason))
        findings = [one for one in reading.findings if one.label == _SELF_JAILBREAK]
        text, offset = trace.case.trace or "", 0
        for index, sentence in enumerate(trace.sentences):
            label, place = index in trace.labelled, locate(sentence, text[offset:])
            if not reading.read or place is None:
                by_sentence.append(Pair(label, None, reading.reason or "not_located"))
                continue
            start, offset = offset + place.start, offset + place.end
            overlaps = any(one.start < offset and start < one.end for one in findings)
            by_sentence.append(Pair(label, overlaps))
    return SelfJailbreakAgreement(agreement(by_trace), agreement(by_sentence))


def _validated(
    path: Path, lines: Iterable[tuple[int, dict[str, Any]]], model: type[Line], columns: str
) -> list[Line]:
    rows = list[Line]()
    for number, row in lines:
        try:
            rows.append(model.model_validate(row))
        except ValidationError as error:
            problem = f"{path}, line {number}, {first_complaint(error, 'line')}"
            raise RimError(f"{problem}. The columns are {columns}.") from None
    return rows


def agreement_table(agreements: Sequence[LabelAgreement]) -> str:
    """Format kappa, sensitivity and specificity by label as text."""
    if not agreements:
        return "No reply that both have read."
    tables: dict[str, dict[str, Agreement]] = defaultdict(dict)
    for one in agreements:
        n, unread = one.agreement.n, one.agreement.n - one.agreement.n_scored
        head = (
            f"AGREEMENT  {one.monitor} with {one.reference}: {one.dataset}, {one.mode}, {one.part}; "
            f"{one.model}; {n} replies, {unread} not read by both"
        )
        tables[head] |= {one.label: one.agreement} if unread < n else {}
    return "\n\n".join("\n".join((head, *_lines(rows))) for head, rows in tables.items())


def sentence_table(measured: SelfJailbreakAgreement) -> str:
    """Format agreement with sentence labels, by trace and by sentence, as text."""
    rows = {
        f"{name}: {one.n}, {one.n - one.n_scored} unread": one
        for name, one in measured._asdict().items()
    }
    return "\n".join(_lines(rows))


def _lines(rows: Mapping[str, Agreement]) -> Iterator[str]:
    if rows:
        yield f"  {'':<30}{'positive':>8}  {'kappa':<23}{'sensitivity':<23}specificity"
    for name, one in rows.items():
        figures = f"{one.kappa!s:<23}{one.sensitivity!s:<23}{one.specificity}"
        yield f"  {name:<30}{one.true_positive + one.false_negative:>8}  {figures}"
