"""A dry run refuses values that a run would refuse, with their line, and says what it cannot check."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rim_eval.cli import main

SUITE = """\
version: 1
models: [vllm/org/base]
sets:
  - hexphi
  - {task: xstest, args: {modes: both}}
args: {sampling: equal}
roles: {grader: openai/gpt-4.1}
out: OUT
"""


def dry(folder: Path, text: str, *words: str) -> Result:
    (folder / "suite.yaml").write_text(text.replace("OUT", str(folder / "out")))
    return CliRunner().invoke(main, ["run", str(folder / "suite.yaml"), *(words or ["--dry-run"])])


@pytest.fixture(autouse=True)
def _nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIM_EVAL_DATA", raising=False)
    monkeypatch.setattr("httpx.head", lambda *_, **__: pytest.fail("the network was asked"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("modes: both", "modes: thinking", "line 5, sets.1.args.modes: modes='thinking' is not known: use"),
        ("sampling: equal", "sampling: equl", "line 6, args.sampling: sampling='equl' is not known: use"),
        ("sampling: equal", "juge: x", "line 6, args.juge: no task of these sets takes it"),
        ("vllm/org", "vlm/org", "line 2, models.0.model: vlm/org/base: Inspect knows no provider called vlm; there are anthropic"),
        ("vllm/org/base", "base", "line 2, models.0.model: base: name the provider too"),
        ("grader:", "graders:", "line 7, roles.graders: no task of these sets asks a model of this role; they ask grader"),
        ("openai/gpt-4.1", "gpt-4.1", "line 7, roles.grader: gpt-4.1: name the provider too"),
        ("openai/gpt-4.1", "[openai/a, opnai/b]", "line 7, roles.grader: opnai/b: Inspect knows no provider called opnai"),
        ("openai/gpt-4.1", "4", "line 7, roles.grader: 4 is no model. Give a name (openai/gpt-4.1)"),
        ("openai/gpt-4.1", "{model: openai/a, tempature: 0}", "Unknown GenerateConfig field(s): tempature."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("words", [["--dry-run"], ["--join", "2"]])
def test_wrong_values_are_refused_before_anything_runs(
    tmp_path: Path, old: str, new: str, says: str, words: list[str]
) -> None:
    done = dry(tmp_path, SUITE.replace(old, new), *words)
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert ".." not in done.output.replace("...", "")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("modes: both", "judge: nosuch", "line 5, sets.1: There is no judge `nosuch`. Judges: alignment"),
        ("modes: both", "subset: nosuch", "line 5, sets.1: xstest has no subset 'nosuch'. Allowed: safe, contrast, all"),
        ("modes: both", "answer_tokens: many", "line 5, sets.1: answer_tokens='many' is no token budget"),
        ("modes: both", "switch: a b", "line 5, sets.1: The switch 'a b' cannot be read"),
        ("roles: {grader: openai/gpt-4.1}\n", "", "line 4, sets.0: its judge hexphi asks a grader, and the suite names none"),
        ("modes: both", "protocol: nosuch", "line 5, sets.1: protocol=nosuch is not known"),
    ],
)  # fmt: skip
def test_a_dry_run_refuses_what_the_tasks_would(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    done = dry(tmp_path, SUITE.replace(old, new))
    assert done.exit_code == 2, done.output
    assert says in done.output


def test_what_is_not_checked_is_said(tmp_path: Path) -> None:
    done = dry(tmp_path, SUITE.replace("  - hexphi\n", "  - hexphi\n  - toy\n  - other/task\n"))
    assert done.exit_code == 0, done.output
    assert "not checked: whether models and graders answer, and take their `args`\n" in done.output
    assert "not checked: what tasks of other packages make of their arguments: other/task\n" in done.output  # fmt: skip
    assert "not checked: prompts that are not on this machine: hexphi, xstest\n" in done.output
    anyone = dry(tmp_path, SUITE.replace("  - hexphi\n", "  - other/task\n").replace("grader:", "critic:"))  # fmt: skip
    assert "roles.critic" not in anyone.output, "a task of another package may ask any role"


def test_the_arguments_that_are_offered_are_arguments(tmp_path: Path) -> None:
    done = dry(tmp_path, SUITE.replace("modes: both", "mode: both"))
    assert "xstest takes no such argument; it takes answer_tokens, " in done.output
    assert "dotted" not in done.output


def test_one_fault_is_one_error(tmp_path: Path) -> None:
    """The list was called too short for the fault inside it."""
    text = "version: 1\nmodels: [{modl: x}]\nsets: [{task: toy, limt: 3}]\nout: OUT\n"
    said = dry(tmp_path, text).output.splitlines()
    assert [line.partition(": there")[0].rpartition(", ")[2] for line in said] == ["models.0.modl", "sets.0.limt"]  # fmt: skip
    empty = dry(tmp_path, "version: 1\nmodels: []\nsets: [toy]\nout: OUT\n").output
    assert "line 2, models: Tuple should have at least 1 item" in empty
