"""A disk that is full, as a small file system in memory: a clear error, nothing lost, and the rerun completes."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from inspect_ai.log import read_eval_log

from rim_eval.observations import read_observations

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.skipif(
        not os.environ.get("RIM_EVAL_FAULTS"), reason="minutes each: run with RIM_EVAL_FAULTS=1"
    ),
]

BIN = shlex.quote(str(Path(sys.executable).parent))
ALONE = ["unshare", "--map-root-user", "--mount"]
"""Namespaces of one's own: mounting needs no rights, and ends with the process."""
FILL = "dd if=/dev/zero of=$disk/ballast bs=4k count={} 2>/dev/null || true"
PROMPTS = 12


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder that a shell can mount a file system on."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("unshare") is None or subprocess.run([*ALONE, *mount], check=False).returncode:
        pytest.skip("no file system can be mounted here, not even in a namespace of its own")
    return folder


def on_disk(disk: Path, size: str, *steps: str) -> str:
    """Run shell commands in a namespace with a file system of that size; all that they say."""
    mount = f'disk={disk}; mount -t tmpfs -o size={size} tmpfs "$disk"'
    own = {name: str(disk.parent / name) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    done = subprocess.run(
        [*ALONE, "sh", "-c", "\n".join(["set -e", mount, *steps])],
        env={**os.environ, **own, "COLUMNS": "400", "INSPECT_DISPLAY": "plain"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def evaluate(tmp_path: Path) -> str:
    """The command of a run into `$disk/logs`."""
    prompts = tmp_path / "prompts.jsonl"
    lines = (json.dumps({"prompt": f"Open door {number}."}) for number in range(PROMPTS))
    prompts.write_text("\n".join(lines) + "\n")
    return (
        f"{BIN}/inspect eval-set rim_eval/prompts --model rim_toy/scripted -T file={prompts} "
        "-T judge=refusal --log-dir $disk/logs --max-samples 1 --log-buffer 1"
    )


def samples(folder: Path) -> set[str | None]:
    """The ids that samples got when they were asked, over all logs of a folder."""
    logs = (read_eval_log(str(file)) for file in folder.glob("*.eval"))
    return {sample.uuid for log in logs for sample in log.samples or []}


def test_a_run_on_a_full_disk_goes_on_when_there_is_room(disk: Path, evaluate: str) -> None:
    """The disk fills up during the run; samples that were logged before are not asked again."""
    said = on_disk(
        disk,
        "512k",
        FILL.format(118),
        f"if {evaluate}; then echo NO ERROR; fi",
        f"cp -r $disk/logs {disk.parent}/left",
        "rm $disk/ballast",
        evaluate,
        f"cp -r $disk/logs {disk.parent}/after",
    )
    assert "NO ERROR" not in said
    assert "No space left on device" in said
    kept, finished = (samples(disk.parent / folder) for folder in ("left", "after"))
    assert 0 < len(kept) < PROMPTS
    assert kept <= finished
    assert len(finished) == PROMPTS
    table = read_observations([disk.parent / "after"])
    assert len(table.frame) == 2 * PROMPTS
    assert not table.frame.duplicated(["prompt_id", "mode"]).any()


def test_a_card_on_a_full_disk_stays_as_it_was(disk: Path, evaluate: str) -> None:
    logs, kept = disk.parent / "logs", disk.parent / "kept"
    card = f"{BIN}/rim-eval card {logs} --out $disk/card --observations $disk/card/rows.parquet"
    said = on_disk(
        disk,
        "4m",
        evaluate.replace("$disk/logs", str(logs)),
        card,
        f"cp -r $disk/card {kept}",
        FILL.format(9999),
        f"if {card}; then echo NO ERROR; fi",
        f"diff -r $disk/card {kept}",
        "rm $disk/ballast",
        card,
        f"diff -r $disk/card {kept}",
    )
    assert "NO ERROR" not in said
    assert "cannot be written (No space left on device). It stays as it was: make room" in said
