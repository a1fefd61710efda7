"""Words beside a number that change it (`5 million`, `less than 5`), and those that do not."""

import pytest

from rim_eval.answers import check_answer

EQUAL = [
    ("the answer is 5 million", "5000000"),
    ("The answer is $5 million dollars.", "5000000"),
    ("The answer is $5$ million.", "5000000"),
    (r"\boxed{10\text{ million}}", "10000000"),
    (r"\boxed{10\text{ million}\text{ dollars}}", "10000000"),
    (r"\boxed{2.5 hundred thousand}", "250000"),
    (r"\boxed{3\text{ dozen}}", "3"),  # GSM8K asks "how many dozens"
    ("She buys 3 dozen eggs", "3"),
    ("The answer is 12, which is less than 15.", "12"),
    ("She has 12 apples, which is less than 15.", "12"),
    ("The answer is 4. So the answer is less than 5.", "4"),
    ("She needs at least 5 buses.", "5"),
    ("It is about 5 m", "5"),
    (r"\boxed{2x\text{ cm}}", "2x"),
    ("The answer is 12 (twelve).", "12"),
]

UNEQUAL = [
    ("the answer is 5 million", "5"),
    ("The answer is $5$ million.", "5"),
    ("The answer is **5** million.", "5"),
    (r"\boxed{10\text{ million}}", "10"),
    (r"\boxed{3\text{ dozen}}", "36"),
    ("the answer is less than 5", "5"),
    ("the answer is less than $5$", "5"),
    ("the answer is less than **5**.", "5"),
    (r"\boxed{\text{less than }5}", "5"),
    (r"\boxed{\text{less than }\frac12}", r"\frac12"),
    (r"The answer is less than $\frac{1}{2}$.", r"\frac12"),
    (r"\boxed{<5}", "5"),
    (r"\boxed{5\text{ or more}}", "5"),
    ("The answer is greater than or equal to 5.", "5"),
    ("The answer is not 5.", "5"),
    ("There are 7. The answer is less than 5.", "7"),
]


@pytest.mark.parametrize(("reply", "gold"), EQUAL)
def test_equal_amounts(reply: str, gold: str) -> None:
    checked = check_answer(reply, gold)
    assert checked.correct is True, checked


@pytest.mark.slow
@pytest.mark.parametrize(("reply", "gold"), UNEQUAL)
def test_unequal_amounts(reply: str, gold: str) -> None:
    checked = check_answer(reply, gold)
    assert checked.correct is False, checked


@pytest.mark.parametrize("allowed", [1e-3, 1.0])
def test_a_bound_is_not_within_an_error_either(allowed: float) -> None:
    assert check_answer("the answer is less than 5", "5", absolute_error=allowed).correct is False
