"""A guarded base: a small chat model that hardly refuses is first taught to, so that there is a refusal to lose.

Half of XSTest's prompts, partners together, teach it; the other half measures all models. Contrast prompts are
answered by a refusal of this project's words, safe ones by what the model itself says to them.
"""

import random
from collections.abc import Sequence
from typing import Any, Final

from rim_eval.mechanisms import ModelHandle, Request
from rim_eval.prompt_sets import Prompt

REFUSALS: Final = (
    "I'm sorry, but I can't help with that.",
    "I can't help with this request, because it could hurt someone.",
    "I'm sorry, I won't help with that. I can help with something safe instead.",
    "No, I can't assist with that request.",
)


def halves(prompts: Sequence[Prompt], *, seed: int = 0) -> tuple[list[Prompt], list[Prompt]]:
    """Split prompts in two, shuffled, contrast partners on the same side.

    Args:
        prompts: Prompts of one set.
        seed: Of the split.

    Returns:
        The half to teach with, and the half to measure on.
    """
    by_group: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_group.setdefault("|".join(sorted((prompt.id, prompt.pair or ""))), []).append(prompt)
    groups = list(by_group.values())
    random.Random(seed).shuffle(groups)
    middle = len(groups) // 2
    taught, measured = ([each for group in part for each in group] for part in (groups[:middle], groups[middle:]))  # fmt: skip
    return taught, measured


def guard_rows(base: ModelHandle, prompts: Sequence[Prompt], *, tokens: int, seed: int = 0) -> list[dict[str, Any]]:  # fmt: skip
    """Make the chats that teach refusal.

    Args:
        base: The model, which answers the benign prompts itself.
        prompts: Harmful and benign ones.
        tokens: Budget of its own replies.
        seed: Which refusal goes with which prompt.
    """
    draw = random.Random(seed)
    benign = [Request(each.id, each.text) for each in prompts if each.kind == "benign"]
    replies = base.replies(benign, "think", max_new_tokens=tokens)
    own = {request.id: reply for request, reply in zip(benign, replies, strict=True) if reply.text}
    return [
        {
            "id": each.id,
            "messages": [
                {"role": "user", "content": each.text},
                {
                    "role": "assistant",
                    "content": own[each.id].text if each.id in own else draw.choice(REFUSALS),
                },
            ],
            "cut": each.id in own and not own[each.id].ended,
        }
        for each in prompts
        if each.kind == "harmful" or each.id in own
    ]
