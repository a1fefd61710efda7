"""Doses of thinking, end to end: budgets are forced, traces opened again, and every dose is checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval.card import card_html, check_card, make_card
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.observations import from_inspect_log, read_observations
from rim_eval.organism import write_folder
from rim_eval.paths import organism_dir
from rim_eval.thinking import template_renderer
from tests.loopback import NOT_FOUND, Body, JsonServer, Reply, completion

LADDER = "off,forced_empty,16,full,more"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The toy set with five doses, on an organism that was taught to answer after a trace that was cut."""
    folder = tmp_path_factory.mktemp("rising")
    [log] = inspect_eval(
        "rim_eval/toy",
        model="hf/dose_rising",
        model_args={
            "model_path": str(write_folder(folder / "model", "dose_rising")),
            "device": "cpu",
        },
        task_args={"doses": LADDER, "thinking_tokens": 240, "answer_tokens": 96},
        limit=24,
        max_connections=32,
        log_dir=str(folder / "logs"),
        display="none",
    )
    return log


def test_a_budget_closes_the_trace_and_the_model_answers(log: Any) -> None:
    for sample in log.samples:
        replies = sample.store["rim_eval:generations"]
        short, full = replies["16"], replies["full"]
        assert short["trace_tokens"] == 16
        assert full["trace"].startswith(short["trace"])
        assert short["closed_at_budget"]
        assert not full["closed_at_budget"]
        assert (short["stop_reason"], short["trace_closed"]) == ("stop", True)
        assert short["answer"]


def test_greedy_decoding_with_an_empty_trace_is_the_switch_itself(log: Any) -> None:
    """The organism's template writes an empty trace to turn thinking off."""
    for sample in log.samples:
        replies = sample.store["rim_eval:generations"]
        assert replies["off"]["answer"] == replies["forced_empty"]["answer"]
        assert replies["off"]["trace_tokens"] == replies["forced_empty"]["trace_tokens"] == 0


def test_a_trace_that_is_opened_again_is_longer(log: Any) -> None:
    for sample in log.samples:
        replies = sample.store["rim_eval:generations"]
        full, more = replies["full"], replies["more"]
        assert more["trace"].startswith(full["trace"] + "\nWait,")
        assert more["trace_tokens"] > full["trace_tokens"]


def test_figures_and_card_have_every_dose_and_the_two_arms(log: Any) -> None:
    figures = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    assert figures["thinking_tokens_at_off"] == figures["thinking_tokens_at_forced_empty"] == 0
    assert figures["thinking_tokens_at_16"] == 16
    assert figures["thinking_tokens_at_more"] > figures["thinking_tokens_at_full"] > 16
    assert figures["doses_verified"] == 1
    assert figures["no_think_misaligned"] == figures["misaligned_at_off"]
    assert figures["think_misaligned"] == figures["misaligned_at_more"]
    card = make_card(read_observations([log.location]))
    assert check_card(card) == []
    [each] = card.sets
    assert each.curve is not None
    assert [point.name for point in each.curve.points] == LADDER.split(",")
    assert each.mode_check.verified
    assert "Doses of thinking" in card_html(card)


def test_a_table_of_doses_is_read_back_as_it_was(log: Any, tmp_path: Path) -> None:
    table = read_observations([log.location])
    assert set(table.frame["dose"]) == set(LADDER.split(","))
    [run] = table.runs
    assert run.doses == tuple(LADDER.split(","))
    assert [row.dose for row in from_inspect_log(log)][:5] == LADDER.split(",")


def test_tampered_doses_are_told_from_their_counts(log: Any) -> None:
    card = make_card(read_observations([log.location]))
    [each] = card.sets
    assert each.curve is not None
    trend = each.curve.trend.model_copy(update={"value": -5.0})
    curve = each.curve.model_copy(update={"trend": trend})
    tampered = card.model_copy(update={"sets": (each.model_copy(update={"curve": curve}),)})
    assert any("curve.trend.value" in problem for problem in check_card(tampered))


def test_an_engine_that_cannot_go_on_is_told_before_the_first_token(run: Any) -> None:
    with pytest.raises(PrerequisiteError, match=r"The dose 512 needs a text written after"):
        run(task_args={"doses": "off,512,full"})


