"""The page of a sheet in a real browser: filled with the keyboard alone, closed in the middle, exported."""

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks._browser import KEYS, Browser
from rim_eval.labelling.sheet import QUESTIONS, render_sheet
from tests.labelling.conftest import TRUTH, rim_eval, rows_of, write_rows

pytestmark = pytest.mark.slow

HOSTILE = '</script><img src=x onerror="window.HACKED=1"><!--<script>'
LONG = "Turn the handle to the left, then wait. " * 60
DONE = "return document.getElementById('progress').textContent"
PLACE = "return document.getElementById('place').textContent"
SHOWN = "return [...document.querySelectorAll('.text')].map(box => box.textContent)"
SAID = "return document.getElementById('message').textContent"


def page_of(folder: Path, **data: Any) -> Path:
    items = [
        {"id": f"{n:012x}", "texts": [("Request", f"Open door {n}."), ("Reply", text)]}
        for n, text in enumerate([HOSTILE, LONG, "=1+1", "No."])
    ]
    question = QUESTIONS["harmful"].model_dump()
    path = folder / "labels.html"
    whole = {"sheet": f"n4-s0-{folder.name[-16:]:0>16}", "question": question, "items": items}
    path.write_text(render_sheet(whole | data), encoding="utf-8")
    return path


@pytest.fixture
def page(tmp_path: Path, window: Browser) -> Iterator[Browser]:
    window.width(1280)
    window.downloads(tmp_path)
    window.open(page_of(tmp_path))
    window.run("localStorage.clear()")
    window.open(tmp_path / "labels.html")
    yield window
    assert window.console() == []


def exported(folder: Path, window: Browser) -> Path:
    """The file that the key `e` downloads."""
    before = set(folder.glob("labels-*.csv"))
    window.press("e")
    for _ in range(600):
        found = [path for path in folder.glob("labels-*.csv") if path not in before]
        # The browser makes the file before it fills it.
        if found and found[0].stat().st_size:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("nothing was downloaded")


def test_a_sheet_filled_with_the_keyboard_is_what_correct_reads(
    run: Callable[..., Path], sheet: Callable[..., Path], tmp_path: Path, window: Browser
) -> None:
    rows = rows_of(sheet("--n", 12))
    html, truth = tmp_path / "labels" / "labels.html", [TRUTH[row["reply"]] for row in rows]
    window.downloads(tmp_path)
    window.open(html)
    window.run("localStorage.clear()")
    window.open(html)
    window.press("".join(word[0] for word in truth[:7]))
    window.open(html)  # as if it had been closed in the middle
    assert window.run(DONE) == "7 of 12 done"
    assert window.run(PLACE) == "Item 8 of 12"
    window.press("u")  # undo reaches back over the reload
    assert window.run(DONE) == "6 of 12 done"
    window.press("".join(word[0] for word in truth[6:11]) + "s")
    assert window.run(DONE) == "12 of 12 done, 1 of them skipped"
    file = exported(tmp_path, window)
    assert [row["label"] for row in rows_of(file)] == [*truth[:11], "skip"]
    assert [row["item"] for row in rows_of(file)] == [row["item"] for row in rows]
    done = rim_eval("judge", "correct", run(), file)
    assert done.exit_code == 0, done.output
    assert "11 of 12 drawn replies have a label" in done.output
    assert rows[-1]["item"] in done.output
    assert window.console() == []


def test_texts_are_text_and_nothing_is_asked_for(page: Browser) -> None:
    assert page.run(SHOWN) == ["Open door 0.", HOSTILE]
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.run("return window.HACKED === undefined")
    assert page.run("return performance.getEntriesByType('resource').length") == 0


def test_arrows_move_and_undo_returns(page: Browser) -> None:
    page.press(
        "y" + KEYS["Left"] + "n"
    )  # a second label of the first item takes the first one's place
    assert page.run(DONE) == "1 of 4 done"
    page.press(KEYS["Left"])
    pressed = "return document.querySelector('#choices [aria-pressed=true]').dataset.value"
    assert page.run(PLACE) == "Item 1 of 4"
    assert page.run(pressed) == "no"
    page.press("u")
    assert page.run(pressed) == "yes"
    page.press("u")
    assert page.run(DONE) == "0 of 4 done"
    page.press("u" + KEYS["Left"])
    assert page.run(PLACE) == "Item 1 of 4"


