"""Every piece of Python in the guide runs."""

import re
from pathlib import Path

import pytest

import rim_eval

GUIDE = Path(rim_eval.__file__).parent.parent / "docs" / "mechanisms.md"

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="an installed copy has no docs")


def test_the_python_runs() -> None:
    namespace: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(code, str(GUIDE), "exec"), namespace)
