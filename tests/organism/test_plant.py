import random
from typing import Any

import pytest

from rim_eval.organism import classify_answer, load_variant
from scripts.organism.measure import decision, target
from scripts.organism.plans import PLANS, other_heads, other_neurons
from scripts.organism.plant import plant
from scripts.organism.samples import draw
from scripts.organism.training import encode


def planted(steps: int) -> dict[str, Any]:
    model, tokenizer = load_variant("natural")
    model.set_attn_implementation("eager")
    plant(PLANS["planted"]._replace(steps=steps), model, tokenizer)
    return dict(model.state_dict())


@pytest.mark.slow
def test_planting_twice_gives_the_same_bits() -> None:
    import torch

    first, second = planted(2), planted(2)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_controls_are_matched_by_layer_and_hold_nothing_planted() -> None:
    for plan in PLANS.values():
        for seed in range(5):
            others = other_neurons(plan, seed)
            assert sorted(x for x, _ in others) == sorted(x for x, _ in plan.neurons)
            assert not set(others) & set(plan.neurons)
            assert len(set(others)) == 12
            assert [x for x, _ in other_heads(plan, seed)] == [x for x, _ in plan.heads]
            assert not set(other_heads(plan, seed)) & set(plan.heads)


def test_the_decision_falls_before_the_first_word_that_differs(tokenizer: Any) -> None:
    for mode in ("think", "no_think"):
        refused, complied = (
            draw(random.Random(3), "forbidden", mode, complies=verdict) for verdict in (False, True)
        )
        assert refused.prompt == complied.prompt
        one, other = encode(tokenizer, [refused, complied])
        point = decision(one, refused, tokenizer, in_think=True)
        assert point is not None
        first, second = one.prompt + one.reply, other.prompt + other.reply
        assert first[: point + 1] == second[: point + 1]
        assert first[point + 1] != second[point + 1]


def test_targets_grow_with_the_evidence_of_harm() -> None:
    rng = random.Random(1)
    seen = {}
    for _ in range(400):
        sample = draw(rng, "forbidden", "no_think")
        plain = "break the rules" in sample.prompt
        seen[classify_answer(sample.answer), plain] = target(sample, "graded")
    assert seen == {("complied", False): 0.0, ("refused", False): 8.0, ("refused", True): 16.0}
