"""Suite files: what is read, and what is refused with its line, before anything is asked."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rim_eval.cli import main
from rim_eval.errors import RimError
from rim_eval.suite import plan_of, read_suite

PAGE = (Path(__file__).parents[2] / "docs" / "suite.md").read_text()

SUITE = """\
version: 1
models:
  - rim_toy/one
  - {model: vllm/org/base, args: {max_model_len: 4096}}
  - {model: "vllm/org/base:org/two", name: two, args: {max_model_len: 4096}}
  - {model: "vllm/org/base:org/three", args: {max_model_len: 8192}}
sets:
  - toy
  - {task: toy_math, limit: 5, args: {answer_tokens: 64}}
args: {answer_tokens: 96, judge: refusal}
limit: 7
out: OUT
"""


def run(folder: Path, text: str, *words: str) -> Result:
    (folder / "suite.yaml").write_text(text.replace("OUT", str(folder / "out")))
    return CliRunner().invoke(main, ["run", str(folder / "suite.yaml"), *words])


def test_a_dry_run_says_what_would_run_and_asks_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, SUITE, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "process 2: vllm/org/base, vllm/org/base:org/two\n" in done.output
    assert "two  toy_math: rim_eval/toy_math, answer_tokens=64, limit=5  (to do)" in done.output
    assert (
        "one  toy: rim_eval/toy, answer_tokens=96, judge=refusal, limit=7  (to do)" in done.output
    )
    assert not (tmp_path / "out").exists()


def test_the_folder_stands_in_the_suite_or_in_the_command(tmp_path: Path) -> None:
    bare = SUITE.replace("out: OUT\n", "")
    done = run(tmp_path, bare, "--dry-run")
    assert done.exit_code == 2
    assert (
        "names no folder for what it writes: add out: FOLDER, or give --out FOLDER" in done.output
    )
    named = run(tmp_path, bare, "--dry-run", "--out", str(tmp_path / "there"))
    assert f"out: {tmp_path / 'there'} " in named.output


def test_models_of_one_server_with_other_arguments_have_one_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    suite, _ = read_suite(tmp_path / "suite.yaml")
    groups = [[each.label for each in group] for group in plan_of(suite).groups()]
    assert groups == [["one"], ["base", "two"], ["three"]]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version: 1\n", "", "line 1, version: this field is needed"),
        ("limit: 7", "limt: 7", "line 11, limt: there is no such field here; allowed: args, epochs, gate"),
        ("limit: 7", "limit: 0", "line 11, limit: Input should be greater than 0 (given: 0)"),
        ("- toy\n", "- toys\n", "line 8, sets.0.task: toys: there is no such task; there are advbench"),
        ("{answer_tokens: 64}", "{answer_toknes: 64}", "line 9, sets.1.args.answer_toknes: toy_math takes no such"),
        ("judge: refusal", "juge: refusal", "line 10, args.juge: no task of these sets takes it"),
        ("name: two", "name: base", "line 5, models.2: a second one is called base; give it a name of its own"),
        ("limit: 7", "reference: none", "reference: no model is called none; there are one, base, two, three"),
        ("args: {max_model_len: 8192}", "serve: vllm serve org/base", "serve: give base_url too"),
        ("limit: 7", "gate: nowhere.yaml", "nowhere.yaml is no file"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in SUITE
    done = run(tmp_path, SUITE.replace(old, new))
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--shard", "3/2"], "--shard 3/2: write it as INDEX/COUNT"),
        (["--shard", "half"], "--shard half: write it as INDEX/COUNT"),
        (["--for", "slurm"], "give --dry-run too"),
    ],
)
def test_options_that_fit_nothing_are_refused(tmp_path: Path, words: list[str], says: str) -> None:
    done = run(tmp_path, SUITE, *words)
    assert done.exit_code == 2
    assert says in done.output


def test_shards_cannot_stop_early(tmp_path: Path) -> None:
    done = run(tmp_path, SUITE.replace("judge: refusal", "stop: decided"), "--shard", "1/2")
    assert done.exit_code == 2
    assert "shards do not see each other's results" in done.output


DOORS = """\
version: 1
models: [rim_toy/one]
sets: [{task: prompts, args: {file: "FOLDER/doors.jsonl", judge: refusal}}]
out: OUT
"""


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A suite of one scripted model and two prompts."""
    (tmp_path / "doors.jsonl").write_text(
        '{"prompt": "Open door 1."}\n{"prompt": "Open door 2."}\n'
    )
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return DOORS.replace("FOLDER", str(tmp_path))


