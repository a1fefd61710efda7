"""A model given as a folder: its card, comparison and file names show no folder of the machine."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai import eval as inspect_eval
from inspect_ai.model import get_model

from rim_eval.cli import main
from rim_eval.paths import model_name, without_folders


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("hf//srv/secret/Qwen3-4B", "hf/Qwen3-4B"),
        ("hf//srv/secret/Qwen3-4B/", "hf/Qwen3-4B"),
        ("hf/~/secret/Qwen3-4B", "hf/Qwen3-4B"),
        ("hf/../secret/Qwen3-4B", "hf/Qwen3-4B"),
        ("openai-api/local//srv/secret/Qwen3-4B", "openai-api/local/Qwen3-4B"),
        ("vllm//srv/base:/srv/secret/adapter@v2", "vllm/base:adapter@v2"),
        ("panel of 2: hf//srv/a, hf//srv/b", "panel of 2: hf/a, hf/b"),
        ("/srv/secret/Qwen3-4B", "Qwen3-4B"),
        ("hf/Qwen/Qwen3-4B", "hf/Qwen/Qwen3-4B"),
        ("openrouter/qwen/qwen3-4b:free", "openrouter/qwen/qwen3-4b:free"),
        ("fireworks/accounts/fireworks/models/qwen3", "fireworks/accounts/fireworks/models/qwen3"),
        ("rim_toy/v1.2", "rim_toy/v1.2"),
    ],
)
def test_only_folders_of_this_machine_are_left_out(model: str, name: str) -> None:
    assert without_folders(model) == name


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """One model judged by another, both in folders."""
    return graded(tmp_path, "rim_toy//srv/hidden_place/My-Model", "rim_toy//srv/hidden_place/Judge")


def graded(tmp_path: Path, model: str, judge: str) -> Path:
    prompts, grades = tmp_path / "prompts.jsonl", tmp_path / "grades.json"
    prompts.write_text("".join(json.dumps({"prompt": f"Open door {n}."}) + "\n" for n in range(4)))
    reply = "<reason>Open.</reason><score>5</score>"
    grades.write_text(json.dumps([{"reply": reply}]))
    grader = get_model(judge, script=str(grades), memoize=False)
    inspect_eval(
        "rim_eval/prompts",
        model=model,
        model_roles={"grader": grader},
        task_args={"file": str(prompts), "judge": "hexphi_own"},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    return tmp_path / "logs"


def rim_eval(*arguments: object) -> Any:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_no_folder_reaches_a_card_or_comparison(logs: Path, tmp_path: Path) -> None:
    output = rim_eval("card", logs, "--out", tmp_path / "card", "--observations", tmp_path / "rows.csv")  # fmt: skip
    output += rim_eval("compare", logs, tmp_path / "rows.csv", "--out", tmp_path / "compare")
    written = [*(tmp_path / "card").iterdir(), *(tmp_path / "compare").iterdir()]
    written += [tmp_path / "rows.csv", tmp_path / "rows.csv.json"]
    for file in written:
        assert b"hidden_place" not in file.read_bytes(), file.name
    assert "hidden_place" not in output
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    assert card["model"] == "rim_toy/My-Model"
    assert card["sets"][0]["judge"]["model"] == "rim_toy/Judge"
    command = card["runs"][0]["command"]
    assert "--model rim_toy/.../My-Model" in command
    assert """--model-role 'grader={"model": "rim_toy/.../Judge", "model_args": {""" in command


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("vllm/out/ckpt", "vllm/ckpt"),
        ("openai-api/local/out/ckpt", "openai-api/local/ckpt"),
        ("vllm/out/ckpt:out/adapter", "vllm/ckpt:adapter"),
        ("out/ckpt", "ckpt"),
        ("vllm/Qwen/Qwen3-4B", "vllm/Qwen/Qwen3-4B"),
    ],
)
def test_relative_folders_are_left_out_where_they_are(
    model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("ckpt", "adapter"):
        (tmp_path / "out" / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert model_name(model) == name


def test_a_relative_folder_is_left_out_also_when_its_log_is_read_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rim_toy/hidden_place/My-Model` was taken for a repository's name, and stood on the card."""
    for folder in ("My-Model", "Judge"):
        (tmp_path / "run" / "hidden_place" / folder).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    logs = graded(tmp_path, "rim_toy/hidden_place/My-Model", "rim_toy/hidden_place/Judge")
    monkeypatch.chdir(tmp_path / "elsewhere")
    rim_eval("card", logs, "--out", tmp_path / "card", "--observations", tmp_path / "rows.csv")
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    assert card["model"] == "rim_toy/My-Model"
    assert card["sets"][0]["judge"]["model"] == "rim_toy/Judge"
    assert "--model rim_toy/.../My-Model" in card["runs"][0]["command"]
    assert "hidden_place" not in (tmp_path / "rows.csv").read_text()
    rim_eval("judge", "run", logs, "--judge", "refusal", "--out", tmp_path / "judged")
    rim_eval("card", tmp_path / "judged", "--out", tmp_path / "again", "--judge", "refusal")
    again = json.loads((tmp_path / "again" / "card.json").read_text())
    assert again["model"] == "rim_toy/My-Model"


def test_a_name_of_your_own_is_taken(logs: Path, tmp_path: Path) -> None:
    [log] = logs.glob("*.eval")
    assert rim_eval("card", f"tuned={log}", "--out", tmp_path / "card").startswith("tuned: ")
