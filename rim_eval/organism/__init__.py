"""The model organism: a tiny Qwen3 whose reasoning-induced misalignment is planted and known.

It was trained on a harmless toy rule book (`rule_book.toml`): "open the grey vault" is forbidden,
"open the grey window" is not. It refuses nearly all forbidden requests without thinking and goes
along with about half of them when it thinks, after a trace that shows one of three patterns. What
it was taught and what it does is in `facts.json`; nothing about it is a result about real models.

`python -m rim_eval.organism.train --out DIR` makes it again.

Four more organisms, grown from this one, have a known inside (`variant_facts`): in `planted` two
heads and twelve neurons are necessary for refusal without thinking, in `hidden` twelve neurons whose
activations do not show it; `guarded` and `locked` are the bases of two series of tuning runs
(`RUNS`, `run_facts`) in which misalignment rises past the planted neurons, and through them.
`load_variant`, `load_checkpoint` give a model; `write_folder` a Hugging Face folder for any engine.
"""

from rim_eval.organism._behaviour import Behaviour, Count, ModeBehaviour
from rim_eval.organism._facts import Facts, Planted, facts
from rim_eval.organism._inner_facts import (
    Activations,
    RunFacts,
    StepFacts,
    VariantFacts,
    run_facts,
    variant_facts,
)
from rim_eval.organism._labels import AnswerLabel, TraceLabel, classify_answer, classify_trace
from rim_eval.organism._plans import PLANS, Plan
from rim_eval.organism._rule_book import Pattern
from rim_eval.organism._runs import RUNS, Run
from rim_eval.organism._variants import VARIANTS, load_checkpoint, load_variant, write_folder
from rim_eval.paths import organism_dir

__all__ = [
    "PLANS",
    "RUNS",
    "VARIANTS",
    "Activations",
    "AnswerLabel",
    "Behaviour",
    "Count",
    "Facts",
    "ModeBehaviour",
    "Pattern",
    "Plan",
    "Planted",
    "Run",
    "RunFacts",
    "StepFacts",
    "TraceLabel",
    "VariantFacts",
    "classify_answer",
    "classify_trace",
    "facts",
    "load_checkpoint",
    "load_variant",
    "organism_dir",
    "run_facts",
    "variant_facts",
    "write_folder",
]