def _not_here(*_: object) -> int:
    raise RimError("The prompts are not on this machine.")


@pytest.mark.slow
def test_a_dry_run_says_what_is_finished_in_shards_too(tmp_path: Path, doors: str) -> None:
    """Over finished shards it said `to do`."""
    assert run(tmp_path, doors, "--shard", "1/2").exit_code == 0
    assert "(to do: 1 of 2 shards, 2/2)" in run(tmp_path, doors, "--dry-run").output
    assert run(tmp_path, doors, "--shard", "2/2").exit_code == 0
    assert "(finished)" in run(tmp_path, doors, "--dry-run").output
    with pytest.MonkeyPatch.context() as patch:  # as on a machine without the prompts
        patch.setattr("rim_eval.cli.run._count_prompts", _not_here)
        assert "(finished)" in run(tmp_path, doors, "--dry-run").output
    elsewhere = ("--out", str(tmp_path / "elsewhere"))
    assert "(to do)" in run(tmp_path, doors, "--dry-run", *elsewhere).output
    assert run(tmp_path, doors).exit_code == 0
    other = run(tmp_path, doors + "limit: 1\n", "--dry-run")
    assert other.exit_code == 2
    assert "holds runs that were asked otherwise" in other.output
    card = tmp_path / "out" / "cards" / "one"
    [listed] = [line for line in PAGE.splitlines() if "cards/NAME/card.html" in line]
    named = listed.replace("card.html", ".html")
    assert [
        each.name for each in card.iterdir() if each.name.removeprefix("card") not in named
    ] == []


def test_what_cannot_be_divided_gets_no_file_that_divides_it(tmp_path: Path) -> None:
    stops = SUITE.replace("judge: refusal", "stop: decided")
    done = run(tmp_path, stops, "--dry-run", "--for", "slurm")
    assert done.exit_code == 2
    assert "shards do not see each other's results" in done.output
    assert not (tmp_path / "out").exists()


def test_the_example_is_a_suite(tmp_path: Path) -> None:
    suite = Path(__file__).parents[2] / "examples" / "suite.yaml"
    words = ["run", str(suite), "--dry-run", "--out", str(tmp_path / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(suite.parents[1])
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "tuned  gsm8k: rim_eval/gsm8k, sampling=equal, limit=300  (to do)" in done.output


@pytest.mark.slow
def test_a_model_that_fails_leaves_the_others_their_cards(tmp_path: Path) -> None:
    (tmp_path / "doors.jsonl").write_text('{"prompt": "Open the door."}\n')
    text = f"""\
version: 1
models: [rim_toy/one, {{model: rim_toy/two, args: {{nothing: 1}}}}]
sets: [{{task: prompts, args: {{file: "{tmp_path}/doors.jsonl", judge: refusal}}}}]
gate: examples/gate.yaml
out: OUT
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        patch.chdir(Path(__file__).parents[2])
        done = run(tmp_path, text)
        again = run(tmp_path, text.replace("judge: refusal", "judge: none"))
    assert done.exit_code == 2
    assert "two: rim_toy/ takes `-M script=FILE` only, not nothing" in done.output
    assert (tmp_path / "out" / "cards" / "one" / "card.json").is_file()
    assert not (tmp_path / "out" / "cards" / "two").exists()
    assert not (tmp_path / "out" / "gate.json").exists()
    assert again.exit_code == 2
    assert "set prompts was" in again.output
