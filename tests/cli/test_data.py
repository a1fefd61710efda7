import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rim_eval.cli import main
from rim_eval.paths import tasks_dir


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RIM_EVAL_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setenv("COLUMNS", "80")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_the_list_fits_a_terminal_of_80_columns() -> None:
    done = run("data", "list")
    head, *rows = done.output.splitlines()
    assert done.exit_code == 0
    assert head.split() == ["name", "kind", "n", "judge", "licence", "source", "access"]
    assert max(map(len, done.output.splitlines())) <= 80
    assert [row.split()[0] for row in rows] == sorted(row.split()[0] for row in rows)
    assert "hexphi              harmful    300 hexphi         custom          hub     gated" in rows


def test_the_list_as_json_says_everything() -> None:
    sets = {one["name"]: one for one in json.loads(run("data", "list", "--json").output)}
    assert sets["hexphi"]["gated"]
    assert (sets["harmbench"]["count"], sets["harmbench"]["default_count"]) == (400, 300)
    assert sets["gsm8k"]["files"][0]["sha256"].startswith("3730d312")


def test_check_of_shipped_sets_succeeds() -> None:
    done = run("data", "check", "toy", "toy_math")
    assert done.exit_code == 0
    assert "ok      toy\n        220 prompts, shipped: tasks/toy" in done.output
    assert done.output.endswith("2 of 2 sets can be loaded here.\n")


def test_check_of_a_named_set_without_access_fails_with_the_steps() -> None:
    done = run("data", "check", "toy", "hexphi")
    assert done.exit_code == 1
    assert "offline hexphi" in done.output
    assert "1. Request access at" in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert "Traceback" not in done.output


def test_check_of_all_sets_never_fails_for_want_of_access() -> None:
    done = run("data", "check")
    assert done.exit_code == 0
    assert done.output.endswith("3 of 32 sets can be loaded here.\n")


def test_check_names_a_malformed_file(tmp_path: Path) -> None:
    (tmp_path / "sst_test_cases.csv").write_text("id,harm_area,prompt\n1,a,\n")
    done = run("data", "check", "--data", str(tmp_path))
    assert done.exit_code == 1
    assert "error   simple_safety_tests\n        sst_test_cases.csv, row 1: the pro" in done.output
    assert "missing gsm8k" in done.output


def test_check_of_an_unknown_set_lists_the_names() -> None:
    done = run("data", "check", "toys")
    assert done.exit_code == 1
    assert "Did you mean 'toy'?" in done.output


def test_words_are_loaded_by_name() -> None:
    done = run("--help")
    assert "data" in done.output
    assert run("no-such-word").exit_code == 2
    assert run("tasks-path").output.strip() == str(tasks_dir())
