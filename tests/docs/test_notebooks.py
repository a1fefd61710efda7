"""The notebooks run, and show what was committed with them."""

import re
from copy import deepcopy
from pathlib import Path

import pytest

from scripts.site.notebooks import NOTEBOOKS, outputs, run

nbformat = pytest.importorskip("nbformat", reason="the group docs is not installed")


@pytest.mark.slow
def test_notebooks_run_and_show_what_they_hold(tmp_path: Path) -> None:
    """In one kernel, one after the other: a kernel that loads everything takes most of the time."""
    committed = [nbformat.read(path, as_version=4) for path in NOTEBOOKS]
    together = deepcopy(committed[0])
    together.cells = [
        nbformat.from_dict(cell | {"id": f"{number}-{cell.id}"})
        for number, each in enumerate(committed)
        for cell in each.cells
    ]
    path = tmp_path / "together.ipynb"
    nbformat.write(together, path)
    assert len(committed) == 2
    ran = [[strip(each) for each in cell] for cell in outputs(run(path))]
    assert ran == [[strip(each) for each in cell] for part in committed for cell in outputs(part)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_outputs_hold_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"/(?:tmp|home|root|Users)/", text)


def strip(output: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in output.items() if name != "execution_count"}
