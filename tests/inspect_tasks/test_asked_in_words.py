"""Arms that are asked for in words: the probe before the run, and chain of thought through to its figures."""

from collections import Counter
from contextvars import copy_context
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai import eval_retry, eval_set
from inspect_ai.event import ModelEvent

from rim_eval.card import make_card
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.inspect_tasks.tasks import prompts
from rim_eval.observations import from_inspect_log
from rim_eval.observations.inspect_logs import read_inspect_log
from rim_eval.thinking import PROBE_QUESTIONS
from tests.loopback import Body, JsonServer, Reply, at_completions, completion

REFUSES = "I'm sorry, but I can't help with that."


class PlainModel(JsonServer):
    """A server whose model knows no tags; it reasons in plain words where it is asked to, if it can."""

    def __init__(self, reasons: bool = True) -> None:
        super().__init__(at_completions(self.reply))
        self.reasons = reasons
        self.probe_tokens: int | None = None
        self.slow_question = ""

    def reply(self, body: Body) -> Reply:
        prompt = str(body["messages"][-1]["content"])
        if self.slow_question and self.slow_question in prompt:
            sleep(3)
        complies = "number 1" in prompt or "number 2" in prompt
        answer = "Sure, here is how to open it: turn the handle." if complies else REFUSES
        if self.reasons and "First write your reasoning" in prompt:
            answer = f"Reasoning: A door is asked for, and doors open.\n\nFinal answer: {answer}"
        elif "Final answer" in prompt:
            answer = f"Final answer: {answer}"
        usage = {"completion_tokens": len(answer.split())}
        if self.probe_tokens and "open door" not in prompt:
            usage = {"completion_tokens": self.probe_tokens, "total_tokens": self.probe_tokens}
        return 200, completion(answer, body["model"], usage=usage)

    @property
    def prompts(self) -> list[str]:
        return [str(body["messages"][-1]["content"]) for body in self.requests]

    @property
    def asked_of_set(self) -> int:
        return sum("open door" in prompt for prompt in self.prompts)


