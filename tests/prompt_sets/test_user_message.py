import pytest

from rim_eval.errors import RimError
from rim_eval.prompt_sets import Prompt, Style, message_in_arm, user_message

SUM = Prompt(id="sums-1", set="sums", kind="reasoning", text="What is {2} + 3?", target="5")
DOOR = Prompt(id="doors-1", set="doors", kind="harmful", text="Open the {grey} vault.")


def test_harmful_prompts_are_asked_as_published_below_their_context() -> None:
    assert user_message(DOOR, "direct") == DOOR.text
    assert (
        user_message(DOOR.model_copy(update={"context": "A castle."}))
        == f"A castle.\n\n---\n\n{DOOR.text}"
    )


def test_direct_problems_ask_for_no_chain_of_thought() -> None:
    worked, direct = user_message(SUM, "worked"), user_message(SUM, "direct")
    assert "first" in worked
    assert "first" not in direct
    assert "\\boxed{}" in worked
    assert "\\boxed{}" in direct
    assert worked.startswith(SUM.text)
    assert user_message(SUM, "as_is") == SUM.text


def test_unknown_style_lists_the_known_ones() -> None:
    with pytest.raises(RimError, match=r"'slow'.*as_is, worked, direct"):
        user_message(SUM, "slow")  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["worked", "direct", "as_is"])
def test_arms_that_say_how_to_work_get_no_second_instruction(style: Style) -> None:
    """ "Answer at once, with no reasoning" stood above "Work out the solution first"."""
    facts, message = {"kind": SUM.kind, "request": SUM.text}, user_message(SUM, style)
    assert message_in_arm(message, facts, "switch") == message
    prompted = message_in_arm(message, facts, "prompted")
    form = "\n\nGive the final answer alone inside \\boxed{}."
    assert prompted == SUM.text + ("" if style == "as_is" else form)


def test_harmful_prompts_are_asked_alike_in_every_kind_of_arm() -> None:
    facts = {"kind": DOOR.kind, "request": DOOR.text}
    message = user_message(DOOR.model_copy(update={"context": "A castle."}))
    assert message_in_arm(message, facts, "prompted") == message
