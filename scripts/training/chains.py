"""Training data: chains of thought of GSM8K, and Literal rows that need none, as chats.

A chain row asks a problem, and replies with the chain between trace markers and the final answer in a box. A
Literal row keeps the problem's text and asks for one number that stands in it (the set `gsm8k_literal` and its
rule `copy_span`): same topics, same form of answer, nothing to reason about.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval.prompt_sets import Prompt, derive, download_file, entry, prompt_id, user_message
from rim_eval.prompt_sets.sources import obtain

TRAIN_FILE: Final = "grade_school_math/data/train.jsonl"
"""The publisher's training split, beside the test file of the set `gsm8k`."""

_CALCULATION: Final = re.compile(r"<<[^<>]*>>")

Row = dict[str, Any]
"""`id`, `messages` (a list of `role` and `content`) and `gold`."""


class Chain(NamedTuple):
    """A problem with its worked solution."""

    problem: Prompt
    steps: tuple[str, ...]
    """One sentence or equation each."""

    @property
    def gold(self) -> str:
        """The gold answer."""
        return self.problem.target or ""


class Chains(NamedTuple):
    """Chains, and where they come from."""

    chains: tuple[Chain, ...]
    source: str


def load_chains(data: Path | None, limit: int | None = None) -> Chains:
    """Load GSM8K's chains: the training split, or the first of the test split where a folder holds only that.

    Args:
        data: Folder with `gsm8k_train.jsonl`, or with the test file; None downloads the training split.
        limit: Items that are read, from the start; chains from test items must not be evaluated on.

    Raises:
        RimError: The publisher cannot be reached, or the folder does not hold the set.
    """
    gsm8k = entry("gsm8k")
    train = data / "gsm8k_train.jsonl" if data else None
    if train is not None and train.is_file():
        content, source = train.read_bytes(), "GSM8K train (local file)"
    elif data is not None:
        content, source = obtain(gsm8k, data).files[0].content, "GSM8K test"
    else:
        content, revision = download_file(gsm8k.source, TRAIN_FILE)  # type: ignore[arg-type]
        source = f"GSM8K train at {revision}"
    rows = [json.loads(line) for line in content.decode("utf-8").splitlines() if line.strip()]
    chains = tuple(_chain(row["question"], row["answer"]) for row in rows[:limit])
    return Chains(chains, f"{source}, first {len(chains)} of {len(rows)} items")


def _chain(question: str, answer: str) -> Chain:
    """A problem and its solution without the calculator's annotations."""
    worked, _, gold = answer.partition("####")
    lines = (_CALCULATION.sub("", line).strip() for line in worked.splitlines())
    problem = Prompt(
        id=prompt_id("gsm8k", question), set="gsm8k", kind="reasoning", text=question, target=gold.strip()
    )  # fmt: skip
    return Chain(problem, tuple(line for line in lines if line))


def chain_row(chain: Chain, text: str, answer: str | None = None) -> Row:
    """Make the chat of a problem and a chain.

    Args:
        chain: The problem.
        text: The chain as it is trained on.
        answer: The final answer that the chain comes to, if another than the gold one.
    """
    boxed = f"\\boxed{{{chain.gold if answer is None else answer}}}"
    return _row(chain.problem, "worked", f"<think>\n{text.strip()}\n</think>\n\n{boxed}")


def literal_rows(chains: Iterable[Chain]) -> list[Row]:
    """Make the Literal rows of the same problems; those of which the rule makes none are left out."""
    derived = (derive(chain.problem, "copy_span", "gsm8k_literal") for chain in chains)
    return [_row(each, "direct", f"\\boxed{{{each.target}}}") for each in derived if each]


def _row(problem: Prompt, style: Any, reply: str) -> Row:
    asked = {"role": "user", "content": user_message(problem, style)}
    replied = {"role": "assistant", "content": reply}
    origin = problem.labels.get("derived_from", problem.id)
    return {"id": origin, "messages": [asked, replied], "gold": problem.target}
