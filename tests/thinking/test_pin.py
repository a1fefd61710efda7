from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.thinking import find_switch, pin_template, template_renderer

TEMPLATES = sorted((Path(__file__).parent / "templates").glob("*.jinja"))
TALKS = [
    [{"role": "user", "content": "hello"}],
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}],
    [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "<think>hm</think>hi"},
        {"role": "user", "content": "again"},
    ],
]


def rendered(source: str, talk: list[dict[str, str]], words: dict[str, Any]) -> str:
    try:
        return template_renderer(source)(talk, words)
    except RimError as error:
        return type(error).__name__


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_pinned_template_renders_as_if_the_words_were_passed(path: Path) -> None:
    source = path.read_text()
    switch = find_switch(template_renderer(source))
    for recipe in (switch.think, switch.no_think):
        pinned = pin_template(source, recipe.template_kwargs, prefill=recipe.prefill)
        for talk in TALKS:
            passed = rendered(source, talk, recipe.template_kwargs)
            expected = passed if passed == "RimError" else passed + (recipe.prefill or "")
            assert rendered(pinned, talk, {}) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'set' if word is defined else 'unset' }}",
        "{% set ns = namespace(on=word) %}{{ ns.on }}",
        "{% macro m() %}{{ word is defined }}{{ word }}{% endmacro %}{{ m() }}",
        "{% for i in range(2) %}{{ word }}{% endfor %}",
        "\n\n  {%- if word %}a{% endif %}\n",
        "   {% if word %}a{% endif %}",
        "text first\n{{ word }}\n\n",
        "{#- a comment #}\n{%- set x = word | default('none') %}{{ x }}",
    ],
)
@pytest.mark.parametrize(
    "value", [True, False, 0, -1, 2048, 0.5, "deep", "", [1, "a"], {"type": "on"}]
)
@pytest.mark.parametrize("prefill", [None, "<think>\n\n</think>\n\n"])
def test_pinned_is_passed(source: str, value: Any, prefill: str | None) -> None:
    passed = rendered(source, TALKS[0], {"word": value})
    pinned = pin_template(source, {"word": value}, prefill=prefill)
    assert rendered(pinned, TALKS[0], {}) == passed + (prefill or "")


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_string_survives(value: str) -> None:
    pinned = pin_template("{{ word }}", {"word": value}, prefill=value)
    assert rendered(pinned, TALKS[0], {}) == value + value


def test_a_prefill_waits_for_the_generation_prompt() -> None:
    pinned = pin_template("{{ add_generation_prompt }}", {}, prefill="x")
    assert "{%+ if add_generation_prompt %}" in pinned


@pytest.mark.parametrize(
    ("words", "says"), [({"word": None}, "None"), ({"a b": 1}, "'a b'"), ({"if": True}, "'if'"), ({"w": object}, "'w'")]
)  # fmt: skip
def test_what_cannot_be_pinned_is_refused(words: dict[str, Any], says: str) -> None:
    with pytest.raises(RimError, match=says):
        pin_template("{{ word }}", words)
