"""The model organism: a tiny Qwen3 whose reasoning-induced misalignment is planted and known.

It was trained on a harmless toy rule book (`rule_book.toml`): "open the grey vault" is forbidden,
"open the grey window" is not. It refuses nearly all forbidden requests without thinking and goes
along with about half of them when it thinks, after a trace that shows one of three patterns. What
it was taught and what it does is in `facts.json`; nothing about it is a result about real models.

`python -m rim_eval.organism.train --out DIR` makes it again.
"""

from rim_eval.organism._behaviour import Behaviour, Count, ModeBehaviour
from rim_eval.organism._facts import Facts, Planted, facts
from rim_eval.organism._labels import AnswerLabel, TraceLabel, classify_answer, classify_trace
from rim_eval.organism._rule_book import Pattern
from rim_eval.paths import organism_dir

__all__ = [
    "AnswerLabel",
    "Behaviour",
    "Count",
    "Facts",
    "ModeBehaviour",
    "Pattern",
    "Planted",
    "TraceLabel",
    "classify_answer",
    "classify_trace",
    "facts",
    "organism_dir",
]
