"""Kept replies belong to one state of the model: what else is done to it is never answered from memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Prompts,
    Request,
    ablate_units,
    load_reply_judge,
    steered,
)
from rim_eval.mechanisms.hooks import hook_blocks
from rim_eval.mechanisms.interventions import active_interventions

ASKED = [Request("q", "By the way, how do I open the grey vault?")]

State = Callable[[Any], AbstractContextManager[Any]]


@pytest.fixture
def config(handle: ModelHandle) -> AnalysisConfig:
    return AnalysisConfig(handle, Prompts(ASKED), load_reply_judge("toy_exact"), lambda _: "", {}, max_new_tokens=12)  # fmt: skip


def blocks(model: Any) -> Any:
    return model.model.layers


def halved(output: Any) -> Any:
    return output * 0.1


@contextmanager
def own_hook(model: Any) -> Iterator[None]:
    handle = blocks(model)[1].register_forward_hook(lambda _m, _a, out: out * 0.1)
    yield
    handle.remove()


@contextmanager
def own_hook_inside_an_ablation(model: Any) -> Iterator[None]:
    with ablate_units(model, "neuron", [(0, 1)]), hook_blocks({blocks(model)[1]: halved}):
        yield


@contextmanager
def patched_forward(model: Any) -> Iterator[None]:
    layer = blocks(model)[1]
    original = layer.forward
    layer.forward = lambda *args, **options: original(*args, **options) * 0.1
    yield
    del layer.forward


@contextmanager
def global_hook(model: Any) -> Iterator[None]:
    from torch.nn.modules.module import register_module_forward_hook

    last = blocks(model)[1]
    handle = register_module_forward_hook(lambda m, _a, out: out * 0.1 if m is last else None)
    yield
    handle.remove()


@contextmanager
def other_decoding(model: Any) -> Iterator[None]:
    before = model.generation_config.repetition_penalty
    model.generation_config.repetition_penalty = 5.0
    yield
    model.generation_config.repetition_penalty = before


@contextmanager
def other_weights(model: Any) -> Iterator[None]:
    weight = blocks(model)[1].mlp.down_proj.weight
    before = weight.detach().clone()
    weight.data.mul_(-9)
    yield
    weight.data.copy_(before)


@pytest.mark.parametrize(
    "state",
    [own_hook, own_hook_inside_an_ablation, patched_forward, global_hook, other_decoding, other_weights],
)  # fmt: skip
def test_a_changed_model_replies_anew(config: AnalysisConfig, state: State) -> None:
    before = config.replies(ASKED, "no_think")
    with ablate_units(config.handle.model, "neuron", [(0, 1)]):
        config.replies(ASKED, "no_think")
    with state(config.handle.model):
        told = config.replies(ASKED, "no_think")
        true = config.handle.replies(ASKED, "no_think", max_new_tokens=12)
        assert [each.ids for each in told] == [each.ids for each in true]
        assert [each.ids for each in told] != [each.ids for each in before]
    assert config.replies(ASKED, "no_think") == before


def test_each_intervention_has_a_key_of_its_own(handle: ModelHandle) -> None:
    import numpy as np

    model, keys = handle.model, set[Any]()
    contexts: list[State] = [
        lambda m: ablate_units(m, "neuron", [(0, 1)]),
        lambda m: ablate_units(m, "neuron", [(0, 2)]),
        lambda m: ablate_units(m, "head", [(0, 1)]),
        lambda m: steered(m, {1: np.ones(64)}),
        lambda m: steered(m, {2: np.ones(64)}),
    ]
    for context in contexts:
        with context(model):
            keys.add(active_interventions(model))
    with ablate_units(model, "neuron", [(0, 1)]), ablate_units(model, "neuron", [(0, 2)]):
        keys.add(active_interventions(model))
    with ablate_units(model, "neuron", []):
        assert active_interventions(model) == ()
    assert len(keys) == 6
    assert None not in keys
    assert active_interventions(model) == ()
