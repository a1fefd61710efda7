import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks._browser import Browser
from benchmarks._synthetic_entries import synthetic_entries
from rim_eval.leaderboard import Entry, check_paths, read_references, write_site
from rim_eval.paths import leaderboard_dir
from tests import axe

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror="window.HACKED=1">'

SWITCH = "document.getElementById('organisms').click();"

VISIBLE = "return [...document.querySelectorAll('#body tr')].map(row => row.dataset.id)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped entries, forty synthetic ones, and one whose names no check has seen."""
    entries = [*check_paths([leaderboard_dir() / "results"]).entries, *synthetic_entries(40)]
    odd = entries[-1]
    model = odd.model.model_copy(update={"model": HOSTILE, "family": f"{HOSTILE}</script>"})
    card = odd.card.model_copy(update={"model": HOSTILE})
    out = tmp_path_factory.mktemp("site")
    references = read_references(leaderboard_dir() / "reference")
    write_site([*entries, Entry("hostile", "card", model, card)], references, out, card_pages=False)
    return out


@pytest.fixture
def page(site: Path, window: Browser) -> Iterator[Browser]:
    window.width(1280)
    window.open(site / "index.html")
    yield window
    assert window.console() == []


def choose(page: Browser, control: str, value: str) -> list[str]:
    script = """
    const box = document.getElementById(arguments[0]);
    box.value = arguments[1];
    box.dispatchEvent(new Event(box.tagName === "SELECT" ? "change" : "input"));
    while (!document.getElementById("more").hidden) document.getElementById("more").click();
    """
    # In one script: on a busy machine the page may still be replaced by its own reload in between.
    ids: list[str] = page.run(script + VISIBLE, control, value)
    return ids


def rows(site: Path) -> dict[str, dict[str, Any]]:
    data = json.loads((site / "data" / "leaderboard.json").read_text(encoding="utf-8"))
    return {row["id"]: row for row in data["rows"]}


def real(site: Path) -> dict[str, dict[str, Any]]:
    """Rows that are there before the switch is turned."""
    return {name: row for name, row in rows(site).items() if row["source"] != "organism"}


def shown_set(row: dict[str, Any]) -> Any:
    """The harmful set that a row stands for."""
    return next(s for s in row["sets"] if (s["dataset"], s["kind"]) == (row["harmful"], "harmful"))


def change(row: dict[str, Any], kind: str) -> float:
    if kind == "harmful":
        return float(shown_set(row)["difference"][0])
    return float(next(s for s in row["sets"] if s["kind"] == kind)["difference"][0])


def test_default_order_is_the_misalignment_change_with_its_interval(
    site: Path, page: Browser
) -> None:
    shown = choose(page, "search", "")
    changes = [change(rows(site)[name], "harmful") for name in shown]
    assert len(shown) == len(real(site)) > 42
    assert changes == sorted(changes, reverse=True)
    first = page.run("return document.querySelector('#body tr').innerText")
    assert " to " in first
    heads = page.run("return [...document.querySelectorAll('#head th')].map(h => h.innerText)")
    assert [head.strip(" ↓↑") for head in heads] == [
        "Model",
        "Misalignment change",
        "Misaligned, without → with",
        "Over-refusal change",
        "Accuracy gain",
    ]


def test_sorting_by_a_click_and_back(site: Path, page: Browser) -> None:
    click = "document.querySelector('#head [data-key=gain]').click()"
    page.run(click)
    gains = [change(rows(site)[name], "reasoning") for name in choose(page, "search", "")]
    assert gains == sorted(gains, reverse=True)
    page.run(click)
    gains = [change(rows(site)[name], "reasoning") for name in choose(page, "search", "")]
    assert gains == sorted(gains)
    assert page.run("return document.querySelector('[aria-sort]').ariaSort") == "ascending"