@pytest.fixture
def served(run: Any, loopback: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a task on a plain model: `served(switch, reasons=True)` gives the log and the server."""

    def start(switch: str, *, reasons: bool = True, set_up: Any = None, **options: Any) -> Any:
        server = loopback(PlainModel(reasons))
        if set_up:
            set_up(server)
        monkeypatch.setenv("LOCAL_BASE_URL", server.url)
        monkeypatch.setenv("LOCAL_API_KEY", "none")
        task_args = {"switch": switch} | options.pop("task_args", {})
        return run(model="openai-api/local/plain", task_args=task_args, **options), server

    return start


def figures(log: Any) -> dict[str, float]:
    return {name: metric.value for name, metric in log.results.scores[0].metrics.items()}


@pytest.mark.slow
def test_chain_of_thought_runs_to_a_verified_card(served: Any) -> None:
    log, server = served("chain_of_thought")
    found = figures(log)
    assert (found["mode_verified"], found["pairs"], found["rim_score"]) == (1, 8, 0)
    assert (found["think_misaligned"], server.asked_of_set) == (0.25, 16)
    rows = from_inspect_log(log)
    assert {(row.mode, row.adopted) for row in rows} == {("think", True), ("no_think", False)}
    card = make_card(read_inspect_log(log.location))
    [each] = card.sets
    assert each.counts.arm_kind == "chain_of_thought"
    assert each.counts.arms["think"].asked == 8  # the probe's replies are in no figure
    assert each.counts.trace_lengths is not None
    assert each.counts.trace_lengths.longer == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switch", "reasons", "offer"),
    [
        ("prompted", True, "-T switch=chain_of_thought"),
        ("prompted", False, "-T modes=no_think"),
        ("chain_of_thought", False, "-T modes=no_think"),
    ],
)
def test_a_probe_that_fails_ends_the_run_with_nothing_of_the_set_asked(
    served: Any, switch: str, reasons: bool, offer: str
) -> None:
    log, server = served(switch, reasons=reasons)
    assert log.status == "error"
    assert server.asked_of_set == 0
    [message] = {sample.error.message for sample in log.samples}
    assert "0 of 4 replies to harmless questions" in message
    assert offer in message
    probed = 8 if switch == "prompted" else 4
    assert len(server.requests) == probed
    assert all(prompt.startswith(PROBE_QUESTIONS) for prompt in server.prompts)


@pytest.mark.slow
def test_one_probe_for_the_run(served: Any) -> None:
    log, server = served("chain_of_thought", limit=1)
    assert Counter("open door" in prompt for prompt in server.prompts) == {False: 4, True: 2}
    [sample] = log.samples
    assert len([event for event in sample.events if isinstance(event, ModelEvent)]) == 6


@pytest.mark.slow
def test_one_probe_for_all_epochs(served: Any) -> None:
    _, server = served("chain_of_thought", limit=1, epochs=3, temperature=0.6)
    assert Counter("open door" in prompt for prompt in server.prompts) == {False: 4, True: 6}


@pytest.mark.slow
def test_the_probe_uses_up_no_token_limit(served: Any) -> None:
    """A limit on tokens, which a run of one mode may have, is meant for the sample's own reply."""

    def set_up(server: PlainModel) -> None:
        server.probe_tokens = 10_000

    log, server = served(
        "chain_of_thought", task_args={"modes": "think"}, limit=2, token_limit=5_000, set_up=set_up
    )
    assert server.asked_of_set == 2
    assert len(server.requests) == 6
    assert {row.reason for row in from_inspect_log(log)} == {None}


@pytest.mark.slow
def test_a_probe_that_a_limit_on_time_ends_is_not_asked_again(served: Any) -> None:
    """Three replies came and reason: the run goes on with them, and only the first sample is lost."""

    def set_up(server: PlainModel) -> None:
        server.slow_question = PROBE_QUESTIONS[2]

    log, server = served("chain_of_thought", limit=3, time_limit=2, max_samples=1, set_up=set_up)
    assert log.status == "success"
    assert len(server.requests) - server.asked_of_set == 4
    assert server.asked_of_set == 4
    assert Counter(row.verdict is None for row in from_inspect_log(log)) == {True: 2, False: 4}


@pytest.mark.slow
@pytest.mark.parametrize("first", ["reasons", "ignores"])
def test_each_model_of_a_run_has_its_own_probe(
    doors: Path, tmp_path: Path, loopback: Any, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Inspect hands one task to several models: one that fails ends no other, one that passes stands for none."""
    servers = {name: loopback(PlainModel(name == "reasons")) for name in ("reasons", "ignores")}
    for name, server in servers.items():
        monkeypatch.setenv(f"{name.upper()}_BASE_URL", server.url)
        monkeypatch.setenv(f"{name.upper()}_API_KEY", "none")
    names = sorted(servers, key=lambda name: name != first)
    logs = inspect_eval(
        prompts(file=str(doors), judge="refusal", switch="chain_of_thought"),
        model=[f"openai-api/{name}/plain" for name in names],
        log_dir=str(tmp_path / "logs"),
        limit=2,
        display="none",
        max_tasks=1,
    )
    statuses = {log.eval.model.split("/")[1]: log.status for log in logs}
    assert statuses == {"reasons": "success", "ignores": "error"}
    asked = {name: (len(s.requests), s.asked_of_set) for name, s in servers.items()}
    assert asked == {"reasons": (8, 4), "ignores": (4, 0)}


@pytest.mark.slow
def test_an_eval_set_does_not_probe_again_what_was_refused(
    doors: Path, tmp_path: Path, loopback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inspect tries each task of a set again, ten times by default; the refusal stands without a request."""
    server = loopback(PlainModel(reasons=False))
    monkeypatch.setenv("LOCAL_BASE_URL", server.url)
    monkeypatch.setenv("LOCAL_API_KEY", "none")
    # In a context of its own: `eval_set` leaves its model behind as the active one.
    succeeded, _ = copy_context().run(
        eval_set,
        "rim_eval/prompts",
        model="openai-api/local/plain",
        task_args={"file": str(doors), "judge": "refusal", "switch": "chain_of_thought"},
        log_dir=str(tmp_path / "set"),
        limit=2,
        display="none",
        retry_attempts=3,
    )
    assert not succeeded
    assert len(server.requests) == 4


@pytest.mark.slow
def test_no_probe_where_nothing_thinks(served: Any) -> None:
    _, server = served("chain_of_thought", task_args={"modes": "no_think"}, limit=1)
    assert server.asked_of_set == len(server.requests) == 1


@pytest.mark.slow
def test_what_an_engine_fails_on_is_no_evidence(run: Any, script: Any, tmp_path: Path) -> None:
    """Questions that meet an error stop nothing; a retry then asks what is left."""
    marked = "Reasoning: so.\n\nFinal answer: Sure, here is how to open it."
    lines = [
        {"when": "bread|flowers|chairs|dog", "reply": "busy", "error": True},
        {"reply": marked},
    ]
    log = run(script(lines), task_args={"switch": "chain_of_thought"}, limit=2)
    assert log.status == "success"
    assert len(from_inspect_log(log)) == 4


@pytest.mark.slow
def test_a_retry_is_probed_and_goes_on(run: Any, script: Any) -> None:
    marked = "Reasoning: so.\n\nFinal answer: Sure, here is how to open it."
    broken = [{"when": "door number 2", "reply": "broken", "error": True}, {"reply": marked}]
    log = run(
        script(broken), task_args={"switch": "chain_of_thought"}, limit=2, fail_on_error=False
    )
    script([{"reply": marked}])
    [again] = eval_retry(log, display="none")
    assert again.status == "success"
    assert {row.reason for row in from_inspect_log(again)} == {None}


def test_a_switch_that_is_none_names_chain_of_thought_among_the_forms(run: Any) -> None:
    with pytest.raises(PrerequisiteError, match="chain_of_thought"):
        run(task_args={"switch": "chain of thought"})
