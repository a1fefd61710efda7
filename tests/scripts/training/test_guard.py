from collections.abc import Sequence
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from rim_eval.judging import classify_refusal
from rim_eval.mechanisms import ModelHandle, Request
from rim_eval.mechanisms.replies import Reply
from rim_eval.prompt_sets import Prompt
from scripts.training.guard import REFUSALS, guard_rows, halves


def prompts(n: int, single: int = 0) -> list[Prompt]:
    """n pairs of a harmful prompt and its harmless partner, and some without a partner."""
    return [
        Prompt.model_validate(
            {"id": f"{kind}-{i}", "set": "pairs", "kind": kind, "text": f"{kind} {i}?", "pair": f"{other}-{i}" if i < n else None}
        )
        for kind, other, count in (("harmful", "benign", n), ("benign", "harmful", n + single))
        for i in range(count)
    ]  # fmt: skip


@given(n=st.integers(1, 30), single=st.integers(0, 9), seed=st.integers(0, 9))
def test_partners_stay_together_and_no_prompt_is_lost(n: int, single: int, seed: int) -> None:
    every = prompts(n, single)
    parts = halves(every, seed=seed)
    ids = [{each.id for each in part} for part in parts]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == {each.id for each in every}
    assert all(each.pair is None or each.pair in of for of, part in zip(ids, parts, strict=True) for each in part)  # fmt: skip
    assert halves(every, seed=seed) == parts


class Echo:
    """Answers with the request; every second one is cut."""

    def replies(self, requests: Sequence[Request], *_: object, **__: object) -> list[Reply]:
        return [Reply((1,), f"About {each.text}", bool(i % 2)) for i, each in enumerate(requests)]


def test_harmful_prompts_are_refused_and_harmless_ones_answered_by_the_model() -> None:
    rows = guard_rows(cast(ModelHandle, Echo()), prompts(6), tokens=4)
    taught: dict[str, Any] = {row["id"]: row for row in rows}
    assert len(taught) == 12
    for id, row in taught.items():
        asked, replied = row["messages"]
        refused = classify_refusal(replied["content"]).label == "full_refusal"
        assert refused == id.startswith("harmful")
        if not refused:
            assert replied["content"] == f"About {asked['content']}"
            assert row["cut"] == (int(id.partition("-")[2]) % 2 == 0)


def test_the_matcher_knows_every_refusal() -> None:
    assert {classify_refusal(text).label for text in REFUSALS} == {"full_refusal"}
