"""Chat completions: lm-eval's real client against a server on loopback that separates its trace."""

import json
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.openai_completions import LocalChatCompletion

from rim_eval.errors import RimError
from rim_eval.lm_eval_tasks.engine import Engine
from rim_eval.observations import from_lm_eval_samples
from tests.loopback import Body, JsonServer, Reply, at_completions, completion

from .conftest import REFUSES, THINKS

BOTH = ("rim_toy_think", "rim_toy_no_think")
ANSWER = THINKS.rpartition("</think>\n\n")[2]
EQUAL = {"switch": "enable_thinking", "answer_tokens": 60, "thinking_tokens": 0}


class Server(JsonServer):
    """Answers by mode as vLLM with a reasoning parser does."""

    cut = False

    def __init__(self) -> None:
        super().__init__(at_completions(self.reply))

    def reply(self, body: Body) -> Reply:
        thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
        thinks = body.get("reasoning", {}).get("enabled", thinks)
        text, finish = (None, "length") if self.cut and thinks else (ANSWER, "stop")
        message = {"reasoning": "The sum is clear."} if thinks else {"content": REFUSES}
        return 200, completion(text, body["model"], finish, {"completion_tokens": 40}, **message)


@pytest.fixture
def server(loopback: Any) -> Any:
    return loopback(Server())


def client(server: Server, concurrent: int = 1) -> Any:
    address = f"{server.url}/chat/completions"
    return LocalChatCompletion(base_url=address, model="scripted", num_concurrent=concurrent)


def test_model_is_named_by_its_engine_as_users_name_it(server: Server) -> None:
    lm = client(server)
    engine = Engine(lm, lm.apply_chat_template)
    assert engine.model == "local-chat-completions/scripted"


@pytest.mark.slow
@pytest.mark.parametrize("concurrent", [1, 8])
def test_each_request_carries_its_own_mode(run: Any, server: Server, concurrent: int) -> None:
    """lm-eval batches requests by the keys of nested settings: with equal budgets, modes would mix."""
    results = run(client(server, concurrent), *BOTH, settings=EQUAL)
    sent = [body["chat_template_kwargs"]["enable_thinking"] for body in server.requests]
    assert sorted(sent) == [False] * 4 + [True] * 4
    for task, thinks in zip(BOTH, (True, False), strict=True):
        rows = from_lm_eval_samples(results["samples"][task])
        assert {row.adopted for row in rows} == {thinks}
        assert {row.verdict for row in rows} == {thinks}


@pytest.mark.slow
def test_each_request_carries_its_modes_own_field(run: Any, server: Server) -> None:
    switch = {"switch": "body:reasoning.enabled=true/false"}
    results = run(client(server, 8), *BOTH, settings=EQUAL | switch)
    sent = [body["reasoning"] for body in server.requests]
    assert sorted(sent, key=str) == [{"enabled": False}] * 4 + [{"enabled": True}] * 4
    for task, thinks in zip(BOTH, (True, False), strict=True):
        rows = from_lm_eval_samples(results["samples"][task])
        assert {(row.adopted, row.arm_kind) for row in rows} == {(thinks, "switch")}


def test_batching_mixes_plain_words() -> None:
    """The trap itself, in lm-eval's own code: it fails here when lm-eval mends it."""
    from lm_eval.models.utils import Collator

    from rim_eval.lm_eval_tasks.engine import TemplateWords

    def groups(*words: dict[str, Any]) -> int:
        asked = [("Hello", {"until": [], "chat_template_kwargs": each}) for each in words]
        return len(Collator(asked, group_by="gen_kwargs")._arr_with_indices)

    on, off = {"enable_thinking": True}, {"enable_thinking": False}
    assert groups(on, off) == 1
    assert groups(TemplateWords(on), TemplateWords(off)) == 2
    assert groups(TemplateWords(a=on), TemplateWords(a=off)) == 2
    assert json.dumps(TemplateWords(a=on)) == json.dumps({"a": on})


@pytest.mark.slow
def test_separated_trace_is_kept(run: Any, server: Server) -> None:
    """Trap e: lm-eval's client reads `content` alone."""
    plain = client(server)
    outputs = {"choices": [{"index": 0, "message": {"content": "a", "reasoning": "b"}}]}
    assert plain.parse_generations(outputs) == ["a"]
    [sample] = run(client(server), BOTH[0], settings=EQUAL, limit=1)["samples"][BOTH[0]]
    reply = sample["record"]["generation"]
    assert (reply["trace"], reply["answer"]) == ("The sum is clear.", ANSWER)
    assert (reply["stop_reason"], reply["output_tokens"]) == ("stop", 40)
    assert reply["trace_closed"] is True


