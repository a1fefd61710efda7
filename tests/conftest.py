import os
from pathlib import Path

import pytest

# The suite needs no network; nothing in it may wait for one.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("INSPECT_DISPLAY", "none")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def shared_data() -> Path:
    """Real public data beside the project, for optional tests."""
    folder = os.environ.get("RIM_EVAL_SHARED")
    if not folder:
        pytest.skip("RIM_EVAL_SHARED names no folder of public data")
    return Path(folder)
