"""Word problems of our own, and a small model to tune."""

from pathlib import Path

import pytest

from rim_eval.paths import organism_dir
from rim_eval.prompt_sets import Prompt, prompt_id
from scripts.training.chains import Chain

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn")
THINGS = ("pens", "pears", "stamps", "bricks", "coins")


def problem(n: int) -> tuple[str, str]:
    """A problem and its solution in GSM8K's form; every n another one."""
    name, thing = NAMES[n % len(NAMES)], THINGS[n % len(THINGS)]
    first, more = n + 3, 2 * n + 5
    question = f"{name} finds {first} {thing} on Monday. On Friday {name} buys {more} more. How many {thing} are there now?"
    steps = f"{name} had {first} {thing} at first.\nNow there are {first}+{more}=<<{first}+{more}={first + more}>>{first + more} {thing}."
    return question, f"{steps}\n#### {first + more}"


def make_chain(steps: tuple[str, ...], gold: str = "7", text: str = "How many?") -> Chain:
    about = {"set": "gsm8k", "kind": "reasoning"}
    return Chain(Prompt.model_validate({"id": prompt_id("gsm8k", text), "text": text, "target": gold, **about}), steps)  # fmt: skip


@pytest.fixture(scope="session")
def model() -> Path:
    """The folder of a small model with a chat template: the organism that the package ships."""
    return organism_dir()
