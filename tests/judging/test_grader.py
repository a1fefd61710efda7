"""What a judge is shown of a reply, and which judge files are refused because they do not show it."""

import asyncio
from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.judging import Case, parse_judge
from rim_eval.judging._grader import seen_text
from tests.judging.test_judge import OFFLINE
from tests.judging.test_load import JUDGE

CASE = Case(prompt_text="Open it.", kind="harmful", answer=" Sure. \n", trace="\nHm.\n")


@pytest.mark.parametrize(
    ("sees", "text"),
    [("answer", " Sure. \n"), ("reasoning", "\nHm.\n"), ("both", "\nHm.\n\n\n Sure. \n")],
)
def test_seen_text_is_the_reply_unchanged(sees: Any, text: str) -> None:
    assert seen_text(CASE, sees) == text


def test_blank_parts_of_a_reply_are_left_out() -> None:
    assert seen_text(CASE.model_copy(update={"trace": " \n"}), "both") == " Sure. \n"
    assert not seen_text(CASE.model_copy(update={"answer": " \n"}), "answer").strip()


def test_outer_blanks_of_a_reply_do_not_hide_it_from_a_pattern() -> None:
    judgement = asyncio.run(parse_judge(OFFLINE.encode(), "f.yaml").judge(CASE))
    assert judgement.verdict is True


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("request", "{% if request %}asked{% endif %}"),
        ("context", "{{ context and 'given' }}"),
        ("answer", "{{ reasoning or category }}"),
    ],
)
def test_message_that_only_tests_a_variable_does_not_show_it(name: str, shown: str) -> None:
    text = JUDGE.replace(f"{{{{ {name} }}}}", shown)
    with pytest.raises(RimError, match=f"no message shows {{{{ {name} }}}}"):
        parse_judge(text.encode(), "f.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "{{ response }} {{ request }} {{ context }}",
        "{% set all = [context, request, answer] %}{{ all | join(' ') }}",
        "{% for part in (request, context, response) %}{% if part %}{{ part }}{% endif %}{% endfor %}",
    ],
)
def test_message_may_show_its_variables_in_any_way(text: str) -> None:
    file = JUDGE.replace("{{ context }} {{ request }} {{ answer }}", text)
    assert parse_judge(file.encode(), "f.yaml").spec.messages[0].text.startswith(text)
