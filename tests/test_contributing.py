"""What CONTRIBUTING.md and the glossary say is so: paths exist, the contracts hold without exemption."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOTS = {"benchmarks", "docs", "examples", "judges", "leaderboard", "rim_eval", "scripts", "tasks", "tests"}  # fmt: skip


def contract(name: str) -> dict[str, object]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    found: dict[str, object] = next(each for each in contracts if each["id"] == name)
    return found


@pytest.mark.parametrize("name", ["layers", "organism", "acyclic"])
def test_no_import_is_exempt_from_a_contract(name: str) -> None:
    assert not [option for option in contract(name) if "ignore" in option]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/glossary.md"])
def test_named_paths_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    spans = [word for span in re.findall(r"`([^`\n]+)`", text) for word in span.split()]
    paths = [word for word in spans if word.split("/")[0] in ROOTS and "NAME" not in word]
    assert not [path for path in paths if not (ROOT / path).exists()]
