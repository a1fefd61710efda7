"""Which part of a reply is taken for its final answer: headings, announcements, remarks."""

from time import perf_counter

import pytest

from rim_eval.answers import check_answer

HEADINGS = [
    ("#### Final Answer\n\n18", "18"),
    ("#### Final Answer\n\nShe makes 18 dollars.\n\nThat took 3 days.", "18"),
    ("9 + 9 = 18.\n#### Conclusion\nTherefore, the final answer is 42.", "42"),
    ("#### Step 2\nThe answer is 42.", "42"),
    ("#### Step 2\n6 * 7 = 42", "42"),
    ("#### 2. Add them up\nThere are 42 marbles.", "42"),
    ("##### 3\nSo there are 42.", "42"),
    ("#### Conclusion\n\nThe answer is Evelyn.", r"\text{Evelyn}"),
]

MARKED = [
    ("The answer is 18.\n#### 20", "20"),
    ("#### 18\nThe answer is correct.", "18"),
    ("#### 18\n#### Check\nAll 3 steps hold.", "18"),
    ("#### x = 5", "5"),
    ("#### p - q", "p-q"),
    (r"#### \frac{\pi}{2}", r"\pi/2"),
    ("### Answer\n\n18\n\nNote that 3 were eaten.", "18"),
    ("#### Evelyn", r"\text{Evelyn}"),
]

REMARKS = [
    ("The answer is 18.\n\nNote: the solution is simple.", "18"),
    ("Final answer: **42**\n\nThis result is consistent with the given data.", "42"),
    ("The answer is 42.\n\nThe result is 3 more than the 39 of last year.", "42"),
    ("So she makes $18. This solution is correct.", "18"),
    ("The answer is 18. The answer is clearly correct: 3 days pay 6 dollars each.", "18"),
    ("**Solution**: There are 40 red and 2 blue marbles.\n\nSo there are **42** marbles.", "42"),
    ("The result is 42. It took us 3 steps.", "42"),
    ("The solution is $x = 5$, found in 3 steps.", "5"),
    ("The answer is Evelyn. The answer is consistent.", r"\text{Evelyn}"),
]

NOT_GIVEN = [
    ("**Solution**: There are 40 red and 2 blue marbles.\n\nSo there are **42** marbles.", "40"),
    ("There are 40 red and 2 blue. The answer is forty-two.", "2"),
    ("The answer is x = 5 or x = 7.", "7"),
    ("The answer is 5-3.", "3"),
]


@pytest.mark.parametrize(("reply", "gold"), HEADINGS + MARKED + REMARKS)
def test_answer_is_found(reply: str, gold: str) -> None:
    checked = check_answer(reply, gold)
    assert checked.correct is True, checked


@pytest.mark.parametrize(("reply", "gold"), NOT_GIVEN)
def test_what_is_not_the_answer_is_not_taken(reply: str, gold: str) -> None:
    checked = check_answer(reply, gold)
    assert checked.correct is False, checked


@pytest.mark.parametrize(
    "reply",
    [
        "#### Step\n" * 10_000,
        "#" * 50_000,
        "answer" + "*" * 50_000,
        "the result is less than 5 " * 5_000,
        "answer is less  than " * 5_000,
        r"\(" * 20_000,
        "or x = " * 10_000,
        r"\boxed{" + "3 " * 600 + "million " * 10 + "}",
    ],
)
def test_long_replies_are_read_quickly(reply: str) -> None:
    start = perf_counter()
    assert check_answer(reply, "7").correct is False
    assert perf_counter() - start < 5
