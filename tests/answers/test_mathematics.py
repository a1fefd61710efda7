"""Expressions are compared in a process of its own: what ends it, and what must not be felt of it."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rim_eval.answers import _mathematics, check_answer
from rim_eval.child_process import ChildProcess
from rim_eval.errors import RimError

ENDLESS = r"\boxed{\int_0^1 \sin(x^x)\,dx}"
RIGHT = (r"\boxed{\frac{6}{8}}", r"\frac{3}{4}")


def right() -> bool:
    return check_answer(*RIGHT).correct is True and check_answer(RIGHT[0], "x").correct is False


@pytest.mark.slow
def test_endless_simplification_is_cut_and_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert right()
    with monkeypatch.context() as patch:
        patch.setattr(_mathematics, "_SECONDS", 0.05)
        checked = check_answer(ENDLESS, "5")
    assert checked.correct is None
    assert "not compared within 0.05 s" in checked.how
    assert right()


@pytest.mark.slow
@pytest.mark.parametrize(
    "expression",
    ["9^{9^{9^9}}", "10000000!", r"\binom{100000000}{50000000}", "(x+y+z+1)^{300}"],
)
def test_values_too_large_are_unscored(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mathematics, "_SECONDS", 0.5)
    assert check_answer(rf"\boxed{{{expression}}}", "5").correct is None
    monkeypatch.undo()
    assert right()


def test_time_limit_holds_in_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mathematics, "_SECONDS", 0.05)
    found: list[bool | None] = []
    thread = threading.Thread(target=lambda: found.append(check_answer(ENDLESS, "5").correct))
    thread.start()
    thread.join(30)
    assert found == [None]


@pytest.mark.slow
def test_process_that_died_is_started_again() -> None:
    assert right()
    process = _mathematics._child._process
    assert process
    process.kill()
    process.wait()
    assert right()


@pytest.mark.slow
def test_process_that_breaks_off_leaves_the_answer_unscored() -> None:
    assert right()
    process = _mathematics._child._process
    assert process
    threading.Timer(0.3, process.kill).start()
    checked = check_answer(ENDLESS, "5")
    assert checked.correct is None
    assert "broke off (exit code -9)" in checked.how
    assert right()


@pytest.mark.slow
def test_interrupted_comparison_does_not_answer_the_next_question() -> None:
    assert right()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            check_answer(ENDLESS, "5")
    finally:
        # An event loop that an earlier test left behind may have put its own handler there.
        signal.signal(signal.SIGINT, before)
    assert right()


def test_process_that_does_not_start_is_one_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    monkeypatch.setattr(_mathematics, "_child", ChildProcess(["-c", "0"], "compares answers"))
    with pytest.raises(RimError, match=r"did not start \(exit code 3\)"):
        check_answer(*RIGHT)


def run(script: str) -> None:
    start = "from rim_eval.answers import check_answer\n"
    start += f"right = lambda: check_answer(*{RIGHT!r}).correct is True\nassert right()\n"
    subprocess.run([sys.executable, "-c", start + script], check=True, timeout=60)


@pytest.mark.slow
def test_debuggers_and_coverage_work_after_a_comparison() -> None:
    """A time limit by asynchronous exceptions left CPython 3.11 spinning at the first traced call."""
    run("import sys\nsys.settrace(lambda *_: None)\n(lambda: None)()\n")


@pytest.mark.slow
def test_forked_child_has_a_process_of_its_own() -> None:
    run(
        "import os\nchild = os.fork()\nassert right()\nif child: assert os.waitpid(child, 0)[1] == 0\n"
    )