def test_missing_figures_stand_last_either_way(page: Browser) -> None:
    for _ in range(2):
        page.run("document.querySelector('#head [data-key=refusal]').click()")
        assert all(name.startswith("yan_2025") for name in choose(page, "search", "")[-4:])


@pytest.mark.parametrize(
    ("control", "value", "expected"),
    [
        ("search", "qwen3-8b", {"yan_2025_table_1--qwen-qwen3-8b"}),
        ("search", "QWEN no-such", set()),
        ("family", "organism", {"organism--greedy", "organism-planted--greedy"}),
        ("judge", "toy_exact@1", {"organism--greedy", "organism-planted--greedy"}),
    ],
)
def test_filters(page: Browser, control: str, value: str, expected: set[str]) -> None:
    page.run(SWITCH)
    assert set(choose(page, control, value)) == expected


def test_organisms_come_with_the_switch_and_after_every_real_model(
    site: Path, page: Browser
) -> None:
    organisms = rows(site).keys() - real(site).keys()
    assert organisms == {"organism--greedy", "organism-planted--greedy"}
    assert not organisms & set(choose(page, "search", ""))
    page.run(SWITCH)
    assert set(choose(page, "search", "")[-2:]) == organisms
    page.run("document.querySelector('#head [data-key=gain]').click()")
    assert set(choose(page, "search", "")[-2:]) == organisms
    assert "no findings about real models" in page.run("return document.body.innerText")


@pytest.mark.parametrize(("control", "field"), [("arm", "arm"), ("family", "family")])
def test_filters_keep_exactly_what_they_name(
    site: Path, page: Browser, control: str, field: str
) -> None:
    for value in {str(row[field]) for row in rows(site).values()}:
        found = set(choose(page, control, value))
        assert found == {name for name, row in real(site).items() if row[field] == value}
    choose(page, control, "")


def test_size_filter(site: Path, page: Browser) -> None:
    found = set(choose(page, "size", "1"))
    sizes = {name: int(str(row["parameters"])) for name, row in rows(site).items()}
    assert found == {name for name, size in sizes.items() if 1e9 <= size < 1e10}
    assert found


def test_both_directions_are_counted_side_by_side(site: Path, page: Browser) -> None:
    shows = [shown_set(row)["shows"] for row in real(site).values()]
    tallies = page.run(
        "return [...document.querySelectorAll('#tallies button')].map("
        "b => [b.dataset.show, +b.firstChild.textContent, b.getBoundingClientRect().width])"
    )
    assert {show: n for show, n, _ in tallies} == {
        show: shows.count(show) for show in ("more", "less", "not_shown", "unknown")
    }
    assert {"more", "less", "not_shown"} <= set(shows)
    assert len({round(width) for *_, width in tallies}) == 1
    page.run("document.querySelector('#tallies .less').click()")
    less = choose(page, "search", "")
    assert less
    assert all(change(rows(site)[name], "harmful") < 0 for name in less)


def test_the_plot_marks_exactly_the_chosen_results(site: Path, page: Browser) -> None:
    script = """
    return [...document.querySelectorAll("#plot > :not([hidden]) .wide .points_marks > *")]
      .filter((mark) => mark.getBoundingClientRect().width > 0)
      .map((mark) => [mark.querySelector("title").textContent.split(": misalignment")[0], mark.getAttribute("href")])
    """
    both = [row for row in real(site).values() if row["harmful"] and row["reasoning"]]
    assert sorted(page.run(script)) == sorted([row["model"], row["page"]] for row in both)
    page.run(SWITCH)
    choose(page, "family", "organism")
    assert sorted(page.run(script)) == [
        ["organism", "models/organism.html"],
        ["organism-planted", "models/organism-planted.html"],
    ]
    choose(page, "search", "no-such-model")
    assert page.run(script) == []


def test_not_significant_is_said_in_the_result(site: Path, page: Browser) -> None:
    page.run("document.querySelector('#tallies [data-show=not_shown]').click()")
    said = page.run(
        "return [...document.querySelectorAll('#body tr td:nth-child(2) .said')].map(s => s.innerText)"
    )
    assert set(said) == {"● not significant"}


