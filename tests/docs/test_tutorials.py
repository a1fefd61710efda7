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
from scripts.site.commands import ROOT, Block, blocks, pages, words

TUTORIALS = [
    "index.md",
    *(f"tutorials/{name}.md" for name in ("first_score", "base_and_tuned", "release_gate", "own_judge", "own_prompts", "inside_a_model")),
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


def run(block: Block, said: list[str]) -> None:
    """Run a block in the folder; commands of Inspect and rim_eval in this process, which has loaded both."""
    from inspect_ai._cli.main import inspect

    ours: dict[str, Any] = {"inspect": inspect, "rim-eval": main}
    codes = []
    for command in block.commands:
        first, *rest = words(command)
        if first in ours:
            done = CliRunner().invoke(ours[first], rest)
            codes.append(done.exit_code)
            said.append(done.output)
        elif first == "python":
            exec(rest[1], {})
            codes.append(0)
    if any(line.startswith("cat ") for line in block.commands):
        subprocess.run(["bash", "-ec", block.text], check=True)
        codes.append(0)
    assert codes[-1] == block.exit_code, said[-1]
    assert not any(codes[:-1]), said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before, at = Path.cwd(), tmp_path_factory.mktemp("tutorials")
    os.chdir(at)
    yield at
    os.chdir(before)


@pytest.mark.slow
def test_the_tutorials_run_and_print_what_they_show(folder: Path) -> None:
    for page in TUTORIALS:
        said: list[str] = []
        for block in marked(page):
            run(block, said)
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for shown in re.findall(r"```text\n(.*?)```", text, re.DOTALL):
            if not shown.startswith("rim-eval "):
                assert flat(shown) in flat(" ".join(said)), f"{page} shows what is not printed"
    for made in ("start/card/card.html", "card/card.html", "compare/compare.html", "own-card/card.json", "mech/section.html"):  # fmt: skip
        assert (folder / made).is_file()


def flat(text: str) -> str:
    """A text as one line: pages wrap, and a terminal wraps elsewhere."""
    return " ".join(text.split())
