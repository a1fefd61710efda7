"""A drawn order of prompts, of which every beginning is a fair sample of the set."""

import random
from collections import defaultdict
from collections.abc import Sequence

from rim_eval.decoding import SEED
from rim_eval.prompt_sets.prompts import Prompt


def drawn_order(prompts: Sequence[Prompt], seed: int = SEED) -> list[Prompt]:
    """All prompts in random order, so that every beginning holds each category in about its share.

    Each category is shuffled and spread evenly: its k-th of n prompts gets a random place from k / n to (k + 1) / n.

    Args:
        prompts: The prompts of a set, in any order.
        seed: Seed of the draw.
    """
    strata = defaultdict[tuple[str, str], list[Prompt]](list)
    for prompt in sorted(prompts, key=lambda each: each.id):
        strata[prompt.kind, prompt.category or ""].append(prompt)
    rng, places = random.Random(seed), dict[str, float]()
    for _, stratum in sorted(strata.items()):
        rng.shuffle(stratum)
        for rank, prompt in enumerate(stratum):
            places[prompt.id] = (rank + rng.random()) / len(stratum)
    return sorted(prompts, key=lambda each: places[each.id])
