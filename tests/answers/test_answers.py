import threading
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.answers import check_answer


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("-8/9", "-0.8889", True),
        (r"\boxed{-\frac{8}{9}}", "-0.8889", True),
        (r"$x = \sqrt{2}$", "1.4142", True),
        ("$x < 1.4142$", "1.4142", False),
        ("approximately 3.1416", "3.1416", True),
        (r"\boxed{e^2}", "7.3890", True),
        ("The answer is -0.89", "-0.8889", False),
        ("0.8889", "-0.8889", False),
        ("the answer is less than 1.4142", "1.4142", False),
        ("the answer is Evelyn", "1.4142", False),
    ],
)
def test_rounded_golds_allow_the_declared_error(reply: str, gold: str, right: bool) -> None:
    assert check_answer(reply, gold, absolute_error=1e-3).correct is right


@pytest.mark.parametrize(
    "reply",
    [
        "(" * 5000,
        r"\boxed{" * 5000,
        r"\boxed{(" + "3 " * 50_000,
        r"\boxed{" + "3 " * 600 + "million " * 10 + "}",
        "$" * 20_000,
        "answer is " * 5000,
        "answer" + "*" * 50_000,
        "answer is less  than " * 5000,
        "3 " * 50_000,
        "1," * 30_000,
        "1 234 " * 20_000,
        "#### Step\n" * 10_000,
        "#" * 50_000,
        r"\(" * 20_000,
        "or x = " * 10_000,
        " " * 50_000,
        "a b " * 30_000,
        r"\boxed{1}" + ", " * 30_000,
        "The answer is 1 or " + "two " * 20_000,
    ],
)
def test_degenerate_replies_are_wrong_and_quick(reply: str) -> None:
    start = perf_counter()
    assert check_answer(reply, r"\frac{2}{7}").correct is False
    assert perf_counter() - start < 5


def test_works_in_threads() -> None:
    verdicts: list[bool | None] = []

    def work() -> None:
        verdicts.append(check_answer(r"\boxed{\frac{6}{8}}", r"\frac{3}{4}").correct)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 8


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789\\{}$^_()[],.=+-*/% abxfrcoed\n#", max_size=60))
def test_never_raises(reply: str) -> None:
    checked = check_answer(reply, r"\frac{3}{4}")
    assert checked.correct in (True, False, None)
    assert checked.how


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_are_right_exactly_when_equal(said: int, gold: int) -> None:
    for reply in (rf"\boxed{{{said:,}}}", f"**Answer: {said}**", f"#### {said}"):
        assert check_answer(reply, str(gold)).correct is (said == gold)
        assert check_answer(reply, str(said)).correct is True