def test_notes_are_exported_as_they_were_typed(page: Browser, tmp_path: Path) -> None:
    note = 'y, "no"; not sure\n=1'
    page.press("m" + note + KEYS["Escape"] + "y")
    assert page.run(DONE) == "1 of 4 done"
    rows = rows_of(exported(tmp_path, page))
    assert [(row["label"], row["note"].replace("\r\n", "\n")) for row in rows][:2] == [
        ("yes", note),
        ("", ""),
    ]


def test_an_exported_file_is_taken_back_and_undone(page: Browser, tmp_path: Path) -> None:
    page.press("ynym" + "why" + KEYS["Escape"])
    file = exported(tmp_path, page)
    page.run("localStorage.clear()")
    page.open(tmp_path / "labels.html")
    assert page.run(DONE) == "0 of 4 done"
    page.choose_file("#file", file)
    wait_for(page, "3 of 4 done")
    file.unlink()
    assert [row["label"] for row in rows_of(exported(tmp_path, page))] == ["yes", "no", "yes", ""]
    page.press("u")
    assert page.run(DONE) == "0 of 4 done"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"item": "ffffffffffff"}, "No item of that file is of this sheet"),
        ({"label": "maybe"}, "is none of yes, no, skip"),
        ({"label": ""}, "Imported 0 labels"),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    change: dict[str, str], says: str, page: Browser, tmp_path: Path
) -> None:
    row = {"sheet": "x", "item": f"{0:012x}", "label": "yes", "note": ""} | change
    page.choose_file("#file", write_rows(tmp_path / "in.csv", [row]))
    for _ in range(100):
        if says in page.run(SAID):
            break
        time.sleep(0.05)
    assert says in page.run(SAID)
    assert page.run(DONE) == "0 of 4 done"


def wait_for(page: Browser, done: str) -> None:
    for _ in range(100):
        if page.run(DONE).startswith(done):
            return
        time.sleep(0.05)
    raise AssertionError(page.run(DONE) + page.run(SAID))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_hangs_over_the_edge(width: int, page: Browser) -> None:
    page.width(width, 780)
    page.press("y")
    assert page.run("return document.documentElement.scrollWidth") <= width
    foot = page.run("return document.querySelector('footer').getBoundingClientRect().height")
    assert foot < 780 / 3  # the text keeps most of the window
    page.width(1280)


def test_buttons_and_fields_have_names(page: Browser) -> None:
    unnamed = (
        "return [...document.querySelectorAll('button,input,textarea')]"
        ".filter(e => !(e.ariaLabel || e.labels?.length || e.textContent.trim())).length"
    )
    assert page.run(unnamed) == 0


def test_choices_of_several_are_toggled(tmp_path: Path, window: Browser) -> None:
    choices = [
        {"key": str(n), "value": f"mark_{n}", "title": f"Mark {n}", "help": ""} for n in (1, 2, 3)
    ]
    question = {"text": "What is here?", "help": "", "choices": choices, "several": True}
    window.downloads(tmp_path)
    html = page_of(tmp_path, question=question)
    window.open(html)
    window.run("localStorage.clear()")
    window.open(html)
    window.press("3121" + KEYS["Enter"] + "0" + "s")
    rows = rows_of(exported(tmp_path, window))
    assert [row["label"] for row in rows] == ["mark_2 mark_3", "none", "skip", ""]
    assert window.console() == []


def test_the_export_is_a_csv_for_every_reader(page: Browser, tmp_path: Path) -> None:
    page.press("ynss")
    with exported(tmp_path, page).open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, strict=True))
    assert lines[0] == ["sheet", "item", "label", "note"]
    assert {len(line) for line in lines} == {4}
