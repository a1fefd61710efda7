import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Passage,
    Prompts,
    Request,
    load_reply_judge,
    score_heads,
    select_heads,
    study_heads,
)
from rim_eval.mechanisms.heads import HeadScore, attention_shifts, rank_heads
from rim_eval.mechanisms.plots import heads_plot
from rim_eval.thinking import Recipe
from rim_eval.types import Mode

ROLE = np.array([[4, 5], [6, 7]])
SPAN = np.array([[8, 11], [9, 12]])


def scored(share: list[list[int]], mass: list[list[float]]) -> list[HeadScore]:
    """Scores of a model with one layer; `share` holds each sample's heads."""
    moves = np.array(share, dtype=bool)[:, None, :]
    zeros = np.zeros((1, moves.shape[2]), np.float32)
    return rank_heads(moves, np.array(mass, np.float32), zeros, zeros)


def test_attention_shifts_only_from_the_role_name_to_the_span() -> None:
    # One layer, five heads: moves, moves, stays, comes from elsewhere, goes elsewhere.
    think = np.array([[[4, 4, 4, 3, 4]], [[6, 6, 6, 5, 6]]])
    no_think = np.array([[[8, 10, 4, 8, 11]], [[9, 11, 6, 9, 12]]])
    moves = attention_shifts(think, no_think, ROLE, SPAN)
    np.testing.assert_array_equal(moves[:, 0], [[True, True, False, False, False]] * 2)


def test_heads_are_ranked_by_share_and_then_by_mass() -> None:
    ranked = scored([[1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 1, 0]], [[0.9, 0.1, 0.2, 0.3]])
    assert [score.head for score in ranked] == [2, 0, 3, 1]
    assert (ranked[1].share.k, ranked[1].share.n) == (2, 3)
    assert ranked[0].share.lower < 1


def test_selection_takes_the_heads_above_the_cutoff() -> None:
    ranked = scored([[1, 0, 1], [1, 0, 0]], [[0.1, 0.9, 0.2]])
    chosen, how = select_heads(ranked)
    assert chosen == ((0, 0), (0, 2))
    assert "50%" in how
    assert select_heads(ranked, cutoff=0.6)[0] == ((0, 0),)
    assert select_heads(ranked, most=1)[0] == ((0, 0),)


def test_when_no_head_moves_those_that_look_longest_are_taken_and_the_reason_is_told() -> None:
    ranked = scored([[0, 0, 1], [0, 0, 0], [0, 0, 0]], [[0.1, 0.9, 0.2]])
    chosen, how = select_heads(ranked, fallback=1)
    assert chosen == ((0, 1),)
    assert how.startswith("no head's attention shifts in 50%")


def test_no_head_of_the_natural_organism_shows_the_pattern(
    handle: ModelHandle, toy: Prompts
) -> None:
    ranked = score_heads(handle, toy.harmful[:60])
    assert len(ranked) == 16
    assert ranked[0].share.value < 0.5
    assert max(score.mass_on_span for score in ranked) > 0.2, "heads do look at the empty span"


@pytest.fixture
def bare(handle: ModelHandle) -> ModelHandle:
    """The organism with a no-think prompt that holds no empty trace."""
    think = Recipe(template_kwargs=handle.switch.think.template_kwargs)
    return replace(handle, switch=handle.switch.model_copy(update={"no_think": think}))


def test_without_an_empty_trace_heads_are_ranked_by_what_leaves_the_role_name(
    bare: ModelHandle, toy: Prompts
) -> None:
    ranked = score_heads(bare, toy.harmful[:8])
    assert len(ranked) == 16
    assert all(score.share.n == 0 and math.isnan(score.mass_on_span) for score in ranked)
    left = [score.leaves_role for score in ranked]
    assert left == sorted(left, reverse=True)
    chosen, how = select_heads(ranked)
    assert chosen == tuple(score.unit for score in ranked[:2])
    assert "no attention can shift" in how
    assert "`forced_empty`" in how


def test_prompts_without_a_span_are_dropped_one_by_one(handle: ModelHandle, toy: Prompts) -> None:
    class Cut(ModelHandle):
        """No empty trace in the no-think prompt of one request, no role name in that of another."""

        def passage(self, request: Request, mode: Mode, reply: Sequence[int] = ()) -> Passage:
            full = super().passage(request, mode, reply)
            gone = {toy.harmful[0].id: "trace", toy.harmful[1].id: "assistant"}.get(request.id)
            return full._replace(spans={k: v for k, v in full.spans.items() if k != gone})

    model = Cut(handle.model, handle.tokenizer, handle.switch, handle.name)
    ranked = {score.unit: score for score in score_heads(model, toy.harmful[:8])}
    alone = {score.unit: score for score in score_heads(handle, toy.harmful[2:8])}
    spans = {score.unit: score for score in score_heads(handle, toy.harmful[1:8])}
    for unit, score in ranked.items():
        assert score.share == alone[unit].share
        assert score.share.n == 6
        assert score.mass_on_span == pytest.approx(spans[unit].mass_on_span, abs=1e-6)


def test_what_cannot_be_scored_is_told(handle: ModelHandle, toy: Prompts) -> None:
    with pytest.raises(RimError, match=r"of 2 prompts 0 have the query token 'reply'"):
        score_heads(handle, toy.harmful[:2], query="reply")


@pytest.mark.slow
def test_a_model_without_an_empty_trace_is_studied_as_far_as_it_can_be(
    bare: ModelHandle, toy: Prompts
) -> None:
    judge = load_reply_judge("toy_exact")
    prompts = Prompts(toy.harmful[:6])
    config = AnalysisConfig(bare, prompts, judge, lambda _: "", {}, draws=1, max_new_tokens=8)
    found = study_heads(config)
    assert len(found.selected) == 2
    assert found.effects.effects
    assert found.probe_shifts == ()
    assert "NaN" not in str(heads_plot(found, 640)).replace("nan", "NaN")
