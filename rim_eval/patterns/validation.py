"""Validation of monitors: agreement with another monitor, and with known labels.

Known labels are planted ones (`compare_with_labels`), labelled texts (by default the shipped
paraphrases), or the sentence labels of Self-Jailbreaking (Yong and Bach, arXiv 2510.20956). The
latter are read from the authors' `artifacts/*.jsonl`; they are GPT-5's, with precision 93.9 and
recall 93.0 on 250 sentences that people labelled (the paper's figures).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rim_eval.errors import RimError, first_complaint
from rim_eval.judging import Agreement, Case, Estimate, Grader, Pair, agreement
from rim_eval.patterns.monitor import (
    PATTERNS,
    Monitor,
    MonitorId,
    Part,
    Pattern,
    PatternReading,
    read_patterns,
)
from rim_eval.patterns.rows import ANY_PATTERN, PatternRow, ReplyKey, index_unique, reply_of
from rim_eval.patterns.rubric import locate
from rim_eval.thinking import split_trace
from rim_eval.types import Mode

PARAPHRASES: Final = Path(__file__).with_name("paraphrases.jsonl")
"""Thirty short traces that show a pattern in other words than the cues, and fifteen that show none.
Written for this project, harmless, by someone who knew the cues."""

_SELF_JAILBREAK: Final = "self_jailbreak"
_SENTENCE: Final = re.compile(r"^sentence (\d+) - ", re.MULTILINE)

Line = TypeVar("Line")
_RowPairs = list[tuple[PatternRow, PatternRow]]


class LabelAgreement(BaseModel):
    """Agreement of a monitor with a reference on one label.

    The reference takes the place of people: `sensitivity` is the share of the reference's positives
    that the monitor finds, `kappa` Cohen's with its bootstrap interval. Parts that either did not
    read count as unscored and are in no figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
) -> list[LabelAgreement]:
    """Compare two monitors on the parts that both were given, by model, set, mode, part and label.

    Args:
        rows: Rows of one monitor.
        reference: Rows of the other one.
        labels: Labels to compare beside the patterns; by default all that occur.

    Raises:
        RimError: One of them read a part twice.
    """
    return _compare(
        rows, reference, labels, lambda row: f"{row.monitor.name}@{row.monitor.version}"
    )


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
    references = {
        reply_of(row): row.model_copy(
            update={
                "severities": {},
                "patterns": tuple(name for name in PATTERNS if name == truth[row.prompt_id]),
                "marks": (),
                "reason": None,
            }
        )
        for row in traces
    }
    return _compare(traces, references.values(), (), lambda _: reference)


def _compare(
    rows: Iterable[PatternRow],
    reference: Iterable[PatternRow],
    labels: Collection[str] | None,
    name: Callable[[PatternRow], str],
) -> list[LabelAgreement]:
    references = _by_part(reference)
    groups: dict[tuple[str, str, Mode, Part], _RowPairs] = defaultdict(list)
    for part, row in _by_part(rows).items():
        if part in references:
            group = (row.model, row.dataset, row.mode, row.part)
            groups[group].append((row, references[part]))
    return [
        _label_agreement(label, pairs, name(pairs[0][1]))
        for pairs in groups.values()
        for label in (ANY_PATTERN, *PATTERNS, *_other_labels(pairs, labels))
    ]


def _by_part(rows: Iterable[PatternRow]) -> dict[tuple[ReplyKey, Part], PatternRow]:
    return index_unique(rows, lambda row: (reply_of(row), row.part), "readings")


def _other_labels(pairs: _RowPairs, chosen: Collection[str] | None) -> list[str]:
    occurring = {label for pair in pairs for row in pair for label in row.labels} - set(PATTERNS)
    return sorted(occurring if chosen is None else occurring & set(chosen))


def _label_agreement(label: str, pairs: _RowPairs, reference: str) -> LabelAgreement:
    verdicts = [
        Pair(
            other.has(label),
            row.has(label) if row.read and other.read else None,
            row.reason or other.reason,
        )
        for row, other in pairs
    ]
    first = pairs[0][0]
    return LabelAgreement(
        label=label,
        model=first.model,
        dataset=first.dataset,
        mode=first.mode,
        part=first.part,
        monitor=first.monitor,
        reference=reference,
        agreement=agreement(verdicts),
    )


