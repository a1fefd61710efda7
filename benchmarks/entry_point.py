"""What loading rim_eval's Inspect entry point costs beside loading Inspect alone.

Run: python benchmarks/entry_point.py [rounds]

Each round starts two fresh interpreters, one after the other. Processor time is measured, which a busy
machine stretches less than wall time; on an idle one both are the same, since nothing waits.
The figure that counts is the median of the differences (goal: under 150 ms).
"""

import resource
import statistics
import subprocess
import sys

_ALONE = (
    "import inspect_ai, inspect_ai.scorer, inspect_ai.solver, inspect_ai.model, inspect_ai.dataset"
)
_WITH = f"{_ALONE}; import rim_eval._registry"


def seconds(program: str) -> float:
    """Processor time, user and system, of one interpreter that runs a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int = 11) -> None:
    """Measure and print."""
    seconds(_WITH)
    pairs = [(seconds(_ALONE), seconds(_WITH)) for _ in range(rounds)]
    differences = sorted(with_ - alone for alone, with_ in pairs)
    print(
        f"Inspect alone       {statistics.median(a for a, _ in pairs):.3f} s (median of {rounds})"
    )
    print(f"with rim_eval       {statistics.median(w for _, w in pairs):.3f} s")
    print(
        f"difference          {1000 * statistics.median(differences):.0f} ms "
        f"(from {1000 * differences[0]:.0f} to {1000 * differences[-1]:.0f})"
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
