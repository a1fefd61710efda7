"""Entries for other registers: current, and accepted by those registers' own code."""

import importlib.util
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import lm_eval.tasks
import pytest
import yaml
from click.testing import CliRunner
from lm_eval.tasks import TaskManager

from rim_eval.card import read_card
from rim_eval.lm_eval_tasks.task import ModeTask
from rim_eval.paths import leaderboard_dir
from rim_eval.publishing import published_figures
from rim_eval.types import MODES
from scripts import listings
from tests.lm_eval_tasks.test_tasks import stand_in

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = ROOT / "docs" / "upstream"
SETS = sorted(listings.published_sets())


def test_the_files_are_current() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in listings.texts().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: python -m scripts.listings"


# The register of Inspect Evals


def register_folder() -> Path | None:
    """Where inspect_evals lies, in site-packages or beside them without what it depends on (Makefile)."""
    beside = Path(sys.prefix) / "validators" / "inspect_evals"
    found = importlib.util.find_spec("inspect_evals")
    return Path(found.origin).parent if found and found.origin else beside if beside.is_dir() else None  # fmt: skip


@pytest.fixture(scope="module")
def metadata() -> Iterator[ModuleType]:
    """`inspect_evals.metadata`, the register's own schema, without importing its evaluations."""
    if (folder := register_folder()) is None:
        pytest.skip(f"pip install --no-deps --target {sys.prefix}/validators inspect_evals")
    spec = importlib.util.spec_from_file_location("_register_metadata", folder / "metadata.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["_register_metadata"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["_register_metadata"]


def load_entry(metadata: ModuleType, path: Path) -> Any:
    """Read an entry as the register reads its own: by `_load_single_eval_yaml`, which adds the id."""
    return metadata._metadata_from_entry(metadata._load_single_eval_yaml(path))


@pytest.mark.filterwarnings("ignore:`__get_validators__` is deprecated")
def test_the_registers_schema_accepts_every_entry(metadata: ModuleType) -> None:
    for name in SETS:
        entry = load_entry(metadata, ROOT / "tasks" / name / "eval.yaml")
        assert isinstance(entry, metadata.ExternalEvalMetadata)
        assert [task.name for task in entry.tasks] == [name]
        assert "\n" not in entry.description


@pytest.mark.filterwarnings("ignore:`__get_validators__` is deprecated")
def test_the_registers_schema_refuses_an_entry_without_a_task_path(
    metadata: ModuleType, tmp_path: Path
) -> None:
    value = yaml.safe_load((ROOT / "tasks" / "hexphi" / "eval.yaml").read_text())
    del value["tasks"][0]["task_path"]
    (tmp_path / "eval.yaml").write_text(yaml.safe_dump(value))
    with pytest.raises(ValueError, match="task_path"):
        load_entry(metadata, tmp_path / "eval.yaml")


@pytest.mark.parametrize("name", SETS)
def test_the_task_stands_where_the_entry_says(name: str) -> None:
    [task] = yaml.safe_load((ROOT / "tasks" / name / "eval.yaml").read_text())["tasks"]
    code = (ROOT / task["task_path"]).read_text(encoding="utf-8")
    assert re.search(rf"^@task\b.*\n(@.*\n)*def {name}\(", code, flags=re.MULTILINE)


def test_the_project_is_one_that_the_register_can_install() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(each.startswith("inspect-ai") for each in project["dependencies"])


def test_names_that_the_register_has_given_away_are_named(metadata: ModuleType) -> None:
    page = (UPSTREAM / "inspect-evals-register.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page.partition("Names that are taken")[2].partition(".\n")[0]))  # fmt: skip
    folder = register_folder()
    assert folder
    theirs = {
        task["name"]
        for file in folder.glob("*/eval.yaml")
        for task in yaml.safe_load(file.read_text(encoding="utf-8"))["tasks"]
    }
    assert theirs & set(SETS) == named
    version = next(folder.parent.glob("inspect_evals-*.dist-info")).name.split("-")[1]
    assert f"inspect_evals {version.removesuffix('.dist')} " in page


def test_repository_and_commit_are_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # fmt: skip
    written: dict[Path, str] = {}
    monkeypatch.setattr(listings, "write_whole", written.update)
    command = ["--repository", "https://github.com/me/rim", "--commit", "a" * 40]
    assert CliRunner().invoke(listings.main, command).exit_code == 0
    entry = yaml.safe_load(written[ROOT / "tasks" / "hexphi" / "eval.yaml"])
    assert entry["source"]["repository_url"] == "https://github.com/me/rim"
    assert entry["source"]["repository_commit"] == "a" * 40
    assert entry["source"]["maintainers"] == ["me"]


# lm-evaluation-harness


def test_the_tasks_about_harm_that_the_draft_names_are_lm_evals() -> None:
    page = (UPSTREAM / "lm-eval.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)`", page.partition("are about harm: ")[2].partition(". ")[0])
    assert len(named) > 1
    assert not [name for name in named if not (Path(lm_eval.tasks.__file__).parent / name).is_dir()]


def safety_tasks() -> list[str]:
    found = yaml.safe_load((ROOT / "tasks" / "_groups" / "safety_think.yaml").read_text())["task"]
    return [f"{each.removesuffix('_think')}_{mode}" for each in found for mode in MODES]


@pytest.mark.parametrize("place", ["upstream", "lm_eval/tasks/rim"])
def test_lm_evals_own_manager_loads_the_pull_request(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = UPSTREAM / "lm-eval"
    if place != "upstream":
        folder = tmp_path / place
        shutil.copytree(UPSTREAM / "lm-eval" / "rim", folder)
    settings = {"answer_tokens": None, "thinking_tokens": None}
    manager = TaskManager(include_path=str(folder), include_defaults=False, metadata=settings)
    assert manager.all_subtasks == sorted(safety_tasks())
    assert manager.all_groups == ["rim_safety", "rim_safety_no_think", "rim_safety_think"]
    monkeypatch.setattr("rim_eval.lm_eval_tasks.settings.load_prompts", stand_in)
    built = manager.load(["rim_safety"])["tasks"]
    assert sorted(built) == manager.all_subtasks
    for name, task in built.items():
        assert isinstance(task, ModeTask)
        assert len(task.test_docs()) >= 1, name


# Others


def test_the_extensions_entry_has_the_lists_form() -> None:
    [entry] = yaml.safe_load((UPSTREAM / "inspect-extensions.yml").read_text(encoding="utf-8"))
    assert set(entry) == {"name", "description", "author", "categories"}
    for field in ("name", "author"):
        assert re.fullmatch(r"\[.+?\]\(https://.+?\)", entry[field])
    assert set(entry["categories"]) <= {"Sandboxes", "Analysis", "Frameworks", "Tooling"}
    assert len(entry["description"].strip().splitlines()) == 1


def test_results_are_filed_under_tasks_of_the_benchmark() -> None:
    benchmark = yaml.safe_load((UPSTREAM / "huggingface-benchmark.yaml").read_text())
    declared = [task["id"] for task in benchmark["tasks"]]
    assert len(set(declared)) == len(declared)
    results = leaderboard_dir() / "results"
    card = read_card(results / "huggingfacetb-smollm2-135m-instruct-q4-1" / "greedy.json")
    assert {figure.name for figure in published_figures(card)} <= set(declared)


def test_every_draft_says_that_it_is_not_sent() -> None:
    drafts = [*UPSTREAM.glob("*.md"), *UPSTREAM.glob("*.y*ml")]
    assert drafts
    assert not [each.name for each in drafts if "Not sent" not in each.read_text(encoding="utf-8")]
