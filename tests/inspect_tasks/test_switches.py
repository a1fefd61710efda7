"""Where a model's switch is read: its folder, a file, its server, its provider; or why it is not."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model import get_model

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.preflight import context_window
from rim_eval.inspect_tasks.switches import forget_switches, switch_for
from rim_eval.observations import from_inspect_log
from rim_eval.paths import organism_dir
from rim_eval.thinking import Recipe, template_renderer
from tests.loopback import Body, JsonServer, Reply, error

PLAIN = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"
PONDER = PLAIN + "{% if ponder %}<think>{% else %}<think>\n\n</think>\n\n{% endif %}"


def served(base_url: str = "http://127.0.0.1:9/v1") -> Any:
    return get_model("openai-api/local/tiny", base_url=base_url, api_key="x", memoize=False)


def test_template_in_a_local_model_folder() -> None:
    model = get_model(f"vllm/{organism_dir()}", base_url="http://127.0.0.1:9/v1", memoize=False)
    found = switch_for(model)
    assert (found.switch.kind, found.switch.name) == ("switch", "enable_thinking")
    assert found.template is not None


def test_template_inside_the_tokenizers_config(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": PONDER}))
    model = get_model(f"vllm/{tmp_path}", base_url="http://127.0.0.1:9/v1", memoize=False)
    found = switch_for(model)
    assert found.switch.think.template_kwargs == {"ponder": True}


DAMAGED = ("{", "[]", "[" * 100_000, "\xe9")
"""What a model folder's JSON file may hold after a broken download."""


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_model_folder_is_said_with_its_file(tmp_path: Path, content: str) -> None:
    model = get_model(f"vllm/{tmp_path}", base_url="http://127.0.0.1:9/v1", memoize=False)
    for name, read in (
        ("tokenizer_config.json", lambda: switch_for(model)),
        (
            "config.json",
            lambda: context_window(model, None, ["Hello"], partial(Recipe().messages, None)),
        ),
    ):
        (tmp_path / name).write_text(content, encoding="latin-1")
        with pytest.raises(RimError, match=f"/{name} "):
            read()


