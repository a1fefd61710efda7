"""Derive prompts from those of another set, by a named rule that gives the same prompts on every machine.

`append_intent` gives the counterpart of a request set with its intent spelt out, as Yan et al. (section 4.1.1) do
with HEx-PHI; the sentences are this project's own (`intents.toml`). `copy_span` gives problems without reasoning over
the contexts of word problems, as the paper's GSM8k-Literal does; the paper lets a model write the questions, and this
rule asks for one number of the text.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from rim_eval.prompt_sets.prompts import Prompt, prompt_id
from rim_eval.prompt_sets.registry import Derivation

_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_WORDS: Final = "[A-Za-z]+ [A-Za-z]+"
_NUMBER: Final = re.compile(
    r"(?<![\w.,:/$%-])\$?(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\w%/-]|[.,:]\d)"
)
"""A number in figures that is no part of a fraction, a percentage, a time of day or a word."""
_BEFORE: Final = re.compile(rf" ({_WORDS})\b")
_AFTER: Final = re.compile(rf"\b({_WORDS}) \$?\Z")


def derive(prompt: Prompt, rule: Derivation, name: str) -> Prompt | None:
    """Return the prompt that a rule makes of another set's prompt, None where it makes none.

    Its id is made of its own content; the label `derived_from` holds the id of the prompt that it was made of.

    Args:
        prompt: The other set's prompt.
        rule: How it is made.
        name: The set that it will be of.
    """
    changes: dict[str, Any] | None
    if rule == "append_intent":
        changes = {"text": f"{prompt.text} {intent_for(prompt.set, prompt.category)}"}
    else:
        changes = _copy_span(prompt.text)
    if changes is None:
        return None
    own = {
        "id": prompt_id(name, changes["text"], prompt.context),
        "set": name,
        "pair": None,
        "labels": prompt.labels | {"derived_from": prompt.id},
    }
    return prompt.model_copy(update=own | changes)


@cache
def intent_for(prompt_set: str, category: str | None) -> str:
    """Choose the sentence that makes a request's intent plain, from `intents.toml`.

    Args:
        prompt_set: Name of a prompt set; sets without sentences of their own get the general one.
        category: The prompt's category.
    """
    text = Path(__file__).with_name("intents.toml").read_text(encoding="utf-8")
    intents: dict[str, dict[str, str]] = tomllib.loads(text)
    sentences = intents["general"] | intents.get(prompt_set, {})
    return sentences.get(category or "", sentences["default"])


def _copy_span(problem: str) -> dict[str, Any] | None:
    """The sentences of a word problem that ask nothing, and a question for one number in them, by the words beside it.

    Of several numbers one is drawn by the text's checksum. None where no number can be told by such words.
    """
    sentences = _SENTENCE_END.split(problem.strip())
    context = " ".join(one for one in sentences if not one.endswith("?"))
    if not (places := list(_places(context))):
        return None
    draw = int(hashlib.sha256(" ".join(problem.split()).encode()).hexdigest(), 16)
    number, side, words = places[draw % len(places)]
    question = f'Which number stands directly {side} the words "{words}" in this text? Copy it.'
    return {"text": f"{context}\n\n{question}", "target": number}


def _places(context: str) -> Iterator[tuple[str, str, str]]:
    """Numbers of a text, each with two words that stand in it once and on which side of them the number is."""
    for match in _NUMBER.finditer(context):
        beside = {
            "before": _BEFORE.match(context, match.end()),
            "after": _AFTER.search(context[: match.start("number")]),
        }
        for side, words in beside.items():
            if words and context.count(words[1]) == 1:
                yield match["number"], side, words[1]
                break
