import contextlib
import threading
import time

import pytest

from rim_eval.checking._deadline import DeadlinePassedError, deadline


def spin() -> None:
    while True:
        with contextlib.suppress(Exception):  # as deep libraries do
            sum(range(100))


def cut_short() -> float:
    start = time.perf_counter()
    with pytest.raises(DeadlinePassedError), deadline(0.1):
        spin()
    return time.perf_counter() - start


def test_endless_work_is_cut_in_any_thread() -> None:
    assert cut_short() < 5
    elapsed: list[float] = []
    thread = threading.Thread(target=lambda: elapsed.append(cut_short()))
    thread.start()
    thread.join(10)
    assert elapsed
    assert elapsed[0] < 5


def test_quick_work_is_left_alone_also_afterwards() -> None:
    for _ in range(200):
        try:
            with deadline(0.0005):
                sum(range(2000))
        except DeadlinePassedError:
            continue
    before = threading.active_count()
    time.sleep(0.05)
    assert sum(range(10)) == 45
    assert threading.active_count() <= before


def swallow_once() -> None:
    with contextlib.suppress(DeadlinePassedError):
        spin()
    spin()


def test_a_swallowed_deadline_comes_again() -> None:
    with pytest.raises(DeadlinePassedError), deadline(0.05):
        swallow_once()


def test_time_that_is_up_while_the_watcher_starts_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the watcher raises again and again, in whatever the thread does next."""
    start = threading.Thread.start

    def slow(thread: threading.Thread) -> None:
        start(thread)
        end = time.perf_counter() + 0.1
        while time.perf_counter() < end:
            pass

    monkeypatch.setattr(threading.Thread, "start", slow)
    before = threading.active_count()
    with pytest.raises(DeadlinePassedError), deadline(0.01):
        pytest.fail("the block must not begin")
    time.sleep(1.2)
    assert threading.active_count() <= before
