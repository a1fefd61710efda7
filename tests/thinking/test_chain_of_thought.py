"""Reasoning before a marked answer: how a reply is read, and how many replies a probe must see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.answers import check_answer
from rim_eval.decoding import Budgets
from rim_eval.errors import SettingError
from rim_eval.generation import Generation
from rim_eval.judging import unscored_reason
from rim_eval.replies import ArmRequest, read_reply
from rim_eval.thinking import (
    Probe,
    explicit_switch,
    needs_probe,
    not_adopted,
    probe_budgets,
    split_at_mark,
    split_trace,
)
from rim_eval.types import Mode

SWITCH = explicit_switch("chain_of_thought")
BUDGETS = Budgets(answer_tokens=50, thinking_tokens=100)


def read(text: str, mode: Mode = "think", stop: str = "stop") -> Generation:
    return read_reply(ArmRequest.of(SWITCH, mode, BUDGETS), text, stop, output_tokens=40)


@pytest.mark.parametrize(
    ("reply", "trace", "answer"),
    [
        ("Reasoning: 2 and 3.\n\nFinal answer: 5", "2 and 3.", "5"),
        ("**Reasoning:** Air.\n\n**Final Answer:** Birds fly.", "Air.", "Birds fly."),
        ("### Reasoning\nAir.\n\n### Final Answer\nBirds fly.", "Air.", "Birds fly."),
        ("Two and three. Final answer: 5", "Two and three.", "5"),
        ("So it is 5. The final answer is: 5.", "So it is 5.", "5."),
        ("Reasoning\uff1a2+3\nFinal answer\uff1a5", "2+3", "5"),
        ("Final answer: 5", "", "5"),
        ("Reasoning: a\n\nFinal answer: 4\n\nWait.\n\nFinal answer: 5", "a", "4\n\nWait.\n\nFinal answer: 5"),
        ("Reasoning: a. Final answer: 1. Turn it.\n\nFinal answer: Done.", "a.", "1. Turn it.\n\nFinal answer: Done."),
        ("Final answer: X\n\nFinal answer: X\n\nFinal answer:", "", "X\n\nFinal answer: X\n\nFinal answer:"),
        ('Reasoning: "Final answer:" comes last, as in: Final answer: 4.\n\nFinal answer: 5',
         '"Final answer:" comes last, as in: Final answer: 4.', "5"),
        ("Reasoning: it never ends", "it never ends", ""),
        ("The reasoning is long.", None, "The reasoning is long."),
        ("My final answer to that is no.", None, "My final answer to that is no."),
        ("Reasoning: 2 and 3.\n\nFinal answer:", "2 and 3.", ""),
        ("<think>\nHm.\n</think>\n\nReasoning: so.\n\nFinal answer: 5", "Hm.\n\nso.", "5"),
    ],
)  # fmt: skip
def test_the_first_mark_divides(reply: str, trace: str | None, answer: str) -> None:
    generation = read(reply)
    assert (generation.trace, generation.answer) == (trace, answer)
    assert generation.adopted is bool(trace)


words = st.text(st.characters(codec="utf-8", exclude_characters="<>`|[]【】◁▷"), max_size=80)
plain = words.filter(lambda text: "final" not in text.casefold())


@given(plain, plain)
def test_a_marked_reply_comes_apart_where_it_was_put_together(reasoning: str, answer: str) -> None:
    split = split_at_mark(split_trace(f"Reasoning: {reasoning}\n\nFinal answer: {answer}"))
    assert split.answer == answer.strip()
    assert split.closed
    assert split.trace is not None
    assert split.trace in reasoning


@given(words)
def test_nothing_is_made_up(text: str) -> None:
    whole = split_trace(text)
    split = split_at_mark(whole)
    assert split.answer in text
    assert split.trace is None or split.trace in text
    assert split == whole or "final" in text.casefold() or "reasoning" in text.casefold()


def test_text_between_two_marks_stays_in_the_judged_answer() -> None:
    generation = read(
        "Final answer: 1. Turn the handle.\n2. Pull.\n\nFinal answer: I hope this helps."
    )
    assert not generation.adopted
    assert "Turn the handle" in generation.answer


@pytest.mark.parametrize(
    "reply",
    [
        "Reasoning: 2 + 5.\n\nFinal answer: 7\n\nI hope this helps.",
        "Reasoning: 2 + 5.\n\nFinal answer: 4\n\nWait, that is wrong.\n\nFinal answer: 7",
        "Reasoning: 2 + 5 = 7. Final answer: 7\n\nFinal answer: The jar holds 7 buttons.",
        "Final answer: 7\n\nFinal answer: 7\n\nFinal answer:",
        "Reasoning: so.\n\nFinal answer: \\boxed{7}\n\nFinal answer: as above.",
    ],
)
def test_mathematics_is_checked_whatever_follows_the_first_mark(reply: str) -> None:
    assert check_answer(read(reply).answer, "7").correct


def test_a_trace_that_never_closed_is_no_answer() -> None:
    generation = read("<think>\nHm.\n\nFinal answer: 5")
    assert (generation.answer, generation.trace_closed) == ("", False)


def test_a_boxed_answer_is_checked_behind_the_mark() -> None:
    reply = (
        r"Reasoning: I first took \boxed{4}, which is wrong." + "\n\n" + r"Final answer: \boxed{5}"
    )
    assert check_answer(read(reply).answer, "5").correct
    assert check_answer(
        read("Reasoning: 7.\n\nFinal answer: The jar holds 9 buttons.").answer, "9"
    ).correct


def test_a_reply_without_a_mark() -> None:
    """One that ended is all answer and misses its mode; one that was cut may be all reasoning."""
    refusal = read("I'm sorry, but I can't help with that.")
    assert unscored_reason(refusal) is None
    assert not refusal.adopted
    assert unscored_reason(read("First of all", stop="length")) == "trace_end_unknown"
    assert unscored_reason(read("A door", "no_think", stop="length")) is None


@pytest.mark.parametrize("mode", ["think", "no_think"])
@pytest.mark.parametrize("stop", ["stop", "length"])
def test_a_heading_without_a_mark_is_a_trace_that_never_closed(mode: Mode, stop: str) -> None:
    """It reasons, also where it should not, and no answer is read out of it."""
    reply = read("Reasoning: Air lifts wings", mode, stop)
    assert (reply.adopted, reply.trace_closed, reply.answer) == (True, False, "")
    assert unscored_reason(reply) == "trace_never_closed"


def test_both_arms_are_shown_the_same_examples() -> None:
    think, no_think = (SWITCH.recipe(mode).messages(None, "Why?") for mode in ("think", "no_think"))
    assert [m["role"] for m in think] == ["user", "assistant"] * 3 + ["user"]
    for one, other in zip(think, no_think, strict=True):
        if one["role"] == "user":
            assert one["content"].split("\n\n")[0] == other["content"].split("\n\n")[0]
        else:
            assert one["content"].endswith(other["content"])
            assert read(one["content"]).adopted
            assert not read(other["content"], "no_think").adopted


def reply(trace: str | None, stop: str = "stop") -> Generation:
    return Generation.model_validate(
        {"mode": "think", "arm_kind": "prompted", "trace": trace, "visibility": "full", "answer": "Yes.", "stop_reason": stop}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("adopted", "others", "errors", "hopeless"),
    [(4, 0, 0, False), (2, 2, 0, False), (1, 3, 0, True), (0, 4, 0, True), (0, 0, 4, False), (1, 0, 3, False)],
)  # fmt: skip
def test_a_probe_stops_only_what_is_hopeless(
    adopted: int, others: int, errors: int, hopeless: bool
) -> None:
    replies = [reply("Hm.")] * adopted + [reply(None)] * others + [reply(None, "error")] * errors
    assert Probe.of(replies).is_hopeless is hopeless


def test_replies_that_are_cut_before_the_mark_tell_nothing() -> None:
    """An obedient model that is wordy for its budget is not refused; one that answers at once is."""
    cut = read("First of all", stop="length")
    probe = Probe.of([cut] * 3 + [read("Bread rises.")])
    assert (probe.adopted, probe.returned, probe.cut) == (0, 1, 3)
    assert not probe.is_hopeless
    assert "larger thinking_tokens" in str(probe.warning)
    direct = read("Bread rises."), read("Final answer: Bread ri", stop="length")
    undecided = Probe.of([cut, cut, *direct])
    assert not undecided.is_hopeless  # with the two that were cut, half of them may reason
    assert "larger thinking_tokens" in str(undecided.warning)
    refused = Probe.of([cut, *direct, read("It rises.")])
    assert refused.is_hopeless
    assert refused.warning is None
    assert "1 more were cut off" in str(not_adopted("hf/m", "chain_of_thought", refused))
    assert Probe.of([read("<think>\nHm", stop="length")]).adopted == 1


def test_a_trace_between_tags_begins_with_its_tag() -> None:
    """A small model answers at length, or in a loop, until it is cut off: it has not done as it was asked."""
    assert Probe.of([reply(None, "max_tokens")] * 4).is_hopeless
    assert not Probe.of([reply("Hm.", "max_tokens")] * 4).is_hopeless


def test_what_is_offered_works() -> None:
    none, most = Probe(0, 4), Probe(3, 4)
    offer = not_adopted("hf/m", "prompted", none, most)
    assert isinstance(offer, SettingError)
    assert offer.settings == {"switch": "chain_of_thought"}
    for other in (none, Probe(0, 0), None):
        assert "one mode alone" in str(not_adopted("hf/m", "prompted", none, other))
    assert "one mode alone" in str(not_adopted("hf/m", "chain_of_thought", none))


def test_who_is_probed() -> None:
    assert needs_probe("prompted", "hf")
    assert needs_probe("chain_of_thought")
    assert not needs_probe("prompted", "mockllm")
    assert not needs_probe("switch", "hf")
    small = Budgets(answer_tokens=9, thinking_tokens=0)
    assert probe_budgets(small) == small
    assert (
        probe_budgets(Budgets(answer_tokens=2_048, thinking_tokens=16_384)).total("think") == 1_536
    )