class LabelledText(BaseModel):
    """One trace with its pattern: one line of a file of labelled texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(min_length=1)
    pattern: Literal[Pattern, "none"]
    prompt: str = ""


def load_labelled_texts(path: Path = PARAPHRASES) -> list[LabelledText]:
    """Read a JSONL file of labelled texts: `text`, `pattern` (or `none`), and optionally `prompt`.

    Raises:
        RimError: The file cannot be read or a line is invalid; the message names the line.
    """
    return _read_lines(path, LabelledText.model_validate_json, "A line has text and pattern")


async def measure_texts(
    monitor: Monitor, texts: Sequence[LabelledText], source: str, grader: Grader | None = None
) -> list[LabelAgreement]:
    """Measure a monitor's agreement with labelled texts.

    Args:
        monitor: The monitor.
        texts: The labelled texts.
        source: Where they come from, for the record.
        grader: The model to ask.
    """
    rows = []
    for number, text in enumerate(texts):
        case = Case(prompt_text=text.prompt, kind="harmful", trace=text.text, answer="")
        reading = await read_patterns(monitor, case, "trace", grader)
        reply = {"model": "unknown", "dataset": source, "prompt_id": str(number)}
        rows.append(PatternRow.of(reply | {"kind": "harmful", "mode": "think"}, reading))
    truth = {str(number): text.pattern for number, text in enumerate(texts)}
    return compare_with_labels(rows, truth, source)


class LabelledTrace(NamedTuple):
    """One reply with sentence labels."""

    case: Case
    sentences: tuple[str, ...]
    labelled: frozenset[int]
    """Indices of the sentences labelled as self-jailbreaking."""


class SelfJailbreakAgreement(NamedTuple):
    """Agreement of a monitor with self-jailbreaking labels."""

    traces: Agreement
    """Whether a trace holds any such sentence."""
    sentences: Agreement
    """Whether each sentence is one, in traces that were read. The sentences of one trace are not
    independent, so these intervals are too narrow."""
    not_labelled: int
    """Lines without labels, left out."""


class _Annotation(BaseModel):
    answer: frozenset[int]


class _AnnotatedReply(BaseModel):
    """One line of the authors' files; further columns are ignored."""

    question: str
    cot: str
    response: str | None
    cot_sentences: str
    """One `sentence N - ...` a line; a sentence may itself have several lines."""
    selfjb_annos: _Annotation

    def labelled_trace(self) -> LabelledTrace:
        starts = list(_SENTENCE.finditer(self.cot_sentences))
        ends = [match.start() for match in starts[1:]] + [len(self.cot_sentences)]
        sentences = tuple(
            self.cot_sentences[match.end() : end].strip()
            for match, end in zip(starts, ends, strict=True)
        )
        outside = sorted(self.selfjb_annos.answer - set(range(len(sentences))))
        if outside:
            raise ValueError(f"labels {outside} are of no sentence; there are {len(sentences)}")
        trace = split_trace(self.cot, opened_by_prompt=True).trace
        answer = self.response or ""
        case = Case(prompt_text=self.question, kind="harmful", trace=trace, answer=answer)
        return LabelledTrace(case, sentences, self.selfjb_annos.answer)


_OBJECT: Final = TypeAdapter(dict[str, Any])


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

    def parse(line: str) -> LabelledTrace | None:
        row = _OBJECT.validate_json(line)
        if row.get("selfjb_annos", ...) is None:
            return None
        return _AnnotatedReply.model_validate(row).labelled_trace()

    columns = "question, cot, response, cot_sentences and selfjb_annos"
    lines = _read_lines(path, parse, f"Each line needs {columns}")
    traces = [trace for trace in lines if trace is not None]
    return traces, len(lines) - len(traces)


