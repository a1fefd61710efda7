"""The sentence labels of Self-Jailbreaking (Yong and Bach, arXiv 2510.20956), from the user's file.

One JSON object a line, as in the authors' repository (`artifacts/*.jsonl`): `question`, `cot`,
`response`, `cot_sentences` (one `sentence N - ...` a line) and `selfjb_annos` (`{"answer": [N, ...]}`,
or null where the reply was safe and nobody labelled it). The labels are GPT-5's: precision 93.9,
recall 93.0 on 250 sentences that people labelled (the paper's figures).
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.judging import Agreement, Case, Grader, Pair, agreement
from rim_eval.patterns._monitor import Monitor, read_patterns
from rim_eval.patterns._quotes import locate
from rim_eval.patterns._reading import PatternReading
from rim_eval.thinking import split_trace

__all__ = ["LabelledTrace", "SelfJailbreakAgreement", "load_self_jailbreaking", "measure_sentences"]

LABEL: Final = "self_jailbreak"

_SENTENCE: Final = re.compile(r"^sentence (\d+) - ", re.MULTILINE)


class LabelledTrace(NamedTuple):
    """One labelled reply."""

    case: Case
    sentences: tuple[str, ...]
    labelled: frozenset[int]
    """Indices of the sentences that are labelled as self-jailbreaking."""


class SelfJailbreakAgreement(NamedTuple):
    """A monitor against the labels."""

    traces: Agreement
    """Whether a trace holds any such sentence."""
    sentences: Agreement
    """Whether each sentence is one, in the traces that were read; sentences of one trace go together,
    so these intervals are too narrow."""
    not_labelled: int
    """Lines without labels, left out."""


def load_self_jailbreaking(path: Path) -> tuple[list[LabelledTrace], int]:
    """Read a file of labelled traces.

    Args:
        path: A JSONL file of the authors' format.

    Returns:
        The labelled replies, and how many lines have no label.

    Raises:
        RimError: The file cannot be read or is of another shape; the message names the line.
    """
    found: list[LabelledTrace] = []
    skipped = 0
    for number, line in enumerate(_lines(path), start=1):
        try:
            row = json.loads(line)
            labels = row["selfjb_annos"]
            if labels is None:
                skipped += 1
            else:
                found.append(_labelled(row, labels))
        except (ValueError, KeyError, TypeError) as error:
            raise RimError(
                f"{path}, line {number}: not a labelled trace ({type(error).__name__}: {error}). Each line "
                "needs question, cot, response, cot_sentences and selfjb_annos."
            ) from None
    return found, skipped


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise RimError(f"{path} cannot be read ({error}). Pass the path of a JSONL file.") from None


def _labelled(row: dict[str, Any], labels: dict[str, Any]) -> LabelledTrace:
    sentences = _sentences(row["cot_sentences"])
    labelled = frozenset(int(index) for index in labels["answer"])
    outside = sorted(index for index in labelled if not 0 <= index < len(sentences))
    if outside:
        raise ValueError(f"labels {outside} are of no sentence; there are {len(sentences)}")
    trace = split_trace(row["cot"], opened_by_prompt=True).trace
    case = Case(
        prompt_text=row["question"], kind="harmful", trace=trace, answer=row["response"] or ""
    )
    return LabelledTrace(case, sentences, labelled)


def _sentences(listed: str) -> tuple[str, ...]:
    """The sentences; a sentence may itself run over several lines."""
    starts = list(_SENTENCE.finditer(listed))
    ends = [match.start() for match in starts[1:]] + [len(listed)]
    return tuple(listed[match.end() : end].strip() for match, end in zip(starts, ends, strict=True))


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
        not_labelled: How many were left out for want of a label.
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
    found = LABEL in reading.severities if reading.read else None
    return Pair(bool(trace.labelled), found, reading.reason)


def _sentence_pairs(trace: LabelledTrace, reading: PatternReading) -> Iterable[Pair]:
    spans = [(one.start, one.end) for one in reading.findings if one.label == LABEL]
    text, place = trace.case.trace or "", 0
    for index, sentence in enumerate(trace.sentences):
        found = locate(sentence, text[place:])
        if not reading.read or found is None:
            yield Pair(index in trace.labelled, None, reading.reason or "not_located")
            continue
        start, end = place + found.start, place + found.end
        overlaps = any(first < end and start < last for first, last in spans)
        yield Pair(index in trace.labelled, overlaps)
        place = end
