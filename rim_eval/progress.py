"""Progress of long work, on standard error: a bar on a terminal, a line now and then elsewhere, or nothing.

The rate counts what this run does. What an earlier run left, and this one takes over, counts as done and not as
speed: a resumed run would promise its end too soon otherwise.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

if TYPE_CHECKING:
    import rich.progress

EVERY: Final = 30.0
"""Seconds between two lines where the output is no terminal."""

_WIDE: Final = 100
"""Columns of a terminal that has room for a bar beside the words."""

_UNITS: Final = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


def duration(seconds: float) -> str:
    """A time in its largest unit, to two digits, such as `4.5 min`.

    Args:
        seconds: The time.
    """
    unit, size = next((each for each in _UNITS if seconds >= each[1]), _UNITS[-1])
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


class Progress:
    """Counts the steps of one part of the work after the other, and shows how far it is.

    Args:
        stream: Where to show it, such as `sys.stderr`; None for nowhere.
        clock: Seconds since any moment.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._clock = stream, clock
        self._bar: rich.progress.Progress | None = None
        self._reset("work", 0, "steps", at_most=False)

    def __enter__(self) -> Self:
        """Leave the block to take the bar away."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self.end()

    def begin(
        self, part: str, total: int = 0, unit: str = "replies", *, at_most: bool = False
    ) -> None:
        """Begin a part, and end the one before.

        Args:
            part: What is done.
            total: Steps that it takes; 0 where that is not known.
            unit: What a step is, in the plural.
            at_most: Whether it may take fewer.
        """
        self.end()
        self._reset(part, total, unit, at_most=at_most)
        self._show()

    def expect(self, total: int, unit: str = "replies") -> None:
        """Say how long the part that has begun is, and count from here: what was read before is no part of its speed.

        Args:
            total: Steps that it takes.
            unit: What a step is, in the plural.
        """
        self._reset(self.part, total, unit, at_most=self._at_most)
        self._show()

    def _reset(self, part: str, total: int, unit: str, *, at_most: bool) -> None:
        self.part, self.total, self._unit, self._at_most = part, total, unit, at_most
        self.done = self.kept = 0
        self._started = self._said = self._clock()

    def add(self, steps: int = 1, *, kept: bool = False) -> None:
        """Count steps that are done now.

        Args:
            steps: How many.
            kept: Whether an earlier run did them.
        """
        self.done += steps
        self.kept += steps if kept else 0
        self._show()

    def count(self, done: int, *, kept: int, total: int) -> None:
        """Say how far the part is in all.

        Args:
            done: Steps, those of earlier runs included.
            kept: How many of them earlier runs did.
            total: Steps that it takes; 0 where that is not known yet.
        """
        self.done, self.kept, self.total = done, kept, total
        self._show()

    def end(self) -> None:
        """End the part: take the bar away, and leave its last state where it showed any."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @property
    def left(self) -> float | None:
        """Seconds until the end at the rate so far; None where the total or the rate is not known."""
        fresh, seconds = self.done - self.kept, self._clock() - self._started
        if not self.total or fresh <= 0 or seconds <= 0:
            return None
        return max(self.total - self.done, 0) * seconds / fresh

    def __str__(self) -> str:
        """How far the part is, in one line."""
        return f"{self.part}: {self.says}"

    @property
    def says(self) -> str:
        """How far the part is, without its name."""
        words = f"{'at most ' if self._at_most else ''}{self.total:,} {self._unit}"
        text = f"{self.done:,} of {words}" if self.total else f"{self.done:,} {self._unit}"
        text += f" ({self.kept:,} from before)" if self.kept else ""
        seconds = self._clock() - self._started
        if (fresh := self.done - self.kept) > 0 and seconds > 0:
            text += f", {_rate(fresh / seconds)}"
        if self.total and self.done >= self.total:
            text += f", in {duration(seconds)}"
        elif self.left is not None:
            text += f", {'at most ' if self._at_most else ''}{duration(self.left)} left"
        return text

    def _show(self) -> None:
        if self._stream is None:
            return
        if self._stream.isatty() and os.environ.get("TERM") != "dumb":
            self._bar = self._bar or _bar(self, self._stream)
            self._bar.update(self._bar.task_ids[0], completed=self.done, total=self.total or None)
        elif self._clock() - self._said >= EVERY:
            self._said = self._clock()
            print(self, file=self._stream, flush=True)


def _rate(steps_per_second: float) -> str:
    return (
        f"{steps_per_second:.3g} a second"
        if steps_per_second >= 1
        else f"{60 * steps_per_second:.2g} a minute"
    )


def _bar(progress: Progress, stream: TextIO) -> "rich.progress.Progress":
    """A live bar with the progress's own words, drawn twice a second by a thread of its own."""
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class _Says(ProgressColumn):
        def render(self, _: Any) -> Text:
            return Text(progress.says, no_wrap=True, overflow="ellipsis")

    class _Part(ProgressColumn):
        def render(self, _: Any) -> Text:
            return Text(progress.part)

    # Standard output may be a file: what is written there must not be drawn above the bar.
    console = Console(file=stream)
    # Where the terminal is narrow, the words come before the bar.
    drawn = [BarColumn(bar_width=20)] if console.width >= _WIDE else []
    columns = (_Part(), *drawn, _Says())
    bar = Bar(*columns, console=console, refresh_per_second=2, redirect_stdout=False)
    bar.add_task(progress.part, total=None)
    bar.start()
    return bar