def test_nameless_template_is_not_the_default_one(tmp_path: Path) -> None:
    templates: list[Any] = [{"template": "x"}, "x", {"name": "default", "template": PONDER}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": templates}))
    model = get_model(f"vllm/{tmp_path}", base_url="http://127.0.0.1:9/v1", memoize=False)
    assert switch_for(model).switch.name == "ponder"


def test_template_file_that_the_user_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(PONDER)
    assert switch_for(served(), chat_template=str(file)).switch.name == "ponder"
    with pytest.raises(RimError, match=r"nowhere\.jinja"):
        switch_for(served(), chat_template=str(tmp_path / "nowhere.jinja"))


def test_misspelt_switch_is_refused_where_it_can_be_tried(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(PONDER)
    with pytest.raises(RimError, match="enable_thinkin"):
        switch_for(served(), "enable_thinkin", str(file))
    assert switch_for(served(), "ponder", str(file)).switch.name == "ponder"


OPENED = PLAIN + "{% if ponder %}<think>{% else %}</think>{% endif %}"


def test_named_switch_is_read_as_the_found_one(tmp_path: Path) -> None:
    """A think prompt that ends inside an open trace: a reply cut there has no answer to judge."""
    file = tmp_path / "mine.jinja"
    file.write_text(OPENED)
    found = switch_for(served(), chat_template=str(file)).switch
    named = switch_for(served(), "ponder", str(file)).switch
    assert (named.think, named.no_think) == (found.think, found.no_think)
    assert named.think.opened_by_prompt


@pytest.mark.slow
def test_cut_trace_is_unscored_whichever_way_the_switch_was_named(
    run: Any, script: Any, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(OPENED.replace("ponder", "enable_thinking"))
    cut = {"mode": "think", "reply": "Sure, first I would", "stop_reason": "max_tokens"}
    lines = script([cut, {"reply": "I cannot help with that."}])
    for switch in ("auto", "enable_thinking"):
        log = run(lines, limit=2, task_args={"switch": switch, "chat_template": str(file)})
        think = [row for row in from_inspect_log(log) if row.mode == "think"]
        assert {row.reason for row in think} == {"trace_never_closed"}


@pytest.mark.slow
def test_named_switch_is_tried_on_the_server_too(server: Any) -> None:
    with pytest.raises(RimError, match="ponder"):
        switch_for(served(server.url), "ponder")
    assert switch_for(served(server.url), "enable_thinking").switch.think.opened_by_prompt


def test_hosted_models_switch_by_effort() -> None:
    model = get_model("openai/gpt-5.1", api_key="x", memoize=False)
    found = switch_for(model).switch
    assert (found.think.reasoning_effort, found.no_think.reasoning_effort) == ("high", "none")


def test_unreachable_server_without_template_says_what_to_give() -> None:
    with pytest.raises(RimError, match=r"chat_template=FILE.*switch=enable_thinking"):
        switch_for(served())


def on_hub() -> Any:
    """A served model whose name only a hub knows."""
    name = "openai-api/local/acme/tiny-thinker"
    url = "http://127.0.0.1:9/v1"
    return get_model(name, base_url=url, api_key="x", memoize=False)


def test_named_switch_asks_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    downloads: list[Any] = []
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda *args, **_: downloads.append(args)
    )
    assert switch_for(on_hub(), "enable_thinking").switch.name == "enable_thinking"
    assert downloads == []


def test_hub_without_network_is_tried_once_and_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    asked_online: list[bool] = []

    def download(*_: Any, local_files_only: bool, **__: Any) -> str:
        asked_online.append(not local_files_only)
        raise OSError("nothing here")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(RimError, match="chat_template=FILE"):
        switch_for(on_hub())
    assert asked_online == [False, False]


class Tokenizer(JsonServer):
    """What a vLLM server answers at `/tokenize` and `/detokenize`; tokens are code points."""

    def __init__(self) -> None:
        super().__init__(self.reply)
        self.questions: list[str] = []

    def reply(self, _: str, path: str, body: Body) -> Reply:
        self.questions.append(path + json.dumps(body))
        if path == "/detokenize":
            return 200, {"prompt": "".join(map(chr, body["tokens"]))}
        if body.get("chat_template_kwargs", {}).get("reasoning_effort"):
            return 400, error("no reasoning_effort here", "BadRequestError", 400)
        words = {"add_generation_prompt": True, **body["chat_template_kwargs"]}
        render = template_renderer(PONDER.replace("ponder", "enable_thinking"))
        return 200, {"tokens": list(map(ord, render(body["messages"], words)))}


@pytest.fixture
def server(loopback: Any) -> Any:
    return loopback(Tokenizer())


@pytest.mark.slow
def test_server_that_renders_prompts_shows_its_switch(server: Any) -> None:
    found = switch_for(served(server.url)).switch
    assert (found.kind, found.name) == ("switch", "enable_thinking")
    assert found.no_think.template_kwargs == {"enable_thinking": False}


@pytest.mark.slow
def test_a_model_is_searched_once_until_it_is_to_be_forgotten(server: Any) -> None:
    """Building a task and running it asked a server nearly 200 prompts each."""
    model = served(server.url)
    first = switch_for(model)
    searched = len(server.questions)
    assert switch_for(model) is first
    assert len(server.questions) == searched > 0
    forget_switches(model)
    assert switch_for(model) == first._replace(render=switch_for(model).render)
    assert len(server.questions) == 2 * searched


@pytest.mark.slow
def test_server_is_asked_each_question_once_and_may_refuse_some(server: Any) -> None:
    assert switch_for(served(server.url)).switch.name == "enable_thinking"
    assert any("reasoning_effort" in question for question in server.questions)
    assert len(server.questions) == len(set(server.questions)) < 250
