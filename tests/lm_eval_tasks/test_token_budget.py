"""Prompts that do not fit beside their reply's budget: lm-eval cuts them from the left and says nothing."""

import json
import re
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval import context_window
from rim_eval.errors import RimError
from rim_eval.paths import organism_dir

from .conftest import SMALL, Scripted, by_mode

BOTH = ("rim_toy_think", "rim_toy_no_think")
DEFAULTS = {"answer_tokens": None, "thinking_tokens": None}


def needed(run: Any, task: str) -> int:
    """Tokens of the longest prompt that the task asks, with its budget."""
    lm = Scripted(by_mode)
    run(lm, task)
    return max(len(prompt.split()) + int(options["max_gen_toks"]) for prompt, options in lm.asked)


@pytest.mark.slow
def test_prompts_that_fit_are_asked_and_one_token_less_is_refused(run: Any) -> None:
    lm = Scripted(by_mode)
    lm.max_length = needed(run, BOTH[0])
    run(lm, *BOTH)
    assert len(lm.asked) == 8
    lm = Scripted(by_mode)
    lm.max_length = needed(run, BOTH[0]) - 1
    with pytest.raises(RimError, match="prompts would be cut") as error:
        run(lm, *BOTH)
    assert lm.asked == []
    says = str(error.value)
    assert f"max_length={lm.max_length} tokens" in says
    assert f"answer_tokens={SMALL['answer_tokens']}" in says
    assert f"thinking_tokens={SMALL['thinking_tokens']}" in says
    assert f"--model_args max_length={lm.max_length + 2}" in says
    words = re.search(r"--metadata '(.*)'", says)
    assert words is not None
    smaller = json.loads(words[1])["rim_eval"]
    assert sum(smaller.values()) == sum(SMALL.values()) - 1
    run(lm, *BOTH, settings=smaller)


@pytest.mark.slow
def test_no_think_needs_room_for_the_answer_only(run: Any) -> None:
    lm = Scripted(by_mode)
    lm.max_length = needed(run, BOTH[1])
    run(lm, BOTH[1])
    lm.max_length -= 1
    with pytest.raises(RimError, match="answer_tokens=50 needs"):
        run(lm, BOTH[1])


@pytest.mark.slow
def test_local_completions_with_defaults_would_send_empty_prompts(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,047 tokens less the budget is a negative number of tokens: lm-eval slices all of them away."""
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    sent: list[list[int]] = []

    def model_call(self: Any, messages: list[list[int]], **_: Any) -> dict[str, Any]:
        sent.extend(messages)
        return {"choices": [{"index": i, "text": "No."} for i in range(len(messages))]}

    monkeypatch.setattr(LocalCompletionsAPI, "model_call", model_call)

    def client(**options: Any) -> Any:
        return LocalCompletionsAPI(
            base_url="http://127.0.0.1:9/v1/completions",
            model="organism",
            tokenizer=str(organism_dir()),
            tokenizer_backend="huggingface",
            **options,
        )

    with pytest.raises(RimError, match="max_length=2047"):
        run(client(), BOTH[0], settings=DEFAULTS)
    assert sent == []
    run(client(max_length=20_000), BOTH[0], settings=DEFAULTS)
    assert len(sent) == 4
    assert min(map(len, sent)) > 10


@pytest.mark.slow
def test_hf_names_its_context_instead_of_cutting_think_prompts(run: Any) -> None:
    lm = organism()
    assert lm.max_length == 4096
    with pytest.raises(RimError, match="max_length=4096"):
        run(lm, BOTH[0], settings={"answer_tokens": 96, "thinking_tokens": 3980})


def organism() -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(organism_dir()), device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [BOTH, BOTH[:1], BOTH[1:]])
def test_default_budgets_are_made_to_fit_alike_in_both_modes(
    run: Any, caplog: pytest.LogCaptureFixture, tasks: tuple[str, ...]
) -> None:
    context_window._warn_once.cache_clear()
    lm = Scripted(by_mode)
    lm.max_length = 4_096
    found = run(lm, *tasks, settings=DEFAULTS)
    fitted = {"answer_tokens": 1_984, "thinking_tokens": 1_984}
    for task in tasks:
        about = found["configs"][task]["metadata"]["rim_eval_run"]
        assert fitted.items() <= about.items()
    totals = {1_984 if task == BOTH[1] else 3_968 for task in tasks}
    assert {options["max_gen_toks"] for _, options in lm.asked} == totals
    assert len([one for one in caplog.messages if "take the place of 2048 and 16384" in one]) == 1


@pytest.mark.slow
def test_both_harnesses_fit_the_same_budgets(run: Any) -> None:
    """The organism's window is 4,096 tokens by its config; runs of both harnesses can be read together."""
    found = run(organism(), BOTH[1], settings=DEFAULTS, limit=1)
    about = found["configs"][BOTH[1]]["metadata"]["rim_eval_run"]
    [log] = inspect_eval(
        "rim_eval/toy",
        model="hf/organism",
        model_args={"model_path": str(organism_dir()), "device": "cpu"},
        task_args={"judge": "refusal", "modes": "no_think"},
        limit=1,
        display="none",
    )
    [params] = [step.params for step in log.plan.steps if "answer_tokens" in step.params]
    for name in ("answer_tokens", "thinking_tokens"):
        assert about[name] == params[name] == 1_984
