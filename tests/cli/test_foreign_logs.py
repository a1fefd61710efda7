"""A folder that other logs lie in too: they are said and passed over, and errors name files."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.scorer import match

from rim_eval.cli import main


def rim_eval(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def ours(folder: Path, **options: Any) -> Path:
    prompts = folder.parent / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Open door {n}."}) + "\n" for n in range(3)))
    [log] = inspect_eval(
        "rim_eval/prompts",
        model="rim_toy/scripted",
        task_args={"file": str(prompts), "judge": "refusal"},
        log_dir=str(folder),
        display="none",
        **options,
    )
    return Path(log.location)


def another(folder: Path, **options: Any) -> Path:
    task = Task([Sample(input="1+1?", target="2")], scorer=match(), name="sums")
    [log] = inspect_eval(task, model="rim_toy/scripted", log_dir=str(folder), display="none", **options)  # fmt: skip
    assert log.status == "success"
    return Path(log.location)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def test_other_logs_in_a_folder_are_said_and_passed_over(
    logs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = ours(logs)
    empty, foreign, broken = ours(logs, log_samples=False), another(logs), another(logs)
    failed = read_eval_log(str(broken))
    failed.status = "error"
    write_eval_log(failed, str(broken))
    done = rim_eval("card", logs, "--out", tmp_path / "card")
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    [run] = card["runs"]
    assert run["task"] == "rim_eval/prompts"
    assert card["sets"][0]["counts"]["arms"]["think"]["asked"] == 3
    messages = [
        record.getMessage() for record in caplog.records if "Passed over" in record.getMessage()
    ]
    assert len(messages) == 3
    for path, why in ((empty, "without its samples"), (foreign, "sums"), (broken, "sums")):
        [line] = [line for line in messages if path.name in line]
        assert why in line
    assert not [line for line in messages if good.name in line]


def test_a_folder_with_nothing_usable_is_an_error_that_names_the_files(
    logs: Path, tmp_path: Path
) -> None:
    paths = ours(logs, log_samples=False), another(logs)
    for command in (("card", logs, "--out", tmp_path / "card"), ("compare", logs)):
        done = rim_eval(*command)
        assert done.exit_code == 1
        for path in paths:
            assert path.name in done.output
    assert not (tmp_path / "card").exists()


def test_a_log_that_is_named_is_never_passed_over(logs: Path, tmp_path: Path) -> None:
    good, empty, foreign = ours(logs), ours(logs, log_samples=False), another(logs)
    for path, why in ((empty, "without its samples"), (foreign, "leaves no observations")):
        done = rim_eval("card", good, path, "--out", tmp_path / "card")
        assert done.exit_code == 1
        assert path.name in done.output
        assert why in done.output


def test_a_damaged_observation_is_said_with_its_file(logs: Path, tmp_path: Path) -> None:
    path = ours(logs)
    log = read_eval_log(str(path))
    for sample in log.samples or []:
        for score in (sample.scores or {}).values():
            assert score.metadata is not None
            score.metadata["think"]["verdict"] = "perhaps"
    write_eval_log(log, str(path))
    done = rim_eval("card", logs, "--out", tmp_path / "card")
    assert done.exit_code == 1
    assert path.name in done.output