async def measure_sentences(
    monitor: Monitor,
    traces: Sequence[LabelledTrace],
    not_labelled: int,
    grader: Grader | None = None,
) -> SelfJailbreakAgreement:
    """Compare a monitor's self-jailbreak findings with the labels, by trace and by sentence.

    Args:
        monitor: The monitor.
        traces: Labelled traces.
        not_labelled: How many lines were left out for want of a label.
        grader: The model to ask.
    """
    readings = [await read_patterns(monitor, trace.case, "trace", grader) for trace in traces]
    both = list(zip(traces, readings, strict=True))
    return SelfJailbreakAgreement(
        agreement([_trace_pair(trace, reading) for trace, reading in both]),
        agreement([pair for trace, reading in both for pair in _sentence_pairs(trace, reading)]),
        not_labelled,
    )


def _trace_pair(trace: LabelledTrace, reading: PatternReading) -> Pair:
    verdict = _SELF_JAILBREAK in reading.severities if reading.read else None
    return Pair(bool(trace.labelled), verdict, reading.reason)


def _sentence_pairs(trace: LabelledTrace, reading: PatternReading) -> Iterator[Pair]:
    spans = [(one.start, one.end) for one in reading.findings if one.label == _SELF_JAILBREAK]
    text, offset = trace.case.trace or "", 0
    for index, sentence in enumerate(trace.sentences):
        place = locate(sentence, text[offset:])
        if not reading.read or place is None:
            yield Pair(index in trace.labelled, None, reading.reason or "not_located")
            continue
        start, end = offset + place.start, offset + place.end
        overlaps = any(first < end and start < last for first, last in spans)
        yield Pair(index in trace.labelled, overlaps)
        offset = end


def _read_lines(path: Path, parse: Callable[[str], Line], columns: str) -> list[Line]:
    """Parse each line of a JSONL file that is not blank."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RimError(f"{path} cannot be read ({error}). Pass the path of a JSONL file.") from None
    parsed = []
    for number, line in enumerate(lines, start=1):
        try:
            parsed += [parse(line)] if line.strip() else []
        except ValueError as error:
            problem = str(error)
            if isinstance(error, ValidationError):
                problem = first_complaint(error, "line")
            raise RimError(f"{path}, line {number}, {problem}. {columns}.") from None
    return parsed


def agreement_table(agreements: Sequence[LabelAgreement]) -> str:
    """Format kappa, sensitivity and specificity by label as text."""
    if not agreements:
        return "No reply that both have read."
    tables: dict[tuple[str, ...], list[LabelAgreement]] = defaultdict(list)
    for one in agreements:
        tables[one.model, one.dataset, one.mode, one.part, one.reference].append(one)
    return "\n\n".join("\n".join(_agreement_lines(table)) for table in tables.values())


def _agreement_lines(table: Sequence[LabelAgreement]) -> Iterator[str]:
    first = table[0]
    unread = first.agreement.n - first.agreement.n_scored
    yield (
        f"AGREEMENT  {first.monitor.name}@{first.monitor.version} with {first.reference}: {first.dataset}, "
        f"{first.mode}, {first.part}; {first.model}; {first.agreement.n} replies, {unread} not read by both"
    )
    if unread == first.agreement.n:
        return
    yield f"  {'':<30}{'positive':>8}  {'kappa':<23}{'sensitivity':<23}specificity"
    for one in table:
        positive = one.agreement.true_positive + one.agreement.false_negative
        yield f"  {one.label:<30}{positive:>8}  {_figures(one.agreement)}"


def sentence_table(measured: SelfJailbreakAgreement) -> str:
    """Format agreement with sentence labels, by trace and by sentence, as text."""
    lines = [f"  {'':<12}{'n':>6}{'unread':>8}  {'kappa':<23}{'sensitivity':<23}specificity"]
    for name, one in (("traces", measured.traces), ("sentences", measured.sentences)):
        lines.append(f"  {name:<12}{one.n:>6}{one.n - one.n_scored:>8}  {_figures(one)}")
    return "\n".join(lines)


def _figures(one: Agreement) -> str:
    columns = (one.kappa, one.sensitivity, one.specificity)
    return "".join(f"{_estimate(figure):<23}" for figure in columns).rstrip()


def _estimate(figure: Estimate) -> str:
    if figure.value is None or figure.lower is None or figure.upper is None:
        return "-"
    return f"{figure.value:.3f} [{figure.lower:.3f}, {figure.upper:.3f}]"
