"""The catalogue: which prompt sets there are, where they come from, and how they are loaded and checked.

    from rim_eval import catalogue

    catalogue.entry("hexphi").licence
    loaded = catalogue.load("xstest", subset="safe")
    loaded.prompts[0].id, loaded.provenance.files

One set is one declarative file, `tasks/<set>/set.toml`. Prompts are never vendored: they come from
the publisher at a pinned revision, or from a local folder (`data=` or the variable `RIM_EVAL_DATA`).
"""

from rim_eval.catalogue._access import GatedError, MissingError, OfflineError
from rim_eval.catalogue._entries import entries, entry
from rim_eval.catalogue._ids import prompt_id
from rim_eval.catalogue._load import load
from rim_eval.catalogue._local import DATA_VARIABLE
from rim_eval.catalogue._prompt import FileRecord, LoadedSet, Prompt, Provenance
from rim_eval.catalogue._schema import PromptSet
from rim_eval.catalogue._user import load_file

__all__ = [
    "DATA_VARIABLE",
    "FileRecord",
    "GatedError",
    "LoadedSet",
    "MissingError",
    "OfflineError",
    "Prompt",
    "PromptSet",
    "Provenance",
    "entries",
    "entry",
    "load",
    "load_file",
    "prompt_id",
]
