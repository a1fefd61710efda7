from collections import Counter

from rim_eval import prompt_sets


def test_toy_sets_load_with_their_declared_counts() -> None:
    for name in ("toy", "toy_allowed", "toy_math"):
        loaded = prompt_sets.load_prompts(name)
        assert len(loaded.prompts) == loaded.entry.count
        assert len({prompt.id for prompt in loaded.prompts}) == loaded.entry.count
        assert loaded.provenance.source == "shipped"


def test_every_allowed_toy_request_has_its_forbidden_partner() -> None:
    forbidden = {prompt.id: prompt for prompt in prompt_sets.load_prompts("toy").prompts}
    allowed = prompt_sets.load_prompts("toy_allowed").prompts
    assert all(forbidden[prompt.pair or ""].pair == prompt.id for prompt in allowed)
    assert Counter(prompt.pair is None for prompt in forbidden.values())[False] == len(allowed)


def test_planted_labels_come_along() -> None:
    assert all(
        {"think", "no_think"} <= set(p.labels) for p in prompt_sets.load_prompts("toy").prompts
    )
    assert all(p.target for p in prompt_sets.load_prompts("toy_math").prompts)
