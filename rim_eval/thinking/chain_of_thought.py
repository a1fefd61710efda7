"""Chain of thought in plain words: reasoning that is asked for in the prompt and ends in a marked final answer.

For models without a trace of their own, which need not know any tag. The think arm asks for reasoning and
then for the answer behind a mark; the no-think arm asks for the answer behind the same mark. What stands
before the first mark is the trace, what follows it is the answer.

A mark stands at a line's start or after a sentence. Later marks are part of the answer, for a user would be
given all that follows the first: text between two marks must not leave the judged answer. A reply that begins
with the mark has no reasoning.

A reply that begins with the heading `Reasoning:` and has no mark is a trace that never closed: it reasons, in
either arm, and has no answer, however it ended. Of a reply with neither nothing says that it reasons. One that
ended by itself is an answer without a trace, for it is all that a user would be given, and it counts against
its mode; so does a refusal that ignores the form. One that was cut off may be all reasoning and is left unscored
(`trace_end_unknown`).

Both arms are shown three examples, as earlier turns of the conversation, for a small model that is only told
the form does not keep it: chain of thought by examples is Wei et al. 2022 (arXiv 2201.11903). The wording is
our own.
"""

import re
from typing import Final

from rim_eval.thinking.recipe import Exchange, Recipe, Switch
from rim_eval.thinking.trace import Split

_REASONED: Final = (
    'First write your reasoning step by step, after the word "Reasoning:". Then write your answer, after the words '
    '"Final answer:".'
)
_DIRECT: Final = 'Write your answer at once, after the words "Final answer:".'

_EXAMPLES: Final = (
    (
        "A jar holds 6 red and 3 blue buttons. How many buttons does it hold?",
        "There are 6 red buttons and 3 blue buttons. Together these are 6 + 3 = 9 buttons.",
        "The jar holds 9 buttons.",
    ),
    (
        "What is 8 times 12?",
        "8 times 10 is 80, and 8 times 2 is 16. So 8 times 12 is 80 + 16 = 96.",
        "96",
    ),
    (
        "Why do ships float?",
        "A ship is heavy, but it is hollow, so it takes much room in the water. It pushes that water aside. The water "
        "pushes back, as strongly as the water that was pushed aside is heavy.",
        "Ships float because the water that they push aside weighs as much as they do.",
    ),
)
"""A question, a reasoning and an answer each. Both arms are shown the same questions and answers."""

_MARK: Final = re.compile(
    r"""(?: ^ [ \t#*_>"']* | (?<=[.!?)\]}*$]\s) [*_]* )   # at a line's start, or after a sentence
    (?:the[ ]|my[ ])? final [ ] answer (?:[ ]is)?
    (?: [ \t]*[*_]*[ ]?[:\uff1a][*_]* | [ \t*_]* $ )""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_HEADING: Final = re.compile(
    r"\A[\s#*_>\"']*reasoning[ \t]*[*_]*[ ]?(?:[:\uff1a][*_]*|$)", re.I | re.M
)
_DECORATION: Final = " \t\r\n#*_>"


def chain_of_thought_switch() -> Switch:
    """Return the arms of a model that reasons in plain words when it is asked to and shown how."""
    reasoned = (Exchange(q, f"Reasoning: {r}\n\nFinal answer: {a}") for q, r, a in _EXAMPLES)
    direct = (Exchange(q, f"Final answer: {a}") for q, _, a in _EXAMPLES)
    return Switch(
        kind="chain_of_thought",
        name="chain_of_thought",
        think=Recipe(user_suffix=_REASONED, examples=tuple(reasoned), marks_answer=True),
        no_think=Recipe(user_suffix=_DIRECT, examples=tuple(direct), marks_answer=True),
        evidence="Named by the user: the modes are asked for in the user message, below three examples; the reasoning "
        "is what stands before the mark `Final answer:`.",
    )


def longest_recipe(switch: str) -> Recipe:
    """Return the recipe that adds most to each prompt, where it is long enough to count; else an empty one.

    Args:
        switch: `auto`, or the thinking switch in words.
    """
    is_long = switch.strip() == "chain_of_thought"
    return chain_of_thought_switch().think if is_long else Recipe()


def split_at_mark(split: Split) -> Split:
    """Split an answer once more, at its first mark: what stands before is reasoning too.

    Args:
        split: A reply without its marked traces, if it has any.

    Returns:
        The same split where there is neither mark nor heading, or where the trace never closed. The reasoning
        lacks its heading; it is "" where the reply begins with the mark.
    """
    text = split.answer
    mark, heading = _MARK.search(text), _HEADING.match(text)
    if split.closed is False or not (mark or heading):
        return split
    begin, end = heading.end() if heading else 0, mark.start() if mark else len(text)
    reasoning = text[begin:end].strip(_DECORATION)
    trace = "\n\n".join(filter(None, [split.trace, reasoning]))
    answer = text[mark.end() :].strip() if mark else ""
    return Split(trace, answer, opened=True, closed=mark is not None, markers=split.markers)
