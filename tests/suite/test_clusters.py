"""Files for clusters: shells and validators accept them, and their bodies run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.cli import main

SUITE = """\
version: 1
models:
  - {model: vllm/org/base, args: {data_parallel_size: 4, tensor_parallel_size: 2}}
  - {model: openai-api/local/small, base_url: "http://127.0.0.1:8000/v1"}
sets: [toy, toy_math]
args: {answer_tokens: 96}
roles: {grader: {model: openai/gpt-4.1, temperature: 0}}
limit: 9
out: OUT
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite in a folder whose name a shell must quote."""
    folder = tmp_path / "it's here"
    folder.mkdir()
    (folder / "my suite.yaml").write_text(SUITE.replace("OUT", f'"{folder}/out put"'))
    return folder / "my suite.yaml"


def written(suite: Path, target: str, name: str, shards: int = 3) -> Path:
    words = ["run", str(suite), "--dry-run", "--for", target, "--shards", str(shards)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    return suite.parent / "out put" / name


def test_slurm_script_runs_its_shard(suite: Path, tmp_path: Path) -> None:
    script = written(suite, "slurm", "slurm.sh")
    assert "#SBATCH --array=1-3\n" in script.read_text()
    assert "#SBATCH --gpus=8\n" in script.read_text()
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "rim-eval").write_text('#!/bin/bash\nprintf "%s\\n" "$PWD" "$@"\n')
    (tools / "rim-eval").chmod(0o755)
    own = {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "2"}
    own |= {"SLURM_SUBMIT_DIR": str(suite.parent)}
    done = subprocess.run(
        ["bash", str(script)], env=own, capture_output=True, text=True, check=True
    )
    out = str(suite.parent / "out put")
    assert done.stdout.splitlines() == [str(suite.parent), "run", str(suite), "--out", out, "--shard", "2/3"]  # fmt: skip


def test_kubernetes_jobs_fit_their_schema(suite: Path) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    import yaml

    jobs = list(yaml.safe_load_all(written(suite, "kubernetes", "kubernetes.yaml").read_text()))
    assert [job["metadata"]["name"] for job in jobs] == ["my-suite-shards", "my-suite-join"]
    for job in jobs:
        validator.validate(job, "1.31", strict=True)
    [container] = jobs[0]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    [line] = container["args"]
    shell = f"rim-eval() {{ printf '%s\\n' \"$@\"; }}; {line}"
    own = {"JOB_COMPLETION_INDEX": "2", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-c", shell], env=own, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1:] == ["/suite/my suite.yaml", "--out", "/runs/my-suite", "--shard", "3/3"]  # fmt: skip


def test_ray_script_is_one(suite: Path) -> None:
    script = written(suite, "ray", "ray_shards.py").read_text()
    compile(script, "ray_shards.py", "exec")
    assert "@ray.remote(num_gpus=8, num_cpus=4, max_retries=5)" in script


def test_flow_spec_is_one(suite: Path) -> None:
    import yaml

    spec = yaml.safe_load(written(suite, "flow", "flow.yaml").read_text())
    assert len(spec["tasks"]) == 4
    assert spec["log_dir"] == "flow"
    assert spec["options"] == {"limit": 9, "log_format": "eval"}
    assert spec["tasks"][3]["model"] == {"name": "openai-api/local/small", "base_url": "http://127.0.0.1:8000/v1"}  # fmt: skip
    pytest.importorskip("inspect_flow").FlowSpec.model_validate(spec)


def test_flow_has_a_spec_for_each_limit(suite: Path) -> None:
    """Two limits were refused, and with them the example that the project ships."""
    import yaml

    limits = "[{task: toy, limit: 5}, {task: toy_math, limit: 2}, {task: toy_allowed, limit: 5}]"
    suite.write_text(suite.read_text().replace("[toy, toy_math]", limits))
    many = written(suite, "flow", "flow-5.yaml")
    specs = [
        yaml.safe_load(many.with_name(f"{name}.yaml").read_text()) for name in ("flow-5", "flow-2")
    ]
    assert [len(spec["tasks"]) for spec in specs] == [4, 2]
    assert [spec["options"]["limit"] for spec in specs] == [5, 2]
    assert [spec["log_dir"] for spec in specs] == ["flow-5", "flow-2"]
    assert not many.with_name("flow.yaml").exists()


def test_the_example_has_specs_and_what_is_left_is_said(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "suite.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(example.parents[1])
        words = ["run", str(example), "--dry-run", "--for", "flow", "--out", str(tmp_path)]
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert {each.name for each in tmp_path.iterdir()} == {"flow.yaml", "flow-300.yaml"}
    assert f"comparison and gate, from what Flow ran: rim-eval card {tmp_path}/flow {tmp_path}/flow-300\n" in done.output  # fmt: skip


def test_shellcheck_finds_nothing(suite: Path) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("no shellcheck here")
    script = written(suite, "slurm", "slurm.sh")
    assert subprocess.run(["shellcheck", str(script)], check=False).returncode == 0
