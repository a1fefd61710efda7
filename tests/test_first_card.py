"""docs/first_card.md shows what scripts/first_card.py runs, and its times are written by nobody else."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "first_card.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> Any:
    path = REPOSITORY / "scripts" / "first_card.py"
    spec = importlib.util.spec_from_file_location("rim_eval_first_card", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_shows_the_prompts_and_the_commands_that_are_timed(script: Any) -> None:
    assert f"```text\n{script.REQUESTS}```" in PAGE
    _, steps, _ = script.between(PAGE)
    assert steps.strip().startswith(script.table(script.timed(PAGE)))


def test_times_are_read_back_from_the_page(script: Any) -> None:
    seconds = {"install": "301", "card": "9"}
    page = f"Before\n{script.BEGIN}\n{script.table(seconds)}\n{script.END}\nAfter"
    assert script.timed(page) == {"model": "?", "measure": "?"} | seconds
    head, _, tail = script.between(page)
    assert (head, tail) == ("Before\n", "\nAfter")


def test_folder_in_the_checkout_is_refused(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = REPOSITORY / "first"
    monkeypatch.setattr("sys.argv", ["first_card.py", str(folder)])
    with pytest.raises(SystemExit, match="lies in the checkout: give a folder outside"):
        script.main()
    assert not folder.exists()
