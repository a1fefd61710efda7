"""lm-eval's door with arms that are asked for in words: chain of thought, and the probe before the run."""

from typing import Any

import pytest
from lm_eval.models.openai_completions import LocalChatCompletion

from rim_eval.errors import RimError
from rim_eval.observations import from_lm_eval_samples
from rim_eval.thinking import PROBE_QUESTIONS
from tests.loopback import Body, JsonServer, Reply, at_completions, completion

from .conftest import REFUSES, TEMPLATE, Scripted

BOTH = ("rim_toy_think", "rim_toy_no_think")


def plainly(prompt: str) -> str:
    """Reasons in plain words where it is asked to; no tags."""
    reasons = "Reasoning: So it is.\n\n" if "First write your reasoning" in prompt else ""
    return f"{reasons}Final answer: {REFUSES}" if "Final answer" in prompt else REFUSES


def answer(body: Body) -> Reply:
    text = plainly(body["messages"][-1]["content"])
    return 200, completion(text, body["model"], usage={"completion_tokens": len(text.split())})


@pytest.mark.slow
def test_chain_of_thought_of_a_text_engine(run: Any) -> None:
    lm = Scripted(plainly)
    results = run(lm, *BOTH, settings={"switch": "chain_of_thought"})
    for task, thinks in zip(BOTH, (True, False), strict=True):
        rows = from_lm_eval_samples(results["samples"][task])
        assert {(row.arm_kind, row.adopted, row.verdict) for row in rows} == {
            ("chain_of_thought", thinks, False)
        }
    assert len(lm.asked) == 4 + 4 + 4  # the probe, and four prompts in each mode
    assert all("Why do ships float?" in prompt for prompt, _ in lm.asked)


@pytest.mark.slow
def test_a_model_is_probed_once_for_all_tasks(run: Any) -> None:
    lm = Scripted(plainly)
    run(lm, "rim_toy_think", "rim_toy_math_think", settings={"switch": "chain_of_thought"})
    assert sum(any(q in prompt for q in PROBE_QUESTIONS) for prompt, _ in lm.asked) == 4


@pytest.mark.slow
def test_chain_of_thought_of_a_chat_engine(run: Any, loopback: Any) -> None:
    server = loopback(JsonServer(at_completions(answer)))
    lm = LocalChatCompletion(base_url=f"{server.url}/chat/completions", model="plain")
    results = run(lm, *BOTH, settings={"switch": "chain_of_thought"})
    assert results["results"]["rim_toy_think"]["trace_present,none"] == 1
    assert results["results"]["rim_toy_no_think"]["trace_present,none"] == 0
    roles = {tuple(message["role"] for message in body["messages"]) for body in server.requests}
    assert roles == {("user", "assistant") * 3 + ("user",)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switch", "reply", "offer"),
    [
        ("prompted", plainly, '"switch": "chain_of_thought"'),
        ("prompted", lambda _: REFUSES, "one mode alone"),
        ("chain_of_thought", lambda _: REFUSES, "one mode alone"),
    ],
)
def test_a_probe_that_fails_ends_the_run_with_nothing_of_the_set_asked(
    run: Any, switch: str, reply: Any, offer: str
) -> None:
    lm = Scripted(reply)
    with pytest.raises(RimError) as error:
        run(lm, *BOTH, settings={"switch": switch})
    assert "0 of 4 replies to harmless questions" in str(error.value)
    assert offer in str(error.value)
    assert all(any(q in prompt for q in PROBE_QUESTIONS) for prompt, _ in lm.asked)


@pytest.mark.slow
def test_what_the_engine_fails_on_is_no_evidence(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_first(prompt: str) -> str:
        if any(question in prompt for question in PROBE_QUESTIONS):
            raise ConnectionError("busy")
        return plainly(prompt)

    results = run(Scripted(fail_first), *BOTH, settings={"switch": "chain_of_thought"})
    assert results["results"]["rim_toy_think"]["trace_present,none"] == 1
    assert "The engine failed before the first prompt" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [RimError("no such mode"), TypeError("not a string"), KeyError("text")]
)
def test_errors_that_are_not_the_engines_own_end_the_probe(run: Any, error: Exception) -> None:
    def fail(_: str) -> str:
        raise error

    lm = Scripted(fail)
    with pytest.raises(type(error)):
        run(lm, *BOTH, settings={"switch": "chain_of_thought"})
    assert all(any(q in prompt for q in PROBE_QUESTIONS) for prompt, _ in lm.asked)


@pytest.mark.slow
def test_budgets_leave_room_for_the_example_turns_as_the_template_writes_them(run: Any) -> None:
    """A template may put many tokens around each message, and the examples are six messages."""
    lm = Scripted(plainly, TEMPLATE.replace("<|im_end|>", "<|im_end|>" + " around" * 60))
    lm.max_length = 3_000
    run(
        lm,
        *BOTH,
        settings={"switch": "chain_of_thought", "answer_tokens": None, "thinking_tokens": None},
    )
    lengths = {
        len(prompt.split()) + settings["max_gen_toks"]
        for prompt, settings in lm.asked
        if not any(question in prompt for question in PROBE_QUESTIONS)
    }
    assert max(lengths) <= 3_000
