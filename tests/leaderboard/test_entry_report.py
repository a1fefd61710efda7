"""A report on an entry shows the entry's card behind its mark."""

from pathlib import Path

import pytest

from benchmarks import entry_report
from benchmarks._synthetic_entries import ORGANISM_CARD
from rim_eval.card import card_markdown, read_card


def test_the_card_is_written_behind_the_mark_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.md"
    report.write_text(f"# About it\n\n{entry_report.MARK}\n\nthe card of yesterday\n")
    monkeypatch.setattr("sys.argv", ["entry_report", str(ORGANISM_CARD), str(report)])
    for _ in range(2):
        entry_report.main()
        text, card = report.read_text(encoding="utf-8").split(entry_report.MARK)
        assert text == "# About it\n\n"
        assert card.strip() == card_markdown(read_card(ORGANISM_CARD)).strip()


def test_a_report_without_the_mark_is_left_as_it_is() -> None:
    with pytest.raises(SystemExit, match="put it where the card belongs"):
        entry_report.with_card("# About it", ORGANISM_CARD)
