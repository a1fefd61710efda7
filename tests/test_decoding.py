import pytest

from rim_eval.decoding import budgets
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
