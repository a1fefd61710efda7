"""Find a model's thinking switch by what its chat template does, never by the model's name alone.

Words that the template reads are given values, soft switches are put into messages, and the
rendered prompts are compared. Two prompts differ *concerning thinking* when one ends inside a
trace and the other does not, or when one asks for thinking and the other does not or forbids it.
Which of them is "think" is read from the prompts; the word's own name says nothing.
"""

from typing import Final

from rim_eval.thinking._arms import forced_empty, prompted
from rim_eval.thinking._candidates import soft_candidates, template_candidates
from rim_eval.thinking._described import describe
from rim_eval.thinking._probe import PLAIN
from rim_eval.thinking._reading import knows_traces, read_tail
from rim_eval.thinking._recipe import Switch
from rim_eval.thinking._render import Renderer, source_of
from rim_eval.thinking._unseen import unseen_switch
from rim_eval.thinking._words import KNOWN_SOFT, KNOWN_WORDS, TemplateWords, read_words

__all__ = ["find_switch"]

_UNKNOWN: Final = TemplateWords(KNOWN_WORDS, {}, (), frozenset(), {}, KNOWN_SOFT, "")


def find_switch(render: Renderer, *, source: str | None = None, model: str | None = None) -> Switch:
    """Find how a model's two modes are brought about.

    Args:
        render: Renders messages and template words to a prompt (`template_renderer`, `tokenizer_renderer`).
        source: The chat template's text; by default the renderer's own, if it carries one. Without
            it only well-known words are tried.
        model: The model's name, used only for families whose template cannot show their switch.

    Returns:
        In this order of preference: a `switch`; `effort` levels; `forced_empty` for a model that
        always thinks; `prompted` for one that knows no traces.

    Raises:
        RimError: The template cannot be parsed, or refuses even a plain user message.
    """
    source = source if source is not None else source_of(render)
    words = _UNKNOWN if source is None else read_words(source)
    plain = render(PLAIN, {})
    traces_known = bool(knows_traces(words.text) or knows_traces(plain)) or source is None
    candidates = [
        *template_candidates(render, words, traces_known),
        *soft_candidates(render, words, traces_known, known_text=source),
    ]
    chosen = max(candidates, key=lambda found: found.finding.difference.strength, default=None)
    if chosen and chosen.finding.difference.strength >= 2:
        return describe(render, chosen, "switch")
    unseen = unseen_switch(render, plain, model)
    if unseen:
        return unseen
    if chosen:
        return describe(render, chosen, "effort")
    if read_tail(plain).state == "open" or (traces_known and source is not None):
        return forced_empty(plain, words.text)
    return prompted(render)
