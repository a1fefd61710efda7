"""Shards hold every prompt once; which of them are missing is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.observations.shards import Shard, ShardPlace, is_whole_division, missing_shards


def shards(prompts: int, count: int) -> list[Shard]:
    places = (ShardPlace(index=n, count=count) for n in range(1, count + 1))
    return [Shard(**place.model_dump(), prompts=prompts) for place in places]


@given(prompts=st.integers(1, 500), count=st.integers(1, 70))
def test_shards_hold_every_prompt_once_and_are_even(prompts: int, count: int) -> None:
    ranges = [range(*each.range_of(prompts)) for each in shards(prompts, count)]
    assert [n for each in ranges for n in each] == list(range(prompts))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


@given(prompts=st.integers(1, 30), count=st.integers(1, 40), data=st.data())
def test_what_is_missing_is_what_is_left_out_and_has_prompts(
    prompts: int, count: int, data: st.DataObject
) -> None:
    every = shards(prompts, count)
    present = data.draw(st.lists(st.sampled_from(every), min_size=1, unique_by=lambda s: s.index))
    left_out = {s.index for s in every if s not in present and len(range(*s.range_of(prompts)))}
    assert {place.index for place in missing_shards(present)} == left_out
    assert is_whole_division(present) == (not left_out)


def test_two_divisions_do_not_join() -> None:
    mixed = [*shards(9, 2), *shards(9, 3)]
    assert not is_whole_division(mixed)
    with pytest.raises(RimError, match="several divisions"):
        missing_shards(mixed)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0", "2", "a/b", "1/99999", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(RimError, match="INDEX/COUNT"):
        ShardPlace.parse(text)
