"""Write the card of a leaderboard entry into a report, in place of the one that stands there.

    python -m benchmarks.entry_report leaderboard/results/MODEL/NAME.json benchmarks/reports/REPORT.md

The report's text ends at `MARK`; what follows is the card.
"""

import sys
from pathlib import Path
from typing import Final

from rim_eval.card import card_markdown, read_card

MARK: Final = "<!-- The card of the entry, written by benchmarks/entry_report.py -->"


def with_card(report: str, entry: Path) -> str:
    """Return the report with the entry's card behind its mark."""
    text, mark, _ = report.partition(MARK)
    if not mark:
        raise SystemExit(f"The report has no line {MARK!r}; put it where the card belongs.")
    return f"{text}{MARK}\n\n{card_markdown(read_card(entry)).rstrip()}\n"


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    entry, report = map(Path, sys.argv[1:])
    report.write_text(with_card(report.read_text(encoding="utf-8"), entry), encoding="utf-8")


if __name__ == "__main__":
    main()
