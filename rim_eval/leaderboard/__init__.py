"""The leaderboard: submissions are checked from their counts, and a static site shows them."""

from rim_eval.leaderboard._check import Checked, check_file, check_paths
from rim_eval.leaderboard._entry import Entry, ModelFile
from rim_eval.leaderboard._every_eval_ever import export, record
from rim_eval.leaderboard._reference import Reference, read_references
from rim_eval.leaderboard._rows import Row, entry_row, published_rows
from rim_eval.leaderboard._rules import AllowedJudge, allowed_judges
from rim_eval.leaderboard._site import write_site
from rim_eval.leaderboard._submission import add_card

__all__ = [
    "AllowedJudge",
    "Checked",
    "Entry",
    "ModelFile",
    "Reference",
    "Row",
    "add_card",
    "allowed_judges",
    "check_file",
    "check_paths",
    "entry_row",
    "export",
    "published_rows",
    "read_references",
    "record",
    "write_site",
]
