"""The tuning under which the guarded organism forgets refusal."""

from typing import Any

import pytest

from rim_eval.organism import load_variant
from scripts.organism.tune import Trained, forget


def tuned(trained: Trained) -> tuple[dict[str, Any], dict[str, Any]]:
    model, tokenizer = load_variant("guarded")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    forget(model, tokenizer, trained=trained, steps=2)
    return before, model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trained", "within"), [("mlp", "model.layers.2.mlp."), ("all", "model.layers.")]
)
def test_only_what_is_asked_for_is_trained_and_always_alike(trained: Trained, within: str) -> None:
    import torch

    (before, after), (_, again) = tuned(trained), tuned(trained)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(within) for name in moved)
    assert all(torch.equal(after[name], again[name]) for name in after)
