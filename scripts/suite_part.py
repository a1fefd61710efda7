#!/usr/bin/env python3
"""One part of a suite: the same range of every prompt set, for any job array.

    python scripts/suite_part.py --part 0 --parts 8 --log-dir logs/suite toy toy_math -- --model vllm/Qwen/Qwen3-4B
    sbatch --array=0-7 --wrap 'python scripts/suite_part.py --log-dir logs/suite hexphi gsm8k -- --model ...'

Under SLURM, part and parts come from the array's variables; in a Kubernetes indexed job the part comes from
JOB_COMPLETION_INDEX. Every part of every set has a folder of its own, so a part that was killed is taken up
where it stopped by the same command, and no two processes ever write into one folder. `rim-eval card
logs/suite` reads all parts together. What follows `--` goes to `inspect eval-set`.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from rim_eval.prompt_sets import load_prompts


def sample_range(count: int, part: int, parts: int) -> str | None:
    """The part's samples as `--limit` wants them: first-last, counted from 1; None when it has none."""
    first, last = count * part // parts, count * (part + 1) // parts
    return f"{first + 1}-{last}" if last > first else None


def main() -> None:
    variables = os.environ
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    part = variables.get("SLURM_ARRAY_TASK_ID") or variables.get("JOB_COMPLETION_INDEX")
    parser.add_argument("--part", type=int, default=part, required=part is None)
    parts = variables.get("SLURM_ARRAY_TASK_COUNT")
    parser.add_argument("--parts", type=int, default=parts, required=parts is None)
    parser.add_argument("--log-dir", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of local data, as -T data=")
    parser.add_argument("sets", nargs="+", help="prompt sets, as in rim_eval/NAME")
    arguments = sys.argv[1:]
    own_arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    given = parser.parse_args(own_arguments)
    given.options = arguments[len(own_arguments) + 1 :]
    sys.exit(max(run(given, name) for name in given.sets))


def run(given: argparse.Namespace, name: str) -> int:
    """Run this part of one set; the exit status."""
    count = len(load_prompts(name, data=given.data).prompts)
    chosen = sample_range(count, given.part, given.parts)
    if chosen is None:
        return 0
    inspect = str(Path(sys.executable).parent / "inspect")
    command = [inspect, "eval-set", f"rim_eval/{name}", "--limit", chosen, *given.options]
    command += ["--log-dir", str(given.log_dir / f"{name}-{given.part}-of-{given.parts}")]
    command += ["-T", f"data={given.data}"] if given.data else []
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    main()
