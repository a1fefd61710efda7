"""What users rely on of the package as installed: its entry point, its names, its shipped data."""

import importlib
import pkgutil
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import rim_eval

ROOT = Path(rim_eval.__file__).parent.parent

SAFETY = [
    "hexphi",
    "strong_reject",
    "advbench",
    "harmbench",
    "jbb_harmful",
    "jbb_benign",
    "sorry_bench",
    "simple_safety_tests",
    "do_not_answer",
    "malicious_instruct",
    "xstest",
    "or_bench",
    "or_bench_toxic",
    "coconot",
    "coconot_contrast",
    "broad_misalignment",
    "false_reject",
    "fortress",
    "fortress_benign",
    "hexphi_intents",
    "sosbench",
    "wildjailbreak",
    "wildjailbreak_safe",
    "toy",
    "toy_allowed",
    "prompts",
]
REASONING = ["gsm8k", "math500", "math401", "multiarith", "aime", "gsm8k_literal", "toy_math"]


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_entry_point_key_is_the_package_name() -> None:
    [ours] = [point for point in entry_points(group="inspect_ai") if "rim_eval" in point.value]
    assert ours.name == "rim_eval"
    ours.load()


@pytest.mark.slow
def test_loading_the_entry_point_imports_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "lm_eval", "openai", "datasets", "pandas", "numpy", "jinja2"]
    ours = ["prompt_sets", "thinking", "judging", "patterns", "statistics"]
    heavy += [f"rim_eval.{stage}" for stage in ours]
    found = python(
        f"import sys, rim_eval._registry; print([name for name in {heavy} if name in sys.modules])"
    )
    assert found == "[]"


def test_every_task_is_registered_under_the_packages_name() -> None:
    from inspect_ai._util.registry import registry_lookup

    importlib.import_module("rim_eval._registry")
    for name in SAFETY + REASONING:
        assert registry_lookup("task", f"rim_eval/{name}") is not None, name


def test_every_prompt_set_has_a_task_of_its_name() -> None:
    from rim_eval.prompt_sets import entries

    assert set(entries()) <= set(SAFETY + REASONING)


@pytest.mark.parametrize(
    "name",
    sorted(
        module.name
        for module in pkgutil.walk_packages(rim_eval.__path__, "rim_eval.")
        if not module.name.rsplit(".", 1)[-1].startswith("_")
    ),
)
def test_all_names_exist_and_are_sorted(name: str) -> None:
    if name == "rim_eval.inspect_tasks.scout":
        pytest.importorskip("inspect_scout")
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert all(hasattr(module, one) for one in exported)
    assert exported == sorted(exported, key=lambda one: (not one.isupper(), one[0].islower(), one))


@pytest.mark.slow
def test_stages_after_the_observations_import_no_harness() -> None:
    stages = "rim_eval.statistics, rim_eval.observations, rim_eval.results.figures, rim_eval.results.text_table"
    found = python(
        f"import sys, {stages}; print([m for m in ('inspect_ai', 'lm_eval') if m in sys.modules])"
    )
    assert found == "[]"


@pytest.mark.slow
def test_wheel_carries_code_tasks_judges_and_organism(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, str(ROOT), "-w", str(tmp_path)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "rim_eval/tasks/hexphi/set.toml",
        "rim_eval/tasks/toy/prompts.jsonl",
        "rim_eval/prompt_sets/intents.toml",
        "rim_eval/judges/hexphi_own.yaml",
        "rim_eval/attacks/jailbreakbench.toml",
        "rim_eval/judging/refusal_model.json",
        "rim_eval/judging/labelled_sets.toml",
        "rim_eval/answers/vocabulary.toml",
        "rim_eval/organism/checkpoint/model.safetensors",
        "rim_eval/organism/facts.json",
        "rim_eval/py.typed",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "scripts/"))]
    shipped = {name for name in names if name.startswith(("rim_eval/tasks/", "rim_eval/judges/"))}
    assert not [name for name in shipped if name.endswith(".py")]
