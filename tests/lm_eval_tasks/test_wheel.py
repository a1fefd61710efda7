"""The task files travel in the wheel, and lm-eval finds and builds them from there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rim_eval
from rim_eval import prompt_sets
from rim_eval.types import MODES

ROOT = Path(rim_eval.__file__).parent.parent

PROGRAM = """
from lm_eval.tasks import TaskManager
from rim_eval.paths import tasks_dir
tasks = TaskManager(include_path=str(tasks_dir()), include_defaults=False)
built = tasks.load(["rim_organism"])["tasks"]
print(tasks_dir(), len(tasks.all_subtasks), len(built))
"""


@pytest.mark.slow
def test_tasks_build_from_an_unpacked_wheel(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--no-build-isolation"]
    subprocess.run([*build, str(ROOT), "-w", str(tmp_path)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    folders = [*prompt_sets.entries(), "_prompts"]
    wanted = {f"rim_eval/tasks/{n}/{m}.yaml" for n in folders for m in MODES}
    assert wanted | {"rim_eval/tasks/_template_yaml", "rim_eval/tasks/_groups/rim.yaml"} <= set(
        names
    )
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    path = {"PYTHONPATH": str(tmp_path / "site"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, env=path
    )
    assert done.returncode == 0, done.stderr
    folder, found, built = done.stdout.split()
    assert Path(folder) == tmp_path / "site" / "rim_eval" / "tasks"
    assert (int(found), int(built)) == (len(wanted), 6)
