"""The site builds without a warning, works without a network, and has a section for every public name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import rim_eval
from benchmarks._browser import Browser
from rim_eval.cli import main
from scripts.site.commands import ROOT
from scripts.site.reference import GENERATORS, mark
from tests import axe

pytest.importorskip("mkdocs", reason="the group docs is not installed")
pytestmark = pytest.mark.slow

LOADS = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(https?:)?//|<link\b[^>]*href=\"(https?:)?//|@import|url\((?:https?:)?//")  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; `--strict` turns a dead link or anchor, or a page that no menu names, into an error.

    Never with `--quiet`, under which it sees no warning.
    """
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]  # fmt: skip
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # of the theme, about its successor
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out


def test_every_public_name_has_a_section(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    missing = [name for name in rim_eval.__all__ if f'id="rim_eval.{name}"' not in page]
    assert missing == []


def test_every_command_has_a_section(site: Path) -> None:
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    missing = [name for name in main.list_commands(None) if f'id="rim-eval-{name}"' not in page]  # type: ignore[arg-type]
    assert missing == []
    assert "Sentinel" not in page


def test_generated_parts_are_on_the_site(site: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert not [path for path, text in pages.items() if "fills in: " in text]
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    assert {name for name in GENERATORS if mark(name) in sources} == set(GENERATORS)
    assert sources.count(mark("").partition(":")[0]) == len(GENERATORS)


def test_drafts_for_other_projects_are_not_on_the_site(site: Path) -> None:
    assert not (site / "upstream").exists()
    assert "Not sent" not in (site / "search" / "search_index.json").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_other_hosts(site: Path) -> None:
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 50
    assert not [path for path in pages if LOADS.search(path.read_text(encoding="utf-8"))]


def test_what_needs_a_gpu_or_a_key_says_so(site: Path) -> None:
    assert "Needs a GPU, a key." in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.skipif(axe.unavailable() is not None, reason=axe.unavailable() or "")
def test_pages_break_no_rule_of_accessibility(site: Path, window: Browser) -> None:
    for page, dark in (("index.html", False), ("notebooks/first_score.html", True)):
        window.dark(dark)
        window.width(1280)
        window.open(site / page)
        assert axe.violations(window) == []
        window.width(390)
        assert window.run("return document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.skipif(axe.unavailable() is not None, reason=axe.unavailable() or "")
def test_no_code_passes_below_the_button_that_copies_it(site: Path, window: Browser) -> None:
    for page, width in (("mechanisms.html", 1280), ("notebooks/first_score.html", 390)):
        window.width(width)
        window.open(site / page)
        room = window.run(ROOM)
        assert len(room) > 2
        assert min(room) >= 0, page


ROOM = """
return [...document.querySelectorAll("pre:has(.md-code__nav)")].map(pre => {
  const code = pre.querySelector("code"), button = pre.querySelector(".md-code__nav");
  return button.getBoundingClientRect().left - code.getBoundingClientRect().left - code.clientLeft - code.clientWidth;
});
"""
"""Pixels between the part of each block where text shows and its button."""


def test_tutorials_and_notebooks_are_in_the_menu() -> None:
    menu = yaml.dump(yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=yaml.BaseLoader)["nav"])
    pages = [path.stem for part in ("tutorials", "notebooks", "concepts") for path in (ROOT / "docs" / part).iterdir()]  # fmt: skip
    assert not [stem for stem in pages if f"{stem}.md" not in menu]
