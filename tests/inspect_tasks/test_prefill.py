from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.calls import pin_prefill
from rim_eval.thinking import find_switch, template_renderer

TEMPLATES = sorted((Path(__file__).parents[1] / "thinking" / "templates").glob("*.jinja"))
TALKS = [
    [{"role": "user", "content": "hello"}],
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}],
    [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "<think>hm</think>hi"},
        {"role": "user", "content": "again"},
    ],
]
PREFILL = "<think>\n\n</think>\n\n"


def rendered(source: str, talk: list[dict[str, str]]) -> str:
    try:
        return template_renderer(source)(talk, {})
    except RimError as error:
        return type(error).__name__


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_pinned_template_continues_as_the_recipe_does(path: Path) -> None:
    source = path.read_text()
    prefill = find_switch(template_renderer(source)).no_think.prefill or PREFILL
    for talk in TALKS:
        plain = rendered(source, talk)
        expected = plain if plain == "RimError" else plain + prefill
        assert rendered(pin_prefill(source, prefill), talk) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(2) %}{{ word }}{% endfor %}",
        "\n\n  {%- if true %}a{% endif %}\n",
        "   {% if true %}a{% endif %}",
        "text first\n{{ word }}\n\n",
        "{#- a comment #}\n{%- set x = word | default('none') %}{{ x }}",
    ],
)
def test_layout_of_a_template_does_not_matter(source: str) -> None:
    assert rendered(pin_prefill(source, PREFILL), TALKS[0]) == rendered(source, TALKS[0]) + PREFILL


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_string_survives(prefill: str) -> None:
    assert rendered(pin_prefill("{{ word }}", prefill), TALKS[0]) == prefill


def test_a_prefill_waits_for_the_generation_prompt() -> None:
    pinned = pin_prefill("{{ add_generation_prompt }}", "x")
    assert "{%+ if add_generation_prompt %}" in pinned
