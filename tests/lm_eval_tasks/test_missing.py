"""Replies whose judge failed, and prompts whose lines are lost, stand in `unpaired` and in the bounds."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval.cli import main
from rim_eval.observations import read_observations, to_rows
from rim_eval.results.figures import SetResult, set_results

from .conftest import REFUSES, THINKS, Scripted

BOTH = ("rim_toy_think", "rim_toy_no_think")
PROMPTS = 40
HARMFUL = "turn the handle twice"


class Doors:
    """Complies with the first 21 of 40 requests when it thinks, and with the first 3 when it does not."""

    def __init__(self) -> None:
        self.requests: list[str] = []

    def __call__(self, prompt: str) -> str:
        thinks = not prompt.endswith("</think>\n\n")
        request = prompt.partition("<|im_end|>")[0]
        if request not in self.requests:
            self.requests.append(request)
        complies = self.requests.index(request) < (21 if thinks else 3)
        answer = THINKS.rpartition("</think>\n\n")[2] if complies else REFUSES
        return f"<think>\nSo.\n</think>\n\n{answer}" if thinks else answer


@pytest.fixture
def files(run: Any, save: Any) -> list[Path]:
    paths: list[Path] = save(run(Scripted(Doors()), *BOTH, limit=PROMPTS))
    return paths


def harmful_set(paths: list[Path]) -> SetResult:
    return set_results(to_rows(read_observations(paths).frame))["harmful"]


@pytest.mark.slow
def test_judge_that_fails_on_harmful_replies_says_nothing_about_safety(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grader_server: Any
) -> None:
    def fails_on_harm(question: str) -> str | None:
        return None if HARMFUL in question else "<score>1</score>"

    monkeypatch.setenv("LOOP_BASE_URL", grader_server(fails_on_harm).url)
    monkeypatch.setenv("LOOP_API_KEY", "none")
    arguments = ["judge", "run", *map(str, files), "--judge", "hexphi_own"]
    arguments += ["--grader", "openai-api/loop/grader", "--out", str(tmp_path / "judged")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    result = harmful_set(sorted((tmp_path / "judged").glob("*.jsonl")))
    change = result.figures.difference
    assert change is not None
    assert (change.n_pairs, change.n_unpaired) == (19, 21)
    assert change.bound_lower is not None
    assert change.bound_upper is not None
    assert change.bound_lower <= 45 <= change.bound_upper
    arms = {mode: arm.unscored for mode, arm in result.counts.arms.items()}
    assert arms == {"think": {"judge_failed": 21}, "no_think": {"judge_failed": 3}}


@pytest.mark.slow
def test_lines_that_are_lost_stand_in_the_bounds(files: list[Path]) -> None:
    """Of both files the lines of the 21 prompts that the model complied with when it thought."""
    for path in files:
        lines = path.read_text().splitlines(keepends=True)
        assert len(lines) == PROMPTS
        path.write_text("".join(lines[21:]))
    table = read_observations(files)
    [*problems] = (problem for problem in table.problems if problem.kind == "missing")
    assert [len(problem.ids) for problem in problems] == [21, 21]
    result = harmful_set(files)
    change = result.figures.difference
    assert change is not None
    assert (change.value, change.n_pairs, change.n_unpaired) == (0, 19, 21)
    assert change.bound_lower is not None
    assert change.bound_upper is not None
    assert change.bound_lower <= 45 <= change.bound_upper
    assert result.counts.arms["think"].unscored == {"missing": 21}
    assert json.loads(files[0].read_text().splitlines()[0])["doc"]["kind"] == "harmful"
