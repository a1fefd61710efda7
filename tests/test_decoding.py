import pytest

from rim_eval.decoding import Budgets, budgets, budgets_within
from rim_eval.errors import RimError
from rim_eval.types import PROMPT_KINDS


@pytest.mark.parametrize("kind", PROMPT_KINDS)
def test_think_mode_has_the_thinking_budget_on_top_of_the_same_answer_budget(kind: str) -> None:
    found = budgets(kind)  # type: ignore[arg-type]
    assert found.total("no_think") == found.answer_tokens
    assert found.total("think") == found.answer_tokens + found.thinking_tokens


def test_own_numbers_hold() -> None:
    found = budgets("harmful", answer_tokens=10, thinking_tokens=0)
    assert (found.total("think"), found.total("no_think")) == (10, 10)


@pytest.mark.parametrize(
    ("name", "value"), [("answer_tokens", 0), ("answer_tokens", "many"), ("thinking_tokens", -1)]
)
def test_bad_number_names_argument_value_and_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(RimError, match=rf"{name}={value!r}.*at least [01].*`{name}=1024`"):
        budgets("harmful", **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("room", "answer", "thinking"),
    [
        (18_432, 2_048, 16_384),  # the defaults fit
        (18_431, 2_048, 16_383),
        (8_000, 2_048, 5_952),  # the trace gives way
        (4_096, 2_048, 2_048),
        (4_000, 2_000, 2_000),  # then both
        (2, 1, 1),
    ],
)
def test_defaults_are_made_to_fit(room: int, answer: int, thinking: int) -> None:
    fitted = budgets_within(room, "harmful")
    assert fitted == Budgets(answer_tokens=answer, thinking_tokens=thinking)


def test_users_own_numbers_never_give_way() -> None:
    own = budgets_within(4_000, "harmful", answer_tokens=3_000)
    assert own == Budgets(answer_tokens=3_000, thinking_tokens=1_000)
    own = budgets_within(4_000, "reasoning", thinking_tokens=3_000)
    assert own == Budgets(answer_tokens=1_000, thinking_tokens=3_000)
    assert budgets_within(4_000, "harmful", answer_tokens=4_001) is None
    assert budgets_within(4_000, "harmful", thinking_tokens=4_000) is None
    assert budgets_within(1, "harmful") is None
