"""The leaderboard: submissions are checked from their counts, and a static site shows them."""

from rim_eval.leaderboard.check import Checked, check_file, check_paths
from rim_eval.leaderboard.export import export, record
from rim_eval.leaderboard.schema import Entry, ModelFile, add_card, allowed_judges, read_references
from rim_eval.leaderboard.site import write_site
from rim_eval.leaderboard.table import badge, embed_line, entry_row

__all__ = [
    "Checked",
    "Entry",
    "ModelFile",
    "add_card",
    "allowed_judges",
    "badge",
    "check_file",
    "check_paths",
    "embed_line",
    "entry_row",
    "export",
    "read_references",
    "record",
    "write_site",
]
