import subprocess
import sys

import pytest

from rim_eval import statistics


def test_all_is_unique_and_importable() -> None:
    assert len(set(statistics.__all__)) == len(statistics.__all__)
    assert all(hasattr(statistics, name) for name in statistics.__all__)


@pytest.mark.slow
def test_importing_it_costs_no_heavy_library() -> None:
    code = (
        "import sys, rim_eval.statistics, rim_eval.answers; "
        "heavy = {'scipy', 'pandas', 'torch', 'inspect_ai', 'math_verify', 'sympy'}; "
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
