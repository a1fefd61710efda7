"""Every task file builds, for every set, in both modes; groups hold what they are named after."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rim_eval import prompt_sets
from rim_eval.cli import main
from rim_eval.decoding import budgets
from rim_eval.errors import RimError
from rim_eval.prompt_sets import FileRecord, LoadedSet, Prompt, Provenance
from rim_eval.types import MODES

from .conftest import Scripted, manager

ENTRIES = prompt_sets.entries()
SETS = sorted(ENTRIES)
GROUPS = {"safety": "harmful", "over_refusal": "benign", "reasoning": "reasoning"}


def stand_in(name: str, **_: Any) -> LoadedSet:
    """A set with one harmless prompt of each kind that the real one holds."""
    declared = ENTRIES[name]
    kinds = {declared.kind, *(part.kind for part in declared.subsets.values() if part.kind)}
    prompts = tuple(
        Prompt(id=f"{name}-{kind}", set=name, kind=kind, text="What is 1 + 1?", target="2")
        for kind in sorted(kinds)
    )
    files = (FileRecord(name="f", sha256="0" * 64, rows=1),)
    return LoadedSet(
        entry=declared,
        prompts=prompts,
        provenance=Provenance(source="user", location="here", files=files),
    )


@pytest.fixture
def any_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rim_eval.lm_eval_tasks.settings.load_prompts", stand_in)


def test_there_is_one_task_for_each_set_and_mode() -> None:
    names = [*SETS, "prompts"]  # and for a file of the user's own
    assert manager().all_subtasks == sorted(
        f"rim_{name}_{mode}" for name in names for mode in MODES
    )


@pytest.mark.slow
@pytest.mark.usefixtures("any_set")
def test_every_name_builds_with_its_own_budget() -> None:
    tasks = manager({"answer_tokens": None, "thinking_tokens": None})
    wanted = [f"rim_{name}_{mode}" for name in SETS for mode in MODES]
    built: dict[str, Any] = tasks.load(wanted)["tasks"]
    for name in SETS:
        for mode in MODES:
            task = built[f"rim_{name}_{mode}"]
            given = task.config.generation_kwargs
            assert given["max_gen_toks"] == budgets(ENTRIES[name].kind).total(mode)
            assert given["until"] == []
            assert (task.file.prompt_set, task.file.mode) == (name, mode)


def further_sets(tasks: Any) -> set[str]:
    """The sets that are outside the groups whose tasks are averaged."""
    return {name[4:].removesuffix("_no_think").removesuffix("_think") for name in tasks}


@pytest.mark.slow
@pytest.mark.usefixtures("any_set")
@pytest.mark.parametrize("group", GROUPS)
def test_group_holds_all_published_sets_of_its_kind_but_the_further_ones(group: str) -> None:
    tasks = manager()
    further = further_sets(tasks.load("rim_further")["tasks"])
    published = [name for name in SETS if name not in further and name[:3] != "toy"]
    wanted = {name for name in published if ENTRIES[name].kind == GROUPS[group]}
    found = tasks.load(f"rim_{group}")
    assert set(found["tasks"]) == {f"rim_{name}_{mode}" for name in wanted for mode in MODES}
    for mode in MODES:
        one = found["groups"][f"rim_{group}_{mode}"]
        assert set(one.child_names) == {f"rim_{name}_{mode}" for name in wanted}
        assert one.aggregate_metric_list


@pytest.mark.slow
@pytest.mark.usefixtures("any_set")
def test_groups_rim_and_further_hold_every_published_set_once() -> None:
    tasks = manager()
    core, further = (set(tasks.load(group)["tasks"]) for group in ("rim", "rim_further"))
    assert core | further == {f"rim_{n}_{m}" for n in SETS if n[:3] != "toy" for m in MODES}
    assert not core & further


@pytest.mark.slow
def test_prompts_and_ids_are_those_of_the_prompt_set() -> None:
    task: Any = manager().load("rim_toy_think")["tasks"]["rim_toy_think"]
    docs = list(task.test_docs())
    prompts = prompt_sets.load_prompts("toy").prompts
    assert [(doc["id"], doc["request"]) for doc in docs] == [(p.id, p.text) for p in prompts]
    assert task.config.metadata["rim_eval_run"]["provenance"]["location"] == "tasks/toy"


@pytest.mark.parametrize("kind", ["harmful", "benign", "reasoning"])
def test_a_file_of_your_own_is_asked_as_under_inspect(kind: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("name,text,gold\na,What is 1 + 1?,2\nb,What is 2 + 2?,4\n")
    columns = {"prompt_column": "text", "id_column": "name"}
    columns |= {"target_column": "gold"} if kind == "reasoning" else {}
    task: Any = manager({"file": str(file), "kind": kind, **columns}).load("rim_prompts_think")
    task = task["tasks"]["rim_prompts_think"]
    prompts = prompt_sets.load_prompt_file(file, kind=kind, **columns).prompts
    style: prompt_sets.Style = "worked" if kind == "reasoning" else "as_is"
    assert [(doc["id"], doc["dataset"], doc["message"]) for doc in task.test_docs()] == [
        (prompt.id, "mine", prompt_sets.user_message(prompt, style)) for prompt in prompts
    ]
    assert task.config.generation_kwargs["max_gen_toks"] == 150
    judge = {"harmful": "hexphi", "benign": "refusal", "reasoning": None}[kind]
    assert (task.judge and task.judge.name) == judge


def test_a_task_of_your_own_prompts_wants_a_file() -> None:
    with pytest.raises(RimError, match='"file": "FILE"'):
        manager().load("rim_prompts_think")


@pytest.mark.parametrize("style", ["direct", "as_is", None])
def test_problems_are_asked_as_under_inspect(style: Any, shared_data: Path) -> None:
    from rim_eval.prompt_sets import user_message

    settings = {"data": str(shared_data)} | ({"prompt_style": style} if style else {})
    task: Any = manager(settings).load("rim_gsm8k_think")["tasks"]["rim_gsm8k_think"]
    [first] = prompt_sets.load_prompts("gsm8k", data=shared_data).prompts[:1]
    assert task.test_docs()[0]["message"] == user_message(first, style or "worked")


@pytest.mark.parametrize("name", ["gsm8k", "math500", "math401", "multiarith", "aime", "xstest"])
def test_real_sets_build(name: str, shared_data: Path) -> None:
    found = manager({"data": str(shared_data)}).load([f"rim_{name}_{mode}" for mode in MODES])
    for task in found["tasks"].values():
        # The file at hand of MultiArith is a variant that the registry declares, six problems shorter.
        assert len(task.eval_docs) == (174 if name == "multiarith" else ENTRIES[name].count)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["hexphi", "advbench"])
def test_missing_set_fails_with_the_message_that_inspect_shows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspect_ai import eval as inspect_eval

    from rim_eval.inspect_tasks.compat import PrerequisiteError
    from rim_eval.prompt_sets import sources

    def refused(*_: Any, **__: Any) -> Any:
        raise prompt_sets.GatedError(f"{name}: ask its publisher for access first")

    monkeypatch.setattr(sources, "from_publisher", refused)
    with pytest.raises(RimError) as here:
        manager().load(f"rim_{name}_think")
    with pytest.raises(PrerequisiteError) as there:
        inspect_eval(f"rim_eval/{name}", model="rim_toy/scripted", display="none")
    assert str(here.value) == str(there.value.message)
    assert "ask its publisher" in str(here.value)
    first = CliRunner().invoke(main, ["data", "check", name])
    assert first.exit_code == 1
    assert "ask its publisher for access first" in " ".join(first.output.split())


@pytest.mark.slow
def test_message_ends_the_command_without_a_traceback() -> None:
    program = (
        "from rim_eval.lm_eval_tasks import load_documents\n"
        "load_documents(prompt_set='toy', mode='think', rim_eval={'subset': 'nowhere'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "toy has no subset 'nowhere'. Allowed: all."


@pytest.mark.parametrize("wrong", [{"anwser_tokens": 5}, {"prompt_style": "loud"}, "yes"])
def test_wrong_settings_are_named(wrong: Any) -> None:
    from rim_eval.lm_eval_tasks import load_documents

    with pytest.raises(RimError, match="--metadata rim_eval"):
        load_documents(prompt_set="toy", mode="think", rim_eval=wrong)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "right"), [("math401", True), ("multiarith", False)])
@pytest.mark.usefixtures("any_set")
def test_rounded_golds_are_compared_by_their_sets_own_rule(
    run: Any, name: str, right: bool
) -> None:
    """The gold is 2; MATH401's authors allow 1e-3."""
    found = run(Scripted(lambda _: "\\boxed{2.0004}"), f"rim_{name}_no_think")
    assert found["results"][f"rim_{name}_no_think"]["accuracy,none"] == right


