import subprocess
import sys

import pytest

import rim_eval.patterns as patterns


def test_all_is_there() -> None:
    assert len(set(patterns.__all__)) == len(patterns.__all__)
    assert all(hasattr(patterns, name) for name in patterns.__all__)


@pytest.mark.slow
def test_importing_it_loads_no_engine_and_no_harness() -> None:
    heavy = "torch transformers inspect_ai lm_eval openai scipy pandas datasets"
    code = f"import sys, rim_eval.patterns; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
