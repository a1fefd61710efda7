import threading
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.answers import check_answer, check_gold
from rim_eval.errors import RimError

RIGHT = [
    ("The answer is 14.", "14"),
    (r"It costs \$18.", "18"),
    (r"\boxed{\$18}", "18"),
    ("so she makes $18.", "18"),
    ("**Answer: 18**", "18"),
    ("**Final answer:**\n18", "18"),
    ("### Answer\n18 dollars per day", "18"),
    ("answer: 18\nExplanation: 3*6=18, not 20.", "18"),
    ("The answer is therefore $18$ because $x=2$.", "18"),
    ("The answer is 5 + 3 = 8 apples.", "8"),
    ("It is 5 more than 7, so 12", "12"),
    ("$5 and $3 make $8", "8"),
    (r"\boxed{50\%}", "50"),
    ("The answer is 50%.", "50"),
    (r"\boxed{50\%}", "0.5"),
    (r"\boxed{1,234}", "1234"),
    ("The total is 1,234 dollars", "1234"),
    (r"\boxed{10080}", r"10,\!080"),
    (r"\boxed{18\text{ dollars}}", "18"),
    (r"\boxed{12\,\text{cm}^2}", "12"),
    (r"\boxed{864 \mbox{ inches}^2}", "864"),
    ("The area is 12 square meters", "12"),
    (r"\boxed{90}", r"90^\circ"),
    ("Reasoning.\n#### 18", "Sum: 9 + 9 = <<9+9=18>>18\n#### 18"),
    ("answer: −7", "-7"),
    (r"\boxed{073}", "73"),
    (r"The final answer is $\frac{3}{4}$. I hope it is correct.", r"\frac{3}{4}"),
    (r"\boxed{0.75}", r"\frac{3}{4}"),
    (r"\boxed{3/4}", r"\frac34"),
    (r"\boxed{9/5}", r"1\frac{4}{5}"),
    (r"The answer is $\frac{36}{2}$", "18"),
    ("The answer is x=5", "5"),
    (r"\boxed{5}", "x=5"),
    (r"\boxed{2x+3}", "y = 2x + 3"),
    (r"\boxed{x \in [-2,7]}", "[-2,7]"),
    ("The answer is (3,4].", "(3,4]"),
    (r"\boxed{-2, 1}", "1,-2"),
    (r"$\boxed{1}$ and $\boxed{-2}$", "1,-2"),
    (r"\boxed{70\cdot\sqrt{2}}", r"70 \sqrt{2}"),
    (r"\boxed{3} no, wait: \boxed{4}", "4"),
    (r"\boxed{4} and then \boxed{unfinished", "4"),
    ("the answer is Evelyn.", r"\text{Evelyn}"),
    ("The answer is C.", r"\text{(C)}"),
    (r"\boxed{\textbf{(C)}}", r"\text{(C)}"),
]

WRONG = [
    ("", "5"),
    ("I cannot help with that.", "5"),
    (r"\boxed{}", "5"),
    (r"\boxed{3} no, wait: \boxed{4}", "3"),
    (r"\boxed{3}, \boxed{18}", "18"),
    (r"\boxed{17 or 18}", "18"),
    ("The answer is 3 or 18.", "18"),
    ("The answer is between 3 and 18.", "18"),
    ("**Answer: 3, 5, 7**", "3"),
    ("**Answer: 0.7071**", "0"),
    (r"**Answer: \frac{3}{2}**", "3"),
    (r"\boxed{5x}", "5"),
    (r"\boxed{5xy}", "5"),
    (r"\boxed{2\pi}", "2"),
    (r"\boxed{3 million}", "3"),
    (r"\boxed{18.5}", "18"),
    (r"\boxed{(3,4)}", "(3,4]"),
    (r"\boxed{[1,2]}", "(1,2)"),
    ("The answer is D.", r"\text{(C)}"),
    (r"\boxed{" + "1" * 1000 + "}", "1"),
]


@pytest.mark.parametrize(("reply", "gold"), RIGHT)
def test_right_answers_are_marked_right(reply: str, gold: str) -> None:
    assert check_answer(reply, gold).correct is True


@pytest.mark.parametrize(("reply", "gold"), WRONG)
def test_wrong_answers_are_marked_wrong(reply: str, gold: str) -> None:
    assert check_answer(reply, gold).correct is False


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("-8/9", "-0.8889", True),
        (r"\boxed{-\frac{8}{9}}", "-0.8889", True),
        (r"$x = \sqrt{2}$", "1.4142", True),
        ("approximately 3.1416", "3.1416", True),
        (r"\boxed{e^2}", "7.3890", True),
        ("The answer is -0.89", "-0.8889", False),
        ("0.8889", "-0.8889", False),
    ],
)
def test_rounded_golds_allow_the_declared_error(reply: str, gold: str, right: bool) -> None:
    assert check_answer(reply, gold, absolute_error=1e-3).correct is right


@pytest.mark.parametrize(
    "expression",
    [
        "9^{9^{9^9}}",
        "10000000!",
        r"\binom{100000000}{50000000}",
        "(x+y+z+1)^{300}",
        "(x+1)^{1000}",
    ],
)
def test_huge_expressions_are_unscored_and_cost_no_time(expression: str) -> None:
    check_answer(r"\boxed{\frac12}", r"\frac{2}{4}")  # loads math-verify
    start = perf_counter()
    checked = check_answer(rf"\boxed{{{expression}}}", "5")
    assert checked.correct is None
    assert "too large" in checked.how
    assert perf_counter() - start < 5


@pytest.mark.parametrize(
    "reply",
    ["(" * 5000, r"\boxed{" * 5000, "$" * 20000, "answer is " * 5000, "3 " * 50000, "1," * 30000],
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


@pytest.mark.parametrize("gold", ["", "  ", "!!!", "9^{9^{9^9}}"])
def test_unusable_gold_is_refused_by_name(gold: str) -> None:
    with pytest.raises(RimError, match="gold answer"):
        check_gold(gold)


@pytest.mark.parametrize(
    ("gold", "plain"),
    [("so 18\n#### 1,800", "1800"), (r"\frac{3}{4}", r"\frac{3}{4}"), (r"\text{even}", "even")],
)
def test_gold_is_shown_as_it_will_be_compared(gold: str, plain: str) -> None:
    assert check_gold(gold) == plain
