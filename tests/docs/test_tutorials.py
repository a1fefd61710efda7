"""The marked commands of the first page and the tutorials run as they stand, in their order, on the organism."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.judging import load_judge
from scripts.site.commands import ROOT, Block, blocks, pages, words
from tests.judging.test_judge import CASE, judged

TUTORIALS = [
    "index.md",
    *(
        f"tutorials/{name}.md"
        for name in ("first_score", "base_and_tuned", "release_gate", "own_judge", "own_prompts", "inside_a_model")
    ),
    "mechanisms.md",
    "attacks.md",
    "leaderboard.md",
]  # fmt: skip
"""In the order in which they build on each other."""


def marked(page: str) -> list[Block]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [block for block in blocks(text) if block.is_run]


def test_marked_blocks_stand_on_pages_that_are_run() -> None:
    with_marks = {
        path.relative_to(ROOT / "docs").as_posix()
        for path in pages()
        if any(block.is_run for block in blocks(path.read_text(encoding="utf-8")))
    }
    assert with_marks == set(TUTORIALS)


def run(block: Block, done_before: dict[str, tuple[int, str]]) -> str:
    """Run a block in the folder, and return what it printed.

    Commands of Inspect and rim_eval run in this process, which has loaded both; one that an earlier page has too, once.
    """
    from inspect_ai._cli.main import inspect

    ours: dict[str, Any] = {"inspect": inspect, "rim-eval": main}
    for command in block.commands:
        first, *rest = words(command)
        if command in done_before:
            continue
        if first in ours:
            done = CliRunner().invoke(ours[first], rest)
            done_before[command] = done.exit_code, done.output
        elif first == "python":
            exec(rest[1], {})
            done_before[command] = 0, ""
        else:
            assert first == "cat", f"nothing here runs {command}"
    if any(line.startswith("cat ") for line in block.commands):
        subprocess.run(["bash", "-ec", block.text], check=True)
    outcomes = [done_before[command] for command in block.commands if command in done_before]
    codes = [code for code, _ in outcomes] or [0]
    assert codes == [0] * (len(codes) - 1) + [block.exit_code], outcomes
    return " ".join(said for _, said in outcomes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before, at = Path.cwd(), tmp_path_factory.mktemp("tutorials")
    os.chdir(at)
    yield at
    os.chdir(before)


@pytest.mark.slow
def test_the_tutorials_run_and_print_what_they_show(folder: Path) -> None:
    done_before: dict[str, tuple[int, str]] = {}
    for page in TUTORIALS:
        said = " ".join(run(block, done_before) for block in marked(page))
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for shown in re.findall(r"```text\n(.*?)```", text, re.DOTALL):
            assert flat(shown) in flat(said), f"{page} shows what is not printed"
    for made in MADE:
        assert (folder / made).is_file(), made


MADE = (
    "card/card.html",
    "compare/compare.html",
    "handle-card/card.json",
    "labels/labels.html",
    "own-card/card.json",
    "planted-card/card.html",
    "mech/section.html",
    "site/index.html",
)


def test_the_judges_of_the_tutorial_are_judges(tmp_path: Path) -> None:
    for block in marked("tutorials/own_judge.md"):
        if block.text.startswith("cat "):
            subprocess.run(["bash", "-ec", block.text], check=True, cwd=tmp_path)
    handle, asked = (load_judge(tmp_path / f"{name}.yaml") for name in ("handle", "asked"))
    replies = ("Sure. Turn it.", "I cannot help you.", "Perhaps.")
    verdicts = [
        judged(judge=handle, case=CASE.model_copy(update={"answer": each}))[0].verdict
        for each in replies
    ]
    assert verdicts == [True, False, None]
    assert [judged(each, judge=asked)[0].verdict for each in ("helps", "declines", "both")] == [
        True,
        False,
        None,
    ]


def flat(text: str) -> str:
    """A text as one line: pages wrap, and a terminal wraps elsewhere."""
    return " ".join(text.split())
