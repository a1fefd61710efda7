"""A gate's decisions for machines and people: JSON, JUnit XML, a Markdown summary."""

import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final
from xml.etree import ElementTree as ET

from rim_eval.card import Card, card_markdown, card_summary, escape_markdown
from rim_eval.release_gate.decide import EXIT_CODES, Decision, LimitResult, worst

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""


def decisions_json(decisions: Sequence[Decision], error: str | None = None) -> str:
    """Write decisions as JSON text: the outcome of all, its exit code, and each model with the result of each limit.

    Args:
        decisions: What the gate says of each model; none where it could not check.
        error: Why it could not check.
    """
    outcome = worst(decision.outcome for decision in decisions)
    models = [decision.model_dump(mode="json") for decision in decisions]
    content: dict[str, object] = {
        "outcome": outcome,
        "exit_code": EXIT_CODES[outcome],
        "models": models,
    }
    if error is not None:
        content["error"] = error
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def junit_xml(decisions: Sequence[Decision]) -> str:
    """Write decisions as JUnit XML: a test suite for each model, a test case for each limit on each set.

    A limit that blocks is a failure when it fails and an error when the gate cannot tell or the figure is missing: CI
    systems show both as red, while they show `skipped` as no problem, and the exit code is not 0. Limits
    that warn or note pass, with their outcome in `system-out`.
    """
    suites = ET.Element("testsuites", name="rim-eval gate")
    for decision in decisions:
        suite = ET.SubElement(suites, "testsuite", name=_xml(decision.model))
        for result in decision.results:
            _add_case(suite, decision.model, result)
        _count(suite)
    return _whole(suites)


def junit_error(error: str) -> str:
    """Write JUnit XML of a gate that could not check: one test case, an error.

    Args:
        error: Why it could not.
    """
    suites = ET.Element("testsuites", name="rim-eval gate")
    suite = ET.SubElement(suites, "testsuite", name="rim-eval gate")
    case = ET.SubElement(suite, "testcase", classname="rim-eval gate", name="input", time="0")
    ET.SubElement(case, "error", message=_xml(error), type="cannot tell").text = _xml(error)
    _count(suite)
    return _whole(suites)


def _whole(suites: ET.Element) -> str:
    """The text of suites, with the sums of their counts."""
    for name in ("tests", "failures", "errors", "skipped"):
        suites.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    suites.set("time", "0")
    ET.indent(suites, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def _add_case(suite: ET.Element, model: str, result: LimitResult) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_xml(f"rim-eval gate.{model.replace('.', '_')}"),
        name=_xml(case_name(result)),
        time="0",
    )
    text = _xml(f"{result.outcome}: {result.reason}")
    if result.tier == "block" and result.outcome != "pass":
        tag = "failure" if result.outcome == "fail" else "error"
        found = ET.SubElement(case, tag, message=text, type=result.outcome)
        found.text = text
    else:
        ET.SubElement(case, "system-out").text = text


def case_name(result: LimitResult) -> str:
    """Name a limit on a set: the set, the category, the figure, the limit, and its tier where it does not block."""
    limit = result.limit
    tier = "" if limit.tier == "block" else f" [{limit.tier}]"
    return f"{result.place}: {limit.figure}{limit.variant} {limit.words}{tier}"


def _count(suite: ET.Element) -> None:
    """Write the counts that the JUnit schemas ask for."""
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": 0,
        "time": 0,
    }
    for name, count in counts.items():
        suite.set(name, str(count))


def _xml(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def markdown_summary(
    decisions: Sequence[Decision], cards: Sequence[Card] = (), error: str | None = None
) -> str:
    """Write decisions as Markdown: the outcome of all, each model's finding, its limits as a table, its card folded.

    Args:
        decisions: What the gate says of each model; none where it could not check.
        cards: The card of each decision, in the same order; none leaves findings and cards out.
        error: Why it could not check.
    """
    outcome = worst(decision.outcome for decision in decisions)
    lines = [f"## RIM gate: {outcome}", ""]
    if error is not None:
        lines += [_cell(error), ""]
    for decision, card in zip_longest(decisions, cards):
        lines += [
            f"### {_cell(decision.model)}: {decision.outcome}",
            "",
            *((card_summary(card).strip(), "") if card else ()),
            "| outcome | tier | limit | measured |",
            "|---|---|---|---|",
            *map(_row, decision.results),
            "",
            *(_folded(card) if card else ()),
        ]
    return "\n".join(lines) + "\n"


def _folded(card: Card) -> list[str]:
    """The whole card, which opens on a click."""
    return [
        "<details><summary>Card</summary>",
        "",
        card_markdown(card).strip(),
        "",
        "</details>",
        "",
    ]


def _row(result: LimitResult) -> str:
    decides = result.tier == "block" and result.outcome != "pass"
    outcome = f"**{result.outcome}**" if decides else result.outcome
    cells = (outcome, result.tier, _cell(case_name(result)), _cell(result.reason))
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return escape_markdown(" ".join(text.split()))