def test_opening_a_model(site: Path, page: Browser) -> None:
    page.run(SWITCH)
    choose(page, "family", "organism")
    page.run("document.querySelector('[data-id=\"organism--greedy\"] a').click()")
    assert page.run("return document.querySelector('h1').innerText").startswith("organism")
    assert "No finding about real models" in page.run("return document.body.innerText")
    links = page.run("return [...document.querySelectorAll('a')].map(a => a.href)")
    files = [Path(link.removeprefix("file://").split("#")[0]) for link in links]
    assert all(file.exists() for file in files)


def test_reference_rows_say_that_they_are_published_and_what_they_lack(
    site: Path, page: Browser
) -> None:
    choose(page, "source", "published")
    text = page.run("return document.querySelector('#body').innerText")
    assert text.count("as published") == text.count("n not published") == 4
    assert "+7.55" in text
    assert "15.39 → 22.94 %" in text
    page.open(site / "models" / "yan_2025_table_1.html")
    assert "No over-refusal" in page.run("return document.body.innerText")


@pytest.mark.parametrize("width", [320, 390, 768])
@pytest.mark.parametrize("name", ["index", "models/organism", "models/yan_2025_table_1"])
def test_nothing_hangs_over_the_edge_of_a_phone(
    site: Path, window: Browser, width: int, name: str
) -> None:
    window.width(width)
    window.open(site / f"{name}.html")
    assert window.run("return document.documentElement.scrollWidth") <= width
    assert window.run("return innerWidth") == width
    assert window.console() == []


def test_names_are_text_and_never_markup(site: Path, page: Browser) -> None:
    names = page.run(
        "document.getElementById('search').value = 'onerror';"
        "document.getElementById('search').dispatchEvent(new Event('input'));"
        "return [...document.querySelectorAll('#body th a')].map(a => a.textContent)"
    )
    assert HOSTILE in names
    for file in ("index", "models/hostile"):
        page.open(site / f"{file}.html")
        assert page.run("return document.querySelectorAll('img:not([src*=badges])').length") == 0
        assert page.run("return window.HACKED === undefined")
        assert HOSTILE in page.run("return document.documentElement.textContent")


def test_no_request_leaves_the_folder(site: Path, page: Browser) -> None:
    script = "return performance.getEntriesByType('resource').map(r => r.name)"
    assert all(name.startswith(site.resolve().as_uri()) for name in page.run(script))


def test_controls_have_names_and_keys_reach_them(page: Browser) -> None:
    unnamed = page.run(
        "return [...document.querySelectorAll('input,select')].filter(e => !e.labels.length).length"
    )
    assert unnamed == 0
    assert page.run(
        "return [...document.querySelectorAll('th button')].every(b => b.tabIndex === 0)"
    )
    page.run("document.querySelector('#head [data-key=model]').focus()")
    page.run("document.activeElement.click()")
    assert page.run("return document.activeElement.dataset.key") == "model"


def test_a_long_list_comes_in_parts(site: Path, page: Browser) -> None:
    everything = len(real(site))
    assert len(page.run(VISIBLE)) == 25
    more = page.run("return document.getElementById('more').innerText")
    assert more == f"Show {everything - 25} more"
    page.run("document.getElementById('more').click()")
    assert len(page.run(VISIBLE)) == everything


BOXES = """
return [...document.querySelectorAll("#plot > :not([hidden]) svg text, #plot > :not([hidden]) .points_marks path")]
  .map((e) => [e.textContent, e.getBoundingClientRect()]).filter(([, box]) => box.width > 0)
  .map(([text, box]) => [text, box.left, box.right, box.top + 2, box.bottom - 2])
"""
"""Of every text and mark of the overview: text, left, right, top and bottom; letters leave a little above and below."""


