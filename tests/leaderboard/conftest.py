import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rim_eval.leaderboard import check_paths
from rim_eval.paths import leaderboard_dir


class Submission:
    """A copy of the organism's folder that a test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.card = folder / "greedy.json"

    def edit(self, change: Callable[[Any], None], file: str = "greedy.json") -> None:
        value = json.loads((self.folder / file).read_text(encoding="utf-8"))
        change(value)
        (self.folder / file).write_text(json.dumps(value), encoding="utf-8")

    def reasons(self) -> str:
        """What the check of all folders says, one reason a line."""
        checked = check_paths([self.folder.parent])
        assert bool(checked.problems) or checked.entries
        return "\n".join(checked.problems)


@pytest.fixture
def submission(tmp_path: Path) -> Submission:
    folder = tmp_path / "results" / "organism"
    shutil.copytree(leaderboard_dir() / "results" / "organism", folder)
    return Submission(folder)
