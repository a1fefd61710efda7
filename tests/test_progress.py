"""Progress: the time left counts what this run does, and standard output stays free of it."""

import io

import click
import pytest

from rim_eval.progress import EVERY, Progress, duration


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_now_and_then_where_the_output_is_a_file() -> None:
    clock, log = Clock(), io.StringIO()
    progress = Progress(log, clock)
    progress.begin("judging", 600)
    for _ in range(120):
        clock.now += 1
        progress.add()
    lines = log.getvalue().splitlines()
    assert len(lines) == 120 // EVERY
    assert lines[0] == "judging: 30 of 600 replies, 1 a second, 9.5 min left"
    assert lines[-1] == "judging: 120 of 600 replies, 1 a second, 8 min left"


def test_what_an_earlier_run_left_is_done_and_is_no_speed() -> None:
    clock = Clock()
    progress = Progress(None, clock)
    progress.begin("judging", 1000)
    progress.add(900, kept=True)
    assert progress.left is None
    clock.now = 10
    progress.add(10)
    assert progress.left == 90
    assert (
        str(progress) == "judging: 910 of 1,000 replies (900 from before), 1 a second, 1.5 min left"
    )


def test_what_is_not_known_is_not_said() -> None:
    clock = Clock()
    progress = Progress(None, clock)
    progress.begin("reading", unit="rows")
    assert str(progress) == "reading: 0 rows"
    clock.now = 120
    progress.add(4)
    assert str(progress) == "reading: 4 rows, 2 a minute"
    progress.begin("heads", 100, at_most=True)
    clock.now = 130
    progress.add(50)
    assert str(progress) == "heads: 50 of at most 100 replies, 5 a second, at most 10 s left"
    progress.add(50)
    assert str(progress) == "heads: 100 of at most 100 replies, 10 a second, in 10 s"


def test_a_bar_on_a_terminal_leaves_standard_output_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with Progress(terminal) as progress:
        progress.begin("judging", 4)
        click.echo("a figure")
        progress.add(4)
    assert "4 of 4 replies" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert capsys.readouterr().out == "a figure\n"


def test_no_bar_on_a_dumb_terminal_and_nothing_when_nobody_asks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    for stream in (terminal, None):
        with Progress(stream) as progress:
            progress.begin("judging", 4)
            progress.add(4)
    assert not terminal.getvalue()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0, "0 s"), (2.34, "2.3 s"), (59.7, "60 s"), (90, "1.5 min"), (400_000, "111 h")],
)
def test_durations(seconds: float, says: str) -> None:
    assert duration(seconds) == says
