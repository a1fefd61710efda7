import numpy as np
import pytest

from rim_eval.errors import RimError
from rim_eval.mechanisms import ModelHandle, Prompts, score_heads, select_heads
from rim_eval.mechanisms.heads import HeadScore, attention_shifts, rank_heads

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


def test_a_model_without_an_empty_trace_is_refused(handle: ModelHandle, toy: Prompts) -> None:
    from dataclasses import replace

    from rim_eval.thinking import Recipe

    think = handle.switch.think
    bare = handle.switch.model_copy(
        update={"no_think": Recipe(template_kwargs=think.template_kwargs)}
    )
    with pytest.raises(RimError, match="no empty trace"):
        score_heads(replace(handle, switch=bare), toy.harmful[:2])
