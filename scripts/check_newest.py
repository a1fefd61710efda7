#!/usr/bin/env python3
"""Does rim_eval work with the newest Inspect, lm-eval and transformers? One line says yes, or what broke.

    python scripts/check_newest.py                 # in a fresh environment that is thrown away
    python scripts/check_newest.py --keep FOLDER   # keep (or use again) the environment in FOLDER
    python scripts/check_newest.py --pre           # pre-releases too

It installs this checkout with the newest releases that pip resolves together, then walks the path of a
user: import, list the tasks, a scripted model, the model organism through transformers, lm-eval, and the
test-suite's traps. The output of the step that failed goes to the log file that the line names. The exit
status is 0 when all is well. .github/workflows/newest.yml runs it every Monday.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
ORGANISM = REPOSITORY / "rim_eval" / "organism" / "checkpoint"
_TEST_TOOLS = ("pytest", "pytest-timeout", "hypothesis")
WATCHED = ("inspect-ai", "lm-eval", "transformers", "torch", "pydantic")

TASKS = """
import sys
import rim_eval._registry as registry
from inspect_ai._util.registry import registry_lookup
missing = [n for n in ("toy", "hexphi", "gsm8k") if registry_lookup("task", f"rim_eval/{n}") is None]
sys.exit(f"tasks not registered: {missing}" if missing else 0)
"""

FIGURES = """
import sys
from inspect_ai.log import list_eval_logs, read_eval_log
from rim_eval.observations import from_inspect_log
[info] = list_eval_logs(sys.argv[1])
log = read_eval_log(info)
rows = from_inspect_log(log)
modes = {(row.prompt_id, row.mode) for row in rows if row.verdict is not None}
wrong = [row for row in rows if row.adopted != (row.mode == "think")]
if log.status != "success" or len(modes) != 24 or wrong:
    sys.exit(f"{log.status}: {len(modes)} of 24 verdicts, {len(wrong)} in the wrong mode")
"""
"""Twelve prompts in two modes must give 24 verdicts, with a trace in think mode and none without."""


LM_EVAL_FIGURES = """
import sys
from rim_eval.observations import read_observations, to_rows
rows = to_rows(read_observations([sys.argv[1]]).frame)
scored = {(row.prompt_id, row.mode) for row in rows if row.verdict is not None}
wrong = [row for row in rows if row.adopted != (row.mode == "think")]
if len(scored) != 24 or wrong:
    sys.exit(f"{len(scored)} of 24 verdicts, {len(wrong)} in the wrong mode")
"""


class Step(NamedTuple):
    """One thing to try."""

    name: str
    command: list[str]


def steps(environment: Path, work: Path, packages: list[str], *, pre: bool) -> Iterator[Step]:
    """The steps in the order in which a user would meet them."""
    binaries = environment / "bin"
    python = str(binaries / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--upgrade"]
    newest = [*pip, *(["--pre"] if pre else []), "--upgrade-strategy", "eager"]
    yield Step("install", [*newest, "-e", f"{REPOSITORY}[hf,lm-eval]", *packages])
    yield Step("import", [python, "-c", "import rim_eval._registry, rim_eval.cli"])
    yield Step("tasks", [python, "-c", TASKS])
    run = [str(binaries / "inspect"), "eval", "rim_eval/toy", "--limit", "12", "--display", "plain"]
    scripted = ["--model", "rim_toy/scripted", "-T", "judge=refusal"]
    yield Step("scripted model", [*run, *scripted, "--log-dir", str(work / "scripted")])
    yield Step("its figures", [python, "-c", FIGURES, str(work / "scripted")])
    budgets = ["-T", "answer_tokens=96", "-T", "thinking_tokens=160"]
    weights = ["--model", "hf/organism", "-M", f"model_path={ORGANISM}", "-M", "device=cpu"]
    yield Step("transformers", [*run, *weights, *budgets, "--log-dir", str(work / "hf")])
    yield Step("its figures", [python, "-c", FIGURES, str(work / "hf")])
    yield from _lm_eval(python, work)
    traps = [str(REPOSITORY / "tests" / "inspect_tasks"), str(REPOSITORY / "tests" / "thinking")]
    yield Step(
        "tests", [python, "-m", "pytest", "-q", "-x", "-W", "default", "-k", "not time", *traps]
    )


def _lm_eval(python: str, work: Path) -> Iterator[Step]:
    """lm-eval finds our tasks and runs one."""
    tasks = str(REPOSITORY / "tasks")
    listing = f"from lm_eval.tasks import TaskManager; TaskManager(include_path={tasks!r})"
    yield Step("lm-eval loads tasks/", [python, "-c", listing])
    command = [python, "-m", "lm_eval", "run", "--model", "hf"]
    command += ["--model_args", f"pretrained={ORGANISM},dtype=float32", "--apply_chat_template"]
    command += ["--tasks", "rim_toy_think,rim_toy_no_think", "--include_path", tasks]
    settings = json.dumps({"rim_eval": {"answer_tokens": 96, "thinking_tokens": 160}})
    command += ["--metadata", settings, "--limit", "12", "--batch_size", "12", "--device", "cpu"]
    yield Step("lm-eval", [*command, "--log_samples", "--output_path", str(work / "lm_eval")])
    yield Step("its figures", [python, "-c", LM_EVAL_FIGURES, str(work / "lm_eval")])


def attempt(step: Step, log: Path) -> str | None:
    """Run one step; what it lines last when it failed."""
    fixed = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        step.command,
        env={**os.environ, **fixed},
        cwd=log.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log.write_text(done.stdout, encoding="utf-8")
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or line.startswith(("E ", "FAILED"))]
    return (errors or lines or ["no output"])[-1][:240]


def versions(environment: Path) -> str:
    """What was installed, in one line."""
    listed = "; ".join(f"print({name!r}, version({name!r}), end=', ')" for name in WATCHED)
    program = f"from importlib.metadata import version; {listed}"
    command = [str(environment / "bin" / "python"), "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.rstrip(", ") or "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, help="folder of the environment")
    parser.add_argument("--pre", action="store_true", help="pre-releases too")
    parser.add_argument(
        "packages", nargs="*", help="more requirements, such as inspect-ai==0.3.300"
    )
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="rim-newest-"))
    environment = (given.keep or work / "environment").absolute()
    if not (environment / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    packages = ["inspect-ai", "lm-eval", "transformers", *_TEST_TOOLS, *given.packages]
    for step in steps(environment, work, packages, pre=given.pre):
        log = work / f"{step.name.replace(' ', '-').replace('/', '')}.txt"
        problem = attempt(step, log)
        if problem is not None:
            print(f"BROKE at {step.name}: {problem} | {versions(environment)} | {log}")
            sys.exit(1)
    print(f"OK with {versions(environment)}")


if __name__ == "__main__":
    main()
