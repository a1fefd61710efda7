"""The catalogue: which prompt sets there are, where they come from, and how they are loaded and checked.

    from rim_eval import prompt_sets

    prompt_sets.entry("hexphi").licence
    loaded = prompt_sets.load("xstest", subset="safe")
    loaded.prompts[0].id, loaded.provenance.files

One set is one declarative file, `tasks/<set>/set.toml`. Prompts are never vendored: they come from
the publisher at a pinned revision, or from a local folder (`data=` or the variable `RIM_EVAL_DATA`).
"""

from rim_eval.prompt_sets._access import GatedError, MissingError, OfflineError
from rim_eval.prompt_sets._entries import entries, entry
from rim_eval.prompt_sets._ids import prompt_id
from rim_eval.prompt_sets._load import load
from rim_eval.prompt_sets._local import DATA_VARIABLE
from rim_eval.prompt_sets._prompt import FileRecord, LoadedSet, Prompt, Provenance
from rim_eval.prompt_sets._schema import PromptSet
from rim_eval.prompt_sets._user import load_file

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
