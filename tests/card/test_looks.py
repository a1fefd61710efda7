"""Cards as Chromium shows them: no accessibility rule is broken, nothing is wider than a phone, dark is dark."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks._browser import Browser
from rim_eval.card import GateVerdict, card_html, card_pictures, make_card
from rim_eval.observations import Table, from_rows
from tests.axe import unavailable, violations

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(rows: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with categories, one of them of a single prompt, beside another model's."""
    made = [
        *rows(think=[1] * 30 + [0] * 30, no_think=[0] * 60, category="large"),
        *rows(think=[1] * 20 + [0] * 10, no_think=[0] * 30, category="middle", dataset="doors"),
    ]
    made = [*made[:120], *_renamed(made[120:])]
    made += _renamed(rows(think=[1], no_think=[0], category="lonely"), "z")
    made += rows("sums", kind="reasoning", think=[1] * 60, no_think=[1] * 40 + [0] * 20)
    card = make_card(Table(from_rows(made)))
    verdict = GateVerdict("fail", "gate.yaml", (("fail", "too high"), ("pass", "kept")))
    path = tmp_path_factory.mktemp("card") / "card.html"
    path.write_text(
        card_html(card, verdict=verdict, others=[card], preview="card.png"), encoding="utf-8"
    )
    return path


def _renamed(made: list[Any], prefix: str = "y") -> list[Any]:
    return [row.model_copy(update={"prompt_id": prefix + row.prompt_id}) for row in made]


@pytest.fixture(scope="module")
def opened(window: Browser, page: Path) -> Iterator[Browser]:
    window.open(page)
    yield window
    window.dark(False)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_accessibility_rule_is_broken(opened: Browser, dark: bool, width: int) -> None:
    if why := unavailable():
        pytest.skip(why)
    opened.dark(dark)
    opened.width(width)
    opened.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert violations(opened) == []
    assert opened.run("return document.documentElement.scrollWidth - innerWidth") <= 0


def test_axe_finds_what_is_wrong(opened: Browser) -> None:
    if why := unavailable():
        pytest.skip(why)
    opened.run("document.documentElement.removeAttribute('lang')")
    try:
        assert any(each.startswith("html-has-lang") for each in violations(opened))
    finally:
        opened.run("document.documentElement.lang = 'en'")


def test_a_dark_page_has_dark_paper_and_light_ink_in_its_pictures_too(opened: Browser) -> None:
    def shades() -> list[float]:
        paper = "getComputedStyle(document.body).backgroundColor"
        ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
        colours = opened.run(
            f"return [{paper}, {ink}].map(c => c.match(/\\d+/g).slice(0, 3).map(Number))"
        )
        return [sum(colour) / 3 for colour in colours]

    opened.dark(False)
    paper, ink = shades()
    assert paper > 200 > 100 > ink
    opened.dark(True)
    paper, ink = shades()
    assert paper < 60 < 150 < ink


def test_a_phone_sees_rows_as_cards_that_name_their_columns(opened: Browser) -> None:
    opened.width(390)
    label = "getComputedStyle(document.querySelector('td'), '::before').content"
    assert opened.run(f"return {label}") == '"without thinking"'
    opened.width(1280)
    assert opened.run(f"return {label}") == "none"


def test_the_names_of_the_facts_stay_in_one_line_on_a_phone(opened: Browser) -> None:
    opened.width(390)
    lines = (
        "[...document.querySelectorAll('.facts dt')].map(each => each.getClientRects()[0].height)"
    )
    heights = opened.run(f"return {lines}")
    opened.width(1280)
    assert len(heights) == 4
    assert max(heights) < 1.5 * min(heights)


def test_the_first_screen_has_few_words(opened: Browser) -> None:
    opened.run("document.querySelectorAll('details').forEach(each => { each.open = false })")
    assert opened.run(r"return document.body.innerText.split(/\s+/).length") < 600
    opened.run("document.querySelectorAll('details').forEach(each => { each.open = true })")


def test_a_category_of_few_prompts_is_in_the_table_and_not_in_the_picture(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert '<th scope="row">lonely</th>' in text
    assert ">large (n = 60)</text>" in text
    assert ">lonely (n = 1)</text>" not in text
    assert "Categories with fewer than 10 pairs are in the table alone: 1." in text


def test_a_link_to_the_page_has_a_preview(page: Path, rows: Any) -> None:
    assert '<meta property="og:image" content="card.png">' in page.read_text(encoding="utf-8")
    card = make_card(Table(from_rows(rows("a<b", think=[1] * 9, no_think=[0] * 9))))
    assert 'content="https://x.org/m/card.png"' in card_html(
        card, preview="https://x.org/m/card.png"
    )
    assert "og:image" not in card_html(card), "there is none"
    svg, png = card_pictures(card)
    assert struct.unpack(">II", png[16:24]) == (1200, 630)
    assert "var(--" not in svg, "the file stands alone"
    assert "With thinking it" in svg
    assert svg.count("<svg ") == 2
