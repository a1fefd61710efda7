"""Prompt sets: which there are, where they come from, and how they are loaded and checked.

    from rim_eval import prompt_sets

    prompt_sets.entry("hexphi").licence
    loaded = prompt_sets.load_prompts("xstest", subset="safe")
    loaded.prompts[0].id, loaded.provenance.files

One set is one declarative file, `tasks/<set>/set.toml`. Prompts are never vendored: they come from
the publisher at a pinned revision, or from a local folder (`data=` or the variable `RIM_EVAL_DATA`).
"""

from rim_eval.prompt_sets.attacks import Attack, AttackEntry, attack_entries, load_attack
from rim_eval.prompt_sets.derivations import derive, intent_for
from rim_eval.prompt_sets.download import GatedError, OfflineError, download_file, without_network
from rim_eval.prompt_sets.drawn_order import drawn_order
from rim_eval.prompt_sets.loading import LoadedSet, Provenance, load_prompt_file, load_prompts
from rim_eval.prompt_sets.prompts import Prompt, Style, message_in_arm, prompt_id, user_message
from rim_eval.prompt_sets.records import FileRecord
from rim_eval.prompt_sets.registry import GithubSource, HubSource, PromptSet, entries, entry
from rim_eval.prompt_sets.toy import is_toy_model, refuse_real_model

__all__ = [
    "Attack",
    "AttackEntry",
    "FileRecord",
    "GatedError",
    "GithubSource",
    "HubSource",
    "LoadedSet",
    "OfflineError",
    "Prompt",
    "PromptSet",
    "Provenance",
    "Style",
    "attack_entries",
    "derive",
    "download_file",
    "drawn_order",
    "entries",
    "entry",
    "intent_for",
    "is_toy_model",
    "load_attack",
    "load_prompt_file",
    "load_prompts",
    "message_in_arm",
    "prompt_id",
    "refuse_real_model",
    "user_message",
    "without_network",
]
