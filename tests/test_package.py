"""What users rely on of the package as installed: its entry point, its names, its shipped data."""

import importlib
import os
import pkgutil
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import rim_eval
from scripts.check_dist import problems, tag_problems

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


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("what belongs into them is known from git")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_wheel_and_source_distribution_hold_the_repositorys_files(dist: Path) -> None:
    assert problems(dist) == []


@pytest.mark.slow
def test_what_is_missing_from_a_wheel_or_too_much_is_named(dist: Path, tmp_path: Path) -> None:
    [wheel], [archive] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    (tmp_path / archive.name).symlink_to(archive)
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / wheel.name, "w") as part:
        for name in set(whole.namelist()) - {"rim_eval/tasks/hexphi/set.toml"}:
            part.writestr(name, whole.read(name))
        part.writestr("rim_eval/run.log", f"read {ROOT}/logs")
    assert problems(tmp_path) == [
        f"{wheel.name} lacks rim_eval/tasks/hexphi/set.toml.",
        f"{wheel.name} holds rim_eval/run.log, which is none of its files.",
        f"{wheel.name}: rim_eval/run.log names {ROOT}/",
    ]
    assert problems(tmp_path / "nothing") == [
        f"{tmp_path / 'nothing'} must hold one wheel and one .tar.gz; it holds 0 and 0."
    ]


def test_only_the_version_with_its_changes_may_be_tagged(tmp_path: Path) -> None:
    found = tag_problems("v77.0.0", tmp_path)
    assert found[0] == f"The tag is v77.0.0, and rim_eval/_version.py says {rim_eval.__version__}."
    assert found[1].startswith("CHANGELOG.md has no heading `## [77.0.0] - YYYY-MM-DD`")


@pytest.mark.parametrize(
    ("urls", "link", "says"),
    [
        (
            "",
            "docs/card.md",
            ["pyproject.toml has no [project.urls]", "README.md links to 1 files"],
        ),
        ("Project-URL: Repository, https://host.test/x\n", "https://host.test/x/docs/card.md", []),
    ],
)
def test_links_that_the_index_cannot_follow_hold_a_release(
    tmp_path: Path, urls: str, link: str, says: list[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "rim_eval-1-py3-none-any.whl", "w") as wheel:
        text = f"Metadata-Version: 2.4\nName: rim-eval\n{urls}\n[card]({link}) [below](#develop)\n"
        wheel.writestr("rim_eval-1.dist-info/METADATA", text)
    found = tag_problems("v77.0.0", tmp_path)[2:]
    assert [problem.startswith(part) for problem, part in zip(found, says, strict=True)] == [True] * len(says)  # fmt: skip


@pytest.mark.slow
def test_an_installed_wheel_finds_its_tasks_judges_and_organism(dist: Path, tmp_path: Path) -> None:
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tmp_path / "installed")
    program = (
        "import rim_eval; from rim_eval.paths import tasks_dir, judges_dir, organism_dir; "
        "from rim_eval.prompt_sets import entries; from rim_eval.judging import judge_names; "
        "print(rim_eval.__file__, tasks_dir(), judges_dir(), organism_dir(), sep='\\n'); "
        "assert entries() and judge_names(); assert (organism_dir() / 'model.safetensors').is_file()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(tmp_path / "installed")) for line in done.stdout.splitlines())