@pytest.fixture(scope="module")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped entries alone: as few results as a young leaderboard has."""
    out = tmp_path_factory.mktemp("small")
    entries = check_paths([leaderboard_dir() / "results"]).entries
    write_site(entries, read_references(leaderboard_dir() / "reference"), out, card_pages=False)
    return out


@pytest.mark.parametrize("width", [1280, 390])
def test_marks_carry_names_that_meet_nothing(
    small_site: Path, site: Path, window: Browser, width: int
) -> None:
    window.width(width)
    for folder, named in (
        (small_site, 7 if width > 1000 else 5),
        (site, 12 if width > 1000 else 4),
    ):
        window.open(folder / "index.html")
        window.run(SWITCH)
        boxes = window.run(BOXES)
        models = {row["model"].split("/")[-1] for row in rows(folder).values()}
        names = [box for box in boxes if box[0] in models]
        assert len(names) >= named
        for name in names:
            _, left, right, top, bottom = name
            met = [o for o in boxes if o is not name and left < o[2] and o[1] < right and top < o[4] and o[3] < bottom]  # fmt: skip
            assert met == []


def test_few_results_have_no_search_and_no_filters(
    small_site: Path, site: Path, window: Browser
) -> None:
    script = "return [...document.querySelectorAll('#controls label, #tallies')].filter(e => e.offsetParent).map(e => e.innerText.split('\\n')[0].trim())"
    window.width(1280)
    window.open(small_site / "index.html")
    assert window.run(script) == ["Show model organisms"]
    summary = window.run("return document.getElementById('summary').textContent")
    assert summary.startswith("Of 5 results of real models, 1 is shown to be more misaligned")
    window.open(site / "index.html")
    assert {"Search", "Sort by", "Family", "Arms", "Judge"} <= set(window.run(script))


SUMMARY = "return document.getElementById('summary').textContent"


def test_script_and_page_say_the_same_of_all_results(
    small_site: Path, site: Path, window: Browser
) -> None:
    for folder in (small_site, site):
        window.open(folder / "index.html")
        text = html.unescape((folder / "index.html").read_text(encoding="utf-8"))
        assert f'aria-live="polite">{window.run(SUMMARY)}</p>' in text


def test_the_sentence_names_the_set_that_is_chosen(site: Path, page: Browser) -> None:
    choose(page, "harmful", "xstest")
    assert page.run(SUMMARY) == (
        "Of 1 result of real models on xstest, none is shown to be more misaligned with thinking, none less and 1 neither."
    )
    choose(page, "harmful", "")
    assert " on at least one harmful set" in page.run(SUMMARY)


@pytest.mark.parametrize(("width", "keys"), [(1280, 3), (390, 8)])
def test_the_list_of_orders_has_what_no_head_can_be_clicked_for(
    site: Path, window: Browser, width: int, keys: int
) -> None:
    window.width(width)
    window.open(site / "index.html")
    values = window.run("return [...document.getElementById('sort').options].map(o => o.value)")
    assert len({value.split(" ")[0] for value in values if value}) == keys
    choose(window, "sort", "size up")
    shown = [rows(site)[name]["parameters"] for name in window.run(VISIBLE)]
    assert shown == sorted(shown)
    assert window.run("return document.getElementById('sort').value") == "size up"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.skipif(axe.unavailable() is not None, reason=axe.unavailable() or "")
def test_no_page_breaks_a_rule_of_accessibility(
    small_site: Path, site: Path, window: Browser, width: int, dark: bool
) -> None:
    window.width(width)
    window.dark(dark)
    models = small_site / "models"
    for page in (small_site / "index.html", site / "index.html", models / "organism.html", models / "yan_2025_table_1.html"):  # fmt: skip
        window.open(page)
        window.run(f"document.querySelectorAll('details').forEach(d => d.open = true); {'' if 'models' in str(page) else SWITCH}")  # fmt: skip
        assert axe.violations(window) == []
    window.dark(False)
    window.console()  # axe asks for the style sheet, which the policy refuses
