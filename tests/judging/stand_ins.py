"""Stand-ins for publishers' prompts, which need a network: each is its places, framed."""

from functools import cache

from rim_eval.judging import judge_names, load_judge


@cache
def stand_in_prompts() -> dict[str, str]:
    """A text by the SHA-256 of every text that the shipped judges take from a publisher."""
    messages = [message for name in judge_names() for message in load_judge(name).spec.messages]
    texts = [text for one in messages if one.published for text in one.published.texts]
    return {
        text.sha256: f"[INST] {' -- '.join(place for place, _ in text.fill)} [/INST]\n"
        for text in texts
    }
