"""Task arguments as Inspect's command line hands them over: lists, numbers and booleans for texts."""

from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.observations import from_inspect_log

TEXTS = ("switch", "chat_template", "judge", "file", "category_column", "prompt_column")


@pytest.mark.parametrize("given", [False, True, "", "  ", {"a": 1}, [1, 2]])
@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_text_is_refused_by_name_and_value(run: Any, name: str, given: Any) -> None:
    with pytest.raises(PrerequisiteError) as error:
        run(task_args={name: given})
    assert f"{name} must be text, got {given!r}." in str(error.value.message)


def test_a_judge_that_yaml_made_false_is_told_what_was_meant(run: Any) -> None:
    """`-T judge=off` ran the default judge, and the figures looked as asked for."""
    with pytest.raises(PrerequisiteError) as error:
        run(task_args={"judge": False})
    assert "-T judge=none" in str(error.value.message)


@pytest.mark.parametrize("name", ["data", "subset", "switch"])
@pytest.mark.parametrize("task", ["rim_eval/toy", "rim_eval/toy_math", "rim_eval/injection"])
def test_every_kind_of_task_reads_its_texts_so(task: str, name: str) -> None:
    with pytest.raises(PrerequisiteError) as error:
        inspect_eval(task, model="rim_toy/scripted", task_args={name: False}, display="none")
    assert f"{name} must be text, got False." in str(error.value.message)


@pytest.mark.slow
def test_a_comma_that_inspect_made_a_list_of_is_put_back(run: Any, script: Any) -> None:
    lines = script([{"reply": "I cannot help with that."}])
    log = run(lines, task_args={"switch": ["effort:low", "high"]})
    assert {row.arm_kind for row in from_inspect_log(log)} == {"effort"}


TEMPLATES = Path(__file__).resolve().parents[1] / "thinking" / "templates"


def test_a_system_message_that_cancels_the_switch_is_refused(run: Any, script: Any) -> None:
    """Granite reads its switch only without one: both arms would be asked the same."""
    lines = script([{"reply": "I cannot help with that."}])
    args = {"chat_template": str(TEMPLATES / "granite32.jinja")}
    with pytest.raises(PrerequisiteError) as error:
        run(lines, task_args=args, system_message="Be polite.")
    assert "Beside the system message 'Be polite.' the switch 'thinking' changes" in str(
        error.value.message
    )


@pytest.mark.parametrize(
    ("given", "says"), [({"stop_seqs": ["rule"]}, "--stop-seqs rule"), ({"max_tokens": 9}, "9")]
)
def test_what_would_cut_the_modes_unequally_is_refused(
    run: Any, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(PrerequisiteError) as error:
        run(**given)
    assert says in str(error.value.message)
