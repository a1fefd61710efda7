"""How long the leaderboard takes with 1,000 entries: building, opening, sorting, filtering.

`python -m benchmarks.leaderboard`; needs Chromium and chromedriver. A sort is timed in the page from
the click to the finished layout. Budget: the median of every column's sorts under 100 ms.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._browser import browser, missing
from benchmarks._synthetic_entries import synthetic_entries
from rim_eval.leaderboard import read_references, write_site
from rim_eval.paths import leaderboard_dir

BUDGET_MS = 100

_SORT = """
const times = {};
for (const round of [1, 2, 3, 4, 5])
  for (const key of ["model", "change", "rate", "refusal", "gain"]) {
    const button = document.querySelector(`#head [data-key="${key}"]`);
    const start = performance.now();
    button.click();
    document.body.getBoundingClientRect();
    (times[key] ??= []).push(performance.now() - start);
  }
return times;
"""

_FILTER = """
const box = document.getElementById("search"), times = [];
for (const text of ["a", "ce", "cedar", "cedar 0", ""]) {
  box.value = text;
  const start = performance.now();
  box.dispatchEvent(new Event("input"));
  document.body.getBoundingClientRect();
  times.push(performance.now() - start);
}
return times;
"""


def main(n: int = 1000) -> int:
    """Print the times; 1 when the median of some column's sorts is over the budget."""
    if reason := missing():
        print(reason)
        return 2
    entries = synthetic_entries(n)
    references = read_references(leaderboard_dir() / "reference")
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        start = time.perf_counter()
        write_site(entries, references, Path(folder) / "site", card_pages=False)
        print(f"build, {n} entries: {time.perf_counter() - start:.1f} s")
        page.open(Path(folder) / "site" / "index.html")
        load = page.run("return performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"open: {load:.0f} ms")
        times = page.run(_SORT)
        for key, found in times.items():
            print(f"sort by {key}: median {statistics.median(found):.1f} ms, slowest {max(found):.1f} ms")  # fmt: skip
        slow = page.run(_FILTER)
        print(f"filter: median {statistics.median(slow):.1f} ms, slowest {max(slow):.1f} ms")
    # The median: on a machine that others use, the slowest of five measures the others.
    return int(max(statistics.median(found) for found in times.values()) >= BUDGET_MS)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
