import sys

import pytest

from rim_eval import child_process, sandbox
from rim_eval.errors import RimError
from rim_eval.thinking import find_switch, template_renderer, tokenizer_renderer

HELLO = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ messages[0].content }}", "hello"),
        ("{% if add_generation_prompt %}go{% endif %}", "go"),
        ("{{ word }}", "7"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}said{% endgeneration %}", "said"),
        ("{{ {'ä': 1} | tojson }}", '{"ä": 1}'),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ 'a' ~ 1 ~ none }}{{ 'b' + 'c' }}{{ 'd' * 3 }}{{ '%02d' % 5 }}", "a1NonebcddD05".replace("D", "d")),
        ("{{ bos_token }}|{{ tools is none }}", "<s>|True"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(m(1)) }}", "[[1]]"),
        ("  {%- if true %}\n  x\n  {%- endif %}\n", "  x"),
    ],
)  # fmt: skip
def test_renders_like_a_chat_engine(source: str, text: str) -> None:
    assert template_renderer(source)(HELLO, {"word": 7, "bos_token": "<s>"}) == text


HOSTILE = {
    "endless loop": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "endless recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "doubling by ~": "{% set n = namespace(x='aa') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling by +": "{% set n = namespace(x='aa') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling a list": "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "huge repeat": "{{ 'a' * 10**10 }}",
    "huge number": "{{ 10**(10**10) }}",
    "huge width": "{{ 'x' | center(10**9) }}",
    "huge pad": "{{ 'x'.ljust(1000000000) }}",
    "huge format": "{{ '%999999999d' % 1 }}",
    "huge format by argument": "{{ '%*d' % (999999999, 1) }}",
    "huge str.format": "{{ '{:999999999}'.format(1) }}",
    "huge replace": "{% set a = 'a' * 1000000 %}{{ a | replace('a', a) }}",
    "huge output": "{% for i in range(90000) %}{{ messages[0].content * 1000 }}{% endfor %}",
    "Python's insides": "{{ ''.__class__.__mro__ }}",
    "Python's globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "its own helpers": "{{ raise_exception.__globals__ }}{{ raise_exception.__globals__.x }}",
    "changing the messages": "{{ messages.append(1) }}",
    "a refusal": "{{ raise_exception('only tools') }}",
    "an undefined thing": "{{ nothing.at.all }}",
    "another file": "{% include '/etc/hostname' %}",
    "broken syntax": "{% if %}",
    "deep brackets": "{{ " + "(" * 5000 + ")" * 5000 + " }}",
    "too long": "x" * 600_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_or_broken_template_is_an_error_for_the_user(source: str) -> None:
    with pytest.raises(RimError, match="chat template"):
        template_renderer(source)(HELLO, {})


@pytest.mark.slow
def test_messages_are_not_changed_and_the_next_rendering_has_a_fresh_budget() -> None:
    render = template_renderer("{% for i in range(70000) %}{% endfor %}{{ messages[0].content }}")
    assert [render(HELLO, {}) for _ in range(3)] == ["hello"] * 3
    assert HELLO == [{"role": "user", "content": "hello"}]


class FakeTokenizer:
    chat_template: str | None = "{{ messages[0].content }}"

    def apply_chat_template(self, messages: object, **kwargs: object) -> str:
        if kwargs.get("mode") == "bad":
            raise ValueError("no such mode")
        return f"{messages}{sorted(kwargs.items())}"


def test_a_tokenizer_renders_for_itself() -> None:
    render = tokenizer_renderer(FakeTokenizer())
    assert "('add_generation_prompt', True)" in render(HELLO, {"think": False})
    assert "('think', False)" in render(HELLO, {"think": False})
    with pytest.raises(RimError, match="no such mode"):
        render(HELLO, {"mode": "bad"})


def test_a_base_model_has_no_modes() -> None:
    tokenizer = FakeTokenizer()
    tokenizer.chat_template = None
    with pytest.raises(RimError, match="no chat template"):
        tokenizer_renderer(tokenizer)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("source", ["{{ 10 ** (10 ** 10) }}", "{{ 'x' | center(10 ** 10) }}"])
def test_searching_a_template_runs_none_of_it_in_this_process(source: str) -> None:
    """Jinja folded constants while the variables were listed, outside every limit."""
    assert find_switch(template_renderer("hello"), source=source).kind == "prompted"


def test_the_rendering_process_holds_no_secret_and_is_replaced_after_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert "OPENAI_API_KEY" not in child_process._environment()
    with pytest.raises(sandbox.TemplateRenderError, match="more than 2 s"):
        sandbox.render_template("{{ 10 ** (10 ** 10) }}", {})
    assert sandbox.render_template("{{ word }}", {"word": "ä\ud800"}) == "ä\ud800"


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS holds on Linux")
def test_memory_is_limited() -> None:
    with pytest.raises(sandbox.TemplateRenderError, match="more than 512 MiB of memory"):
        sandbox.render_template("{{ ('a' * 10 ** 9) | length }}", {})


def test_strict_rendering_refuses_a_variable_that_is_not_given() -> None:
    assert sandbox.render_template("[{{ word }}]", {}) == "[]"
    with pytest.raises(sandbox.TemplateRenderError, match="'word' is undefined"):
        sandbox.render_template("[{{ word }}]", {}, strict=True)
    with pytest.raises(sandbox.TemplateRenderError, match="cannot be written as JSON"):
        sandbox.render_template("[{{ word }}]", {"word": object()})