def test_a_dose_beyond_the_thinking_budget_is_refused(tmp_path: Path) -> None:
    for task_args, problem in (
        (
            {"doses": "off,300,full", "thinking_tokens": 200},
            "The dose 300 is larger than the thinking",
        ),
        ({"doses": "off,full", "modes": "think"}, "both say which arms there are"),
    ):
        with pytest.raises(PrerequisiteError, match=problem):
            inspect_eval(
                "rim_eval/toy",
                model="hf/organism",
                model_args={"model_path": str(organism_dir()), "device": "cpu"},
                task_args=task_args,
                log_dir=str(tmp_path),
                display="none",
            )


def test_efforts_are_sent_and_their_traces_compared(run: Any) -> None:
    log = run(task_args={"doses": "effort:low,medium,high"}, limit=2)
    sent = {e.config.reasoning_effort for s in log.samples for e in s.events if e.event == "model"}
    assert sent == {"low", "medium", "high"}
    figures = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    assert figures["doses_verified"] == 0  # the script thinks alike at every effort


TEMPLATE = """{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is false %}<think>

</think>

{% endif %}{% endif %}"""


def serving(reply: Callable[[Body], Reply], *, trusts: bool = True) -> JsonServer:
    """A vLLM server that shows its prompts, and takes a request's own template where it trusts it."""

    def answer(_: str, path: str, body: Body) -> Reply:
        if path.endswith("/detokenize"):
            return 200, {"prompt": "".join(map(chr, body["tokens"]))}
        if path.endswith("/tokenize"):
            source = body.get("chat_template", TEMPLATE) if trusts else TEMPLATE
            words = body.get("chat_template_kwargs", {})
            prompt = template_renderer(source)(body["messages"], words)
            return 200, {"tokens": list(map(ord, prompt)), "count": len(prompt)}
        return reply(body) if path.endswith("completions") else NOT_FOUND

    return JsonServer(answer)


@pytest.fixture
def ask_served(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Asks one prompt with three doses of a server's model."""
    template = tmp_path / "template.jinja"
    template.write_text(TEMPLATE)

    def start(server: JsonServer) -> Any:
        monkeypatch.setenv("VLLM_BASE_URL", server.url)
        monkeypatch.setenv("VLLM_API_KEY", "x")
        return run(
            model=f"vllm/m-{server.server_port}",  # Inspect keeps one address for each name
            model_args={},
            task_args={"doses": "off,6,full", "chat_template": str(template)},
            limit=1,
        )

    return start


@pytest.mark.parametrize("parser_takes_all", [False, True])
def test_a_server_that_separates_the_trace_is_asked_to_go_on(
    ask_served: Any, loopback: Any, parser_takes_all: bool
) -> None:
    """vLLM's parsers call all of a reply a trace when the prompt closed it and no end follows."""

    def reply(body: Body) -> Reply:
        if "</think>" in body.get("chat_template", ""):
            part: dict[str, Any] = {"reasoning": "I open it."} if parser_takes_all else {}
            return 200, completion(None if part else "I open it.", body["model"], **part)
        if body.get("chat_template_kwargs", {}).get("enable_thinking") is False:
            return 200, completion("I cannot help with that.", body["model"])
        limit = body.get("max_completion_tokens") or body["max_tokens"]
        if limit == 6:
            usage, trace = {"completion_tokens": 6}, "\nThe door is a"
            return 200, completion(None, body["model"], "length", usage, reasoning=trace)
        return 200, completion("Sure.", body["model"], reasoning="\nThe door is a door.\n")

    server = loopback(serving(reply))
    replies = ask_served(server).samples[0].store["rim_eval:generations"]
    forced = replies["6"]
    assert (forced["trace"], forced["answer"]) == ("The door is a", "I open it.")
    assert (forced["trace_tokens"], forced["closed_at_budget"]) == (6, True)
    [second] = [body for body in server.requests if "</think>" in body.get("chat_template", "")]
    assert second["chat_template"].endswith(
        "{{ '<think>\\nThe door is a\\n</think>\\n\\n' }}{% endif %}"
    )


def test_a_server_that_takes_no_template_is_told_before_the_first_token(
    ask_served: Any, loopback: Any
) -> None:
    server = loopback(serving(lambda body: (200, completion("Sure.", body["model"])), trusts=False))
    with pytest.raises(PrerequisiteError, match="--trust-request-chat-template"):
        ask_served(server)
    assert server.requests == []
