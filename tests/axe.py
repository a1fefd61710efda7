"""axe-core over a page in Chromium: which accessibility rules it breaks."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks._browser import Browser, missing

_PACKAGES: Final = ("axe_playwright_python", "axe_core_python")
"""Packages of the index that hold axe.min.js; none of their code is run."""

_RUN: Final = """
const done = arguments[arguments.length - 1];
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
axe.run(document, {runOnly: tags, resultTypes: ["violations"]}).then(
  found => done(found.violations.map(v => `${v.id} (${v.impact}): ${v.nodes.map(n => n.target.join(" ")).slice(0, 4).join("; ")}`)),
  error => done([`axe stopped: ${error}`]));
"""


def axe_script() -> Path | None:
    """axe.min.js: the file that RIM_EVAL_AXE names, else that of an installed package; None without either."""
    if named := os.environ.get("RIM_EVAL_AXE"):
        return Path(named)
    for package in _PACKAGES:
        if (spec := find_spec(package)) and spec.origin:
            return Path(spec.origin).with_name("axe.min.js")
    return None


def unavailable() -> str | None:
    """Why pages cannot be checked here; None when they can."""
    if why := missing():
        return why
    if axe_script() is None:
        return "no axe.min.js here (pip install --no-deps axe-playwright-python, or name the file in RIM_EVAL_AXE)"
    return None


def violations(browser: Browser) -> list[str]:
    """Rules that the open page breaks, each with its impact and the first elements that do.

    Args:
        browser: A window that shows the page.
    """
    script = axe_script()
    assert script is not None, unavailable()
    browser.run(script.read_text(encoding="utf-8") + "\nwindow.axe = axe;")
    found: list[Any] = browser.run_async(_RUN)
    return [str(each) for each in found]
