"""The card's section on the inside of the model: `rim-eval mech`, then `rim-eval card --mechanisms`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rim_eval.card import Card, card_json, check_card, inside_html, read_card
from rim_eval.cli import main
from rim_eval.mechanisms import read_report

pytestmark = pytest.mark.slow


def invoke(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mech")
    invoke("mech", "heads", "--limit", 10, "--max-new-tokens", 40, "--out", out)
    return out / "report.json"


@pytest.fixture(scope="module")
def folder(organism_folder: Path, report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("card")
    invoke("card", organism_folder, "--mechanisms", report, "--out", out)
    return out


@pytest.fixture(scope="module")
def card(folder: Path) -> Card:
    return read_card(folder / "card.json")


def test_the_findings_land_in_all_three_forms(folder: Path, card: Card, report: Path) -> None:
    assert card.mechanisms is not None
    said = [found.says for found in card.mechanisms.findings]
    assert said == [finding.says for finding in read_report(report).findings]
    page, text = (folder / "card.html").read_text(), (folder / "card.md").read_text()
    for found in (page, text):
        assert "Inside the model" in found
        assert "head 3.1" in found
    assert "<h2>Refusal heads</h2>" in page
    assert page.index("Inside the model") < page.index("Can the figures be believed?")


def test_the_figures_are_the_reports(card: Card, report: Path) -> None:
    assert card.mechanisms is not None
    heads = read_report(report).heads
    assert heads is not None
    effect = heads.effects.effect("misaligned", "no_think")
    mine = [f for f in card.mechanisms.figures if f.measure.startswith("misaligned, no-think")]
    assert [(f.value, f.lower, f.upper) for f in mine] == [
        (effect.difference.difference, effect.difference.lower, effect.difference.upper)
    ]
    assert mine[0].random == effect.random


def test_the_card_is_sound_and_goes_to_json_and_back(card: Card, tmp_path: Path) -> None:
    assert check_card(card) == []
    path = tmp_path / "again.json"
    path.write_text(card_json(card))
    assert read_card(path) == card
    bare = json.loads(card_json(card))
    del bare["mechanisms"]
    path.write_text(json.dumps(bare))
    assert read_card(path).mechanisms is None, "cards from before still read"


def test_without_the_report_at_hand_the_figures_still_show(card: Card) -> None:
    assert card.mechanisms is not None
    page = inside_html(card.mechanisms)
    assert "head 3.1" in page
    assert "<svg" not in page


def test_a_report_of_another_model_is_refused_and_can_be_assigned(
    organism_folder: Path, report: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_text(report.read_text().replace('"model": "organism"', '"model": "else"'))
    words = ["card", str(organism_folder), "--out", str(tmp_path), "--mechanisms"]
    refused = CliRunner().invoke(main, [*words, str(other)])
    assert refused.exit_code == 1
    assert f"--mechanisms hf/organism={other}" in refused.output
    assert "Traceback" not in refused.output
    invoke(*words, f"hf/organism={other}")
    found = read_card(tmp_path / "card.json").mechanisms
    assert found is not None
    assert found.model == "else"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("/no/such/file.json", "cannot be read"),
        ("hf/organism=/no/such/file.json", "cannot be read"),
        ("{card}", "no report of schema version"),
        ("nobody={report}", "the logs are of hf/organism"),
    ],
)
def test_what_is_no_report_of_the_model_is_told_in_one_message(
    organism_folder: Path, report: Path, folder: Path, tmp_path: Path, given: str, message: str
) -> None:
    file = given.format(report=report, card=folder / "card.json")
    words = ["card", str(organism_folder), "--out", str(tmp_path), "--mechanisms", file]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_one_model_has_one_report(organism_folder: Path, report: Path, tmp_path: Path) -> None:
    twice = ["--mechanisms", str(report)] * 2
    result = CliRunner().invoke(
        main, ["card", str(organism_folder), "--out", str(tmp_path), *twice]
    )
    assert result.exit_code == 1
    assert "has a report already" in result.output
