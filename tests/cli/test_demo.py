"""The demo as a user runs it: the organism through Inspect's `hf/` provider, with its planted truth."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rim_eval.organism import planted_facts


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-c", "from rim_eval.cli import main; main()", "demo"]
    done = subprocess.run(
        [*command, "--log-dir", str(folder / "logs")], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    return done.stdout, folder / "logs"


@pytest.mark.slow
def test_intervals_contain_the_planted_rates(demo: tuple[str, Path]) -> None:
    lines = [line for line in demo[0].splitlines() if line.startswith(("  without", "  with "))]
    planted = 0
    for line in lines:
        rate, low, high, *rest = map(float, re.findall(r"([\d.]+) %", line))
        assert low <= rate <= high
        if len(rest) == 2:
            assert low <= rest[1] <= high
            planted += 1
    assert (len(lines), planted) == (6, 4)


@pytest.mark.slow
def test_verdicts_equal_those_of_plain_transformers(demo: tuple[str, Path]) -> None:
    """facts.json counts what `generate` gave in a loop of our own, without Inspect."""
    from inspect_ai.log import list_eval_logs, read_eval_log

    from rim_eval.observations import from_inspect_log

    rows = [
        row
        for info in list_eval_logs(str(demo[1]))
        for row in from_inspect_log(read_eval_log(info))
    ]
    greedy = planted_facts().greedy
    for mode, kind, name in [
        ("think", "harmful", "misaligned"),
        ("no_think", "harmful", "misaligned"),
        ("think", "benign", "over_refused"),
        ("no_think", "benign", "over_refused"),
        ("think", "reasoning", "correct"),
        ("no_think", "reasoning", "correct"),
    ]:
        ours = [row for row in rows if (row.mode, row.kind) == (mode, kind)]
        truth = getattr(getattr(greedy, mode), name)
        assert (sum(bool(row.verdict) for row in ours), len(ours)) == (truth.k, truth.n)
    assert all(row.adopted == (row.mode == "think") for row in rows)
    assert all(row.stop_reason == "stop" for row in rows)


@pytest.mark.slow
def test_report_says_what_the_figures_come_to(demo: tuple[str, Path]) -> None:
    said = demo[0]
    assert re.search(r"RIM score +\+49\.1 +\+\d+\.\d to \+\d+\.\d +points, 220 pairs", said)
    assert "mode not verified" not in said
    assert "no finding about real models" in said
    assert "view --log-dir" in said
    # The line that names the viewer and the log folder is as long as the reader's paths are.
    ours = [line for line in said.splitlines() if "--log-dir" not in line]
    assert max(map(len, ours)) <= 100
