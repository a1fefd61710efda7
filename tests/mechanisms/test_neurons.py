import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Prompts,
    Request,
    find_neurons,
    intent_for,
    load_reply_judge,
    measure_rises,
)
from rim_eval.mechanisms.neurons import SHARES, Rises, common_neurons, top_neurons
from rim_eval.mechanisms.units import columns_of, units_at


def test_top_m_of_each_pair() -> None:
    rises = np.array([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 4.0, -9.0]], np.float32)
    want = [[True, False, True, False], [False, True, True, False]]
    np.testing.assert_array_equal(top_neurons(rises, 2), want)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_every_pair_has_m_or_all_that_rose(m: int, pairs: int, seed: int) -> None:
    rises = np.random.default_rng(seed).integers(-1, 3, (pairs, 12)).astype(np.float32)
    rose = (rises > 0).sum(1)
    assert (top_neurons(rises, m).sum(1) == np.minimum(rose, m)).all()


def test_what_did_not_rise_is_in_no_top_and_the_sentence_says_how_many_did() -> None:
    values = np.zeros((4, 50), np.float32)
    values[:, [3, 40]] = 2.0
    values[1, 7] = 1.0
    values[:, 9] = 1e-6  # rounding
    values[:, 20:] -= 5 * (values[:, 20:] == 0)
    found = find_neurons(Rises(values, (50,)), m=5)
    assert {unit.number for unit in found.neurons} == {3, 40}
    assert found.fewest == 2
    assert "in 4 of them fewer rose, as few as 2, and only those count" in found.sentence


def test_where_nothing_rises_there_is_no_set() -> None:
    for values in (np.zeros((3, 8), np.float32), -np.ones((3, 8), np.float32)):
        found = find_neurons(Rises(values, (8,)), m=2)
        assert (found.neurons, found.fewest) == ((), 0)
        assert "no set" in found.sentence


def test_where_enough_rise_the_sentence_does_not_speak_of_it() -> None:
    values = np.random.default_rng(0).normal(size=(60, 400)).astype(np.float32)
    assert "fewer rose" not in find_neurons(Rises(values, (400,)), m=10).sentence


@pytest.mark.parametrize("m", [0, 13])
def test_m_out_of_range_is_named(m: int) -> None:
    with pytest.raises(RimError, match="between 1 and the model's 12"):
        top_neurons(np.zeros((1, 12), np.float32), m)


def test_the_intersection_is_strict_where_it_can_be() -> None:
    top = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0]], dtype=bool)
    columns, share = common_neurons(top)
    assert (columns.tolist(), share) == ([0], 1.0)


def test_the_fallback_is_the_largest_share_that_leaves_any() -> None:
    top = np.zeros((10, 3), dtype=bool)
    top[:8, 0] = top[:7, 1] = True
    columns, share = common_neurons(top)
    assert (columns.tolist(), share) == ([0], 0.8)
    columns, share = common_neurons(top, (1.0,))
    assert (columns.tolist(), share) == ([], 1.0)


@given(st.integers(0, 200))
def test_columns_and_units_are_each_others_inverse(seed: int) -> None:
    sizes = tuple(int(n) for n in np.random.default_rng(seed).integers(1, 9, 5))
    want = [(layer, n) for layer, size in enumerate(sizes) for n in range(size)]
    assert [*units_at(range(sum(sizes)), sizes)] == want
    assert columns_of(want, sizes) == [*range(sum(sizes))]


def test_planted_rises_are_found_first_whatever_the_noise() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 400)).astype(np.float32)
    planted = [7, 150, 399]
    values[:, planted] += 10
    found = find_neurons(Rises(values, (100, 200, 100)), m=10)
    assert {*found.neurons} == {(0, 7), (1, 50), (2, 99)}
    assert (found.share, found.strict, found.m, found.total, found.pairs) == (1.0, 3, 10, 400, 60)


def test_noise_alone_gives_no_set_and_says_so() -> None:
    values = np.random.default_rng(0).normal(size=(60, 400)).astype(np.float32)
    found = find_neurons(Rises(values, (400,)), m=10)
    assert found.neurons == ()
    assert found.share == SHARES[-1]
    assert "no set" in found.sentence


def test_rank_is_by_share_and_then_by_mean_rise() -> None:
    values = np.zeros((4, 4), np.float32)
    values[:, 1], values[:, 2], values[3, 0] = 1.0, 2.0, 0.5
    values[:3, 3] = 9.0
    found = find_neurons(Rises(values, (4,)), m=3, shares=(0.75,))
    assert [unit.number for unit in found.neurons] == [2, 1, 3]


def test_the_organisms_intent_is_its_rule_books() -> None:
    from rim_eval.organism.rule_book import rule_book

    assert intent_for("toy", "doors") == rule_book().intent


def test_intents_follow_set_and_category() -> None:
    general = intent_for("no such set", None)
    assert intent_for("hexphi", "Malware") != general
    assert intent_for("hexphi", "no such category") == intent_for("hexphi", None)


def test_every_hexphi_category_has_a_sentence_of_its_own() -> None:
    from rim_eval.prompt_sets import entry

    categories = {file.category for file in entry("hexphi").files}
    sentences = {intent_for("hexphi", category) for category in categories}
    assert len(sentences) == len(categories) == 10


@pytest.mark.slow
def test_rises_are_those_of_both_forms_read_by_hand(handle: ModelHandle, toy: Prompts) -> None:
    from rim_eval.mechanisms import Neurons, capture

    request = toy.harmful[0]
    judge, intent = load_reply_judge("toy_exact"), "I mean to break the rules."
    config = AnalysisConfig(handle, Prompts([request]), judge, lambda _: intent, {})
    found = measure_rises(config, "no_think")
    largest = []
    explicit = Request(request.id, f"{request.text} {intent}")
    for asked in (explicit, request):
        reply = handle.replies([asked], "no_think")[0]
        passage = handle.passage(asked, "no_think", reply.ids)
        layers = capture(handle.model, [passage], neurons=Neurons("max", "text")).neurons
        assert layers is not None
        largest.append(np.concatenate([layer[0] for layer in layers]))
    np.testing.assert_allclose(found.values[0], largest[0] - largest[1], atol=1e-5)
    assert found.sizes == (256,) * 4