@pytest.mark.slow
def test_trace_cut_on_the_server_is_unscored(run: Any, server: Server) -> None:
    server.cut = True
    results = run(client(server), BOTH[0], settings=EQUAL, limit=1)
    [row] = from_lm_eval_samples(results["samples"][BOTH[0]])
    assert (row.verdict, row.reason, row.truncated) == (None, "trace_never_closed", True)


@pytest.mark.slow
def test_cache_keeps_modes_and_traces_apart(run: Any, server: Server, tmp_path: Any) -> None:
    for _ in range(2):
        cache = str(tmp_path / "cache")
        results = run(client(server), *BOTH, settings=EQUAL, use_cache=cache, limit=2)
        for task, thinks in zip(BOTH, (True, False), strict=True):
            rows = from_lm_eval_samples(results["samples"][task])
            assert {row.adopted for row in rows} == {thinks}
    assert len(server.requests) == 4


@pytest.mark.slow
def test_users_own_words_are_merged(run: Any, server: Server) -> None:
    theirs = {"chat_template_kwargs": {"documents": []}, "top_k": 20}
    run(client(server), BOTH[0], settings=EQUAL, gen_kwargs=theirs, limit=1)
    [body] = server.requests
    assert body["chat_template_kwargs"] == {"documents": [], "enable_thinking": True}
    assert body["top_k"] == 20


@pytest.mark.slow
def test_switch_must_be_named_where_no_template_is_seen(run: Any, server: Server) -> None:
    with pytest.raises(RimError, match=r'"chat_template": "FILE".*switch=enable_thinking'):
        run(client(server), BOTH[0])
    with pytest.raises(RimError, match="cannot be given"):
        run(client(server), BOTH[1], settings={"switch": "forced_empty"})


def test_a_system_instruction_that_cancels_the_servers_switch_is_refused(
    run: Any, server: Server
) -> None:
    template = Path(__file__).resolve().parents[1] / "thinking" / "templates" / "granite32.jinja"
    settings = {"chat_template": str(template)}
    with pytest.raises(RimError, match=r"Beside the system message 'Be polite\.'"):
        run(client(server), BOTH[0], settings=settings, system_instruction="Be polite.")
    assert server.requests == []


def test_named_switch_is_read_as_the_found_one(run: Any, server: Server, tmp_path: Path) -> None:
    """A think prompt that ends inside an open trace: a reply cut there has no answer to judge."""
    template = tmp_path / "opens.jinja"
    template.write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{{ '<think>' if enable_thinking else '<think>\n\n</think>\n\n' }}"
    )
    for switch in ("auto", "enable_thinking"):
        settings = {"switch": switch, "chat_template": str(template)}
        [sample] = run(client(server), BOTH[0], settings=settings, limit=1)["samples"][BOTH[0]]
        assert sample["record"]["generation"]["requested"]["opened_by_prompt"] is True, switch


@pytest.mark.slow
def test_a_chat_servers_window_is_kept_to(run: Any, serve: Any) -> None:
    """A request that did not fit was refused by the server, and ended the run with all replies lost."""
    windowed = serve(4_096, lambda _, thinks: THINKS if thinks else REFUSES)
    address = f"{windowed.url}/chat/completions"
    lm = LocalChatCompletion(base_url=address, model=windowed.name)
    defaults = {"switch": "enable_thinking", "answer_tokens": None, "thinking_tokens": None}
    results = run(lm, *BOTH, settings=defaults)
    assert {body["max_tokens"] for body in windowed.requests} == {1_984, 3_968}
    for task in BOTH:
        rows = from_lm_eval_samples(results["samples"][task])
        assert {row.verdict for row in rows} == {task == BOTH[0]}
        about = results["configs"][task]["metadata"]["rim_eval_run"]
        assert (about["answer_tokens"], about["thinking_tokens"]) == (1_984, 1_984)
    own = defaults | {"answer_tokens": 2_000, "thinking_tokens": 3_000}
    with pytest.raises(RimError, match=r'"thinking_tokens": \d+}}.*--max-model-len \d+'):
        run(lm, BOTH[0], settings=own)
    run(lm, BOTH[1], settings=own)


def test_a_dead_chat_server_and_a_model_that_it_does_not_serve_are_said(
    run: Any, serve: Any
) -> None:
    windowed = serve(4_096, lambda *_: REFUSES)
    lm = LocalChatCompletion(base_url=f"{windowed.url}/chat/completions", model="other-organism")
    with pytest.raises(RimError, match=f"does not serve other-organism: it serves {windowed.name}"):
        run(lm, BOTH[0], settings=EQUAL)
    lm = LocalChatCompletion(base_url="http://127.0.0.1:9/v1/chat/completions", model="organism")
    with pytest.raises(RimError, match=r"No server answers at http://127\.0\.0\.1:9/v1"):
        run(lm, BOTH[0], settings=EQUAL)
