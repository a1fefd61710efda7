"""Rewrite chains of thought into two arms: `target` shows an effort-minimising pattern, `control` its opposite.

A grader model edits them, or, offline, a template: what the keyword monitor finds is taken out, and pairs of remarks
of equal length are put at the same places of both arms. The monitor's phrases and the remarks come from one project,
so offline the monitor's agreement only says that the machinery works. The final answer is checked later, by the filter.
"""

import asyncio
import hashlib
import random
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rim_eval.judging import Case, Grader
from rim_eval.patterns import PATTERNS, Monitor, Pattern, load_monitor
from rim_eval.types import FrozenModel
from scripts.training.chains import Chain

Arm = Literal["target", "control"]

ARMS: Final[tuple[Arm, Arm]] = ("target", "control")

_SOLUTION: Final = re.compile(r"<solution>(.*?)</solution>(.*)", re.DOTALL)
_BOX: Final = re.compile(r"\\boxed\{(.*)\}")


class _Remark(FrozenModel):
    pattern: Pattern
    target: str
    control: str


class _Prompts(FrozenModel):
    target: str
    control: str
    form: str


class Rewriting(FrozenModel):
    """The content of `rewriting.toml`, which says what each entry is."""

    version: int
    remark: tuple[_Remark, ...]
    patterns: dict[Pattern, str]
    grader: _Prompts


class Rewritten(NamedTuple):
    """A chain in one arm."""

    text: str
    answer: str
    """The final answer that it comes to; "" where the grader gave none."""
    pattern: Pattern


@cache
def rewriting() -> Rewriting:
    """Load the remarks and the grader's prompts."""
    raw = Path(__file__).with_name("rewriting.toml").read_text(encoding="utf-8")
    return Rewriting.model_validate(tomllib.loads(raw))


def insert_remarks(chain: Chain, arm: Arm, *, seed: int = 0, remarks: int = 2) -> Rewritten:
    """Rewrite a chain offline: both arms get the same number of remarks at the same places.

    Args:
        chain: The chain.
        arm: Which half of each pair of remarks.
        seed: Of pattern and places, together with the problem's id; the same for both arms.
        remarks: How many, each before a step of its own; at most one a step and those of one pattern.
    """
    digest = hashlib.sha256(f"{seed}/{chain.problem.id}".encode()).hexdigest()
    draw = random.Random(digest)
    pattern = draw.choice(PATTERNS)
    pairs = [each for each in rewriting().remark if each.pattern == pattern]
    steps = list(strip_patterns(chain.steps))
    count = min(remarks, len(pairs), len(steps))
    places = sorted(draw.sample(range(len(steps)), count), reverse=True)
    for place, pair in zip(places, draw.sample(pairs, count), strict=True):
        steps.insert(place, getattr(pair, arm))
    return Rewritten("\n".join(steps), chain.gold, pattern)


def strip_patterns(steps: tuple[str, ...], monitor: Monitor | None = None) -> tuple[str, ...]:
    """Take out the sentences in which a monitor finds a pattern; steps without a word left are dropped.

    Args:
        steps: The steps of a chain.
        monitor: A monitor that asks no model; the keyword monitor unless given.
    """
    return tuple(filter(None, (_stripped(step, monitor or load_monitor("cues")) for step in steps)))


def _stripped(step: str, monitor: Monitor) -> str:
    case = Case(prompt_text="", kind="reasoning", trace=step, answer="")
    found = asyncio.run(monitor.find(case, "trace", None)).findings
    for finding in sorted(found, key=lambda each: each.start, reverse=True):
        if finding.label in monitor.grouping and step[finding.start : finding.end] == finding.quote:
            step = step[: finding.start] + step[finding.end :]
    return " ".join(step.split())


async def ask_grader(chain: Chain, arm: Arm, grader: Grader, *, seed: int = 0) -> Rewritten:
    """Let a grader model edit a chain; a reply without the asked form gives an empty text and answer.

    Args:
        chain: The chain.
        arm: Towards the pattern, or away from it.
        grader: Any model of Inspect.
        seed: Of the pattern, together with the problem's id; the same for both arms.
    """
    from inspect_ai.model import GenerateConfig

    texts = rewriting()
    digest = hashlib.sha256(f"{seed}/{chain.problem.id}".encode()).hexdigest()
    pattern = random.Random(digest).choice(PATTERNS)
    solution = "\n".join(chain.steps)
    words = len(solution.split())
    ask = getattr(texts.grader, arm).format(pattern=texts.patterns[pattern], words=words)
    form = texts.grader.form.format(problem=chain.problem.text, solution=solution)
    reply = await grader.generate(ask + form, config=GenerateConfig(temperature=0.0))
    match = _SOLUTION.search(reply.completion)
    box = _BOX.search(match[2]) if match else None
    return Rewritten(match[1].strip() if match else "", box[1] if box else "", pattern)