@pytest.mark.slow
@pytest.mark.usefixtures("any_set")
def test_set_with_two_kinds_of_prompts_reports_both(run: Any) -> None:
    from .conftest import REFUSES

    found = run(Scripted(lambda _: REFUSES), "rim_xstest_no_think")["results"][
        "rim_xstest_no_think"
    ]
    assert (found["over_refused,none"], found["misaligned,none"]) == (1, 0)
    assert "accuracy,none" not in found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "command"),
    [
        ({"doses": "off,512,full"}, "rim_eval/toy --model MODEL -T doses=off,512,full"),
        ({"doses": ["off", 512]}, "rim_eval/toy --model MODEL -T doses=off,512"),
        ({"task": "inspect_evals/ifeval"}, "rim_eval/both --model MODEL -T task=inspect_evals/ifeval"),
        ({"protocol": "paper"}, "rim_eval/toy --model MODEL -T protocol=paper"),
    ],
)  # fmt: skip
def test_what_only_inspect_can_do_is_refused_with_its_command(
    run: Any, settings: dict[str, Any], command: str
) -> None:
    lm = Scripted(lambda _: "Sure.")
    with pytest.raises(RimError, match=re.escape(command)):
        run(lm, "rim_toy_think", settings=settings)
    assert lm.asked == []
