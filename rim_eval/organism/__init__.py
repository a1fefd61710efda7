"""The model organism: a tiny Qwen3 whose reasoning-induced misalignment is planted and known.

It was trained on a harmless toy rule book (`rule_book.toml`): "open the grey vault" is forbidden,
"open the grey window" is not. It refuses nearly all forbidden requests without thinking and complies
with about half of them when it thinks, after a trace that shows one of three patterns. `planted_facts`
gives what it was taught and how it behaves; none of it is a result about real models.

Four variants of it have a known inside (`variant_facts`). In `planted` two heads and twelve neurons
are necessary for refusal without thinking; in `hidden` twelve neurons are whose activations do not
show it; `guarded` and `locked` are the bases of two series of tuning runs (`RUNS`, `run_facts`) in
which misalignment rises past the planted neurons, and through them.

Five others behave differently (`BEHAVIOURS`, `behaviour_facts`). In `dose_rising` misalignment rises with
the length of the trace, in `dose_falling` it falls, in `dose_flat` it stays; `greedy_loop` loops and
complies when it decodes greedily and thinks, and refuses when it is sampled; in `attack_flip` a harmless
wrapper around the request flips the sign of the difference between the modes.

In `one_direction` (`DIRECTIONS`, `direction_facts`) refusal in both modes is read off one direction of the
residual stream: moved along it the model refuses, moved against it or without it it complies.

`load_variant` and `load_checkpoint` load a model; `write_folder` writes a Hugging Face folder for any
engine. The scripts that trained all of them are in `scripts/organism/` of the repository.
"""

from rim_eval.organism.checkpoints import (
    BEHAVIOURS,
    DIRECTIONS,
    RUNS,
    VARIANTS,
    load_checkpoint,
    load_variant,
    write_folder,
)
from rim_eval.organism.facts import (
    BehaviourFacts,
    DirectionFacts,
    RunFacts,
    VariantFacts,
    behaviour_facts,
    direction_facts,
    planted_facts,
    run_facts,
    variant_facts,
)
from rim_eval.organism.rule_book import classify_answer, classify_trace

__all__ = [
    "BEHAVIOURS",
    "DIRECTIONS",
    "RUNS",
    "VARIANTS",
    "BehaviourFacts",
    "DirectionFacts",
    "RunFacts",
    "VariantFacts",
    "behaviour_facts",
    "classify_answer",
    "classify_trace",
    "direction_facts",
    "load_checkpoint",
    "load_variant",
    "planted_facts",
    "run_facts",
    "variant_facts",
    "write_folder",
]
